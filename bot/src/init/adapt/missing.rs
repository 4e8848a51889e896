//! Programs, headers and libraries that a command did not find, and the Debian packages that hold them.

use longshore_sandbox::BuildStep;

use super::{super::draft::Draft, Failed};

const PROGRAMS: [(&str, &[&str]); 33] = [
    ("make", &["make"]),
    ("cc", &["build-essential"]),
    ("gcc", &["build-essential"]),
    ("g++", &["build-essential"]),
    ("c++", &["build-essential"]),
    ("x86_64-linux-gnu-gcc", &["build-essential", "python3-dev"]),
    ("aarch64-linux-gnu-gcc", &["build-essential", "python3-dev"]),
    ("cmake", &["cmake"]),
    ("ninja", &["ninja-build"]),
    ("pkg-config", &["pkg-config"]),
    ("autoreconf", &["autoconf", "automake", "libtool"]),
    ("protoc", &["protobuf-compiler"]),
    ("pg_config", &["libpq-dev"]),
    ("mysql_config", &["default-libmysqlclient-dev"]),
    ("psql", &["postgresql-client"]),
    ("redis-cli", &["redis-tools"]),
    ("sqlite3", &["sqlite3"]),
    ("python", &["python-is-python3"]),
    ("python3", &["python3"]),
    ("node", &["nodejs"]),
    ("java", &["default-jre-headless"]),
    ("javac", &["default-jdk-headless"]),
    ("unzip", &["unzip"]),
    ("zip", &["zip"]),
    ("xz", &["xz-utils"]),
    ("patch", &["patch"]),
    ("file", &["file"]),
    ("jq", &["jq"]),
    ("bc", &["bc"]),
    ("openssl", &["openssl"]),
    ("ffmpeg", &["ffmpeg"]),
    ("rsync", &["rsync"]),
    ("ssh", &["openssh-client"]),
];
const HEADERS: [(&str, &[&str]); 13] = [
    ("Python.h", &["python3-dev"]),
    ("ffi.h", &["libffi-dev"]),
    ("openssl/ssl.h", &["libssl-dev"]),
    ("openssl/opensslv.h", &["libssl-dev"]),
    ("libpq-fe.h", &["libpq-dev"]),
    ("mysql.h", &["default-libmysqlclient-dev"]),
    ("libxml/xmlversion.h", &["libxml2-dev", "libxslt1-dev"]),
    ("zlib.h", &["zlib1g-dev"]),
    ("sqlite3.h", &["libsqlite3-dev"]),
    ("jpeglib.h", &["libjpeg-dev"]),
    ("lber.h", &["libldap2-dev", "libsasl2-dev"]),
    ("yaml.h", &["libyaml-dev"]),
    ("curl/curl.h", &["libcurl4-openssl-dev"]),
];
/// By their names for pkg-config.
const LIBRARIES: [(&str, &[&str]); 10] = [
    ("openssl", &["libssl-dev"]),
    ("libpq", &["libpq-dev"]),
    ("sqlite3", &["libsqlite3-dev"]),
    ("zlib", &["zlib1g-dev"]),
    ("libxml-2.0", &["libxml2-dev"]),
    ("libudev", &["libudev-dev"]),
    ("alsa", &["libasound2-dev"]),
    ("dbus-1", &["libdbus-1-dev"]),
    ("cairo", &["libcairo2-dev"]),
    ("libffi", &["libffi-dev"]),
];

/// Adds the packages that hold what was not found.
pub fn install(draft: &mut Draft, failed: &Failed<'_>) -> Option<String> {
    if failed.step < BuildStep::SetupRoot {
        return None;
    }
    let (what, packages) = failed.output.lines().rev().find_map(missing)?;
    let new: Vec<&str> = packages.iter().copied().filter(|package| !draft.packages.contains(*package)).collect();
    if new.is_empty() {
        return None;
    }
    draft.packages(&new);
    // A library is found by pkg-config.
    if LIBRARIES.iter().any(|(name, _)| *name == what) {
        draft.packages(&["pkg-config"]);
    }
    Some(format!("{} is installed now, because {what} was missing", new.join(" and ")))
}

/// What a line says is not there, and what holds it.
fn missing(line: &str) -> Option<(&str, &'static [&'static str])> {
    let known =
        |list: &'static [(&'static str, &'static [&'static str])], name: &str| list.iter().find(|(known, _)| *known == name).copied();
    if let Some(program) = missing_program(line) {
        return known(&PROGRAMS, program);
    }
    if let Some((before, _)) = line.split_once(": No such file or directory")
        && let Some((_, header)) = before.rsplit_once("fatal error: ")
    {
        return known(&HEADERS, header.trim());
    }
    let library = line
        .split_once("No package '")
        .and_then(|(_, rest)| rest.split_once("' found"))
        .or_else(|| line.split_once("Package ").and_then(|(_, rest)| rest.split_once(" was not found in the pkg-config search path")))
        .or_else(|| line.split_once("The system library `").and_then(|(_, rest)| rest.split_once("` required by")));
    known(&LIBRARIES, library?.0)
}

fn missing_program(line: &str) -> Option<&str> {
    let line = line.trim_end();
    // bash: `x: command not found`; dash: `sh: 1: x: not found`; make, Rust, Python and node have words of their own.
    let before = line.strip_suffix(": command not found").or_else(|| line.strip_suffix(": not found"));
    if let Some(before) = before {
        return before.rsplit([' ', ':']).find(|word| !word.is_empty()).map(plain);
    }
    if let Some((_, rest)) = line.split_once("linker `") {
        return rest.split_once("` not found").map(|(name, _)| plain(name));
    }
    if let Some((_, rest)) = line.split_once("error: command '") {
        let (name, rest) = rest.split_once('\'')?;
        return rest.contains("No such file").then(|| plain(name));
    }
    if let Some((_, rest)) = line.split_once("FileNotFoundError: [Errno 2] No such file or directory: '") {
        return rest.strip_suffix('\'').map(plain);
    }
    if let Some((_, rest)) = line.split_once("spawn ") {
        return rest.strip_suffix(" ENOENT").map(plain);
    }
    if let Some((_, rest)) = line.split_once("unable to execute '") {
        return rest.split_once('\'').map(|(name, _)| plain(name));
    }
    if line.contains("pg_config executable not found") {
        return Some("pg_config");
    }
    if line.contains("Can not find valid pkg-config name") || line.contains("mysql_config: not found") {
        return Some("mysql_config");
    }
    None
}

fn plain(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shells_and_tools_words_are_understood() {
        for (line, program) in [
            ("bash: line 1: make: command not found", "make"),
            ("sh: 1: pg_config: not found", "pg_config"),
            ("/bin/sh: 1: cmake: not found", "cmake"),
            ("error: linker `cc` not found", "cc"),
            ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "x86_64-linux-gnu-gcc"),
            ("FileNotFoundError: [Errno 2] No such file or directory: '/usr/bin/ffmpeg'", "ffmpeg"),
            ("Error: spawn redis-cli ENOENT", "redis-cli"),
            ("Error: pg_config executable not found.", "pg_config"),
        ] {
            assert_eq!(missing_program(line), Some(program), "{line}");
        }
        assert_eq!(missing("src/x.c:3:10: fatal error: ffi.h: No such file or directory").unwrap().0, "ffi.h");
        assert_eq!(missing("No package 'libpq' found").unwrap().0, "libpq");
        assert!(missing("tests/test_x.py: module not found").is_none());
    }
}
