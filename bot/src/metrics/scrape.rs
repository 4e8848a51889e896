//! What stands where it stands, read when somebody asks.

use std::{
    fmt::Write as _,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use anyhow::{Context, Result};
use longshore_session::Overdue;
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{counter::ConstCounter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::logged::logged;
use crate::{
    app::App,
    health::{self, Part},
};

type Level = Gauge<f64, AtomicU64>;

/// One label's name and word.
type Label = Vec<(&'static str, &'static str)>;

/// Everything, in the text format of OpenMetrics.
pub async fn scrape(app: &Arc<App>) -> Result<String> {
    let sandboxes = health::look(app).await;
    let mut gauges = Gauges { registry: Registry::with_prefix("longshore") };
    let now = app.clock.now();

    let unwell = app.health.reasons();
    let up = Part::ALL.map(|part| (part.word(), f64::from(u8::from(!unwell.contains_key(&part)))));
    gauges.by("up", "part", "Whether a part that the service needs is there", &up);
    if let Some(count) = sandboxes {
        let states = [("running", count.running), ("paused", count.paused), ("ended", count.ended)];
        gauges.by("sandboxes", "state", "Sandboxes of ours in the engine", &states.map(|(state, count)| (state, count as f64)));
    }

    let inbox = app.store.inbox_depth().await?;
    gauges.one("inbox_open", "Deliveries of Slack's that are not dealt with", inbox.open as f64);
    let age = inbox.oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
    gauges.one("inbox_oldest_seconds", "Age of the oldest of them", age);
    gauges.one("sessions_awake", "Sessions that somebody works on", app.conversations.awake() as f64);
    let phases = app.store.session_phases().await?;
    let phases: Vec<(&'static str, f64)> = phases.into_iter().map(|(phase, count)| (known_phase(&phase), count as f64)).collect();
    gauges.by("sessions", "phase", "Sessions by where they stand", &phases);

    let figures = app.survey.figures();
    let waiting = ["routing", "picking", "queued", "working", "due", "missing"];
    let owed = waiting.map(|state| (state, figures.owed.get(state).copied().unwrap_or(0) as f64));
    gauges.by("prompts_owed", "state", "Accepted prompts whose final message is still to come, by how far they are", &owed);
    let overdue = [Overdue::Unsent, Overdue::Missing, Overdue::Unrouted];
    let overdue = overdue.map(|why| (overdue_word(why), figures.overdue.get(&why).copied().unwrap_or(0) as f64));
    gauges.by("prompts_overdue", "why", "Those whose message is due for longer than a minute", &overdue);
    gauges.one("outbox_unsent", "Messages and changes of messages that are not in Slack yet", figures.unsent as f64);
    let late = figures.unsent_since.map_or(0.0, |since| now.since(since).as_secs_f64());
    gauges.one("outbox_late_seconds", "By how much the oldest of them is late", late);
    gauges.one("sessions_unreadable", "Sessions whose databases cannot be read", figures.unreadable as f64);
    let age = figures.at.map_or(-1.0, |at| now.since(at).as_secs_f64());
    gauges.one("ledger_age_seconds", "Since when all this about prompts and outboxes is known; -1 before it is", age);
    let mended = ConstCounter::new(app.survey.mended());
    gauges.registry.register("ledger_mended", "Lost wake-ups and messages that were made good", mended);

    let pooled = app.store.pooled().await?;
    let ready = pooled.iter().filter(|entry| entry.ready.is_some()).count();
    let wanted: usize = app.pool.targets().values().sum();
    let pool = [("ready", ready), ("filling", pooled.len() - ready), ("wanted", wanted)];
    gauges.by("pool", "state", "Sandboxes of the warm pool", &pool.map(|(state, count)| (state, count as f64)));
    let places = [("limit", app.room.most()), ("spare", app.room.spare_places()), ("waited_for", app.room.waiting().len())];
    gauges.by(
        "places",
        "state",
        "Places for sandboxes at work, and turns that wait for one",
        &places.map(|(state, count)| (state, count as f64)),
    );
    let snapshots = app.store.snapshots().await?;
    gauges.one("snapshots", "Snapshots that sessions can be restored from", snapshots.len() as f64);
    gauges.one("snapshot_bytes", "What they take", snapshots.iter().map(|snapshot| snapshot.bytes).sum::<u64>() as f64);

    let data = app.config.data.clone();
    let disk = tokio::task::spawn_blocking(move || Disk::of(&data)).await?;
    gauges.by("data_bytes", "part", "What the data folder takes", &disk.parts.map(|(part, bytes)| (part, bytes as f64)));
    if let Some(free) = disk.free {
        gauges.one("data_free_bytes", "What is free where the data folder is", free as f64);
    }
    if let Some(resident) = resident() {
        gauges.one("resident_bytes", "Memory of the process", resident as f64);
    }
    let mut text = String::new();
    encode_registry(&mut text, &app.metrics.registry).context("cannot write the metrics")?;
    encode_registry(&mut text, &gauges.registry).context("cannot write the metrics")?;
    write_logged(&mut text)?;
    encode_eof(&mut text).context("cannot write the metrics")?;
    Ok(text)
}

/// What is told once and not kept.
struct Gauges {
    registry: Registry,
}

impl Gauges {
    fn one(&mut self, name: &str, help: &str, value: f64) {
        let gauge = Level::default();
        gauge.set(value);
        self.registry.register(name, help, gauge);
    }

    fn by(&mut self, name: &str, label: &'static str, help: &str, values: &[(&'static str, f64)]) {
        let family: Family<Label, Level> = Family::default();
        for (word, value) in values {
            family.get_or_create(&vec![(label, *word)]).inc_by(*value);
        }
        self.registry.register(name, help, family);
    }
}

/// The words of the index; a word that a later version wrote counts as another.
fn known_phase(phase: &str) -> &'static str {
    ["idle", "queued", "preparing", "working", "stopping", "finishing", "waiting", "moved"]
        .into_iter()
        .find(|known| *known == phase)
        .unwrap_or("other")
}

