//! "Ask Longshore about this".

use longshore_session::{ChannelId, MessageTs};

use super::{Example, Shape, ana, bot, for_one, source, thread};
use crate::{
    dialog::AskAbout,
    render::{AskAboutWindow, AskedAbout, ShortcutRefused},
};

pub(super) fn all() -> Vec<Example> {
    let ts = |text: &str| MessageTs::parse(text).unwrap();
    let window = AskAboutWindow {
        about: AskAbout {
            channel: ChannelId::parse("C0CHECKOUT").unwrap(),
            thread: ts("1790000000.000100"),
            message: ts("1790000000.000200"),
            text: "the second tour leaves before its slot opens".to_owned(),
            response_url: "https://hooks.slack.com/actions/T1/2/3".to_owned(),
        },
        text: "the second tour leaves before its slot opens".to_owned(),
    };
    let message_url = Some("https://longshore-demo.slack.com/archives/C0CHECKOUT/p1790000000000200".to_owned());
    let asked = AskedAbout { by: ana(), task: Some("find out why, and mend it".to_owned()), message_url: message_url.clone() };
    let itself = AskedAbout { by: ana(), task: None, message_url };
    let not_here = ShortcutRefused::NotHere { bot: bot() };
    vec![
        Example {
            name: "ask-about",
            when: "*Ask Longshore about this* in a message's menu opens this window.",
            from: source(&window),
            shape: Shape::Modal(window.render()),
        },
        thread("asked-about", "Said in the thread before the work begins.", &asked, AskedAbout::render),
        thread("asked-about-itself", "The same where nothing was typed.", &itself, AskedAbout::render),
        for_one("ask-about-not-here", "Where the bot is not, and cannot go by itself.", &not_here, ShortcutRefused::render),
        for_one("ask-about-too-late", "Where Slack no longer opens a window.", &ShortcutRefused::TooLate, ShortcutRefused::render),
    ]
}
