//! Tying engines to their hosts: which row is an engine's, whether it is the engine that it was, and for whom it runs containers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::core::{Core, DEFAULT_PROJECT, SIM_RUNTIME, name_of_node, new_row, node_of, notes, write_notes};
use crate::engine::labels;
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::runtime::{EngineInfo, Runtime};
use crate::store::NewResource;

use super::host_rows::host_fields;
use super::identity::check_identity;

/// An engine that is to be a host.
pub struct Attachment {
    /// The engine.
    pub runtime: Arc<dyn Runtime>,
    /// Which of several of one kind it is: its host's name.
    pub name: Option<String>,
    /// The project that it runs containers for, by id, uuid or name; none is the Default project.
    pub project: Option<String>,
    /// Labels for its host beside those of the engine itself.
    pub labels: BTreeMap<String, String>,
}

impl Attachment {
    /// The only one of its kind, for the Default project.
    pub fn only(runtime: Arc<dyn Runtime>) -> Self {
        Self {
            runtime,
            name: None,
            project: None,
            labels: BTreeMap::new(),
        }
    }
}

/// What names an engine, and whose it is.
pub(super) struct Tied {
    /// Its host, where that is known.
    pub(super) host: Option<ResourceId>,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) project: ResourceId,
    pub(super) note: HostNotes,
    /// The name of a new host; none is the machine's own.
    pub(super) name: Option<String>,
    /// The agent that speaks for it, by its id on the wire.
    pub(super) agent: Option<String>,
}

/// What is noted of a host.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HostNotes {
    /// The kind of its runtime.
    pub(crate) runtime: String,
    /// Which of several engines of that kind it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The identity of its engine, once that said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) engine: Option<String>,
    /// Labels that it was given where the engine was named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<String, String>,
    /// Where the engine of a node is asked: its address, or that of the agent that leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    /// It is inactive because the cluster says so of its node.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) is_held: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl HostNotes {
    /// Those of the node with this id, whose engine is asked there.
    pub(super) fn of_node(runtime: &str, id: &str, at: &str) -> Self {
        Self {
            runtime: runtime.to_owned(),
            name: Some(name_of_node(id)),
            at: Some(at.to_owned()),
            ..Self::default()
        }
    }

    /// Whether an agent leads to its engine.
    pub(super) fn is_by_agent(&self) -> bool {
        self.at
            .as_deref()
            .is_some_and(|at| at.starts_with(super::tunnels::SCHEME))
    }

    /// Which node of the cluster it is, if it is one.
    pub(crate) fn node(&self) -> Option<&str> {
        node_of(self.name.as_deref()?)
    }

    /// Whether both are of the engine that goes by this kind and this name.
    fn names_what(&self, other: &Self) -> bool {
        (&self.runtime, &self.name) == (&other.runtime, &other.name)
    }
}

/// The notes of a host whose engine says for the first time which it is.
pub(super) fn pinned(host: &Resource, info: &EngineInfo) -> Option<HostNotes> {
    let note: HostNotes = notes(host);
    (note.engine.is_none() && !info.id.is_empty()).then(|| HostNotes {
        engine: Some(info.id.clone()),
        ..note
    })
}

impl Core {
    /// Ties an engine to its host row, which is made on the first start, and fills in what the engine says.
    ///
    /// # Errors
    /// 404 if there is no such project, 409 if the engine is not the one that it was, is another host's, or was another
    /// project's: its host is there, and nothing is asked of the engine.
    pub(crate) async fn attach(&self, new: Attachment) -> Result<ResourceId> {
        let project = match &new.project {
            None => DEFAULT_PROJECT,
            Some(named) => self.project_called(named)?,
        };
        let note = HostNotes {
            runtime: new.runtime.kind().to_owned(),
            name: new.name.clone(),
            labels: new.labels,
            ..HostNotes::default()
        };
        let tied = Tied {
            host: None,
            runtime: new.runtime,
            project,
            note,
            name: new.name,
            agent: None,
        };
        self.tie(tied).await
    }

