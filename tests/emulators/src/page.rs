//! A browser page that shows the emulated workspace as Slack would, for [`crate::slack::SlackEmulatorBuilder::page`].
//!
//! Plain HTML, CSS and modules without a build step, from the folder `page` beside `src`, embedded. The page speaks only to `/client/…` (and
//! to `/demo/hints`, where a demo serves it) and loads nothing from elsewhere but the pictures that messages show.

use axum::Router;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// No inline script or style, no frame, no form; pictures may come from anywhere, as image blocks name any address.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self'; \
    img-src 'self' data: blob: http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

struct File {
    path: &'static str,
    kind: &'static str,
    body: &'static str,
}

macro_rules! files {
    ($($kind:ident $path:literal),+ $(,)?) => {
        &[$(File { path: concat!("/", $path), kind: $kind, body: include_str!(concat!("../page/", $path)) }),+]
    };
}

const SVG: &str = "image/svg+xml";
const INDEX: &str = include_str!("../page/index.html");
const FILES: &[File] = files![
    SVG "icon.svg",
    CSS "css/frame.css",
    CSS "css/messages.css",
    CSS "css/text.css",
    CSS "css/composer.css",
    CSS "css/blocks.css",
    CSS "css/floating.css",
    SCRIPT "js/api.js",
    SCRIPT "js/app.js",
    SCRIPT "js/blocks.js",
    SCRIPT "js/complete.js",
    SCRIPT "js/composer.js",
    SCRIPT "js/dom.js",
    SCRIPT "js/elements.js",
    SCRIPT "js/emoji.js",
    SCRIPT "js/files.js",
    SCRIPT "js/heads.js",
    SCRIPT "js/hints.js",
    SCRIPT "js/inline.js",
    SCRIPT "js/list.js",
    SCRIPT "js/markdown.js",
    SCRIPT "js/message.js",
    SCRIPT "js/modal.js",
    SCRIPT "js/mrkdwn.js",
    SCRIPT "js/places.js",
    SCRIPT "js/popup.js",
    SCRIPT "js/rich_text.js",
    SCRIPT "js/sidebar.js",
    SCRIPT "js/store.js",
    SCRIPT "js/time.js",
    SCRIPT "vendor/marked.esm.js",
    PLAIN "vendor/marked.LICENSE",
];

/// The page at `/` and at Slack's own permalinks, with its files; everything else is not found.
///
/// A demo may add routes of its own: `page::router().route("/demo/hints", …)`, answering
/// `{"title":…,"text":…,"suggestions":["wording" | {"text":"wording","channel":"C1"}]}`.
pub fn router() -> Router {
    let index = || async { answer(HTML, INDEX) };
    let mut router =
        Router::new().route("/", get(index)).route("/archives/{channel}", get(index)).route("/archives/{channel}/{message}", get(index));
    for file in FILES {
        router = router.route(file.path, get(|| async { answer(file.kind, file.body) }));
    }
    router.fallback(|| async { (StatusCode::NOT_FOUND, "not found") })
}

fn answer(kind: &'static str, body: &'static str) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        // A new build must not meet an old module in a browser's cache.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::slack::{SlackEmulator, WorkspaceSetup};

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("page")
    }

    fn own_sources() -> impl Iterator<Item = &'static File> {
        FILES.iter().filter(|file| !file.path.starts_with("/vendor/"))
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        for part in ["css", "js"] {
            for entry in std::fs::read_dir(folder().join(part)).unwrap() {
                let path = format!("/{part}/{}", entry.unwrap().file_name().into_string().unwrap());
                assert!(FILES.iter().any(|file| file.path == path), "{path} is missing in FILES");
            }
        }
    }

    #[test]
    fn what_a_file_imports_is_served() {
        let served = |path: &str| FILES.iter().any(|file| file.path == path);
        let named = |text: &str, before: &str| -> Vec<String> {
            text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
        };
        let assets = [named(INDEX, "href=\""), named(INDEX, "src=\"")].concat();
        assert!(assets.len() >= 4, "{assets:?}");
        for asset in assets {
            assert!(served(&asset), "{asset} of index.html");
        }
        let mut imports = 0;
        for file in own_sources().filter(|file| file.kind == SCRIPT) {
            for import in named(file.body, "from \"") {
                let path = match import.strip_prefix("../") {
                    Some(vendored) => format!("/{vendored}"),
                    None => format!("/js/{}", import.trim_start_matches("./")),
                };
                assert!(served(&path), "{import} of {}", file.path);
                imports += 1;
            }
        }
        assert!(imports > 20);
    }

    #[test]
    fn nothing_turns_text_into_markup_and_nothing_comes_from_elsewhere() {
        for file in own_sources() {
            for forbidden in
                ["innerHTML =", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "@import", "url(http", "from \"http"]
            {
                assert!(!file.body.contains(forbidden), "{forbidden} in {}", file.path);
            }
        }
        for forbidden in ["http://", "https://", "<style", " style=", " onclick=", " onload="] {
            assert!(!INDEX.contains(forbidden), "{forbidden} in index.html");
        }
    }

    #[tokio::test]
    async fn an_emulator_serves_the_page_beside_its_own_routes() {
        let slack = SlackEmulator::builder(WorkspaceSetup::demo()).page(router()).start().await.unwrap();
        let get = |path: &str| reqwest::get(format!("{}{path}", slack.base_url()));
        for path in ["/", "/archives/C0CHECKOUT/p1790000000000100?thread_ts=1790000000.000100"] {
            let page = get(path).await.unwrap();
            assert_eq!(page.headers()["content-type"], HTML, "{path}");
            assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
            assert_eq!(page.text().await.unwrap(), INDEX);
        }
        let script = get("/js/app.js").await.unwrap();
        assert_eq!(script.headers()["content-type"], SCRIPT);
        assert!(get("/client/state").await.unwrap().text().await.unwrap().contains("\"team\""));
        assert_eq!(get("/demo/hints").await.unwrap().status(), StatusCode::NOT_FOUND);
        slack.shutdown().await;
    }
}
