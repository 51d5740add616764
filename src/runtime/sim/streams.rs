//! Logs and commands of simulated containers: a container has said that it was started, and a command gives back what it is
//! given.

use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;

use super::Sim;
use crate::runtime::streams::{ExecWanted, LogsWanted, Piece, Pieces, Running, Terminal};
use crate::runtime::{Error, Result, RuntimeEvent};

/// Pieces that a command may have written before somebody reads them.
const WAITING: usize = 16;

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
        let (sim, uuid) = (self.shared.clone(), uuid.to_owned());
        let mut events = self.shared.events.subscribe();
        let rest = async move {
            while sim.lock().state.running(&uuid).is_some() {
                match events.recv().await {
                    Ok(RuntimeEvent::Disconnected(why)) => return Some(Err(Error::Unreachable(why))),
                    Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                    Err(tokio::sync::broadcast::error::RecvError::Closed) => return None,
                }
            }
            None
        };
        Ok(said.chain(stream::once(rest).filter_map(std::future::ready)).boxed())
    }

    pub(super) fn run_in(&self, uuid: &str, wanted: &ExecWanted) -> Result<Running> {
        let world = self.enter("execute", Some(uuid))?;
        if world.state.running(uuid).is_none() {
            return Err(Error::Failed("the container does not run".to_owned()));
        }
        drop(world);
        let (said, heard) = mpsc::channel(WAITING);
        let first = format!("{}\n", wanted.command.join(" "));
        let pieces = |bytes: Bytes| {
            if wanted.tty {
                Piece::Terminal(bytes)
            } else {
                Piece::Out(bytes)
            }
        };
        let first = pieces(Bytes::from(first));
        let (tty, stdout) = (wanted.tty, wanted.stdout);
        let rest = stream::unfold(heard, |mut heard| async move {
            let bytes: Bytes = heard.recv().await?;
            Some((bytes, heard))
        });
        let rest = rest.map(move |bytes| Ok(if tty { Piece::Terminal(bytes) } else { Piece::Out(bytes) }));
        let all = stream::iter([Ok(first)]).chain(rest);
        Ok(Running {
            output: all.filter(move |_| std::future::ready(stdout)).boxed(),
            input: Box::pin(Echo {
                said: wanted.stdin.then_some(said),
            }),
            terminal: Box::new(NoWindow),
        })
    }
}

fn gone(uuid: &str) -> Error {
    Error::Gone(format!("there is no container {uuid}"))
}

/// What a command reads, it writes; it ends when there is nothing more to read.
struct Echo {
    said: Option<mpsc::Sender<Bytes>>,
}

impl AsyncWrite for Echo {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let Some(said) = &self.said else {
            return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
        };
        // The end of a transmission ends a terminal's command.
        if bytes == [4] {
            self.said = None;
            return Poll::Ready(Ok(bytes.len()));
        }
        match said.try_send(Bytes::copy_from_slice(bytes)) {
            Ok(()) => Poll::Ready(Ok(bytes.len())),
            Err(mpsc::error::TrySendError::Full(_)) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.said = None;
        Poll::Ready(Ok(()))
    }
}

struct NoWindow;

#[async_trait]
impl Terminal for NoWindow {
    async fn resize(&self, _: u16, _: u16) -> Result<()> {
        Ok(())
    }
}
