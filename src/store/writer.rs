//! One writer a store: it checks preconditions, applies batches in order, and shares each flush
//! among all that wait for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{Batch, Durability, Engine, StoreError, failed};

/// Batches that wait at most; a further one waits for its place.
const QUEUE: usize = 1024;
/// Batches that share one flush at most.
const GROUP: usize = 256;
/// How long a `Soon` may wait for the disk.
const SOON: Duration = Duration::from_millis(900);

struct Job {
    batch: Batch,
    durability: Durability,
    done: oneshot::Sender<Result<(), StoreError>>,
    /// Given back when the job is done.
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    places: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(engine: Arc<Engine>, dir: &Path) -> Result<Self, StoreError> {
        let (jobs, queue) = sync_channel(QUEUE);
        let owned = dir.to_owned();
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        let thread = thread
            .spawn(move || run(&engine, &owned, &queue))
            .map_err(|error| failed(dir, &error))?;
        Ok(Self {
            places: Arc::new(Semaphore::new(QUEUE)),
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    pub(super) async fn commit(
        &self,
        batch: Batch,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        // A place in the queue first: then the send below never blocks a thread of the runtime.
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)?;
        let job = Job {
            batch,
            durability,
            done,
            _place: place,
        };
        jobs.send(job).map_err(|_| StoreError::Closed)?;
        outcome.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The queue ends, the thread drains it and flushes once more.
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run(engine: &Engine, dir: &Path, queue: &Receiver<Job>) {
    let mut waiting_since: Option<Instant> = None;
    // Once a flush failed nobody knows what the disk holds: every later commit fails too.
    let mut broken: Option<String> = None;
    loop {
        let patience = waiting_since.map_or(SOON, |since| SOON.saturating_sub(since.elapsed()));
        let first = match queue.recv_timeout(patience) {
            Ok(job) => Some(job),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                if waiting_since.is_some() && broken.is_none() {
                    tell(engine.sync());
                }
                return;
            }
        };
        let mut durable = Vec::new();
        for job in first.into_iter().chain(queue.try_iter().take(GROUP - 1)) {
            let applied = match &broken {
                Some(why) => Err(failed(dir, why)),
                None => apply(engine, &job.batch),
            };
            match (applied, job.durability) {
                (Ok(()), Durability::Now) => durable.push(job.done),
                (applied, Durability::Soon | Durability::Now) => {
                    if applied.is_ok() {
                        waiting_since.get_or_insert_with(Instant::now);
                    }
                    drop(job.done.send(applied));
                }
            }
        }
        let due = waiting_since.is_some_and(|since| since.elapsed() >= SOON);
        if durable.is_empty() && !due {
            continue;
        }
        let synced = engine.sync();
        waiting_since = None;
        broken = synced.as_ref().err().map(ToString::to_string);
        for done in durable {
            let outcome = broken.as_ref().map_or(Ok(()), |why| Err(failed(dir, why)));
            drop(done.send(outcome));
        }
        tell(synced);
    }
}

fn apply(engine: &Engine, batch: &Batch) -> Result<(), StoreError> {
    for (key, wanted) in &batch.expect {
        if engine.get(key)? != *wanted {
            return Err(StoreError::Conflict);
        }
    }
    engine.apply(batch)
}

fn tell(outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "the store could not reach the disk");
    }
}
