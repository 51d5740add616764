//! Watching a container's log and what it uses, and running commands in it: a client asks for a token, and opens the stream with
//! it.

use std::sync::Arc;

use serde_json::Value;

use super::stats::{self, Looks};

use crate::engine::access::{Stream, Ticket};
use crate::engine::core::{Answer, Core, Input, Scope};
use crate::model::{Error, ErrorKind, Resource, Result, State, Timestamp};
use crate::runtime;
use crate::runtime::streams::{Bytestream, ExecWanted, LogsWanted, Pieces, Running};

/// A stream that is open.
pub enum OpenStream {
    /// A container's log.
    Logs(Pieces),
    /// A command that runs in a container.
    Exec(Running),
    /// What containers or hosts use.
    Stats(Looks),
    /// An engine.
    Socket(Box<dyn Bytestream>),
}

/// Gives out a token for the stream that was asked for.
pub(super) fn give_access(core: &Core, scope: &Scope, row: &Resource, action: &str, input: &Input) -> Result<Answer> {
    let (path, stream) = match action {
        "logs" => ("logs", Stream::Logs(logs_wanted(input)?)),
        _ => ("exec", Stream::Exec(exec_wanted(input)?)),
    };
    let token = core.stream_token(scope.user.id, row.id, stream)?;
    Ok(Answer::Access {
        scheme: "ws",
        path,
        token,
    })
}

fn flag(input: &Input, name: &str) -> bool {
    input.get(name).and_then(Value::as_bool).unwrap_or(true)
}

fn logs_wanted(input: &Input) -> Result<LogsWanted> {
    let since = input
        .get("since")
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty());
    let since = since.map(|text| {
        let seconds = text.parse::<i64>().ok();
        seconds
            .or_else(|| Timestamp::parse(text).map(|time| time.0 / 1_000))
            .filter(|seconds| i32::try_from(*seconds).is_ok_and(|seconds| seconds >= 0))
            .ok_or_else(|| Error::invalid("InvalidFormat", "since"))
    });
    Ok(LogsWanted {
        follow: flag(input, "follow"),
        lines: input.get("lines").and_then(Value::as_u64),
        since: since.transpose()?,
        timestamps: flag(input, "timestamps"),
    })
}

fn exec_wanted(input: &Input) -> Result<ExecWanted> {
    let words = input.get("command").and_then(Value::as_array);
    let command: Vec<String> = words
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    if command.first().is_none_or(String::is_empty) {
        return Err(Error::invalid("MissingRequired", "command"));
    }
    // A NUL ends a word where it is run.
    if command.iter().any(|word| word.contains('\0')) {
        return Err(Error::invalid("InvalidCharacters", "command"));
    }
    let text = |name: &str| input.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let variables = input.get("environment").and_then(Value::as_array);
    // What follows has no word in Rancher's action, which takes no such fields; other interfaces have them.
    Ok(ExecWanted {
        user: text("user").map(str::to_owned),
        folder: text("workingDir").map(str::to_owned),
        environment: variables
            .into_iter()
            .flatten()
            .filter_map(|each| each.as_str().map(str::to_owned))
            .collect(),
        command,
        tty: flag(input, "tty"),
        stdin: flag(input, "attachStdin"),
        stdout: flag(input, "attachStdout"),
    })
}

impl Core {
    /// Opens what a token is for.
    ///
    /// # Errors
    /// 404 if the container is gone, 409 if it does not run, 503 if its engine does not answer.
    pub(crate) async fn open_stream(self: &Arc<Self>, ticket: &Ticket) -> Result<OpenStream> {
        if *ticket.stream() == Stream::DockerSocket {
            return self.open_socket(ticket).await.map(OpenStream::Socket);
        }
        let row = self.store.find(ticket.resource())?;
        let row = row.filter(|row| row.removed.is_none()).ok_or_else(Error::not_found)?;
        let away = || Error::new(ErrorKind::Unavailable).with_message("the container's host does not answer");
        let runtime = || row.host_id.and_then(|host| self.runtime(host)).ok_or_else(away);
        let opened = match ticket.stream() {
            Stream::Stats(of) => return stats::watch(self, &row, *of).await.map(OpenStream::Stats),
            Stream::Logs(wanted) => runtime()?.logs(&row.uuid, wanted).await.map(OpenStream::Logs),
            Stream::Exec(_) if row.state != State::RUNNING => {
                return Err(Error::conflict(format!("{} does not run", row.name)));
            }
            // Nothing that stays open: each request opens the port anew.
            Stream::Proxy(_) | Stream::DockerSocket => return Err(Error::new(ErrorKind::Unauthorized)),
            Stream::Exec(wanted) => runtime()?.execute(&row.uuid, wanted).await.map(OpenStream::Exec),
        };
        opened.map_err(|error| match error {
            runtime::Error::Unreachable(_) => away(),
            runtime::Error::Gone(_) => Error::not_found(),
            other => Error::conflict(other.to_string()),
        })
    }
}
