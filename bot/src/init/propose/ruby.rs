//! Ruby: Debian's, with Bundler.

use super::super::{
    draft::Draft,
    survey::{Project, Survey},
};

pub fn propose(survey: &Survey, draft: &mut Draft) {
    let mut folders = survey.projects(&["Gemfile"]);
    if folders.is_empty() {
        // A library without dependencies has its tests and nothing else.
        folders = survey.projects(&["Rakefile"]);
    }
    if folders.is_empty() && survey.paths().any(|path| path.starts_with("lib/") && path.ends_with(".rb")) {
        folders.push("");
    }
    for folder in folders {
        project(survey.project(folder), draft);
    }
}

fn project(at: Project<'_>, draft: &mut Draft) {
    draft.packages(&["ruby"]);
    let bundled = at.has("Gemfile");
    if bundled {
        draft.packages(&["ruby-dev", "bundler", "build-essential"]);
        draft.egress(&["rubygems.org:443", "index.rubygems.org:443"], "gems");
        draft.setup(at.command("bundle config set --local path vendor/bundle && bundle install --quiet"), "");
        let lock = at.text("Gemfile.lock").or_else(|| at.text("Gemfile")).unwrap_or_default();
        for (gem, packages) in [
            ("pg", ["libpq-dev"]),
            ("mysql2", ["default-libmysqlclient-dev"]),
            ("sqlite3", ["libsqlite3-dev"]),
            ("nokogiri", ["pkg-config"]),
        ] {
            if lock.contains(&format!(" {gem} (")) || lock.contains(&format!("gem \"{gem}\"")) || lock.contains(&format!("gem '{gem}'")) {
                draft.packages(&packages);
            }
        }
    }
    let exec = if bundled { "bundle exec " } else { "" };
    let rakefile = at.text("Rakefile").unwrap_or_default();
    if at.paths().any(|path| path.starts_with("spec/") && path.ends_with("_spec.rb")) {
        draft.check(at.command(format!("{exec}rspec")), "");
    } else if at.has("bin/rails") {
        draft.check(at.command(format!("{exec}rails test")), "");
    } else if rakefile.contains("TestTask") || rakefile.contains("task :test") {
        draft.packages(&["rake", "ruby-minitest"]);
        draft.check(at.command(format!("{exec}rake test")), "");
    } else if at.paths().any(|path| path.starts_with("test/") && path.ends_with(".rb")) {
        draft.packages(&["ruby-minitest"]);
        draft.check(
            at.command(format!("{exec}ruby -Ilib -Itest -e 'Dir[\"./test/**/*{{_test,test_*}}.rb\"].sort.each {{ |file| require file }}'")),
            "",
        );
    }
}
