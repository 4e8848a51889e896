use super::*;

/// The proposal's text; each is a manifest, or `text` says why not.
fn proposal(files: &[(&str, &str)]) -> String {
    propose(&Survey::of_files("acme/shop", files)).text().unwrap()
}

fn image(files: &[(&str, &str)]) -> String {
    let text = proposal(files);
    text.split_once("\n[image]\n").unwrap().1.to_owned()
}

#[test]
fn a_python_package_with_extras_and_a_readme() {
    let text = proposal(&[
        (
            "pyproject.toml",
            "[build-system]\nrequires = [\"hatchling\"]\n[project]\nname = \"shopkit\"\ndescription = \"Carts and coupons.\"\nrequires-python = \">=3.9\"\n\
             keywords = [\"shop\", \"cart\"]\ndependencies = [\"attrs\"]\n[project.optional-dependencies]\ntest = [\"pytest>=8\"]\ndev = [\"ruff\"]\ndocs = [\"sphinx\"]\n\
             [tool.pytest.ini_options]\naddopts = \"--cov=shopkit\"\n",
        ),
        (
            "README.md",
            "# Shopkit\n\n[![build](https://x/y.svg)](https://x)\n\nShopkit keeps **carts** and [coupons](https://x) for a web shop.\n\nMore.\n",
        ),
        ("src/shopkit/__init__.py", ""),
        ("tests/test_cart.py", "import pytest\nimport freezegun\n\ndef test_a(): pass\n"),
        ("package.json", "{\"devDependencies\": {\"prettier\": \"3\"}}"),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn pythons_tools_are_told_by_their_lock_files() {
    let pyproject = "[project]\nname = \"a\"\nrequires-python = \">=3.10\"\n[tool.pytest.ini_options]\n";
    let poetry = "[tool.poetry]\nname = \"a\"\n[tool.poetry.dependencies]\npython = \"^3.12\"\n";
    let each = [
        image(&[("pyproject.toml", pyproject), ("uv.lock", ""), ("a/__init__.py", "")]),
        image(&[("pyproject.toml", poetry), ("poetry.lock", ""), ("tests/test_a.py", "import pytest")]),
        image(&[("pyproject.toml", pyproject), ("pdm.lock", ""), ("a.py", "")]),
    ];
    insta::assert_snapshot!(each.join("\n=====\n"));
}

#[test]
fn older_python_projects() {
    let each = [
        image(&[
            (
                "setup.py",
                "from setuptools import setup, Extension\nsetup(name='a', ext_modules=[Extension('x', ['x.c'])],\n  extras_require={'tests': ['mock']})\n",
            ),
            ("a/__init__.py", ""),
            ("tests/test_a.py", "import unittest\n\nclass A(unittest.TestCase):\n    def test_a(self): pass\n"),
        ]),
        image(&[
            ("setup.py", "setup()"),
            ("tox.ini", "[testenv]\ndeps =\n    pytest\n    py38: x\n    responses>=0.9\ncommands = pytest\n"),
            ("a.py", ""),
            ("test_a.py", "def test_a(): pass"),
        ]),
        image(&[
            ("manage.py", ""),
            ("requirements.txt", "Django==5\npsycopg2==2.9\n"),
            ("shop/models.py", ""),
            ("shop/tests.py", "from django.test import TestCase"),
        ]),
    ];
    insta::assert_snapshot!(each.join("\n=====\n"));
}

#[test]
fn javascript_by_lock_file_and_version() {
    let package = |more: &str| {
        format!(
            "{{\"name\": \"a\", \"scripts\": {{\"test\": \"node --test\", \"build\": \"tsc\"}}, \"devDependencies\": {{\"typescript\": \"5\"}}{more}}}"
        )
    };
    let each = [
        image(&[("package.json", &package("")), ("package-lock.json", "{}"), ("index.js", "")]),
        image(&[
            ("package.json", &package(", \"packageManager\": \"pnpm@9.1.0+sha512.abc\"")),
            ("pnpm-lock.yaml", ""),
            (".nvmrc", "v20\n"),
            ("a.ts", ""),
        ]),
        image(&[("package.json", &package(", \"engines\": {\"node\": \">=20\"}")), ("yarn.lock", ""), ("a.ts", "")]),
        image(&[
            ("package.json", &package(", \"engines\": {\"node\": \"^18 || >=20\"}")),
            (".yarnrc.yml", ""),
            ("yarn.lock", ""),
            ("a.ts", ""),
        ]),
        image(&[("package.json", "{\"name\": \"a\", \"scripts\": {\"test\": \"echo no test specified\"}}"), ("test/a.test.js", "")]),
    ];
    insta::assert_snapshot!(each.join("\n=====\n"));
}

#[test]
fn node_is_debians_where_that_suits() {
    let wants = |engines: &str| {
        image(&[
            ("package.json", &format!("{{\"engines\": {{\"node\": \"{engines}\"}}, \"dependencies\": {{\"a\": \"1\"}}}}")),
            ("a.js", ""),
        ])
    };
    for suits in ["*", ">=0.10", ">=12", "^18.0.0", "18.x", ">=14 <21", "16 || 18"] {
        assert!(!wants(suits).contains("node@"), "{suits}");
    }
    for (newer, major) in [(">=20", 22), ("20.x", 20), ("^20.1 || ^22", 22), ("22", 22), (">=24", 24)] {
        assert!(wants(newer).contains(&format!("node@{major}")), "{newer}: {}", wants(newer));
    }
}

#[test]
fn rust_with_a_pinned_toolchain_and_system_libraries() {
    let each = [
        image(&[
            ("Cargo.toml", "[workspace]\nmembers = [\"a\"]\n"),
            ("Cargo.lock", "[[package]]\nname = \"openssl-sys\"\n"),
            ("rust-toolchain.toml", "[toolchain]\nchannel = \"1.85.0\"\n"),
            ("a/src/lib.rs", ""),
        ]),
        image(&[("Cargo.toml", "[package]\nname = \"a\"\n"), ("src/lib.rs", "")]),
    ];
    insta::assert_snapshot!(each.join("\n=====\n"));
}

#[test]
fn other_languages() {
    let each = [
        image(&[("go.mod", "module x\n\ngo 1.22\n\nrequire a v1\n"), ("main.go", "")]),
        image(&[("Gemfile", "gem \"pg\"\n"), ("spec/a_spec.rb", ""), ("lib/a.rb", "")]),
        image(&[("Rakefile", "Rake::TestTask.new"), ("lib/a.rb", "")]),
        image(&[("pom.xml", "<project/>"), ("src/main/java/A.java", "")]),
        image(&[("Makefile", "all: x\n\ncheck: x\n\t./x\n"), ("x.c", "")]),
        image(&[("CMakeLists.txt", "include(CTest)"), ("x.cpp", "")]),
    ];
    insta::assert_snapshot!(each.join("\n=====\n"));
}

#[test]
fn what_workflows_and_compose_files_tell() {
    let text = proposal(&[
        ("requirements.txt", "sqlalchemy\n"),
        ("app/__init__.py", ""),
        ("tests/test_db.py", "import pytest\n"),
        (
            "docker-compose.yml",
            "services:\n  db:\n    image: \"postgres:16-alpine\"\n    environment:\n      POSTGRES_USER: shop\n      POSTGRES_DB: shop_test\n  cache:\n    image: redis:7\n",
        ),
        (
            ".github/workflows/test.yml",
            "jobs:\n  test:\n    services:\n      db:\n        image: postgres:16\n    env:\n      DATABASE_URL: postgresql://shop:x@db:5432/shop_test\n      SECRET_KEY: ${{ secrets.X }}\n    steps:\n      - run: sudo apt-get install -y libmagic1\n",
        ),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn a_project_in_a_folder() {
    let text = image(&[
        ("backend/requirements.txt", "pytest\n"),
        ("backend/tests/test_a.py", "import pytest"),
        ("frontend/package.json", "{\"scripts\": {\"test\": \"jest\"}, \"devDependencies\": {\"jest\": \"29\"}}"),
        ("frontend/a.js", ""),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn nothing_known_is_said() {
    let text = proposal(&[("notes.txt", "")]);
    assert!(
        text.contains("# No way to test this repository was found.") && text.contains("# Nothing in the repository says what it is."),
        "{text}"
    );
}

#[test]
fn what_a_repository_says_is_quoted() {
    let text = propose(&Survey::of_files(
        "acme/shop",
        &[(
            "package.json",
            "{\"name\": \"x\", \"description\": \"a \\\"quoted\\\" thing\\n[image]\\nsetup = 1\", \"packageManager\": \"pnpm@1;id\", \"keywords\": [\"a\\\"]\"]}",
        )],
    ));
    let text = text.text().unwrap();
    assert!(!text.contains("pnpm@1;id") && !text.contains("\nsetup = 1"), "{text}");
}

#[test]
fn no_name_of_a_file_becomes_a_key() {
    let files = [
        ("tests/test_\n[limits]\nmemory_mb = 9\n.py", "import pytest\nredis.Redis(\n"),
        ("requirements.txt", ""),
        ("a\n'b/__init__.py", ""),
    ];
    let text = propose(&Survey::of_files("acme/shop", &files)).text().unwrap();
    assert!(text.contains("# Redis, because of tests/test_ [limits] memory_mb = 9 .py") && !text.contains("\n[limits]"), "{text}");
}
