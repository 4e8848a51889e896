//! Pages for people. There is no sign-in: whoever reaches the socket may look and press the buttons.

mod diff;
mod pages;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

use super::server::Shared;

const STYLE: &str = include_str!("style.css");

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(pages::index))
        .route("/{owner}/{name}", get(pages::repository))
        .route("/{owner}/{name}/pulls", get(pages::repository))
        .route("/{owner}/{name}/pull/{number}", get(pages::pull))
        .route("/{owner}/{name}/pull/{number}/merge", post(pages::merge))
        .route("/{owner}/{name}/pull/{number}/close", post(pages::close))
        .route("/{owner}/{name}/commit/{sha}", get(pages::commit))
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A whole page round the (already escaped) body.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><header><a class=brand href=\"/\">{LOGO}<span>GitHub emulator</span></a>\
         <span class=note>Real git, local only</span></header><main>{body}</main></body></html>"
    )
}

/// A branch sign; deliberately not GitHub's mark.
const LOGO: &str = "<svg width=22 height=22 viewBox='0 0 24 24' fill=none stroke=currentColor stroke-width=2 stroke-linecap=round>\
    <circle cx=6 cy=5 r=2.5 /><circle cx=6 cy=19 r=2.5 /><circle cx=18 cy=8 r=2.5 /><path d='M6 7.5v9M18 10.5c0 4-6 3.5-10 6'/></svg>";

/// Markdown as GitHub shows it, as far as descriptions need; raw HTML is shown as text, and only web links are links.
pub(super) fn markdown(text: &str) -> String {
    use pulldown_cmark::{CowStr, Event, Options, Parser, Tag};
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let safe = |url: CowStr<'_>| -> bool {
        let url = url.trim().to_ascii_lowercase();
        url.starts_with("http://") || url.starts_with("https://") || url.starts_with("mailto:") || url.starts_with(['/', '#'])
    };
    let events = Parser::new_ext(text, options).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::SoftBreak => Event::HardBreak,
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = if safe(dest_url.clone()) { dest_url } else { CowStr::Borrowed("#") };
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            let dest_url = if safe(dest_url.clone()) { dest_url } else { CowStr::Borrowed("") };
            Event::Start(Tag::Image { link_type, dest_url, title, id })
        }
        other => other,
    });
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events);
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_shows_raw_html_as_text() {
        let html = markdown("**hi** <script>alert(1)</script> [x](javascript:alert(1)) [y](https://e.com)");
        assert!(html.contains("<strong>hi</strong>") && html.contains("&lt;script&gt;"), "{html}");
        assert!(!html.contains("javascript:") && html.contains("href=\"https://e.com\""), "{html}");
    }
}
