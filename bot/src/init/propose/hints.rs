//! What the repository's own continuous integration says: system packages that it installs, hosts of tools that it fetches.

use super::super::{draft::Draft, survey::Survey};

pub fn from_workflows(survey: &Survey, draft: &mut Draft) {
    for (path, text) in survey.texts().filter(|(path, _)| path.starts_with(".github/workflows/")) {
        // Workflows that publish or label install what no test needs.
        if !(text.contains("test") || text.contains("check"))
            || ["release", "publish", "deploy", "docs"].iter().any(|word| path.contains(word))
        {
            continue;
        }
        let packages = apt_packages(text);
        draft.packages.extend(packages);
    }
}

/// What `apt-get install` lines name.
fn apt_packages(text: &str) -> Vec<String> {
    // A line may go on behind a backslash.
    let text = text.replace("\\\n", " ");
    let mut packages = Vec::new();
    for line in text.lines() {
        for part in line.split("&&").flat_map(|part| part.split(';')) {
            let words: Vec<&str> = part.split_whitespace().collect();
            let Some(at) = words.iter().position(|word| matches!(*word, "apt-get" | "apt")) else { continue };
            if !words[at..].contains(&"install") {
                continue;
            }
            let names = words[at + 1..].iter().filter(|word| **word != "install" && !word.starts_with('-'));
            // Anything with a variable, a path or a version in it is beyond a guess.
            packages.extend(names.take_while(|word| is_package(word)).map(|word| (*word).to_owned()));
        }
    }
    // Ubuntu's runners have names that Debian has not.
    packages.retain(|name| !name.starts_with("linux-") && name != "software-properties-common");
    packages
}

fn is_package(word: &str) -> bool {
    word.len() > 1
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_from_run_lines() {
        let text = "      - run: sudo apt-get update && sudo apt-get install -y libxml2-dev \\\n          libxslt1-dev\n      - run: |\n          apt install $X\n          apt-get -y install ffmpeg; echo done\n";
        assert_eq!(apt_packages(text), ["libxml2-dev", "libxslt1-dev", "ffmpeg"]);
    }
}
