//! A way into a container: a program in it that is given lines and gives back answers. It needs no way by the network, so it is
//! there wherever the engine answers.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Inner, SHORT};
use crate::runtime::{Error, Result};

/// The longest answer, in bytes: some programs run in containers whose images are a user's.
const LONGEST_ANSWER: usize = 4 << 20;

/// When it complains of more than this, the rest is not kept.
const LONGEST_COMPLAINT: usize = 4096;

/// What a program in a container writes.
pub(super) type Output = Pin<Box<dyn Stream<Item = std::result::Result<LogOutput, bollard::errors::Error>> + Send>>;

/// What it reads.
pub(super) type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// A program in a container, by its input and its output.
pub(super) struct Way {
    input: Input,
    output: Output,
    /// What came of a line that is not whole yet.
    begun: Vec<u8>,
}

/// Runs a program in a container, and exchanges lines with it.
pub(super) async fn attach(docker: &Inner, id: &str, words: Vec<String>) -> Result<Way> {
    let (output, input) = run(docker, id, words).await?;
    Ok(Way {
        input,
        output,
        begun: Vec::new(),
    })
}

/// Runs a program in a container.
pub(super) async fn run(docker: &Inner, id: &str, words: Vec<String>) -> Result<(Output, Input)> {
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(words),
        ..CreateExecOptions::default()
    };
    let made = docker.call(SHORT, docker.api()?.create_exec(id, options)).await?;
    let starting = docker.api()?.start_exec(&made.id, None::<StartExecOptions>);
    match docker.call(SHORT, starting).await? {
        StartExecResults::Attached { output, input } => Ok((output, input)),
        StartExecResults::Detached => Err(broken("it is not attached")),
    }
}

pub(super) fn broken(why: &str) -> Error {
    Error::Unreachable(format!("the way into the container: {why}"))
}

impl Way {
    /// Gives it a line, and takes the one that comes back.
    pub(super) async fn exchange(&mut self, mut line: Vec<u8>, limit: Duration) -> Result<Vec<u8>> {
        line.push(b'\n');
        let exchange = async {
            let written = async {
                self.input.write_all(&line).await?;
                self.input.flush().await
            };
            written.await.map_err(|e| broken(&e.to_string()))?;
            self.answer().await
        };
        let late = || broken(&format!("no answer within {} s", limit.as_secs()));
        tokio::time::timeout(limit, exchange)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    async fn answer(&mut self) -> Result<Vec<u8>> {
        let mut complaint = String::new();
        loop {
            if let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
                return Ok(self.begun.drain(..=end).collect());
            }
            if self.begun.len() > LONGEST_ANSWER {
                return Err(broken("an answer without end"));
            }
            match self.output.next().await {
                Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => {
                    self.begun.extend_from_slice(&message);
                }
                Some(Ok(LogOutput::StdErr { message })) if complaint.len() < LONGEST_COMPLAINT => {
                    complaint.push_str(&String::from_utf8_lossy(&message));
                }
                Some(Ok(LogOutput::StdErr { .. })) => {}
                Some(Ok(LogOutput::StdIn { .. })) => {}
                Some(Err(e)) => return Err(broken(&super::failure::chain(&e))),
                None => {
                    return Err(broken(
                        Some(complaint.trim())
                            .filter(|c| !c.is_empty())
                            .unwrap_or("it has ended"),
                    ));
                }
            }
        }
    }
}
