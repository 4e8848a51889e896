use super::{
    super::{draft::Draft, propose::propose, survey::Survey},
    *,
};

fn python() -> Draft {
    propose(&Survey::of_files(
        "acme/shop",
        &[("pyproject.toml", "[project]\nname = \"a\"\n"), ("a/__init__.py", ""), ("tests/test_a.py", "import pytest")],
    ))
}

fn failed<'a>(step: BuildStep, command: &'a str, output: &'a str) -> Failed<'a> {
    Failed { step, command, end: ExecEnd::Exited(1), output, refused: &[] }
}

#[test]
fn a_known_host_is_let_through_and_an_unknown_one_is_not() {
    let mut draft = python();
    let refused = ["nodejs.org:443".to_owned(), "evil.example:443".to_owned(), "nodejs.org:22".to_owned()];
    let failure = Failed { refused: &refused, ..failed(BuildStep::Setup, "x", "") };
    assert_eq!(adapt(&mut draft, &failure).unwrap(), "it may now reach nodejs.org:443");
    assert!(!draft.egress.keys().any(|entry| entry.contains("evil") || entry.ends_with(":22")));
    assert_eq!(unknown_hosts(&refused), ["evil.example:443", "nodejs.org:22"]);
    assert_eq!(adapt(&mut draft, &failure), None, "the same again changes nothing");
}

#[test]
fn what_is_missing_is_installed_once() {
    let mut draft = python();
    let failure = failed(BuildStep::Setup, "pip", "running build_ext\nerror: command 'gcc' failed: No such file or directory\n");
    assert_eq!(adapt(&mut draft, &failure).unwrap(), "build-essential is installed now, because gcc was missing");
    assert_eq!(adapt(&mut draft, &failure), None);
}

#[test]
fn memory_is_raised_up_to_a_bound() {
    let mut draft = python();
    let failure = Failed { end: ExecEnd::OutOfMemory, ..failed(BuildStep::Setup, "x", "") };
    while adapt(&mut draft, &failure).is_some() {}
    assert_eq!(draft.memory_mb, Some(8192));
}

#[test]
fn a_few_failing_tests_are_left_out_and_named() {
    let mut draft = python();
    let command = draft.check_command().unwrap();
    let output = "...F..\nFAILED tests/test_a.py::test_clock[UTC] - AssertionError\nERROR tests/test_b.py::test_socket - OSError\n2 failed, 40 passed in 1.0s\n";
    let said = adapt(&mut draft, &failed(BuildStep::Check, &command, output)).unwrap();
    assert!(said.contains("2 tests") && said.contains("tests/test_a.py::test_clock"), "{said}");
    let check = draft.check_command().unwrap();
    assert!(check.ends_with("-m pytest -q --deselect=tests/test_a.py::test_clock --deselect=tests/test_b.py::test_socket"), "{check}");
    assert!(draft.text().unwrap().contains("# Left out, because they fail in a sandbox"));
}

#[test]
fn tests_that_mostly_fail_are_not_left_out() {
    let mut draft = python();
    let command = draft.check_command().unwrap();
    let output = "FAILED tests/test_a.py::test_a - x\n1 failed, 2 passed in 1.0s\n";
    assert_eq!(adapt(&mut draft, &failed(BuildStep::Check, &command, output)), None);
}

#[test]
fn nothing_of_a_tests_name_gets_into_a_shell() {
    let mut draft = python();
    let command = draft.check_command().unwrap();
    let output = "FAILED tests/test_a.py::test_$(id) - x\nFAILED tests/a.py;id::test - x\n2 failed, 90 passed in 1.0s\n";
    assert_eq!(adapt(&mut draft, &failed(BuildStep::Check, &command, output)), None);
}

#[test]
fn cargos_failing_tests_are_skipped() {
    let mut draft = propose(&Survey::of_files("acme/shop", &[("Cargo.toml", "[package]\nname = \"a\"\n"), ("src/lib.rs", "")]));
    let output = "test tests::clock ... FAILED\ntest tests::other ... ok\ntest result: FAILED. 12 passed; 1 failed;\n";
    adapt(&mut draft, &failed(BuildStep::Check, "cargo test", output)).unwrap();
    assert_eq!(draft.check_command().unwrap(), "cargo test -- --skip tests::clock");
}

#[test]
fn a_linter_before_the_tests_is_left_out() {
    let files = [
        (
            "package.json",
            "{\"scripts\": {\"pretest\": \"eslint .\", \"test\": \"tape\", \"build\": \"tsc\"}, \"devDependencies\": {\"tape\": \"5\"}}",
        ),
        ("a.js", ""),
    ];
    let mut draft = propose(&Survey::of_files("acme/shop", &files));
    let output = "\n> a@1.0.0 pretest\n> eslint .\n\nError: no configuration\n";
    adapt(&mut draft, &failed(BuildStep::Check, "CI=1 npm test", output)).unwrap();
    assert_eq!(draft.check_command().unwrap(), "CI=1 npm test --ignore-scripts");
    let said = adapt(&mut draft, &failed(BuildStep::Warm, "npm run build", "error TS1")).unwrap();
    assert!(said.contains("left out of `image.warm`") && draft.warm.is_empty(), "{said}");
}

#[test]
fn a_package_that_debian_lacks_is_left_out() {
    let mut draft = python();
    draft.packages(&["libfancy-dev"]);
    let failure = failed(
        BuildStep::SetupRoot,
        "apt-get",
        "Reading package lists...\nE: Unable to locate package libfancy-dev\nE: Unable to locate package other\n",
    );
    assert!(adapt(&mut draft, &failure).unwrap().starts_with("libfancy-dev left out"));
    assert_eq!(adapt(&mut draft, &failure), None);
}

#[test]
fn a_database_that_nobody_answers_for_is_started() {
    let mut draft = python();
    let command = draft.check_command().unwrap();
    let output = "redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.\n16379 refused\n";
    let said = adapt(&mut draft, &failed(BuildStep::Check, &command, output)).unwrap();
    assert!(said.starts_with("Redis runs") && draft.text().unwrap().contains("[[image.services]]"), "{said}");
    assert_eq!(adapt(&mut draft, &failed(BuildStep::Check, &command, output)), None);
}

#[test]
fn a_runner_that_hangs_after_its_summary_has_told_what_failed() {
    let mut draft = python();
    let command = draft.check_command().unwrap();
    let output = "FAILED tests/test_pool.py::TestPool::test_reap - AssertionError\n1 failed, 780 passed in 209.00s\n";
    let failure = Failed { end: ExecEnd::TimedOut, ..failed(BuildStep::Check, &command, output) };
    assert!(adapt(&mut draft, &failure).unwrap().contains("test_reap"));
    let silent = Failed { end: ExecEnd::TimedOut, ..failed(BuildStep::Check, &command, "...\n") };
    assert_eq!(adapt(&mut python(), &silent), None);
}
