//! What containers and hosts use, while somebody looks: of one container, of those of a service, a stack or a host, of the
//! hosts of a project. Which containers there are is looked up again and again, so whoever comes later is seen too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{StreamExt, future, stream};
use tokio::time::{Interval, interval};

use crate::engine::access::{StatsOf, Stream};
use crate::engine::core::{Core, Scope};
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result, State};
use crate::runtime;
use crate::runtime::stats::{Sample, Samples};
use crate::store::Direction;

/// Between two looks at a host, and as fast as the engines tell of containers.
const BEAT: Duration = Duration::from_secs(1);
/// How many beats pass until containers are looked for again.
const BEATS_PER_SEARCH: u32 = 5;
/// How many containers one stream tells of. Each costs a connection to its engine.
pub(crate) const MAX_LOOKS: usize = 100;

/// What one container or host used at a moment.
#[derive(Debug, Clone)]
pub struct Look {
    /// As clients know it.
    pub id: String,
    /// `container` or `host`.
    pub resource_type: &'static str,
    /// What it used.
    pub sample: Sample,
}

/// Several at a time, for ever or until what is looked at is gone.
pub type Looks = BoxStream<'static, Result<Vec<Look>>>;

/// The token for a link of statistics, and the last part of the address that it opens; `None` if the link is none of those,
/// or there is nothing to look at.
pub(crate) fn give_access(
    core: &Core,
    scope: &Scope,
    row: &Resource,
    link: &str,
) -> Result<Option<(&'static str, String)>> {
    let (path, of) = match (row.root.as_str(), link) {
        ("instance", "stats" | "containerStats") | ("service" | "host", "containerStats") => {
            ("containerstats", StatsOf::Containers)
        }
        ("host", "stats" | "hostStats") | ("account", "hostStats") => ("hoststats", StatsOf::Hosts),
        _ => return Err(Error::not_found()),
    };
    let is_empty = match of {
        StatsOf::Containers => containers(core, row)?.is_empty(),
        StatsOf::Hosts => hosts(core, row)?.is_empty(),
    };
    if is_empty {
        return Ok(None);
    }
    let token = core.stream_token(scope.user.id, row.id, Stream::Stats(of))?;
    Ok(Some((path, token)))
}

/// Looks at a row, or at all that belong to it.
pub(super) async fn watch(core: &Arc<Core>, row: &Resource, of: StatsOf) -> Result<Looks> {
    match of {
        StatsOf::Containers => Ok(watch_containers(core.clone(), row.id)),
        StatsOf::Hosts => {
            let all = hosts(core, row)?;
            let first = look_at_hosts(core, &all).await?;
            Ok(watch_hosts(core.clone(), row.id, first))
        }
    }
}

/// Those that run, on whatever host.
fn containers(core: &Core, row: &Resource) -> Result<Vec<Resource>> {
    let ids = match row.root.as_str() {
        "instance" => vec![row.id],
        "service" => of_services(core, &[row.id])?,
        "stack" => {
            let services = core.store.children(row.id, "service")?;
            of_services(core, &services.iter().map(|service| service.id).collect::<Vec<_>>())?
        }
        _ => {
            let there = core.store.on_hosts(&[row.id], "instance")?;
            there.into_iter().map(|slim| slim.id).collect()
        }
    };
    let mut found = core.store.many(&ids)?;
    found.retain(|each| each.removed.is_none() && each.state == State::RUNNING);
    found.sort_by_key(|each| each.id);
    found.truncate(MAX_LOOKS);
    Ok(found)
}

fn of_services(core: &Core, services: &[ResourceId]) -> Result<Vec<ResourceId>> {
    let maps = core.store.child_ids(services, "serviceExposeMap")?;
    let maps: Vec<ResourceId> = maps.into_iter().map(|(_, map)| map).collect();
    let pairs = core.store.references("instanceId", &maps, Direction::From)?;
    Ok(pairs.into_iter().map(|(_, instance)| instance).collect())
}

fn hosts(core: &Core, row: &Resource) -> Result<Vec<Resource>> {
    let mut all = match row.root.as_str() {
        "host" => vec![row.clone()],
        _ => core.store.all("host", Some(row.id))?,
    };
    all.retain(|host| host.removed.is_none() && core.runtime(host.id).is_some());
    all.truncate(MAX_LOOKS);
    Ok(all)
}

