//! Logs and commands of simulated containers: a container has said that it was started, and a command gives back what it is
//! given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::io::AsyncReadExt;

use super::Sim;
use crate::runtime::streams::{ExecWanted, LogsWanted, Piece, Pieces, Running, Terminal};
use crate::runtime::{Error, Result, RuntimeEvent};

/// Bytes that a command may have read before somebody reads what it writes.
const WAITING: usize = 4096;

impl Sim {
    pub(super) fn log_of(&self, uuid: &str, wanted: &LogsWanted) -> Result<Pieces> {
        let world = self.enter("logs", Some(uuid))?;
        let container = world.state.get(uuid).ok_or_else(|| gone(uuid))?;
        let name = container.found.name.clone();
        let at = container.found.started_at.clone();
        let runs = world.state.running(uuid).is_some();
        drop(world);
        let time = if wanted.timestamps {
            format!("{at} ")
        } else {
            String::new()
        };
        let has_line = !at.is_empty() && wanted.lines != Some(0);
        let line = has_line.then(|| Ok(Piece::Out(Bytes::from(format!("{time}{name} started\n")))));
        let said = stream::iter(line);
        if !(wanted.follow && runs) {
            return Ok(said.boxed());
        }
        // It says nothing more, but a follower stays until it ends.
        let rest = self.ends(uuid.to_owned());
        Ok(said.chain(stream::once(rest).filter_map(std::future::ready)).boxed())
    }

    /// Waits until a container does not run any more; `Some` if its engine went away before.
    pub(super) fn ends<T>(&self, uuid: String) -> impl Future<Output = Option<Result<T>>> + Send + use<T> {
        let (sim, mut events) = (self.shared.clone(), self.shared.events.subscribe());
        async move {
            while sim.lock().state.running(&uuid).is_some() {
                match events.recv().await {
                    Ok(RuntimeEvent::Disconnected(why)) => return Some(Err(Error::Unreachable(why))),
                    Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => return None,
                }
            }
            None
        }
    }

    pub(super) fn run_in(&self, uuid: &str, wanted: &ExecWanted) -> Result<Running> {
        let world = self.enter("execute", Some(uuid))?;
        if world.state.running(uuid).is_none() {
            return Err(Error::Failed("the container does not run".to_owned()));
        }
        drop(world);
        let piece = if wanted.tty { Piece::Terminal } else { Piece::Out };
        let first = piece(Bytes::from(format!("{}\n", wanted.command.join(" "))));
        let (typed, input) = tokio::io::simplex(WAITING);
        let typed = wanted.stdin.then_some(typed);
        let rest = stream::unfold(typed, move |typed| async move {
            let mut typed = typed?;
            let mut bytes = vec![0; WAITING];
            let read = typed.read(&mut bytes).await.ok()?;
            bytes.truncate(read);
            // The end of a transmission ends a terminal's command.
            let goes_on = read > 0 && bytes != [4];
            goes_on.then(|| (Ok(piece(Bytes::from(bytes))), Some(typed)))
        });
        let all = stream::iter([Ok(first)]).chain(rest);
        let stdout = wanted.stdout;
        let end = Ended::default();
        let ends = end.0.clone();
        let all = all.filter(move |_| std::future::ready(stdout)).map(Some);
        let all = all.chain(stream::once(async move {
            ends.store(true, Ordering::Release);
            None
        }));
        let terminal = NoWindow {
            end,
            code: exit_code(&wanted.command),
        };
        Ok(Running {
            output: all.filter_map(std::future::ready).boxed(),
            input: Box::pin(input),
            terminal: Box::new(terminal),
        })
    }
}

pub(super) fn gone(uuid: &str) -> Error {
    Error::Gone(format!("there is no container {uuid}"))
}

/// Whether what a command writes has come to its end.
#[derive(Default)]
struct Ended(Arc<AtomicBool>);

struct NoWindow {
    end: Ended,
    code: i64,
}

/// `exit 3` ends with 3, and all else with 0.
fn exit_code(command: &[String]) -> i64 {
    match command {
        [word, code] if word == "exit" => code.parse().unwrap_or(0),
        _ => 0,
    }
}

#[async_trait]
impl Terminal for NoWindow {
    async fn resize(&self, _: u16, _: u16) -> Result<()> {
        Ok(())
    }

    async fn exit_code(&self) -> Result<Option<i64>> {
        Ok(self.end.0.load(Ordering::Acquire).then_some(self.code))
    }
}
