//! Commands that say how a container is: run in it by the engine's exec, so many at a time, and of each container one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::StreamExt;
use tokio::sync::Semaphore;

use super::streams::external_id;
use super::{Inner, SHORT};
use crate::model::probe::ProbeResult;
use crate::runtime::{Error, Result};

/// So many run at once on one engine: each costs it a process that enters the container.
const AT_ONCE: usize = 16;

/// The commands that run, and those that were not waited for to their end.
pub(super) struct Commands {
    places: Semaphore,
    /// By container, the command that was begun last and is not known to have ended.
    begun: Mutex<HashMap<String, String>>,
}

impl Default for Commands {
    fn default() -> Self {
        Self {
            places: Semaphore::new(AT_ONCE),
            begun: Mutex::default(),
        }
    }
}

impl Commands {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The container goes.
    pub(super) fn forget(&self, uuid: &str) {
        self.lock().remove(uuid);
    }
}

/// Runs a command in a container, and says whether it ended with 0 in time. One that takes longer is not killed, which the
/// engine cannot do; the next one begins when it has ended.
pub(super) async fn ask(docker: &Inner, uuid: &str, command: &str, limit: Duration) -> ProbeResult {
    let Ok(_place) = docker.commands.places.acquire().await else {
        return ProbeResult::Unreachable("no more commands are run".to_owned());
    };
    match run(docker, uuid, command, limit).await {
        Ok(Some(0)) => ProbeResult::Up,
        Ok(Some(code)) => ProbeResult::Down(format!("the command ended with {code}")),
        Ok(None) => ProbeResult::Down(format!("the command did not end within {} ms", limit.as_millis())),
        Err(Error::Unreachable(why)) => ProbeResult::Unreachable(why),
        Err(error) => ProbeResult::Down(error.to_string()),
    }
}

/// The exit code; none if it did not end in time, or another one still runs.
async fn run(docker: &Inner, uuid: &str, command: &str, limit: Duration) -> Result<Option<i64>> {
    let last = docker.commands.lock().get(uuid).cloned();
    if let Some(last) = last
        && exit_code(docker, &last).await.unwrap_or(Some(0)).is_none()
    {
        return Ok(None);
    }
    let id = external_id(docker, uuid).await?;
    let options = CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(["/bin/sh", "-c", command].map(str::to_owned).to_vec()),
        ..CreateExecOptions::default()
    };
    let made = docker.call(SHORT, docker.api()?.create_exec(&id, options)).await?;
    docker.commands.lock().insert(uuid.to_owned(), made.id.clone());
    let starting = docker.api()?.start_exec(&made.id, None::<StartExecOptions>);
    if let StartExecResults::Attached { mut output, .. } = docker.call(SHORT, starting).await? {
        // What it writes is nobody's affair; the end of it is its end.
        let ends = async { while output.next().await.is_some() {} };
        if tokio::time::timeout(limit, ends).await.is_err() {
            return Ok(None);
        }
    }
    let code = exit_code(docker, &made.id).await?;
    if code.is_some() {
        docker.commands.forget(uuid);
    }
    Ok(code)
}

/// How a command ended; none if it still runs.
pub(super) async fn exit_code(docker: &Inner, exec: &str) -> Result<Option<i64>> {
    let found = docker.call(SHORT, docker.api()?.inspect_exec(exec)).await?;
    Ok(found.exit_code.filter(|_| found.running == Some(false)))
}
