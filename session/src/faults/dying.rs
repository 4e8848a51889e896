//! How the process dies at a point.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
};

use super::{is_fault_point, log::kind};
use crate::Event;

/// Names the folder.
const FOLDER: &str = "LONGSHORE_FAULTS";
/// Protections that are switched off, separated by commas.
const WITHOUT: &str = "LONGSHORE_FAULTS_WITHOUT";

/// None where nobody wants this process to die.
static FAULTS: LazyLock<Option<Mutex<Faults>>> =
    LazyLock::new(|| Some(Mutex::new(Faults { folder: std::env::var_os(FOLDER)?.into(), armed: None })));

struct Faults {
    folder: PathBuf,
    armed: Option<Armed>,
}

struct Armed {
    order: String,
    /// Reaches of the point that it is to survive.
    left: u32,
}

/// The process is at this point, and may end here.
pub fn reached(name: &str) {
    let Some(faults) = FAULTS.as_ref() else { return };
    let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_fault_point(name) {
        note(&faults.folder, "unlisted", name);
    }
    note(&faults.folder, "reached", name);
    let armed = faults.folder.join("armed");
    let Ok(order) = std::fs::read_to_string(&armed) else {
        faults.armed = None;
        return;
    };
    let (wanted, time) = order.split_once(':').unwrap_or((&order, "1"));
    if wanted != name {
        return;
    }
    if faults.armed.as_ref().is_none_or(|known| known.order != order) {
        let left = time.parse().unwrap_or(1u32).saturating_sub(1);
        faults.armed = Some(Armed { order: order.clone(), left });
    }
    match faults.armed.as_mut() {
        Some(Armed { left, .. }) if *left > 0 => *left -= 1,
        _ => die(&faults.folder, &armed, &order),
    }
}

/// A commit to a session's log: a point for each kind of event in it.
pub fn reached_in_log<'a>(events: impl IntoIterator<Item = &'a Event>, moment: &str) {
    for kind in events.into_iter().filter_map(kind) {
        reached(&format!("log.{kind}.{moment}"));
    }
}

/// Whether a protection is switched off.
pub fn is_without(protection: &str) -> bool {
    std::env::var(WITHOUT).is_ok_and(|without| without.split(',').any(|name| name == protection))
}

fn die(folder: &Path, armed: &Path, order: &str) {
    // On disk before the end: the proof that it was here.
    let written = File::create(folder.join("died")).and_then(|mut file| {
        file.write_all(order.as_bytes())?;
        file.sync_all()
    });
    if written.is_err() || std::fs::remove_file(armed).is_err() {
        // Without the proof the suite says that it never came here.
        return;
    }
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    kill();
}

#[expect(unsafe_code, reason = "a signal to this very process, which nothing can catch")]
fn kill() {
    // SAFETY: no memory is touched; the process is gone when the call is over.
    unsafe {
        libc::kill(libc::getpid(), libc::SIGKILL);
    }
}

fn note(folder: &Path, file: &str, name: &str) {
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(folder.join(file)) {
        let _ = file.write_all(format!("{name}\n").as_bytes());
    }
}
