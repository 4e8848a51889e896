//! A process, as the kernel tells of it.

use anyhow::{Context, Result};

/// Linux counts a process's time in hundredths of a second, whatever its own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// Resident memory, in millions of bytes.
pub fn rss_mb(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    resident(&status).with_context(|| format!("{path} tells no VmRSS"))
}

/// Seconds of processor time, of all its threads.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    used(&stat).with_context(|| format!("{path} has another shape"))
}

/// The machine's load of the last minute.
pub fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

fn resident(status: &str) -> Option<f64> {
    let kib: f64 = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0 / 1_000_000.0)
}

fn used(stat: &str) -> Option<f64> {
    // The name before it may hold anything, a bracket too.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_time_are_read() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t   10000 kB\nThreads:\t3\n"), Some(10.24));
        assert_eq!(resident("Name:\tx\n"), None);
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 1 2 3";
        assert_eq!(used(stat), Some(3.0));
        assert_eq!(used("42 x"), None);
        assert!(rss_mb(std::process::id()).unwrap() > 1.0);
        assert!(cpu_seconds(std::process::id()).is_ok());
    }
}
