//! Where no language's own tools say how to test: a Makefile's targets, a justfile's, CMake.

use super::super::{
    draft::Draft,
    survey::{Project, Survey},
};

pub fn propose(survey: &Survey, draft: &mut Draft) {
    let at = survey.project("");
    let compiles = survey.paths().any(|path| [".c", ".cc", ".cpp", ".cxx", ".h"].iter().any(|end| path.ends_with(end)));
    if compiles {
        draft.packages(&["build-essential"]);
    }
    if let Some(text) = ["Makefile", "makefile", "GNUmakefile"].iter().find_map(|file| at.text(file)) {
        draft.packages(&["make"]);
        if let Some(target) = ["test", "check", "tests"].into_iter().find(|target| has_target(text, target)) {
            if compiles {
                draft.warm("make", "");
            }
            draft.check(format!("make {target}"), "The Makefile's own target.");
        } else if compiles {
            draft.check("make", "The Makefile has no target for tests: this shows only that it builds.");
        }
    } else if let Some(text) = at.text("justfile") {
        if has_target(text, "test") {
            draft.egress(&["index.crates.io:443", "static.crates.io:443"], "just");
            draft.packages(&["cargo"]);
            draft.root("cargo install --locked --root /usr/local just@1.13.0", "`just`, which Debian 12 does not have.");
            draft.check("just test", "The justfile's own recipe.");
        }
    } else if at.has("CMakeLists.txt") {
        cmake(at, draft);
    }
}

fn cmake(at: Project<'_>, draft: &mut Draft) {
    draft.packages(&["cmake", "build-essential"]);
    draft.setup("cmake -S . -B build -DCMAKE_BUILD_TYPE=Debug", "");
    draft.warm("cmake --build build", "");
    let tests = at.text("CMakeLists.txt").is_some_and(|text| text.contains("enable_testing") || text.contains("include(CTest)"));
    let check = if tests { "cmake --build build && ctest --test-dir build --output-on-failure" } else { "cmake --build build" };
    draft.check(check, "");
}

fn has_target(text: &str, target: &str) -> bool {
    text.lines().any(|line| line.strip_prefix(target).is_some_and(|rest| rest.trim_start().starts_with(':') && !rest.contains(":=")))
}
