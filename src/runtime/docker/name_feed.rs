//! The way to a name server: a program in its container that is given lines and gives back answers. It needs no way by the
//! network, so it is there wherever the engine answers. Tables go by it, and probes of the containers beside the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bollard::container::LogOutput;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::name_image::PROGRAM;
use super::way::{self, Input, Output};
use super::{Inner, SHORT, check_lease, name_server};
use crate::model::Lease;
use crate::model::network_table::{Answer, Asked, Feed};
use crate::runtime::{Error, NameFeed, Probe, ProbeResult, Result};

/// Lines that wait to be written.
const LINES: usize = 64;

/// What the way may add to the time of a probe.
const WAY: Duration = Duration::from_secs(5);

/// The ways that are open, by project. Whoever keeps a name server opens and closes its way.
#[derive(Default)]
pub(super) struct Ways(Mutex<HashMap<String, Weak<Shared>>>);

impl Ways {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<Shared>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the name server of a project probe a container.
    pub(super) async fn probe(&self, project_uuid: &str, probe: &Probe) -> ProbeResult {
        let way = self.lock().get(project_uuid).and_then(Weak::upgrade);
        match way {
            Some(way) => way.probe(probe).await.unwrap_or_else(ProbeResult::Unreachable),
            None => ProbeResult::Unreachable("no way to the name server is open".to_owned()),
        }
    }

    fn note(&self, project_uuid: &str, way: &Arc<Shared>) {
        let mut all = self.lock();
        all.retain(|_, way| way.strong_count() > 0);
        all.insert(project_uuid.to_owned(), Arc::downgrade(way));
    }
}

/// A way that is open, until it is dropped.
struct Way {
    shared: Arc<Shared>,
    lease: Lease,
    /// What carries lines in both directions.
    _carriers: JoinSet<()>,
}

struct Shared {
    lines: mpsc::Sender<Vec<u8>>,
    waiting: Mutex<Waiting>,
}

/// Who waits for which answer.
struct Waiting {
    /// Why nothing will come any more.
    broken: Option<String>,
    table: Option<oneshot::Sender<Answer>>,
    probes: HashMap<u64, oneshot::Sender<ProbeResult>>,
    /// The number of the last probe.
    number: u64,
    heard: Instant,
}

pub(super) async fn open(docker: &Inner, project_uuid: &str) -> Result<Box<dyn NameFeed>> {
    let id = name_server::running(docker, project_uuid).await?;
    let words = [PROGRAM, "netd", "feed"].map(str::to_owned).to_vec();
    let (output, input) = way::run(docker, &id, words).await?;
    let (lines, queue) = mpsc::channel(LINES);
    let shared = Arc::new(Shared {
        lines,
        waiting: Mutex::new(Waiting {
            broken: None,
            table: None,
            probes: HashMap::new(),
            number: 0,
            heard: Instant::now(),
        }),
    });
    let mut carriers = JoinSet::new();
    carriers.spawn(write(input, queue, Arc::downgrade(&shared)));
    carriers.spawn(read(output, Arc::downgrade(&shared)));
    docker.ways.note(project_uuid, &shared);
    Ok(Box::new(Way {
        shared,
        lease: docker.lease.clone(),
        _carriers: carriers,
    }))
}

fn broken(why: &str) -> Error {
    Error::Unreachable(format!("the way to the name server: {why}"))
}

#[async_trait]
impl NameFeed for Way {
    async fn send(&mut self, news: &Feed) -> Result<Answer> {
        check_lease(&self.lease)?;
        let line = line_of(news).map_err(|e| Error::Failed(format!("writing the table: {e}")))?;
        let (sender, answer) = oneshot::channel();
        self.shared.lock().table = Some(sender);
        let exchange = async {
            self.shared.send(line).await.map_err(|why| broken(&why))?;
            answer.await.map_err(|_| broken(&self.shared.why()))
        };
        let late = || broken(&format!("no answer within {} s", SHORT.as_secs()));
        tokio::time::timeout(SHORT, exchange)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    fn is_broken(&self) -> bool {
        self.shared.lock().broken.is_some()
    }
}

fn line_of(news: &Feed) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(news)?;
    line.push(b'\n');
    Ok(line)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn why(&self) -> String {
        self.lock().broken.clone().unwrap_or_else(|| "it has ended".to_owned())
    }

