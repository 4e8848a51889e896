//! A prompt's files: from Slack into the sandbox, and to the agent.

use std::{collections::BTreeSet, time::Duration};

use longshore_agent::ContentBlock;
use longshore_sandbox::Exec;
use longshore_session::{FileFate, FileKind, Prompt, PromptFile, SandboxId, TakenFile, TurnFailure, Unread};
use longshore_slack::{FileRef, SlackError, UnreadFiles, unread_words};

use tokio::time::Instant;

use super::{prepare, work::shortened};
use crate::{app::App, config::LimitSection};

/// Where prompts' files lie in a sandbox: beside the checkout, so that no commit holds them, and within what a snapshot keeps.
const FOLDER: &str = "/home/agent/files";
/// What the files of one prompt may have in all. They are held in memory until the sandbox is there.
const IN_ALL_MB: u64 = 60;
/// Providers take pictures up to here.
const PICTURE: u64 = 5 << 20;
/// Bytes of pictures in one prompt. The whole conversation goes to the provider with each request.
const PICTURES: u64 = 10 << 20;
/// Asking Slack for one file.
const TRIES: u32 = 3;
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Asking for all of them: the turn waits for it.
const PATIENCE: Duration = Duration::from_secs(90);
/// Bytes of a file's name in the sandbox.
const NAME: usize = 80;
const READ_TIMEOUT: Duration = Duration::from_secs(20);

const WRITE: &str = r#"mkdir -p "$FOLDER" && cat >"$FOLDER/$NAME""#;
/// The status says what is wrong: 44 nothing there, 45 no plain file, 46 may not be read.
const READ: &str = r#"[ -e "$FILE" ] || exit 44
[ -f "$FILE" ] || exit 45
[ -r "$FILE" ] || exit 46
exec cat -- "$FILE""#;

/// A file with what came of asking Slack for it.
pub struct Fetched {
    name: String,
    content: Result<Vec<u8>, Unread>,
}

/// Asks Slack for a prompt's files. What cannot be had is said, and nothing is waited for long.
pub async fn fetch(app: &App, prompt: &Prompt) -> Vec<Fetched> {
    let limits = &app.config.limits;
    let deadline = Instant::now() + PATIENCE;
    let mut left = IN_ALL_MB << 20;
    let mut fetched = Vec::new();
    for (index, file) in prompt.files.iter().enumerate() {
        let mut file = slack_file(file);
        let content = match within(limits, index, file.size.unwrap_or(0), left) {
            Ok(()) => tokio::time::timeout_at(deadline, fetch_one(app, &mut file, left)).await.unwrap_or(Err(Unread::Failed)),
            Err(why) => Err(why),
        };
        match &content {
            Ok(content) => left -= content.len() as u64,
            Err(why) => tracing::warn!(file = file.id, ?why, "a prompt's file could not be read"),
        }
        fetched.push(Fetched { name: file.name, content });
    }
    fetched
}

/// Whether a file of this size may come, as the prompt's `index`th, where `left` bytes are left for all.
fn within(limits: &LimitSection, index: usize, size: u64, left: u64) -> Result<(), Unread> {
    if index as u64 >= limits.files {
        Err(Unread::TooMany { limit: limits.files })
    } else if size > limits.file_bytes() {
        Err(Unread::TooLarge { limit_mb: limits.file_mb })
    } else if size > left {
        Err(Unread::TooMuch { limit_mb: IN_ALL_MB })
    } else {
        Ok(())
    }
}

fn slack_file(file: &PromptFile) -> FileRef {
    FileRef { id: file.id.clone(), name: file.name.clone(), mimetype: file.mimetype.clone(), size: file.size, url: file.url.clone() }
}

