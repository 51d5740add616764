//! The engines of containers: which there are at the start, in words, and looking out for one that comes later.

#![expect(clippy::disallowed_methods, reason = "looking out is waiting")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::cli::Serve;
use crate::config::{NamedEngine, named_engines};
use crate::engine::{Attachment, Connect, Engine, EngineConfig, Following, TiedHost};
use crate::failure::Failure;
use crate::model::{Clock, ErrorKind, Lease};
use crate::runtime::docker::{Docker, Owner, Swarm};
use crate::runtime::sim::Sim;
use crate::runtime::{EngineAddress, EngineInfo, Error, Runtime};

use super::broken;

/// Where Docker listens if nobody says otherwise.
pub(super) const LOCAL_SOCKET: &str = "/var/run/docker.sock";
/// How long an engine may take to show that it is there, before the server goes on without an answer.
const DOCKER_PATIENCE: Duration = Duration::from_secs(3);
/// How long hosts that were added by the API are waited for before requests are served.
const ADDED_PATIENCE: Duration = Duration::from_millis(500);
/// Of so many of them each has a line at the start.
const ADDED_TOLD: usize = 20;
/// Between two looks for an engine that nobody named and that is not there: the first wait, doubled up to the last.
const LOOK_FIRST: Duration = Duration::from_secs(1);
const LOOK_LAST: Duration = Duration::from_secs(30);

/// What was found at the start.
pub(super) struct FoundEngines {
    /// For whoever started the program, a line for each engine.
    pub(super) words: Vec<String>,
    /// An engine that may come to where engines are, to be looked out for.
    pub(super) awaited: Option<Docker>,
}

/// Ties the engines of containers to their hosts. What is not waited for goes on in `aside`.
pub(super) async fn attach(
    serve: &Serve,
    engine: &Arc<Engine>,
    (clock, lease): (Arc<dyn Clock>, &Lease),
    aside: &mut JoinSet<()>,
) -> Result<FoundEngines, Failure> {
    let named = named_engines(serve)?;
    let is_none = named.as_ref().is_some_and(Vec::is_empty);
    if serve.simulator || is_none {
        simulate(engine, clock.clone()).await?;
    }
    let mut found = match named {
        None => attach_local(serve, engine, clock, lease).await?,
        Some(named) => attach_all(named, engine, lease).await?,
    };
    found.words.extend(attach_added(engine, aside).await?);
    Ok(found)
}

/// Ties the engines that were added by the API to their hosts. Many take a while, and one that does not answer does, too: requests
/// are not kept waiting for that.
async fn attach_added(engine: &Arc<Engine>, aside: &mut JoinSet<()>) -> Result<Vec<String>, Failure> {
    let tied = engine.clone();
    let (tell, told) = tokio::sync::oneshot::channel();
    aside.spawn(async move {
        let added = tied.attach_added().await;
        if let Err(Err(error)) = tell.send(added) {
            log::error!("adding hosts: {}", error.chain());
        }
    });
    let told = tokio::time::timeout(ADDED_PATIENCE, told).await;
    let Ok(Ok(added)) = told else {
        let words = "hosts that were added by the API are still being tied to their engines";
        return Ok(vec![words.to_owned()]);
    };
    Ok(shortened(added.map_err(|e| broken("adding hosts", e))?))
}

/// The first lines of many; those that say that something is wrong are among them.
fn shortened(mut hosts: Vec<TiedHost>) -> Vec<String> {
    hosts.sort_by_key(|host| host.is_used);
    let more = hosts.len().saturating_sub(ADDED_TOLD);
    hosts.truncate(ADDED_TOLD);
    let mut words: Vec<String> = hosts.into_iter().map(|host| host.words).collect();
    if more > 0 {
        words.push(format!("and {more} more hosts that were added by the API"));
    }
    words
}

/// The engines that were named, if any.
async fn attach_all(named: Vec<NamedEngine>, engine: &Engine, lease: &Lease) -> Result<FoundEngines, Failure> {
    let is_none = named.is_empty();
    let mut words = Vec::new();
    for one in named {
        words.push(match one.is_swarm() {
            true => follow_swarm(one, engine, lease).await?,
            false => attach_named(one, engine, lease).await?,
        });
    }
    if is_none {
        words.push("no Docker Engine: only sim: images will run".to_owned());
    }
    Ok(FoundEngines { words, awaited: None })
}

/// Lets hosts be added while the server runs.
pub(super) fn allow(config: EngineConfig, lease: &Lease) -> EngineConfig {
    let lease = lease.clone();
    let connect = move |address: &EngineAddress, server_uuid: &str| {
        let lease = &lease;
        let docker = Docker::connect_to(address, Owner { server_uuid, lease })?;
        Ok(Arc::new(docker) as Arc<dyn Runtime>)
    };
    EngineConfig {
        connect: Some(Connect(Arc::new(connect))),
        ..config
    }
}

