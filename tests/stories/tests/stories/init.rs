//! `longshore init`: from a repository to a manifest that was proved; what it says when the proof fails; and a manifest that is there already.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use longshore_emulators::github::Repositories;
use longshore_harness::{Harness, Options, Wait};
use tokio::process::Command;

use crate::bad_ground::{Run, run_within};

/// A build, or several, on a machine that has other work as well.
const PROOF: Duration = Duration::from_secs(600);

/// GitHub with a repository made of `folder`, and a configuration; no service runs.
async fn surroundings(name: &str, folder: &Path) -> Harness {
    let mut options = Options::samples(&[]);
    options.wait = Wait::Nothing;
    options.egress = ["deb.debian.org", "pypi.org", "files.pythonhosted.org"].map(str::to_owned).to_vec();
    let harness = Harness::start(options).await.unwrap();
    harness.github.create_repository("harbour", name, folder).await.unwrap();
    harness.github.install_app("harbour", Repositories::All);
    harness
}

async fn init(harness: &Harness, arguments: &[&str]) -> Run {
    let file = harness.service.config_file();
    let file = file.to_str().unwrap();
    run_within(PROOF, &[&["init", "--config", file], arguments].concat(), harness.folder(), &[]).await
}

fn manifest(harness: &Harness, name: &str) -> PathBuf {
    harness.folder().join(format!("repositories/harbour-{name}.toml"))
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// A package's source as PyPI gives it to pip.
async fn source_of(package: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "set -e; \"$PIP\" download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest . {package}; \
         mkdir source; tar -xzf *.tar.gz -C source --strip-components=1"
    );
    let pip = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/python/bin/pip");
    let mut command = Command::new("bash");
    command.args(["-c", &script]).env("PIP", &pip).current_dir(folder.path()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(180), command.output()).await.expect("pip did not end").unwrap();
    assert!(output.status.success(), "pip gave no source of {package}: {}", String::from_utf8_lossy(&output.stderr));
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_of_pypis_is_read_proved_and_written_and_left_alone_from_then_on() {
    let source = source_of("itsdangerous==2.2.0").await;
    let harness = surroundings("itsdangerous", &source.path().join("source")).await;
    let file = manifest(&harness, "itsdangerous");

    // A look first: nothing is built, nothing is written.
    let look = init(&harness, &["harbour/itsdangerous", "--no-build"]).await;
    assert!(look.success && look.said.contains("Nothing was built and nothing was written") && !file.exists(), "{look:#?}");

    let run = init(&harness, &["harbour/itsdangerous"]).await;
    assert!(run.success, "{run:#?}");
    for text in ["Reading harbour/itsdangerous (branch main)", "  checkout: git clone", "It works: built in", "its check passed", "Wrote "]
    {
        assert!(run.said.contains(text), "`{text}`: {}", run.said);
    }
    let written = std::fs::read_to_string(&file).unwrap();
    for text in
        ["repository = \"harbour/itsdangerous\"", "untrusted environments", "\"pypi.org:443\"", "requirements/tests.txt", "-m pytest -q"]
    {
        assert!(written.contains(text), "`{text}`: {written}");
    }
    // What the tests said, and no token of anybody's in what was shown.
    let log = std::fs::read_to_string(harness.folder().join("data/builds/init-harbour-itsdangerous.log")).unwrap();
    assert!(log.contains(" passed in "), "{log}");
    for secret in ["ghs_", "lsx_", "Authorization"] {
        assert!(!run.said.contains(secret) && !run.complained.contains(secret), "`{secret}` is shown: {run:#?}");
    }

    // Nobody's manifest is overwritten.
    let mine = written.replace("repository =", "# Mine.\nrepository =");
    std::fs::write(&file, &mine).unwrap();
    init(&harness, &["harbour/itsdangerous"]).await.refused_with(&[
        "has a manifest already",
        "harbour-itsdangerous.toml",
        "`--force` replaces it",
    ]);
    let differs = init(&harness, &["harbour/itsdangerous", "--no-build"]).await;
    assert!(differs.success && differs.said.contains("-# Mine."), "{differs:#?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), mine);
    harness.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_built_is_shown_with_its_log_and_goes_on_from_a_corrected_manifest() {
    let source = folder(&[
        ("README.md", "# Crane\n\nCrane lifts containers from ship to quay, one after another.\n"),
        ("Makefile", "test:\n\tsh test.sh\n"),
        ("test.sh", "echo the hook is bent >&2\n[ -n \"$CRANE\" ] || exit 9\n"),
    ]);
    let harness = surroundings("crane", source.path()).await;
    let file = manifest(&harness, "crane");

    let run = init(&harness, &["harbour/crane"]).await;
    assert!(!run.success && !file.exists(), "{run:#?}");
    let kept = harness.folder().join("data/init/harbour-crane.toml");
    let texts = [
        "It does not work: `make test` (step `check`)",
        "    the hook is bent",
        "Try: ",
        "The whole log: ",
        "init-harbour-crane.log",
        "--from",
    ];
    for text in texts.into_iter().chain([kept.to_str().unwrap()]) {
        assert!(run.said.contains(text), "`{text}`: {}", run.said);
    }

    // As it says: correct what was tried, and prove that.
    let text = std::fs::read_to_string(&kept).unwrap();
    std::fs::write(&kept, text.replace("make test", "CRANE=1 make test")).unwrap();
    let run = init(&harness, &["harbour/crane", "--from", kept.to_str().unwrap()]).await;
    assert!(run.success, "{run:#?}");
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.contains("CRANE=1 make test") && written.contains("Crane lifts containers"), "{written}");

    // A repository that the App does not see.
    init(&harness, &["harbour/anchor"]).await.refused_with(&["does not see harbour/anchor", "installed on the repository"]);
    harness.finish().await.unwrap();
}