async fn fetch_one(app: &App, file: &mut FileRef, left: u64) -> Result<Vec<u8>, Unread> {
    let limits = &app.config.limits;
    for attempt in 1.. {
        let wait = match ask(app, file, limits.file_bytes().min(left)).await {
            Ok(content) => return Ok(content),
            Err(SlackError::RateLimited { retry_after, .. }) => retry_after,
            Err(SlackError::Transient { .. } | SlackError::UnknownOutcome { .. }) => Duration::from_secs(1) * attempt,
            Err(SlackError::Refused { code, .. }) => {
                return Err(match code.as_str() {
                    "too_large" if left < limits.file_bytes() => Unread::TooMuch { limit_mb: IN_ALL_MB },
                    "too_large" => Unread::TooLarge { limit_mb: limits.file_mb },
                    "external_file" => Unread::Elsewhere,
                    _ => why_refused(app, file).await,
                });
            }
        };
        if attempt >= TRIES || wait > LONGEST_WAIT {
            break;
        }
        tokio::time::sleep(wait).await;
    }
    Err(Unread::Failed)
}

async fn ask(app: &App, file: &mut FileRef, limit: u64) -> Result<Vec<u8>, SlackError> {
    // In some channels Slack shows no more than the id until it is asked.
    if file.url.is_none() {
        *file = app.slack.file_info(&file.id).await?;
    }
    let content = app.slack.download_file(file, usize::try_from(limit).unwrap_or(usize::MAX)).await?;
    Ok(content.to_vec())
}

/// An address that gives no file gives no reason either; the file's own record does.
async fn why_refused(app: &App, file: &FileRef) -> Unread {
    match app.slack.file_info(&file.id).await {
        Ok(_) | Err(SlackError::RateLimited { .. } | SlackError::Transient { .. } | SlackError::UnknownOutcome { .. }) => Unread::Failed,
        Err(SlackError::Refused { code, .. }) if code == "missing_scope" => Unread::NotAllowed,
        Err(SlackError::Refused { .. }) => Unread::Gone,
    }
}

/// Writes them in the sandbox. Done again, it leaves the same.
pub async fn place(app: &App, sandbox: &SandboxId, prompt: &Prompt, fetched: Vec<Fetched>) -> Result<Vec<TakenFile>, TurnFailure> {
    let folder = format!("{FOLDER}/{}", prompt.id);
    let mut names = BTreeSet::new();
    let mut taken = Vec::new();
    for file in fetched {
        let fate = match file.content {
            Err(why) => FileFate::Unread { why },
            Ok(content) => {
                let name = safe_name(&file.name, &mut names);
                let path = format!("{folder}/{name}");
                let (bytes, kind) = (content.len() as u64, kind_of(&content));
                let exec = Exec::shell(WRITE).folder("/").variable("FOLDER", &folder).variable("NAME", &name).stdin(content);
                match app.engine.exec(sandbox, exec).await {
                    Ok(output) if output.succeeded() => FileFate::Placed { path, bytes, kind },
                    Ok(output) => {
                        tracing::warn!(%sandbox, end = ?output.end, "a prompt's file could not be written");
                        FileFate::Unread { why: Unread::Unwritten }
                    }
                    Err(error) => return Err(prepare::failure(&error)),
                }
            }
        };
        taken.push(TakenFile { name: file.name, fate });
    }
    Ok(taken)
}

/// What the thread is told of the files, where something could not be read.
pub fn unread(files: &[TakenFile]) -> Option<UnreadFiles> {
    let unread = files.iter().filter_map(|file| match &file.fate {
        FileFate::Placed { .. } => None,
        FileFate::Unread { why } => Some((file.name.clone(), why.clone())),
    });
    let unread: Vec<_> = unread.collect();
    (!unread.is_empty()).then_some(UnreadFiles { all: files.len(), unread })
}

/// What the agent is told of the files; empty where there are none.
pub fn told(files: &[TakenFile]) -> String {
    let line = |file: &TakenFile| match &file.fate {
        FileFate::Placed { path, bytes, .. } => format!("- {path} ({})\n", size(*bytes)),
        FileFate::Unread { why } => {
            let why = unread_words(why);
            format!("- not there: `{}`. The person was told: {why}\n", shortened(&file.name.replace('`', "'"), 80))
        }
    };
    if files.is_empty() {
        return String::new();
    }
    let lines: String = files.iter().map(line).collect();
    format!("\n\nFiles that came with this message, outside of the checkout so that they are not committed:\n{lines}")
}

