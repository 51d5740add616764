//! The engines of containers: which there are at the start, in words, and looking out for one that comes later.

#![expect(clippy::disallowed_methods, reason = "looking out is waiting")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::Serve;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::model::Clock;
use crate::runtime::docker::Docker;
use crate::runtime::sim::Sim;
use crate::runtime::{EngineInfo, Error, Runtime};

use super::broken;

/// Where Docker listens if nobody says otherwise.
const LOCAL_SOCKET: &str = "/var/run/docker.sock";
/// How long an engine may take to show that it is there, before the server goes on without an answer.
const DOCKER_PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks for an engine that nobody named and that is not there: the first wait, doubled up to the last.
const LOOK_FIRST: Duration = Duration::from_secs(1);
const LOOK_LAST: Duration = Duration::from_secs(30);

/// What was found at the start.
pub(super) struct FoundEngines {
    /// For whoever started the program.
    pub(super) words: String,
    /// An engine that may come to where engines are, to be looked out for.
    pub(super) awaited: Option<Docker>,
}

/// Ties the engines of containers to their hosts.
pub(super) async fn attach(serve: &Serve, engine: &Engine, clock: Arc<dyn Clock>) -> Result<FoundEngines, Failure> {
    let named = serve.docker.as_deref().map(str::trim).filter(|d| !d.is_empty());
    let url = match named {
        Some("none") => None,
        Some(url) => Some(url.to_owned()),
        None => Some(format!("unix://{LOCAL_SOCKET}")),
    };
    let Some(url) = url else {
        simulate(engine, clock).await?;
        return Ok(FoundEngines {
            words: "no Docker Engine: only sim: images will run".to_owned(),
            awaited: None,
        });
    };
    let docker = Docker::connect(&url, serve.docker_cert_path.as_deref(), engine.server_uuid())
        .map_err(|e| Failure::config(format!("--docker {url}: {e}")))?;
    let is_there = named.is_some()
        || is_socket_there()
        || engine
            .had_engine(docker.kind())
            .map_err(|e| broken("reading hosts", e))?;
    if serve.simulator || !is_there {
        simulate(engine, clock).await?;
    }
    if !is_there {
        return Ok(FoundEngines {
            words: format!(
                "no Docker Engine at {url}, which is looked at again and again; only sim: images run until there is one"
            ),
            awaited: Some(docker),
        });
    }
    let words = in_words(&url, describe(&docker).await);
    engine
        .attach(Arc::new(docker))
        .await
        .map_err(|e| broken("adding the Docker host", e))?;
    Ok(FoundEngines { words, awaited: None })
}

/// Adds the simulated host, with what its rows say is there.
async fn simulate(engine: &Engine, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let sim = Arc::new(Sim::new(clock));
    let found = engine.simulated_containers();
    sim.adopt(found.map_err(|e| broken("reading simulated containers", e))?);
    let added = engine.attach(sim).await;
    added.map(drop).map_err(|e| broken("adding the simulated host", e))
}

/// A socket that may not be looked at is there: what to do about it is said when it is used.
fn is_socket_there() -> bool {
    Path::new(LOCAL_SOCKET).try_exists().unwrap_or(true)
}

async fn describe(docker: &Docker) -> Result<EngineInfo, Error> {
    let late = || Error::Unreachable(format!("no answer within {} s", DOCKER_PATIENCE.as_secs()));
    let described = tokio::time::timeout(DOCKER_PATIENCE, docker.describe()).await;
    described.unwrap_or_else(|_| Err(late()))
}

fn in_words(url: &str, described: Result<EngineInfo, Error>) -> String {
    match described {
        Ok(info) => format!("Docker Engine {} at {url}", info.version),
        Err(Error::Unreachable(why)) => {
            format!(
                "Docker Engine at {url} does not answer ({why}); it is asked again and again, and work waits for it"
            )
        }
        Err(other) => format!("Docker Engine at {url} does not say what it is ({other}); it is asked again and again"),
    }
}

/// Looks for an engine until it is there, and ties it to its host.
pub(super) async fn look_out(engine: Arc<Engine>, docker: Docker) {
    let docker = Arc::new(docker);
    let mut wait = LOOK_FIRST;
    loop {
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LOOK_LAST);
        if !is_socket_there() {
            continue;
        }
        match engine.attach(docker.clone()).await {
            Ok(host) => {
                log::info!("there is a Docker Engine now: host {host}");
                return;
            }
            Err(error) => log::warn!("adding the Docker host: {}", error.chain()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_may_not_be_asked_says_what_to_do() {
        let denied = Err(Error::Unreachable("permission denied at /s: do this".into()));
        let words = in_words("unix:///s", denied);
        assert!(
            words.contains("permission denied at /s: do this") && words.contains("again"),
            "{words}"
        );
    }
}
