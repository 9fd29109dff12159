//! Keeping the ledger: one transaction for everything that came in meanwhile.
//!
//! **Invariants.** Counters are shown only after [`Vault::keep`] has made them
//! durable. While that fails, the changes stay in the ledger as what they are,
//! one record for each transfer, and are written together when it works again.

use std::time::Duration;

use tokio::{task::spawn_blocking, time::Instant};

use crate::{
    ledger::{Batch, Ledger, Store, StoreError},
    telemetry::Telemetry,
};

/// After a failed commit the next one waits this long: a disk that is full is
/// not asked by every poll.
const PAUSE: Duration = Duration::from_secs(2);

/// Where the ledger is kept, if anywhere.
#[derive(Debug)]
pub struct Vault {
    store: Option<Store>,
    telemetry: Telemetry,
    trouble: Option<Trouble>,
}

/// Commits fail.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    since: Instant,
    retry_at: Instant,
}

impl Vault {
    /// A vault that keeps the ledger in `store`, or in memory alone.
    pub fn new(store: Option<Store>, telemetry: Telemetry) -> Self {
        if let Some(bytes) = store.as_ref().and_then(Store::size_bytes) {
            telemetry.ledger_size(bytes);
        }
        Self {
            store,
            telemetry,
            trouble: None,
        }
    }

    /// Whether counters wait, since commits fail.
    pub(super) const fn is_failing(&self) -> bool {
        self.trouble.is_some()
    }

    /// Makes what has changed durable; at the end also how the rounds went.
    ///
    /// # Errors
    /// Never; a panic of the store is passed on.
    pub(super) async fn keep(&mut self, ledger: &mut Ledger, is_end: bool) -> anyhow::Result<()> {
        if self.store.is_none() {
            ledger.settle();
            return Ok(());
        }
        let waits = |trouble: Trouble| !is_end && Instant::now() < trouble.retry_at;
        if self.trouble.is_some_and(waits) {
            return Ok(());
        }
        let batch = ledger.changes(is_end);
        if batch.is_empty() {
            return Ok(());
        }
        match self.commit(batch).await? {
            Ok(()) => {
                ledger.settle();
                self.note_success();
            }
            Err(error) => self.note_failure(error),
        }
        Ok(())
    }

    /// Writes off the runtime, since a disk may take its time.
    async fn commit(&mut self, batch: Batch) -> anyhow::Result<Result<(), StoreError>> {
        let Some(mut store) = self.store.take() else {
            return Ok(Ok(()));
        };
        let begin = Instant::now();
        tracing::debug!("a commit begins");
        let (store, committed) = spawn_blocking(move || {
            let committed = store.commit(&batch);
            (store, committed)
        })
        .await?;
        let took = begin.elapsed().as_secs_f64();
        tracing::debug!(seconds = took, "a commit ended");
        self.telemetry.ledger_committed(took, committed.is_ok());
        if let Some(bytes) = store.size_bytes() {
            self.telemetry.ledger_size(bytes);
        }
        self.store = Some(store);
        Ok(committed)
    }

    fn note_success(&mut self) {
        if let Some(trouble) = self.trouble.take() {
            let seconds = trouble.since.elapsed().as_secs();
            tracing::info!(seconds, "the ledger is written again");
        }
    }

    fn note_failure(&mut self, error: StoreError) {
        let now = Instant::now();
        if self.trouble.is_none() {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::error!(
                error,
                "the ledger cannot be written; counters wait until it can"
            );
        }
        let since = self.trouble.map_or(now, |trouble| trouble.since);
        self.trouble = Some(Trouble {
            since,
            retry_at: now + PAUSE,
        });
    }
}
