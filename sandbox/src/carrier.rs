//! The folder between the service and one sandbox, mounted at `/run/longshore`.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use longshore_session::SandboxId;

use crate::EngineError;

/// uid and gid of everything that runs in a sandbox.
pub(crate) const AGENT: u32 = 1000;

/// Where a sandbox's carrier files are, as the service sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarrierPaths {
    pub folder: PathBuf,
    /// What the service says: whole lines are appended, nothing is ever taken back.
    pub input: PathBuf,
    /// What the agent says.
    pub output: PathBuf,
    /// The agent's stderr.
    pub errors: PathBuf,
    /// The sandbox's variables; secret.
    pub environment: PathBuf,
}

impl CarrierPaths {
    pub(crate) fn of(carriers: &Path, id: &SandboxId) -> Self {
        let folder = carriers.join(id.as_str());
        Self { input: folder.join("in"), output: folder.join("out"), errors: folder.join("err"), environment: folder.join("env"), folder }
    }
}

/// Makes the folder that holds all carriers. Only the service's user can enter it, so what is in there is guarded by this folder alone.
pub(crate) fn make_root(carriers: &Path) -> Result<PathBuf, EngineError> {
    let failed = |source| EngineError::Carrier { path: carriers.to_owned(), source };
    fs::create_dir_all(carriers).map_err(failed)?;
    fs::set_permissions(carriers, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    // Mounts want an absolute path.
    carriers.canonicalize().map_err(failed)
}

/// Makes an empty carrier with these variables; what an earlier sandbox of the same id left is gone.
pub(crate) fn create(paths: &CarrierPaths, variables: &[(String, String)]) -> Result<(), EngineError> {
    let text = environment_file(variables)?;
    remove(&paths.folder)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| EngineError::Carrier { path, source }
    };
    fs::create_dir(&paths.folder).map_err(failed(&paths.folder))?;
    // The folder stays ours: the agent may append to its files, but not replace them or add any.
    fs::set_permissions(&paths.folder, fs::Permissions::from_mode(0o755)).map_err(failed(&paths.folder))?;
    let files = [
        (&paths.environment, text.as_bytes(), Access::Read),
        (&paths.input, &b""[..], Access::Read),
        (&paths.output, b"", Access::Write),
        (&paths.errors, b"", Access::Write),
    ];
    for (path, content, access) in files {
        write(path, content, access).map_err(failed(path))?;
    }
    Ok(())
}

/// Removes a carrier; one that is not there is no error.
pub(crate) fn remove(folder: &Path) -> Result<(), EngineError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(EngineError::Carrier { path: folder.to_owned(), source }),
        _ => Ok(()),
    }
}

/// The sandboxes that have a carrier.
pub(crate) fn list(carriers: &Path) -> Result<Vec<SandboxId>, EngineError> {
    let failed = |source| EngineError::Carrier { path: carriers.to_owned(), source };
    let mut ids = Vec::new();
    for entry in fs::read_dir(carriers).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        // What has another name was not made by us.
        ids.extend(name.to_str().and_then(|name| SandboxId::parse(name).ok()));
    }
    Ok(ids)
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

fn write(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    let (group_mode, open_mode) = match access {
        Access::Read => (0o640, 0o644),
        Access::Write => (0o660, 0o666),
    };
    // Only root may give a file to another group. Elsewhere the mode is opened instead: the folder above keeps everybody else out.
    let mode = match chown(path, None, Some(AGENT)) {
        Ok(()) => group_mode,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => open_mode,
        Err(error) => return Err(error),
    };
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// Lines for a shell to source.
fn environment_file(variables: &[(String, String)]) -> Result<String, EngineError> {
    let mut text = String::new();
    for (key, value) in variables {
        let bad = |reason| EngineError::BadVariable { key: key.clone(), reason };
        let starts_well = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !starts_well || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(bad("its name must be letters, digits and `_`"));
        }
        if value.contains('\0') {
            return Err(bad("its value holds a NUL"));
        }
        text.push_str(&format!("export {key}={}\n", shell_quoted(value)));
    }
    Ok(text)
}

/// The text as one word of the shell's.
pub(crate) fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sourced(variables: &[(String, String)]) -> String {
        let text = environment_file(variables).unwrap();
        let script = format!("{text}printf %s \"$KEY\"");
        let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_shell_reads_back_any_value(value in "[^\0]{0,40}") {
            prop_assert_eq!(sourced(&[("KEY".to_owned(), value.clone())]), value);
        }
    }

    #[test]
    fn a_name_that_is_no_variable_is_refused() {
        for key in ["", "1A", "A-B", "A=B", "A;rm"] {
            assert!(environment_file(&[(key.to_owned(), String::new())]).is_err(), "{key}");
        }
    }

    #[test]
    fn a_carrier_is_new_each_time_and_closed() {
        let folder = tempfile::tempdir().unwrap();
        let root = make_root(&folder.path().join("carriers")).unwrap();
        let id = SandboxId::random();
        let paths = CarrierPaths::of(&root, &id);
        create(&paths, &[("A".to_owned(), "it's".to_owned())]).unwrap();
        fs::write(&paths.input, "old").unwrap();
        create(&paths, &[]).unwrap();
        assert_eq!(fs::read(&paths.input).unwrap(), b"");
        assert_eq!(root.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(paths.environment.metadata().unwrap().permissions().mode() & 0o003, 0, "others cannot write");
        assert_eq!(list(&root).unwrap(), [id]);
        remove(&paths.folder).unwrap();
        remove(&paths.folder).unwrap();
        assert!(list(&root).unwrap().is_empty());
    }
}