fn overdue_word(why: Overdue) -> &'static str {
    match why {
        Overdue::Unsent => "unsent",
        Overdue::Missing => "missing",
        Overdue::Unrouted => "unrouted",
    }
}

fn write_logged(text: &mut String) -> Result<()> {
    writeln!(text, "# HELP longshore_logged What was logged as a warning or an error.\n# TYPE longshore_logged counter")?;
    for ((level, module), count) in logged() {
        writeln!(text, "longshore_logged_total{{level=\"{level}\",module=\"{}\"}} {count}", module.replace(['"', '\\', '\n'], "_"))?;
    }
    Ok(())
}

/// What the data folder takes.
struct Disk {
    parts: [(&'static str, u64); 6],
    free: Option<u64>,
}

impl Disk {
    fn of(data: &Path) -> Self {
        let mut parts = [("central", 0), ("sessions", 0), ("carriers", 0), ("builds", 0), ("files", 0), ("other", 0)];
        for entry in std::fs::read_dir(data).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let part = if name.starts_with("longshore.db") { "central" } else { name.as_str() };
            let bytes = bytes_of(&entry.path());
            let place = parts.iter().position(|(known, _)| *known == part).unwrap_or(parts.len() - 1);
            parts[place].1 += bytes;
        }
        let free = rustix::fs::statvfs(data).ok().map(|about| about.f_bavail.saturating_mul(about.f_frsize));
        Self { parts, free }
    }
}

fn bytes_of(path: &Path) -> u64 {
    let Ok(about) = std::fs::symlink_metadata(path) else { return 0 };
    if !about.is_dir() {
        return about.len();
    }
    std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| bytes_of(&entry.path())).sum()
}

/// Linux tells it in kibibytes.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1_024)
}
