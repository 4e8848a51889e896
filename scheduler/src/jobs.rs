//! The loop that runs jobs when they are due.

use std::{collections::HashMap, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use longshore_session::{Clock, Timestamp};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::CronExpression;

/// The longest nap: the wall clock may jump, so the loop looks at it again at least this often.
const NAP: Duration = Duration::from_secs(20);

type Work = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Something to be done at times.
#[derive(Clone)]
pub struct Job {
    name: String,
    when: CronExpression,
    work: Work,
}

impl Job {
    /// `work` says in its own log how it ended; a run that is still going when the next one is due makes that one wait its turn.
    pub fn new<F, R>(name: impl Into<String>, when: CronExpression, work: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self { name: name.into(), when, work: Arc::new(move || Box::pin(work())) }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("name", &self.name).field("when", &self.when.as_str()).finish_non_exhaustive()
    }
}

/// Runs the jobs until `shutdown`; runs that are going then are dropped at their next await.
pub async fn run_jobs(jobs: Vec<Job>, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
    let mut next: Vec<Option<Timestamp>> = jobs.iter().map(|job| job.when.next_after(clock.now())).collect();
    let mut running: JoinSet<()> = JoinSet::new();
    let mut busy: HashMap<Id, usize> = HashMap::new();
    let mut before = clock.now();
    loop {
        let now = clock.now();
        if now < before {
            // The clock was set back: what was worked out would come too late by as much.
            next = jobs.iter().map(|job| job.when.next_after(now)).collect();
        }
        before = now;
        for (index, job) in jobs.iter().enumerate() {
            let due = next.get(index).copied().flatten().is_some_and(|due| due <= now);
            if due && !busy.values().any(|running| *running == index) {
                tracing::debug!(job = %job.name, "due");
                let handle = running.spawn((job.work)());
                busy.insert(handle.id(), index);
                if let Some(next) = next.get_mut(index) {
                    *next = job.when.next_after(now);
                }
            }
        }
        let soonest = next.iter().flatten().map(|due| due.since(clock.now())).min().unwrap_or(NAP).min(NAP);
        tokio::select! {
            () = shutdown.cancelled() => return,
            // A job that is due but still running waits for the end of its run, not for the clock.
            Some(ended) = running.join_next_with_id(), if !running.is_empty() => match ended {
                Ok((id, ())) => { busy.remove(&id); }
                Err(error) => {
                    let index = busy.remove(&error.id());
                    let job = index.and_then(|index| jobs.get(index)).map(|job| job.name.as_str());
                    tracing::error!(job, panicked = error.is_panic(), "a scheduled job broke off");
                }
            },
            () = tokio::time::sleep(soonest.max(Duration::from_millis(50))) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_session::ManualClock;
    use tokio::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_or_forward_keeps_no_job_waiting() {
        let start = Timestamp(1_700_000_000_000);
        let clock = ManualClock::at(start);
        let (ran, mut runs) = mpsc::channel(10);
        let job = Job::new("job", CronExpression::parse("*/30 * * * *").unwrap(), move || {
            let ran = ran.clone();
            async move { ran.send(()).await.unwrap() }
        });
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run_jobs(vec![job], Arc::new(clock.clone()), shutdown.clone()));
        tokio::task::yield_now().await;
        clock.set(start - Duration::from_secs(3_600));
        tokio::time::sleep(NAP * 2).await;
        assert!(runs.try_recv().is_err(), "not due yet");
        clock.advance(Duration::from_secs(1_800));
        tokio::time::sleep(NAP * 2).await;
        assert!(runs.try_recv().is_ok(), "due by the clock as it is now");
        // What was missed while it jumped forward is done once.
        clock.advance(Duration::from_secs(2 * 3_600));
        tokio::time::sleep(NAP * 2).await;
        assert_eq!((runs.try_recv().is_ok(), runs.try_recv().is_err()), (true, true));
        shutdown.cancel();
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_runs_when_it_is_due_and_outlives_a_panic_of_another() {
        let clock = ManualClock::at(Timestamp(1_700_000_000_000));
        let (ran, mut runs) = mpsc::channel(10);
        let good = Job::new("good", CronExpression::parse("* * * * *").unwrap(), move || {
            let ran = ran.clone();
            async move { ran.send(()).await.unwrap() }
        });
        let bad = Job::new("bad", CronExpression::parse("* * * * *").unwrap(), || async { panic!("on purpose") });
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run_jobs(vec![bad, good], Arc::new(clock.clone()), shutdown.clone()));
        tokio::task::yield_now().await;
        assert!(runs.try_recv().is_err(), "not due yet");
        for _ in 0..3 {
            clock.advance(Duration::from_secs(60));
            runs.recv().await.unwrap();
        }
        shutdown.cancel();
        task.await.unwrap();
    }
}