/// The engine of this machine that nobody named, if it is there.
async fn attach_local(
    serve: &Serve,
    engine: &Engine,
    clock: Arc<dyn Clock>,
    lease: &Lease,
) -> Result<FoundEngines, Failure> {
    let local = NamedEngine {
        cert_path: serve.docker_cert_path.clone(),
        ..NamedEngine::at(format!("unix://{LOCAL_SOCKET}"))
    };
    let docker = connect(&local, engine, lease)?;
    let had_one = engine
        .had_engine(docker.kind())
        .map_err(|e| broken("reading hosts", e))?;
    if is_socket_there() || had_one {
        let words = vec![attach_named(local, engine, lease).await?];
        return Ok(FoundEngines { words, awaited: None });
    }
    if !serve.simulator {
        simulate(engine, clock).await?;
    }
    let url = local.url;
    Ok(FoundEngines {
        words: vec![format!(
            "no Docker Engine at {url}, which is looked at again and again; only sim: images run until there is one"
        )],
        awaited: Some(docker),
    })
}

fn connect(one: &NamedEngine, engine: &Engine, lease: &Lease) -> Result<Docker, Failure> {
    Docker::connect(&one.url, one.cert_path.as_deref(), owner(engine, lease))
        .map_err(|e| Failure::config(format!("--docker {}: {e}", one.url)))
}

fn owner<'a>(engine: &'a Engine, lease: &'a Lease) -> Owner<'a> {
    let server_uuid = engine.server_uuid();
    Owner { server_uuid, lease }
}

/// Lets the nodes of a swarm be hosts, and says so.
async fn follow_swarm(one: NamedEngine, engine: &Engine, lease: &Lease) -> Result<String, Failure> {
    let urls: Vec<String> = std::iter::once(one.url).chain(one.managers).collect();
    let named = urls.join(",");
    let misnamed = |why: String| Failure::config(format!("--docker swarm={named}: {why}"));
    let swarm = Swarm::connect(&urls, one.cert_path.as_deref(), owner(engine, lease));
    let followed = engine.follow_cluster(Following {
        cluster: Arc::new(swarm.map_err(|e| misnamed(e.to_string()))?),
        project: one.project,
        labels: one.labels,
    });
    match followed.await {
        Ok(words) => Ok(format!("{words} at {named}")),
        Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Conflict) => {
            Err(misnamed(error.external.unwrap_or_default()))
        }
        Err(error) => Err(broken("following the swarm", error)),
    }
}

/// Ties one engine to its host, and says so. One that may not be that host's keeps nobody from starting the server: the
/// others work on.
async fn attach_named(one: NamedEngine, engine: &Engine, lease: &Lease) -> Result<String, Failure> {
    let docker = connect(&one, engine, lease)?;
    let words = in_words(&one.url, describe(&docker).await);
    let attached = engine
        .attach(Attachment {
            runtime: Arc::new(docker),
            name: one.name.clone(),
            project: one.project,
            labels: one.labels,
        })
        .await;
    let name = one.name.map(|name| format!("{name}: ")).unwrap_or_default();
    match attached {
        Ok(_) => Ok(format!("{name}{words}")),
        Err(error) if error.kind == ErrorKind::NotFound => Err(Failure::config(format!(
            "--docker {}: {}",
            one.url,
            error.external.unwrap_or_default()
        ))),
        Err(error) if error.kind == ErrorKind::Conflict => {
            let why = error.external.unwrap_or_default();
            log::error!("the engine at {} is left alone: {why}", one.url);
            Ok(format!("{name}NOT USED, {words}: {why}"))
        }
        Err(error) => Err(broken("adding the Docker host", error)),
    }
}

/// Adds the simulated host, with what its rows say is there.
async fn simulate(engine: &Engine, clock: Arc<dyn Clock>) -> Result<(), Failure> {
    let sim = Arc::new(Sim::without_log(clock));
    let found = engine.simulated_containers();
    sim.adopt(found.map_err(|e| broken("reading simulated containers", e))?);
    let added = engine.attach(Attachment::only(sim)).await;
    added.map(drop).map_err(|e| broken("adding the simulated host", e))
}

/// A socket that may not be looked at is there: what to do about it is said when it is used.
fn is_socket_there() -> bool {
    Path::new(LOCAL_SOCKET).try_exists().unwrap_or(true)
}

pub(super) async fn describe(docker: &Docker) -> Result<EngineInfo, Error> {
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
        match engine.attach(Attachment::only(docker.clone())).await {
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
    fn of_many_added_hosts_those_that_are_not_used_are_told_of() {
        let host = |nth: usize| TiedHost {
            is_used: nth != 700,
            words: format!("h{nth}"),
        };
        assert_eq!(shortened((0..3).map(host).collect()), ["h0", "h1", "h2"]);
        let told = shortened((0..1_000).map(host).collect());
        assert_eq!(told.len(), 21);
        assert_eq!(told.first().map(String::as_str), Some("h700"));
        assert_eq!(
            told.last().map(String::as_str),
            Some("and 980 more hosts that were added by the API")
        );
    }

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