    /// The same for whatever names an engine.
    ///
    /// # Errors
    /// As [`Self::attach`].
    pub(super) async fn tie(&self, new: Tied) -> Result<ResourceId> {
        let runtime = new.runtime.clone();
        // One that shows no sign of life is not waited for longer: its watch tells when it answers.
        let described = match runtime.ping().await {
            Ok(()) => runtime.describe().await,
            Err(error) => Err(error),
        };
        let info = match described {
            Ok(info) => Some(info),
            Err(error) => {
                log::warn!("the {} engine does not describe itself: {error}", runtime.kind());
                None
            }
        };
        let kind = runtime.kind();
        let known = self.host_named(&new)?;
        if let Some(info) = &info {
            let checked = match &known {
                Some(host) => self.check_identity_of(host.id, info),
                None => check_identity(&self.store.all("host", None)?, None, info),
            };
            if let (Err(_), Some(host)) = (&checked, &known) {
                self.host_changed(host.id, None).await?;
            }
            checked?;
        }
        if known.is_none() {
            check_networks(&self.store.all("host", None)?, &new)?;
        }
        let id = match &known {
            Some(row) if row.account_id != Some(new.project) => {
                return Err(Error::conflict(format!(
                    "host {} runs containers for another project: remove it first, or give this engine another name",
                    row.name
                )));
            }
            Some(row) => {
                self.note_labels(row, &new.note).await?;
                row.id
            }
            None => self.new_host(new, info.as_ref()).await?,
        };
        self.complete(id, kind).await?;
        self.add_runtime(id, runtime);
        self.host_changed(id, info.as_ref()).await?;
        // Services of every host may want it, and work may wait for it.
        self.look(id);
        Ok(id)
    }

    /// The host that an engine is named for, if there is one. Whose row is known is not looked for among thousands.
    fn host_named(&self, new: &Tied) -> Result<Option<Resource>> {
        let is_it = |host: &Resource| host.removed.is_none() && notes::<HostNotes>(host).names_what(&new.note);
        let row = new.host.map(|id| self.store.find(id)).transpose()?.flatten();
        match row.filter(is_it) {
            Some(row) => Ok(Some(row)),
            None => Ok(self.store.all("host", None)?.into_iter().find(is_it)),
        }
    }

    async fn new_host(&self, new: Tied, info: Option<&EngineInfo>) -> Result<ResourceId> {
        let Tied {
            project,
            note,
            name,
            agent,
            ..
        } = new;
        let ty = self.type_of("host")?.clone();
        let info = info.cloned().unwrap_or_default();
        let mut fields = host_fields(Fields::default(), &info)?;
        put_labels(&mut fields, &note.labels)?;
        if let Some(agent) = agent {
            fields.set("agentId", &agent)?;
        }
        let (internal, label) = (write_notes(&note)?, self.type_of("label")?.clone());
        self.write(move |tx| {
            let own = if info.name.is_empty() {
                note.runtime.clone()
            } else {
                info.name
            };
            let mut new = NewResource {
                name: name.unwrap_or(own),
                state: State::ACTIVE,
                internal,
                ..new_row(&ty, Some(project), fields)
            };
            new.kind = host_kind(&note.runtime);
            let row = tx.insert(new)?;
            labels::tie_host(tx, &label, &row)?;
            Ok(row.id)
        })
        .await
    }

    /// Gives a host the labels that its engine is named with now, and takes those back that it was named with before.
    pub(super) async fn note_labels(&self, host: &Resource, note: &HostNotes) -> Result<()> {
        let before: HostNotes = notes(host);
        if before.labels == note.labels {
            return Ok(());
        }
        let (id, label, now) = (host.id, self.type_of("label")?.clone(), note.labels.clone());
        self.write(move |tx| {
            let Some(row) = tx.find(id)?.filter(|row| row.removed.is_none()) else {
                return Ok(());
            };
            let mut fields = Fields::parse(&row.fields)?;
            let mut labels = fields.texts("labels")?;
            labels.retain(|name, value| before.labels.get(name) != Some(value));
            labels.extend(now.clone());
            fields.set("labels", &labels)?;
            let internal = write_notes(&HostNotes {
                labels: now,
                ..notes(&row)
            })?;
            let row = tx.update_if(
                &row,
                &crate::store::Changes {
                    fields: Some(fields),
                    internal: Some(internal),
                    ..Default::default()
                },
            )?;
            labels::tie_host(tx, &label, &row)
        })
        .await
    }

