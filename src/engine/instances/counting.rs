//! The hosts as the planner sees them, and how many containers live on each, kept as new as the rows are.
//!
//! What changed since the last time is read from the outbox, which every change of a row is in: it costs what happened, and not what
//! there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use crate::engine::core::{Core, Counted, is_node, is_sim};
use crate::model::launch::texts;
use crate::model::own_labels::HOST;
use crate::model::{Resource, ResourceId, Result, State};
use crate::plan;

use super::container_rows::plan_state;

/// Events read at once.
const PAGE: i64 = 1000;

impl Core {
    /// The hosts of a project, or all, with how many containers live on each; not what these have.
    pub(super) fn counted_hosts(&self, account: Option<ResourceId>) -> Result<Vec<plan::Host>> {
        let mut counted = self.census.lock();
        if !self.count_on(&mut counted)? {
            self.count_all(&mut counted)?;
        }
        Ok(counted.hosts_of(account))
    }

    /// Counts what changed; `false` if everything has to be counted: nothing was yet, or what changed was swept away meanwhile.
    fn count_on(&self, counted: &mut Counted) -> Result<bool> {
        let Some(mut read) = counted.read else {
            return Ok(false);
        };
        let mut changed = BTreeSet::new();
        loop {
            let events = self.store.events_after(read, PAGE)?;
            let is_gap = events.first().is_some_and(|event| event.id != read + 1);
            if is_gap && self.store.oldest_event()?.is_none_or(|oldest| oldest > read + 1) {
                return Ok(false);
            }
            for event in &events {
                read = event.id;
                changed.insert(event.resource);
            }
            let is_last = i64::try_from(events.len()).is_ok_and(|n| n < PAGE);
            if is_last {
                break;
            }
        }
        // Not before all is noted: what cannot be read now is looked at again.
        self.note_changed(counted, changed)?;
        counted.read = Some(read);
        Ok(true)
    }

    fn note_changed(&self, counted: &mut Counted, changed: BTreeSet<ResourceId>) -> Result<()> {
        let changed: Vec<ResourceId> = changed.into_iter().collect();
        let mut hosts = Vec::new();
        for row in self.store.whereabouts(&changed)? {
            match row.root.as_str() {
                "instance" => {
                    let lives = !row.is_removed && is_live(row.state);
                    counted.note_container(row.id, row.host_id.filter(|_| lives));
                }
                "host" => hosts.push(row.id),
                _ => {}
            }
        }
        for row in self.store.many(&hosts)? {
            counted.note_host(row.id, self.planned_host(&row));
        }
        Ok(())
    }

    fn count_all(&self, counted: &mut Counted) -> Result<()> {
        // What happens while this reads is read again.
        let read = self.store.newest_event();
        *counted = Counted::default();
        for row in self.store.all("host", None)? {
            counted.note_host(row.id, self.planned_host(&row));
        }
        for (id, host, state) in self.store.all_on_hosts("instance")? {
            counted.note_container(id, Some(host).filter(|_| is_live(state)));
        }
        counted.read = Some(read);
        Ok(())
    }

    /// A host with nothing on it, and whose it is; none if it is removed.
    fn planned_host(&self, row: &Resource) -> Option<(Option<ResourceId>, plan::Host)> {
        if row.removed.is_some() {
            return None;
        }
        let fields: HostFields = serde_json::from_str(&row.fields).unwrap_or_default();
        let is_gone = matches!(
            row.state,
            State::REMOVING | State::REMOVED | State::PURGING | State::PURGED
        );
        let is_away = fields.agent_state.as_deref();
        let is_disconnected = is_away.is_some_and(|s| !s.is_empty() && s != "active");
        // What an agent that is given up led to goes at once: only its rows are left of it.
        let goes_at_once = fields.remove_after.is_some() && !is_node(row);
        let host = plan::Host {
            id: row.id,
            is_sim: is_sim(row),
            is_active: row.state == State::ACTIVE,
            is_gone,
            is_disconnected,
            is_lost: is_gone && is_disconnected && !goes_at_once,
            labels: Arc::new(asked_labels(row, &fields, &self.wire_id("host", row.id))),
            live_instances: 0,
            bound_ports: Vec::new(),
            neighbours: Vec::new(),
            free_memory: fields.memory,
            free_milli_cpu: fields.milli_cpu,
        };
        Some((row.account_id, host))
    }
}

