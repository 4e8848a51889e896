//! The manifest that a repository has already, and writing one.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use longshore_session::RepoName;

use super::diff::diff;

/// A manifest that is there.
#[derive(Debug)]
pub struct Existing {
    pub path: PathBuf,
    text: String,
}

impl Existing {
    /// Also one that cannot be taken as it stands: what is in it is somebody's work.
    pub fn find(folder: &Path, repo: &RepoName) -> Result<Option<Self>> {
        let usual = path_for(folder, repo);
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let named = text.parse::<toml::Table>().ok().and_then(|table| table.get("repository")?.as_str().map(str::to_owned));
            let is_it = named.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(repo.as_str()));
            if is_it || path == usual && named.is_none() {
                return Ok(Some(Self { path, text }));
            }
        }
        Ok(None)
    }

    /// For people: how a proposal differs.
    pub fn compared_with(&self, proposal: &str) -> String {
        if self.text == proposal {
            return format!("{} says the same.", self.path.display());
        }
        format!("How it differs from {} (`-` is there, `+` is proposed):\n\n{}", self.path.display(), diff(&self.text, proposal))
    }
}

/// Where the manifest of a repository goes that has none.
fn path_for(folder: &Path, repo: &RepoName) -> PathBuf {
    folder.join(format!("{}-{}.toml", repo.owner(), repo.name()))
}

/// The same, or another name where that one is another repository's (`a-b/c` and `a/b-c`).
pub fn free_path_for(folder: &Path, repo: &RepoName) -> PathBuf {
    let usual = path_for(folder, repo);
    if usual.exists() { folder.join(format!("{}--{}.toml", repo.owner(), repo.name())) } else { usual }
}

/// Whoever reads meanwhile sees the old one or the new one. What was there is kept beside it, under a name that no service reads.
pub fn write(path: &Path, text: &str, before: Option<&Existing>) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    if let Some(before) = before.filter(|before| before.text != text) {
        let kept = before.path.with_extension("toml.before");
        std::fs::write(&kept, &before.text).with_context(|| format!("cannot write {}", kept.display()))?;
        println!("The manifest that was there is kept as {}.", kept.display());
    }
    let mut scratch =
        tempfile::Builder::new().prefix(".init-").tempfile_in(folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    scratch.write_all(text.as_bytes())?;
    // A temporary file is its maker's alone; a manifest holds nothing secret.
    scratch.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    scratch.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_found_by_what_it_says_and_another_repositorys_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (RepoName::parse("a/b-c").unwrap(), RepoName::parse("a-b/c").unwrap());
        std::fs::write(folder.path().join("x.toml"), "repository = \"A/B-C\"\nnonsense = 1\n").unwrap();
        assert!(Existing::find(folder.path(), &ours).unwrap().unwrap().path.ends_with("x.toml"));
        assert!(Existing::find(folder.path(), &theirs).unwrap().is_none());
        write(&free_path_for(folder.path(), &theirs), "repository = \"a-b/c\"\n", None).unwrap();
        std::fs::remove_file(folder.path().join("x.toml")).unwrap();
        assert!(Existing::find(folder.path(), &ours).unwrap().is_none());
        assert!(free_path_for(folder.path(), &ours).ends_with("a--b-c.toml"));
        // What cannot be read as a manifest is somebody's work all the same.
        std::fs::write(folder.path().join("a-b-c.toml"), "not toml").unwrap();
        assert!(Existing::find(folder.path(), &ours).unwrap().is_some());
    }

    #[test]
    fn what_was_there_is_kept_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-b.toml");
        std::fs::write(&path, "repository = \"a/b\"\n").unwrap();
        let before = Existing::find(folder.path(), &RepoName::parse("a/b").unwrap()).unwrap();
        write(&path, "new\n", before.as_ref()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(std::fs::read_to_string(folder.path().join("a-b.toml.before")).unwrap(), "repository = \"a/b\"\n");
    }
}
