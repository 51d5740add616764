//! The worker: takes what is due from the queue and handles it, many things side by side, each by one hand only.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::engine::core::{Core, HANDS, Key};
use crate::model::{ResourceId, Result};

/// While fewer things than this wait and run, nobody asks whose they are.
const CALM: usize = 32;

/// Of so many things that wait it is asked at once whose they are.
const STRANGERS: usize = 2_048;

/// How long what panicked waits.
const AFTER_PANIC: Duration = Duration::from_secs(60);

impl Core {
    /// Handles one key.
    ///
    /// A panic is a fault of ours, and no reason to stop: what it was about is tried again later.
    pub(crate) async fn handle_key(&self, key: Key) {
        if AssertUnwindSafe(self.handle_in_order(key))
            .catch_unwind()
            .await
            .is_err()
        {
            log::error!("handling {key:?} panicked; it is tried again in a minute");
            self.queue.push(key, self.now().plus(AFTER_PANIC));
        }
    }

    async fn handle_in_order(&self, key: Key) {
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
            self.introduce_strangers();
            let now = self.now();
            let due = self.queue.take_due(now, free);
            if due.is_empty() {
                let wait = match self.queue.next_at() {
                    // What is due waits for hands: whoever finishes says so.
                    Some(at) if at <= now => Duration::from_secs(60),
                    Some(at) => at.since(now),
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

    /// Asks whose the waiting things are, where it matters.
    fn introduce_strangers(&self) {
        let strangers = self.queue.strangers(self.now(), STRANGERS, CALM);
        if strangers.is_empty() {
            return;
        }
        match self.accounts_of(&strangers) {
            Ok(known) => self.queue.introduce(known),
            Err(error) => log::error!("asking whose work waits: {}", error.chain()),
        }
    }

    fn accounts_of(&self, keys: &[Key]) -> Result<Vec<(Key, i64)>> {
        let (mut processes, mut rows) = (Vec::new(), Vec::new());
        for key in keys {
            match key {
                Key::Process(id) => processes.push(*id),
                Key::Look(id) => rows.push(*id),
            }
        }
        let of_processes = self.store.accounts_of_processes(&processes)?;
        let of_rows = self.store.accounts_of_rows(&rows)?;
        let known = of_processes
            .into_iter()
            .map(|(id, account)| (Key::Process(id), account));
        let looked_at = of_rows
            .into_iter()
            .map(|(id, account)| (Key::Look(ResourceId(id)), account));
        Ok(known.chain(looked_at).collect())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]

    use super::*;
    use crate::engine::core::testkit;
    use crate::model::Fields;
    use crate::model::State;
    use crate::store::{Changes, NewProcess};

    #[tokio::test]
    async fn services_of_a_project_are_looked_at_once_however_many_hosts_ask() {
        let (_folder, core) = testkit::empty();
        let insert = |ty: &'static str, state| testkit::insert(&core, ty, state, Fields::default());
        let project = insert("project", State::ACTIVE).await.id;
        let mut own = Vec::new();
        for ty in ["host", "host", "service", "service", "service"] {
            let row = insert(ty, State::ACTIVE).await;
            let given = Changes {
                account_id: Some(Some(project)),
                ..Changes::default()
            };
            let id = row.id;
            core.write(move |tx| tx.update_if(&row, &given).map(drop))
                .await
                .unwrap();
            own.push(id);
        }
        let nobodys = insert("service", State::ACTIVE).await.id;
        let (hosts, services) = own.split_at(2);
        for host in hosts {
            core.look_at(*host).await.unwrap();
        }
        let due = core.queue.take_due(core.now(), HANDS);
        assert_eq!(due, [Key::Look(project)], "they ask for it, and do not do it");
        core.look_at(project).await.unwrap();
        let mut due = core.queue.take_due(core.now(), HANDS);
        due.sort_unstable();
        let expected: Vec<Key> = services.iter().map(|id| Key::Look(*id)).collect();
        assert_eq!(due, expected);
        assert!(!due.contains(&Key::Look(nobodys)));
    }

    #[tokio::test]
    async fn what_waits_is_known_to_be_somebodys() {
        let (_folder, core) = testkit::empty();
        let row = testkit::insert(&core, "service", State::ACTIVE, Fields::default()).await;
        let nobodys = testkit::insert(&core, "service", State::ACTIVE, Fields::default())
            .await
            .id;
        let id = row.id;
        let process = core
            .write(move |tx| {
                let changes = Changes {
                    account_id: Some(Some(ResourceId(5))),
                    ..Changes::default()
                };
                let row = tx.update_if(&row, &changes)?;
                tx.start_process(&NewProcess {
                    resource: &row,
                    process: "service.update",
                    data: "{}",
                })
            })
            .await
            .unwrap();
        let keys = [Key::Process(process), Key::Look(id), Key::Look(nobodys)];
        let mut known = core.accounts_of(&keys).unwrap();
        known.sort_unstable();
        assert_eq!(known, [(keys[0], 5), (keys[1], 5), (keys[2], 0)]);
    }
}
