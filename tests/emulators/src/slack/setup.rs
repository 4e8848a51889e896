//! What a workspace consists of before anything happens in it.

use std::time::Duration;

use super::clock::EmulatorClock;
use super::limits::Limits;

/// A whole workspace; every field may be changed before the emulator starts.
#[derive(Clone, Debug)]
pub struct WorkspaceSetup {
    pub team: Team,
    pub users: Vec<User>,
    pub channels: Vec<Channel>,
    pub app: App,
    pub limits: Limits,
    pub retries: RetryTimes,
    /// How long a `trigger_id` can open a view (Slack: 3 s).
    pub trigger_lifetime: Duration,
    /// How long a `response_url` accepts posts (Slack: 30 minutes).
    pub response_url_lifetime: Duration,
    pub clock: EmulatorClock,
}

#[derive(Clone, Debug)]
pub struct Team {
    pub id: String,
    pub name: String,
    pub domain: String,
}

#[derive(Clone, Debug)]
pub struct User {
    pub id: String,
    /// The handle, as in `@ana`.
    pub name: String,
    pub real_name: String,
    pub email: String,
    pub kind: UserKind,
    /// IANA name of the user's time zone.
    pub time_zone: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserKind {
    Member,
    /// A single-channel guest (`is_ultra_restricted`).
    Guest,
    Bot,
    Deactivated,
}

#[derive(Clone, Debug)]
pub struct Channel {
    pub id: String,
    pub name: String,
    pub kind: ChannelKind,
    pub life: ChannelLife,
    /// User ids; the bot's user id among them where the app is inside.
    pub members: Vec<String>,
    pub topic: String,
    pub purpose: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    Public,
    Private,
    /// A direct message between this user and the app's bot.
    Im {
        user: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelLife {
    Open,
    Archived,
}

/// The one app that is installed.
#[derive(Clone, Debug)]
pub struct App {
    pub id: String,
    pub name: String,
    pub bot_user_id: String,
    pub bot_id: String,
    pub bot_token: String,
    pub app_token: String,
    pub signing_secret: String,
    pub verification_token: String,
    pub bot_scopes: Vec<String>,
    /// Subscribed events as in an app manifest's `bot_events` (`message.channels`, `app_mention`, …).
    pub bot_events: Vec<String>,
    /// With the leading slash.
    pub slash_commands: Vec<String>,
    /// In the menu of every message.
    pub message_shortcuts: Vec<Shortcut>,
    pub delivery: Delivery,
}

/// An entry of a menu that calls the app.
#[derive(Clone, Debug)]
pub struct Shortcut {
    pub callback_id: String,
    /// What people read.
    pub name: String,
}

/// How events and interactions reach the app.
#[derive(Clone, Debug)]
pub enum Delivery {
    SocketMode,
    Http(RequestUrls),
}

/// Where a signed HTTP request of each kind goes.
#[derive(Clone, Debug)]
pub struct RequestUrls {
    pub events: String,
    pub interactivity: String,
    pub options: String,
    pub slash: String,
}

impl RequestUrls {
    /// One address for everything.
    #[must_use]
    pub fn all(url: &str) -> Self {
        Self { events: url.into(), interactivity: url.into(), options: url.into(), slash: url.into() }
    }
}

/// How long an acknowledgement may take, and when an event is sent again.
#[derive(Clone, Debug)]
pub struct RetryTimes {
    pub acknowledge_within: Duration,
    /// The wait before each further attempt.
    pub pauses: Vec<Duration>,
}

impl RetryTimes {
    /// Slack's: 3 s to acknowledge; again at once, after 1 and after 5 minutes.
    #[must_use]
    pub fn documented() -> Self {
        Self::scaled(1.0)
    }

    /// Slack's times, multiplied: for tests that have no minutes to spare.
    #[must_use]
    pub fn scaled(factor: f64) -> Self {
        let seconds = |value: f64| Duration::from_secs_f64(value * factor);
        Self { acknowledge_within: seconds(3.0), pauses: vec![seconds(0.0), seconds(60.0), seconds(300.0)] }
    }
}

impl WorkspaceSetup {
    /// A small company: four people, seven channels, the app in Socket Mode with documented limits.
    #[must_use]
    pub fn demo() -> Self {
        let bot = "U0LONGSHORE";
        let everyone = ["U0ANA", "U0BEN", "U0CHIYO"];
        let with_bot: Vec<&str> = everyone.iter().copied().chain([bot]).collect();
        Self {
            team: Team { id: "T0LONGSHORE".into(), name: "Harbour".into(), domain: "harbour".into() },
            users: vec![
                person("U0ANA", "ana", "Ana Kovač"),
                person("U0BEN", "ben", "Ben Okafor"),
                person("U0CHIYO", "chiyo", "Chiyo Tanaka"),
                User { kind: UserKind::Guest, ..person("U0GUS", "gus", "Gus Guest") },
                User { kind: UserKind::Bot, email: String::new(), ..person(bot, "longshore", "Longshore") },
            ],
            channels: vec![
                room("C0GENERAL", "general", ChannelKind::Public, &with_bot),
                room("C0CHECKOUT", "checkout", ChannelKind::Public, &with_bot),
                room("C0PLATFORM", "platform", ChannelKind::Public, &with_bot),
                room("C0RANDOM", "random", ChannelKind::Public, &everyone),
                room("G0SECRET", "secret-project", ChannelKind::Private, &["U0ANA", bot]),
                Channel { life: ChannelLife::Archived, ..room("C0OLD", "old-stuff", ChannelKind::Public, &with_bot) },
                direct("D0ANA", "U0ANA", bot),
                direct("D0BEN", "U0BEN", bot),
                direct("D0CHIYO", "U0CHIYO", bot),
            ],
            app: App {
                id: "A0LONGSHORE".into(),
                name: "longshore".into(),
                bot_user_id: bot.into(),
                bot_id: "B0LONGSHORE".into(),
                bot_token: "xoxb-emulated-bot-token".into(),
                app_token: "xapp-emulated-app-token".into(),
                signing_secret: "emulated-signing-secret".into(),
                verification_token: "emulated-verification-token".into(),
                bot_scopes: strings(BOT_SCOPES),
                bot_events: strings(BOT_EVENTS),
                slash_commands: strings(&["/agent"]),
                message_shortcuts: vec![Shortcut { callback_id: "ask_longshore".into(), name: "Ask Longshore about this".into() }],
                delivery: Delivery::SocketMode,
            },
            limits: Limits::documented(),
            retries: RetryTimes::documented(),
            trigger_lifetime: Duration::from_secs(3),
            response_url_lifetime: Duration::from_secs(30 * 60),
            clock: EmulatorClock::System,
        }
    }
}

const BOT_SCOPES: &[&str] = &[
    "app_mentions:read",
    "assistant:write",
    "channels:history",
    "channels:join",
    "channels:read",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "im:write",
    "reactions:read",
    "reactions:write",
    "team:read",
    "users.profile:read",
    "users:read",
    "users:read.email",
];

const BOT_EVENTS: &[&str] = &[
    "app_home_opened",
    "app_mention",
    "assistant_thread_context_changed",
    "assistant_thread_started",
    "member_joined_channel",
    "member_left_channel",
    "message.channels",
    "message.groups",
    "message.im",
    "reaction_added",
    "reaction_removed",
];

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn person(id: &str, name: &str, real_name: &str) -> User {
    User {
        id: id.into(),
        name: name.into(),
        real_name: real_name.into(),
        email: format!("{name}@example.com"),
        kind: UserKind::Member,
        time_zone: "Europe/Amsterdam".into(),
    }
}

fn room(id: &str, name: &str, kind: ChannelKind, members: &[&str]) -> Channel {
    Channel {
        id: id.into(),
        name: name.into(),
        kind,
        life: ChannelLife::Open,
        members: strings(members),
        topic: String::new(),
        purpose: String::new(),
    }
}

fn direct(id: &str, user: &str, bot: &str) -> Channel {
    Channel { kind: ChannelKind::Im { user: user.into() }, ..room(id, "", ChannelKind::Public, &[user, bot]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demos_shortcuts_are_those_of_the_apps_manifest() {
        let manifest = include_str!("../../../../manifests/slack-app.yaml");
        let shortcuts = WorkspaceSetup::demo().app.message_shortcuts;
        assert_eq!(manifest.matches("callback_id:").count(), shortcuts.len());
        for Shortcut { callback_id, name } in shortcuts {
            assert!(manifest.contains(&format!("callback_id: {callback_id}\n")) && manifest.contains(&format!("name: {name}\n")), "{name}");
        }
    }
}
