//! The worker: takes what is due from the queue and handles it, many things side by side, each by one hand only.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::engine::core::{Core, Key};

/// So many things are handled side by side: enough to fill a group commit, few enough to keep memory small.
const HANDS: usize = 128;

impl Core {
    /// Handles one key.
    pub(crate) async fn handle_key(&self, key: Key) {
        match key {
            Key::Process(id) => self.run_process(id).await,
            Key::Look(id) => {
                if let Err(error) = self.look_at(id).await
                    && error.kind != crate::model::ErrorKind::Unavailable
                {
                    log::error!("looking at {id}: {}", error.chain());
                    self.queue.push(key, self.now().plus(Duration::from_secs(1)));
                }
            }
        }
    }

    /// Works until the task is dropped.
    pub(crate) async fn work(self: Arc<Self>) {
        let hands = Arc::new(Semaphore::new(HANDS));
        loop {
            let free = hands.available_permits();
            let due = self.queue.take_due(self.now(), free);
            if due.is_empty() {
                let wait = match self.queue.next_at() {
                    Some(_) if free == 0 => Duration::from_secs(60),
                    Some(at) => at.since(self.now()),
                    None => Duration::from_secs(60),
                };
                // The timer of the queue: everything that waits does so in a row, and here.
                let _ = tokio::time::timeout(wait.max(Duration::from_millis(1)), self.queue.changed()).await;
                continue;
            }
            for key in due {
                let Ok(hand) = hands.clone().acquire_owned().await else {
                    return;
                };
                let core = self.clone();
                tokio::spawn(async move {
                    core.handle_key(key).await;
                    core.queue.finish(key, core.now().plus(core.config.pace));
                    drop(hand);
                });
            }
        }
    }

    /// Handles everything that is due now and what follows from it at once; for tests, whose clock stands still.
    pub(crate) async fn settle_all(self: &Arc<Self>) {
        loop {
            let due = self.queue.take_due(self.now(), HANDS);
            if due.is_empty() {
                return;
            }
            let mut running = JoinSet::new();
            for key in due {
                let core = self.clone();
                running.spawn(async move {
                    core.handle_key(key).await;
                    core.queue.finish(key, core.now());
                });
            }
            while running.join_next().await.is_some() {}
        }
    }

    /// Handles what is due first and nothing else: the order is always the same. `false` if nothing is due.
    pub(crate) async fn settle_next(&self) -> bool {
        let due = self.queue.take_due(self.now(), 1);
        for key in &due {
            self.handle_key(*key).await;
            self.queue.finish(*key, self.now());
        }
        !due.is_empty()
    }
}
