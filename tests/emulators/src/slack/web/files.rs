//! `files.*`: the upload in three steps, and what is known of a file.

use serde_json::{Value, json};

use super::super::conversation::Draft;
use super::super::message::Author;
use super::super::state::{FilePlace, State, StoredFile};
use super::answer::{Answer, ApiError, answer};
use super::args::Args;
use super::chat::{Content, postable, thread_of};

const MOST_BYTES: usize = 1 << 30;

pub(super) fn upload_url(state: &mut State, args: &Args) -> Answer {
    let name = args.need("filename")?;
    let size = args.number("length")?.filter(|size| *size > 0).ok_or_else(|| ApiError::missing("length"))?;
    if size > MOST_BYTES {
        return Err(ApiError::new("file_upload_size_restricted"));
    }
    let id = state.next_id("F");
    let ticket = format!("{:032x}", rand::random::<u128>());
    let file = StoredFile {
        id: id.clone(),
        title: name.clone(),
        mimetype: mimetype_of(&name).to_owned(),
        name,
        owner: state.bot_user().to_owned(),
        created: state.setup.clock.now_secs(),
        size,
        content: None,
        channels: Vec::new(),
        place: FilePlace::Slack,
    };
    state.uploads.insert(ticket.clone(), file);
    answer(json!({ "upload_url": format!("{}/upload/v1/{ticket}", state.base_url), "file_id": id }))
}

pub(super) fn complete_upload(state: &mut State, args: &Args) -> Answer {
    let wanted = args.json("files", "invalid_arguments")?.ok_or_else(|| ApiError::missing("files"))?;
    let Value::Array(wanted) = wanted else { return Err(ApiError::new("invalid_arguments")) };
    let mut tickets = Vec::new();
    for file in &wanted {
        let id = file["id"].as_str().ok_or_else(|| ApiError::missing("files/id"))?;
        let ticket = state.uploads.iter().find(|(_, upload)| upload.id == id && upload.content.is_some()).map(|(ticket, _)| ticket.clone());
        tickets.push((ticket.ok_or_else(|| ApiError::new("file_not_found"))?, file["title"].as_str().map(str::to_owned)));
    }
    let channels = match (args.text("channel_id"), args.text("channels")) {
        (Some(channel), _) => vec![channel],
        (None, Some(channels)) => channels.split(',').map(str::to_owned).collect(),
        (None, None) => Vec::new(),
    };
    let mut rooms = Vec::new();
    for channel in &channels {
        let room = postable(state, channel)?;
        rooms.push((room.clone(), thread_of(state, &room, args)?));
    }
    let content = Content::read(args, "/blocks")?;
    let mut ids = Vec::new();
    for (ticket, title) in tickets {
        let Some(mut file) = state.uploads.remove(&ticket) else { continue };
        if let Some(title) = title {
            file.title = title;
        }
        ids.push(file.id.clone());
        state.files.insert(file.id.clone(), file);
    }
    for (room, thread_ts) in rooms {
        let text = args.text("initial_comment").unwrap_or_default();
        let blocks = content.blocks.clone().unwrap_or_default();
        state.post(&room, Draft { files: ids.clone(), thread_ts, blocks, ..Draft::by(Author::App, &text) });
    }
    let files: Vec<Value> = ids.iter().filter_map(|id| state.files.get(id)).map(|file| state.file_json(file)).collect();
    answer(json!({ "files": files }))
}

pub(super) fn info(state: &mut State, args: &Args) -> Answer {
    let file = state.files.get(&args.need("file")?).ok_or_else(|| ApiError::new("file_not_found"))?;
    if file.place == FilePlace::Deleted {
        return Err(ApiError::new("file_deleted"));
    }
    answer(json!({ "file": state.file_json(file), "comments": [], "response_metadata": { "next_cursor": "" } }))
}

pub(in super::super) fn mimetype_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("json") => "application/json",
        Some("pdf") => "application/pdf",
        Some("md" | "txt" | "log" | "rs" | "py" | "ts" | "js" | "diff" | "patch") => "text/plain",
        Some("mp4") => "video/mp4",
        _ => "application/octet-stream",
    }
}