/// Whether a container in this state counts as one more on its host.
fn is_live(state: State) -> bool {
    !matches!(
        plan_state(state),
        plan::InstanceState::Stopped | plan::InstanceState::Removing
    )
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HostFields {
    #[serde(deserialize_with = "texts")]
    labels: Option<BTreeMap<String, String>>,
    agent_state: Option<String>,
    remove_after: Option<String>,
    hostname: Option<String>,
    info: Option<HostInfo>,
    memory: Option<i64>,
    milli_cpu: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HostInfo {
    os_info: OsInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OsInfo {
    architecture: Option<String>,
}

/// What rules about host labels find of a host: its labels, and what it is beside them.
fn asked_labels(row: &Resource, fields: &HostFields, wire: &str) -> BTreeMap<String, String> {
    let mut labels = fields.labels.clone().unwrap_or_default();
    labels.retain(|key, _| !key.starts_with(HOST));
    let name = fields.hostname.clone().filter(|name| !name.is_empty());
    let architecture = fields.info.as_ref().and_then(|info| info.os_info.architecture.clone());
    let known = [
        ("id", Some(wire.to_owned())),
        ("name", Some(name.unwrap_or_else(|| row.name.clone()))),
        ("os", Some("linux".to_owned())),
        ("role", Some("manager".to_owned())),
        ("arch", architecture),
    ];
    let known = known
        .into_iter()
        .filter_map(|(key, value)| Some((format!("{HOST}{key}"), value?)));
    labels.extend(known);
    labels
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use crate::engine::core::new_row;
    use crate::engine::core::testkit;
    use crate::model::{Fields, Timestamp};
    use crate::store::{Changes, NewResource, SweepLimits};

    async fn container(core: &Core, host: ResourceId, state: State) -> ResourceId {
        let ty = core.type_of("container").unwrap().clone();
        let inserting = core.write(move |tx| {
            let new = NewResource {
                host_id: Some(host),
                state,
                ..new_row(&ty, None, Fields::default())
            };
            tx.insert(new).map(|row| row.id)
        });
        inserting.await.unwrap()
    }

    async fn change(core: &Core, id: ResourceId, changes: Changes) {
        let changing = core.write(move |tx| {
            let row = tx.get(id)?;
            tx.update_if(&row, &changes).map(drop)
        });
        changing.await.unwrap();
    }

    fn to(state: State) -> Changes {
        Changes {
            state: Some(state),
            ..Changes::default()
        }
    }

    /// `host: containers`, as they are counted; the same as if everything were counted anew.
    fn counts(core: &Core) -> Vec<(ResourceId, u32)> {
        let counted = core.counted_hosts(None).unwrap();
        let mut anew = Counted::default();
        core.count_all(&mut anew).unwrap();
        assert_eq!(counted, anew.hosts_of(None));
        counted.iter().map(|host| (host.id, host.live_instances)).collect()
    }

    #[tokio::test]
    async fn what_changed_is_counted_as_if_all_were_counted_anew() {
        let (_folder, core) = testkit::empty();
        assert_eq!(counts(&core), []);
        let host = || testkit::insert(&core, "host", State::ACTIVE, Fields::default());
        let (a, b) = (host().await, host().await);
        assert_eq!(counts(&core), [(a.id, 0), (b.id, 0)]);
        let first = container(&core, a.id, State::CREATING).await;
        let second = container(&core, a.id, State::RUNNING).await;
        container(&core, b.id, State::STOPPED).await;
        assert_eq!(counts(&core), [(a.id, 2), (b.id, 0)]);
        change(&core, first, to(State::STOPPED)).await;
        assert_eq!(counts(&core), [(a.id, 1), (b.id, 0)]);
        let moved = Changes {
            host_id: Some(Some(b.id)),
            ..to(State::STARTING)
        };
        change(&core, first, moved).await;
        assert_eq!(counts(&core), [(a.id, 1), (b.id, 1)]);
        change(&core, second, to(State::REMOVING)).await;
        assert_eq!(counts(&core), [(a.id, 0), (b.id, 1)]);
        change(&core, b.id, to(State::INACTIVE)).await;
        let hosts = core.counted_hosts(None).unwrap();
        assert_eq!(
            hosts.iter().map(|host| host.is_active).collect::<Vec<_>>(),
            [true, false]
        );
        testkit::remove(&core, &a).await;
        assert_eq!(counts(&core), [(b.id, 1)]);
    }

    #[tokio::test]
    async fn what_was_swept_before_it_was_counted_is_counted_all_the_same() {
        let (_folder, core) = testkit::empty();
        let host = testkit::insert(&core, "host", State::ACTIVE, Fields::default()).await;
        assert_eq!(counts(&core), [(host.id, 0)]);
        for _ in 0..3 {
            container(&core, host.id, State::RUNNING).await;
        }
        let limits = SweepLimits {
            processes_before: Timestamp(0),
            events_before: Timestamp(0),
            events_kept: 1,
            logs_before: Timestamp(0),
            audit_before: Timestamp(0),
            audit_up_to: ResourceId(0),
            chunk: 100,
        };
        core.write(move |tx| tx.sweep(&limits).map(drop)).await.unwrap();
        assert_eq!(core.store.oldest_event().unwrap(), Some(4), "three are gone");
        assert_eq!(counts(&core), [(host.id, 3)]);
    }

    #[tokio::test]
    async fn hosts_are_those_of_a_project_and_their_containers_anybodys() {
        let (_folder, core) = testkit::empty();
        let host = testkit::insert(&core, "host", State::ACTIVE, Fields::default()).await;
        container(&core, host.id, State::RUNNING).await;
        assert_eq!(core.counted_hosts(Some(ResourceId(5))).unwrap(), []);
        let given = Changes {
            account_id: Some(Some(ResourceId(5))),
            ..Changes::default()
        };
        change(&core, host.id, given).await;
        let own = core.counted_hosts(Some(ResourceId(5))).unwrap();
        assert_eq!(own.iter().map(|host| host.live_instances).collect::<Vec<_>>(), [1]);
    }
}