/// The pictures among the files, read back from the sandbox: after a restart of the service they are nowhere else.
pub async fn pictures(app: &App, sandbox: &SandboxId, files: &[TakenFile]) -> Vec<ContentBlock> {
    let mut left = PICTURES;
    let mut blocks = Vec::new();
    for file in files {
        let FileFate::Placed { path, bytes, kind } = &file.fate else { continue };
        let Some(mime) = mime(*kind) else { continue };
        if *bytes > PICTURE.min(left) {
            continue;
        }
        match read(app, sandbox, path, PICTURE.min(left)).await {
            Ok(data) => {
                left -= data.len() as u64;
                blocks.push(ContentBlock::Image { mime: mime.to_owned(), data });
            }
            // The agent knows the path, and finds out by itself.
            Err(error) => tracing::warn!(%sandbox, why = error.words(), "a picture cannot be read back"),
        }
    }
    blocks
}

/// Why a file of a sandbox's cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    Missing,
    NotAFile,
    NotAllowed,
    TooLarge {
        limit_mb: u64,
    },
    Empty,
    /// The engine or the command failed.
    Failed {
        detail: String,
    },
}

impl ReadError {
    /// For the agent.
    pub fn words(&self) -> String {
        match self {
            Self::Missing => "there is no such file".to_owned(),
            Self::NotAFile => "it is no plain file".to_owned(),
            Self::NotAllowed => "it may not be read".to_owned(),
            Self::TooLarge { limit_mb } => format!("it is larger than {limit_mb} MB"),
            Self::Empty => "it is empty".to_owned(),
            Self::Failed { detail } => format!("it cannot be read now: {detail}"),
        }
    }
}

/// Reads a file as the agent could, links followed within the sandbox only.
pub async fn read(app: &App, sandbox: &SandboxId, path: &str, limit: u64) -> Result<Vec<u8>, ReadError> {
    let exec = Exec::shell(READ).variable("FILE", path).timeout(READ_TIMEOUT);
    let exec = exec.output_limit(usize::try_from(limit).unwrap_or(usize::MAX));
    let output = app.engine.exec(sandbox, exec).await.map_err(|error| ReadError::Failed { detail: error.to_string() })?;
    match output.exit_code() {
        _ if output.dropped > 0 => Err(ReadError::TooLarge { limit_mb: limit >> 20 }),
        Some(0) if output.stdout.is_empty() => Err(ReadError::Empty),
        Some(0) => Ok(output.stdout),
        Some(44) => Err(ReadError::Missing),
        Some(45) => Err(ReadError::NotAFile),
        Some(46) => Err(ReadError::NotAllowed),
        _ => Err(ReadError::Failed { detail: format!("reading it {}", output.end.words()) }),
    }
}

fn kind_of(content: &[u8]) -> FileKind {
    match content {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => FileKind::Png,
        [0xff, 0xd8, 0xff, ..] => FileKind::Jpeg,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => FileKind::Gif,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => FileKind::Webp,
        _ => FileKind::Other,
    }
}

fn mime(kind: FileKind) -> Option<&'static str> {
    match kind {
        FileKind::Png => Some("image/png"),
        FileKind::Jpeg => Some("image/jpeg"),
        FileKind::Gif => Some("image/gif"),
        FileKind::Webp => Some("image/webp"),
        FileKind::Other => None,
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KB", bytes.div_ceil(1024)),
        _ => format!("{:.1} MB", bytes as f64 / 1_048_576.0),
    }
}

/// The last part of a path, as a plain file name.
pub fn plain_name(path: &str) -> String {
    safe_name(path, &mut BTreeSet::new())
}