    /// The live project of this id, uuid or name.
    pub(super) fn project_called(&self, named: &str) -> Result<ResourceId> {
        let projects = self.store.all("account", None)?;
        let mut fitting = projects.iter().filter(|row| {
            row.kind == "project"
                && (row.uuid == named || row.name == named || self.wire_id("project", row.id) == named)
        });
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Ok(only.id),
            (None, _) => Err(Error::not_found().with_message(format!("there is no project {named:?}"))),
            (Some(_), Some(_)) => Err(Error::conflict(format!(
                "several projects are called {named:?}: name it by its id"
            ))),
        }
    }

    /// Whether a host was ever tied to an engine of this kind without a name, and is there still.
    pub(crate) fn had_engine(&self, kind: &str) -> Result<bool> {
        let unnamed = HostNotes {
            runtime: kind.to_owned(),
            ..HostNotes::default()
        };
        let hosts = self.store.all("host", None)?;
        Ok(hosts.iter().any(|h| notes::<HostNotes>(h).names_what(&unnamed)))
    }
}

/// The kind of a host by that of its engine. The simulated host of the server itself is no `sim`: those are the hosts of
/// simulated agents.
pub(super) fn host_kind(runtime: &str) -> String {
    match runtime {
        SIM_RUNTIME => "host".into(),
        other => other.to_owned(),
    }
}

fn put_labels(fields: &mut Fields, more: &BTreeMap<String, String>) -> Result<()> {
    let mut labels = fields.texts("labels")?;
    labels.extend(more.clone());
    fields.set("labels", &labels)
}

/// Containers of one project are all on a network of their cluster, or each on one of its engine: from one to the other no way leads.
fn check_networks(hosts: &[Resource], new: &Tied) -> Result<()> {
    let is_other = |row: &&Resource| {
        let note: HostNotes = notes(row);
        row.account_id == Some(new.project)
            && note.runtime == new.note.runtime
            && note.runtime != SIM_RUNTIME
            && note.node().is_some() != new.note.node().is_some()
    };
    match hosts.iter().find(is_other) {
        None => Ok(()),
        Some(other) => Err(Error::conflict(format!(
            "the project has host {}, which is {}a node of the swarm: nodes and other engines are hosts of different projects",
            other.name,
            if new.note.node().is_some() { "not " } else { "" }
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::super::testkit::host;
    use super::*;
    use crate::engine::core::testkit;

    #[tokio::test]
    async fn nodes_and_other_engines_are_hosts_of_different_projects() {
        let (_folder, core) = testkit::empty();
        let of = |row: Resource, project: i64, note: HostNotes| Resource {
            account_id: Some(ResourceId(project)),
            internal: write_notes(&note).unwrap(),
            ..row
        };
        let alone = HostNotes {
            runtime: "docker".into(),
            ..HostNotes::default()
        };
        let node = HostNotes::of_node("docker", "n", "tcp://n");
        let simulated = HostNotes {
            runtime: SIM_RUNTIME.into(),
            ..HostNotes::default()
        };
        let hosts = [
            of(host(&core, None).await, 5, alone.clone()),
            of(host(&core, None).await, 6, node.clone()),
            of(host(&core, None).await, 7, simulated),
        ];
        let check = |project: i64, note: &HostNotes| {
            let tied = Tied {
                host: None,
                runtime: std::sync::Arc::new(crate::runtime::sim::Sim::new(core.clock.clone())),
                project: ResourceId(project),
                note: note.clone(),
                name: None,
                agent: None,
            };
            check_networks(&hosts, &tied).map_err(|error| error.external.unwrap_or_default())
        };
        assert_eq!((check(5, &alone), check(6, &node)), (Ok(()), Ok(())));
        assert_eq!((check(7, &alone), check(7, &node)), (Ok(()), Ok(())));
        assert!(check(5, &node).is_err_and(|why| why.contains("which is not a node of the swarm")));
        assert!(check(6, &alone).is_err_and(|why| why.contains("which is a node of the swarm")));
    }
}
