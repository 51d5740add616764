//! Logs of containers, and commands run in them, over the engine's own streams.

use std::sync::Arc;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt};

use super::failure::failure;
use super::{Inner, SHORT, commands, log_stream};
use crate::runtime::streams::{ExecWanted, LogsWanted, Piece, Pieces, Running, Terminal};
use crate::runtime::{Error, Result};

/// The longest piece that is read at once.
const PIECE: usize = 4096;

pub(super) async fn logs(docker: &Inner, uuid: &str, wanted: &LogsWanted) -> Result<Pieces> {
    let id = external_id(docker, uuid).await?;
    if wanted.since.is_some_and(|since| i32::try_from(since).is_err()) {
        return Err(Error::Failed("since is no time that the engine knows".to_owned()));
    }
    log_stream::open(docker, &id, wanted).await
}

pub(super) async fn execute(docker: &Arc<Inner>, uuid: &str, wanted: &ExecWanted) -> Result<Running> {
    let id = external_id(docker, uuid).await?;
    let options = CreateExecOptions {
        attach_stdin: Some(wanted.stdin),
        attach_stdout: Some(wanted.stdout),
        attach_stderr: Some(wanted.stdout),
        tty: Some(wanted.tty),
        cmd: Some(wanted.command.clone()),
        user: wanted.user.clone(),
        working_dir: wanted.folder.clone(),
        env: Some(wanted.environment.clone()).filter(|env| !env.is_empty()),
        ..CreateExecOptions::default()
    };
    let made = docker.call(SHORT, docker.api()?.create_exec(&id, options)).await?;
    let start = StartExecOptions {
        detach: false,
        tty: wanted.tty,
        output_capacity: Some(PIECE),
    };
    match docker
        .call(SHORT, docker.api()?.start_exec(&made.id, Some(start)))
        .await?
    {
        StartExecResults::Attached { output, input } => Ok(Running {
            output: pieces(output),
            input,
            terminal: Box::new(Window {
                docker: docker.clone(),
                exec: made.id,
                is_there: wanted.tty,
            }),
        }),
        StartExecResults::Detached => Err(Error::Failed("the engine does not attach to the command".to_owned())),
    }
}

pub(super) async fn external_id(docker: &Inner, uuid: &str) -> Result<String> {
    let found = docker.look_up(uuid).await?;
    let gone = || Error::Gone(format!("the engine has no container {uuid}"));
    found.map(|found| found.external_id).ok_or_else(gone)
}

fn pieces(
    output: impl Stream<Item = std::result::Result<LogOutput, bollard::errors::Error>> + Send + 'static,
) -> Pieces {
    let piece = |each| match each {
        Ok(LogOutput::StdOut { message } | LogOutput::StdIn { message }) => Ok(Piece::Out(message)),
        Ok(LogOutput::StdErr { message }) => Ok(Piece::Err(message)),
        Ok(LogOutput::Console { message }) => Ok(Piece::Terminal(message)),
        Err(error) => Err(failure(&error)),
    };
    output.map(piece).boxed()
}

struct Window {
    docker: Arc<Inner>,
    exec: String,
    is_there: bool,
}

#[async_trait]
impl Terminal for Window {
    async fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        if !self.is_there {
            return Ok(());
        }
        let size = ResizeExecOptions {
            height: rows,
            width: columns,
        };
        let docker = &self.docker;
        docker.call(SHORT, docker.api()?.resize_exec(&self.exec, size)).await
    }

    async fn exit_code(&self) -> Result<Option<i64>> {
        commands::exit_code(&self.docker, &self.exec).await
    }
}
