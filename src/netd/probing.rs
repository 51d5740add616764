//! Probes of the containers beside this server, for whoever feeds it: asked one by one, made side by side, answered as they
//! end. When each is due and what its answer means is decided by who asks.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::model::network_table::{Answer, Asked, Probed};
use crate::model::probe::ProbeResult;
use crate::probe;

/// Probes at a time. Each is one connection.
const AT_ONCE: usize = 256;
/// Probes that wait for their turn, for all feeds together. With more the server is slower than its checks ask.
const WAITING: usize = 4_096;

/// What all feeds share.
#[derive(Clone)]
pub struct Probing {
    at_once: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Probing {
    /// Nothing is probed yet.
    pub fn new() -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(WAITING)),
        }
    }

    /// Takes a probe on, to be answered to `answers`. It ends with `tasks`.
    pub fn begin(&self, asked: Asked, tasks: &mut JoinSet<()>, answers: mpsc::Sender<Answer>) {
        // What has ended leaves nothing behind.
        while tasks.try_join_next().is_some() {}
        let (at_once, place) = (self.at_once.clone(), self.waiting.clone().try_acquire_owned());
        tasks.spawn(async move {
            let found = match place {
                Err(_) => ProbeResult::Unreachable(format!("{WAITING} probes wait already")),
                Ok(_place) => match at_once.acquire().await {
                    Ok(_turn) => probe::run_beside(&asked.probe).await,
                    Err(error) => ProbeResult::Unreachable(error.to_string()),
                },
            };
            let answer = Answer::Probed(Probed {
                number: asked.number,
                found,
            });
            // Nobody may be left to hear it.
            let _ = answers.send(answer).await;
        });
    }
}