    /// Nothing will come any more: nobody waits on.
    fn end(&self, why: &str) {
        let mut waiting = self.lock();
        waiting.broken.get_or_insert_with(|| why.to_owned());
        waiting.table = None;
        waiting.probes.clear();
    }

    async fn send(&self, line: Vec<u8>) -> std::result::Result<(), String> {
        if let Some(why) = self.lock().broken.clone() {
            return Err(why);
        }
        self.lines.send(line).await.map_err(|_| self.why())
    }

    async fn probe(&self, probe: &Probe) -> std::result::Result<ProbeResult, String> {
        let (sender, found) = oneshot::channel();
        let number = {
            let mut waiting = self.lock();
            waiting.number += 1;
            let number = waiting.number;
            waiting.probes.insert(number, sender);
            number
        };
        let asked = Instant::now();
        let exchange = async {
            let feed = Feed::Probe(Asked {
                number,
                probe: probe.clone(),
            });
            self.send(line_of(&feed).map_err(|e| e.to_string())?).await?;
            found.await.map_err(|_| self.why())
        };
        let limit = probe.timeout.saturating_add(WAY);
        let ended = tokio::time::timeout(limit, exchange).await;
        let mut waiting = self.lock();
        waiting.probes.remove(&number);
        let is_silent = ended.is_err() && waiting.heard < asked;
        drop(waiting);
        if is_silent {
            self.end("it does not answer");
        }
        ended.unwrap_or_else(|_| Err("the name server has too much to do".to_owned()))
    }

    /// Hands an answer to who waits for it.
    fn take(&self, answer: Answer) {
        let mut waiting = self.lock();
        waiting.heard = Instant::now();
        // One that waits no longer needs none.
        match answer {
            Answer::Probed(probed) => {
                if let Some(sender) = waiting.probes.remove(&probed.number) {
                    let _ = sender.send(probed.found);
                }
            }
            other => {
                if let Some(sender) = waiting.table.take() {
                    let _ = sender.send(other);
                }
            }
        }
    }
}

/// Carries lines to the name server. Whole ones: who waits for an answer may give up at any time.
async fn write(mut input: Input, mut lines: mpsc::Receiver<Vec<u8>>, shared: Weak<Shared>) {
    while let Some(line) = lines.recv().await {
        let written = async {
            input.write_all(&line).await?;
            input.flush().await
        };
        if let Err(error) = written.await {
            if let Some(shared) = shared.upgrade() {
                shared.end(&error.to_string());
            }
            return;
        }
    }
}

/// Carries answers back.
async fn read(mut output: Output, shared: Weak<Shared>) {
    let why = read_on(&mut output, &shared).await;
    if let Some(shared) = shared.upgrade() {
        shared.end(&why);
    }
}

/// Takes answers until there are no more, and says why.
async fn read_on(output: &mut Output, shared: &Weak<Shared>) -> String {
    let (mut begun, mut complaint) = (Vec::new(), String::new());
    loop {
        while let Some(end) = begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = begun.drain(..=end).collect();
            let Some(shared) = shared.upgrade() else {
                return "nobody listens".to_owned();
            };
            match serde_json::from_slice(&line) {
                Ok(answer) => shared.take(answer),
                Err(error) => return format!("an answer that is none: {error}"),
            }
        }
        match output.next().await {
            Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => {
                begun.extend_from_slice(&message)
            }
            Some(Ok(LogOutput::StdErr { message })) if complaint.len() < 1024 => {
                complaint.push_str(&String::from_utf8_lossy(&message));
            }
            Some(Ok(LogOutput::StdErr { .. } | LogOutput::StdIn { .. })) => {}
            Some(Err(error)) => return super::failure::chain(&error),
            None if complaint.trim().is_empty() => return "it has ended".to_owned(),
            None => return complaint.trim().to_owned(),
        }
    }
}