/// What hosts use now. One that does not answer is left out, unless it is the only one.
async fn look_at_hosts(core: &Core, hosts: &[Resource]) -> Result<Vec<Look>> {
    let mut looks = Vec::new();
    let mut refusal = None;
    let asked = hosts.iter().filter_map(|host| Some((host, core.runtime(host.id)?)));
    let asked = asked.map(|(host, runtime)| async move { (host, runtime.machine_stats().await) });
    for (host, answer) in future::join_all(asked).await {
        match answer {
            Ok(sample) => looks.push(core.look_of("host", host, sample)),
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        Some(error) if looks.is_empty() => Err(refused(&error)),
        _ => Ok(looks),
    }
}

fn refused(error: &runtime::Error) -> Error {
    match error {
        runtime::Error::Unreachable(_) => Error::new(ErrorKind::Unavailable).with_message("the host does not answer"),
        other => Error::conflict(other.to_string()),
    }
}

fn watch_hosts(core: Arc<Core>, of: ResourceId, first: Vec<Look>) -> Looks {
    let beats = (interval(BEAT), Some(first));
    let looks = stream::unfold((core, beats), move |(core, (mut beats, first))| async move {
        beats.tick().await;
        let looks = match first {
            Some(first) => Ok(first),
            None => {
                let row = core.store.find(of).ok().flatten().filter(|row| row.removed.is_none())?;
                match hosts(&core, &row) {
                    Ok(all) => look_at_hosts(&core, &all).await,
                    Err(error) => Err(error),
                }
            }
        };
        Some((looks, (core, (beats, None))))
    });
    looks.boxed()
}

/// A container's looks, and `None` at their end.
type Each = BoxStream<'static, (ResourceId, Option<Look>)>;

struct Watched {
    core: Arc<Core>,
    of: ResourceId,
    beats: Interval,
    beat: u32,
    open: BTreeSet<ResourceId>,
    all: SelectAll<Each>,
    seen: Vec<Look>,
}

fn watch_containers(core: Arc<Core>, of: ResourceId) -> Looks {
    let watched = Watched {
        core,
        of,
        beats: interval(BEAT),
        beat: 0,
        open: BTreeSet::new(),
        all: SelectAll::new(),
        seen: Vec::new(),
    };
    let looks = stream::unfold(watched, |mut watched| async move {
        let looks = watched.next().await?;
        Some((looks, watched))
    });
    looks.boxed()
}

impl Watched {
    /// What came in since the last beat, as soon as there is anything; `None` once what is looked at is gone.
    async fn next(&mut self) -> Option<Result<Vec<Look>>> {
        loop {
            tokio::select! {
                _ = self.beats.tick() => {
                    if self.beat.is_multiple_of(BEATS_PER_SEARCH) {
                        match self.search().await {
                            Ok(true) => {}
                            Ok(false) => return None,
                            Err(error) => return Some(Err(error)),
                        }
                    }
                    self.beat = self.beat.wrapping_add(1);
                    if !self.seen.is_empty() {
                        return Some(Ok(std::mem::take(&mut self.seen)));
                    }
                }
                Some((id, look)) = self.all.next() => match look {
                    Some(look) => self.seen.push(look),
                    None => {
                        self.open.remove(&id);
                    }
                },
            }
        }
    }

    /// Opens what is not open yet. One whose engine does not answer is tried again with the next search.
    async fn search(&mut self) -> Result<bool> {
        let core = self.core.clone();
        let Some(row) = core.store.find(self.of)?.filter(|row| row.removed.is_none()) else {
            return Ok(false);
        };
        for container in containers(&core, &row)? {
            if self.open.len() >= MAX_LOOKS || self.open.contains(&container.id) {
                continue;
            }
            let Some(runtime) = container.host_id.and_then(|host| core.runtime(host)) else {
                continue;
            };
            match runtime.stats(&container.uuid).await {
                Ok(samples) => {
                    self.open.insert(container.id);
                    self.all.push(looks_of(core.clone(), container, samples));
                }
                Err(error) => log::debug!("looking at what {} uses: {error}", container.name),
            }
        }
        Ok(true)
    }
}

fn looks_of(core: Arc<Core>, container: Resource, samples: Samples) -> Each {
    let id = container.id;
    let looks = samples.take_while(|sample| std::future::ready(sample.is_ok()));
    let looks = looks.filter_map(move |sample| {
        let look = sample.ok().map(|sample| core.look_of("container", &container, sample));
        std::future::ready(look.map(|look| (id, Some(look))))
    });
    looks.chain(stream::once(std::future::ready((id, None)))).boxed()
}

impl Core {
    fn look_of(&self, kind: &'static str, row: &Resource, mut sample: Sample) -> Look {
        if sample.timestamp.is_empty() {
            sample.timestamp = self.now().to_wire_millis();
        }
        Look {
            id: self.wire_id(kind, row.id),
            resource_type: kind,
            sample,
        }
    }
}