/// A plain file name that keeps as much as possible of what the person called the file, and that none of `taken` has.
fn safe_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    let last = name.rsplit(['/', '\\']).find(|part| !part.trim().is_empty()).unwrap_or_default();
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    let name: String = last.trim().chars().map(plain).collect();
    // Neither hidden nor an option.
    let name = name.trim_start_matches(['.', '-', '_']);
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && (1..=12).contains(&extension.chars().count()) => (stem, format!(".{extension}")),
        _ => (name.trim_end_matches('.'), String::new()),
    };
    let stem = if stem.is_empty() { "file" } else { stem };
    for number in 1.. {
        let suffix = if number == 1 { extension.clone() } else { format!("-{number}{extension}") };
        // Bytes count: a file system's limit is 255 of them.
        let mut short = stem.to_owned();
        while short.len() + suffix.len() > NAME && short.pop().is_some() {}
        let name = format!("{short}{suffix}");
        if taken.insert(name.to_lowercase()) {
            return name;
        }
    }
    "file".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_whatever_it_was() {
        let mut taken = BTreeSet::new();
        let mut name = |name: &str| safe_name(name, &mut taken);
        assert_eq!(name("error log.txt"), "error_log.txt");
        assert_eq!(name("error log.txt"), "error_log-2.txt");
        assert_eq!(name("Error log.txt"), "Error_log-3.txt");
        assert_eq!(name("../../etc/passwd"), "passwd");
        assert_eq!(name("..\\..\\boot.ini"), "boot.ini");
        assert_eq!(name("/"), "file");
        assert_eq!(name(".."), "file-2");
        assert_eq!(name(".bashrc"), "bashrc");
        assert_eq!(name("-rf"), "rf");
        assert_eq!(name("a\nb\0c$(x)`y`'.png"), "a_b_c__x__y__.png");
        assert_eq!(name("Übersicht 🎉.png"), "Übersicht__.png");
        let long = name(&format!("{}.png", "ü".repeat(300)));
        assert!(long.len() <= NAME && long.ends_with("ü.png"), "{long}");
        let again = name(&format!("{}.png", "ü".repeat(300)));
        assert!(again.len() <= NAME && again.ends_with("-2.png") && again != long, "{again}");
    }

    #[test]
    fn a_name_stays_in_its_folder() {
        let hostile =
            ["", ".", "...", "a/..", "../..", "-", "--", "a/", "\u{202e}gnp.exe", "x.\0", "con\r\n", "$(reboot)", &"/".repeat(400)];
        for hostile in hostile {
            let mut taken = BTreeSet::new();
            for _ in 0..3 {
                let name = safe_name(hostile, &mut taken);
                assert!(!name.is_empty() && name.len() <= NAME && !name.starts_with(['.', '-']), "{name}");
                assert!(name.chars().all(|c| c.is_alphanumeric() || ".-_".contains(c)), "{name}");
            }
            assert_eq!(taken.len(), 3);
        }
    }

    #[test]
    fn each_limit_has_its_own_words() {
        let limits = LimitSection { files: 2, file_mb: 1, ..LimitSection::default() };
        let mb = 1 << 20;
        assert_eq!(within(&limits, 1, mb, mb), Ok(()));
        assert_eq!(within(&limits, 2, 1, mb), Err(Unread::TooMany { limit: 2 }));
        assert_eq!(within(&limits, 0, mb + 1, 2 * mb), Err(Unread::TooLarge { limit_mb: 1 }));
        assert_eq!(within(&limits, 0, mb, mb - 1), Err(Unread::TooMuch { limit_mb: IN_ALL_MB }));
    }

    #[test]
    fn a_picture_is_known_by_its_bytes() {
        assert_eq!(kind_of(b"\x89PNG\r\n\x1a\nrest"), FileKind::Png);
        assert_eq!(kind_of(b"\xff\xd8\xff\xe0"), FileKind::Jpeg);
        assert_eq!(kind_of(b"GIF89a"), FileKind::Gif);
        assert_eq!(kind_of(b"RIFF....WEBPVP8 "), FileKind::Webp);
        assert_eq!(kind_of(b"RIFF....WAVE"), FileKind::Other);
        assert_eq!(kind_of(b""), FileKind::Other);
    }

    #[test]
    fn the_agent_is_told_what_is_there_and_what_is_not() {
        let placed = |path: &str, bytes| FileFate::Placed { path: path.to_owned(), bytes, kind: FileKind::Other };
        let files = [
            TakenFile { name: "a".into(), fate: placed("/home/agent/files/p-1/a", 12) },
            TakenFile { name: "b`\n".into(), fate: FileFate::Unread { why: Unread::TooLarge { limit_mb: 20 } } },
        ];
        insta::assert_snapshot!(told(&files).trim(), @r"
        Files that came with this message, outside of the checkout so that they are not committed:
        - /home/agent/files/p-1/a (12 bytes)
        - not there: `b'`. The person was told: it is larger than 20 MB, the most that I take
        ");
        assert_eq!(told(&[]), "");
    }
}
