//! Where things lie in this checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The checkout's root.
pub fn repository_root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_owned()
}

/// The checkout's own `target`, also where cargo builds elsewhere: what is set up and what is left to look at lies there.
pub fn target_folder() -> PathBuf {
    repository_root().join("target")
}

/// A sample's files, by the folder that the catalogue names.
pub fn sample_folder(folder: &str) -> PathBuf {
    repository_root().join("tests/samples").join(folder)
}

/// The manifest of a sample, by the same name.
pub(crate) fn manifest_file(folder: &str) -> PathBuf {
    repository_root().join("manifests/repositories").join(format!("{folder}.toml"))
}

/// The service's program: beside this one, where cargo puts it. `LONGSHORE_BINARY` names another.
pub fn service_binary() -> Result<PathBuf> {
    program("longshore")
}

/// A program beside this one. Where it is the service, `LONGSHORE_BINARY` names another.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("LONGSHORE_BINARY").filter(|_| name == "longshore") {
        return Ok(PathBuf::from(named));
    }
    let me = std::env::current_exe().context("cannot find the running program's own file")?;
    // Tests lie one folder deeper (`deps`) than programs.
    let beside = me.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    for candidate in beside {
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!("the program {name} is not beside {}: see the Makefile for how it is built", me.display())
}
