//! Hosts: one row per engine that containers run on.

use serde::Deserialize;

use crate::engine::core::{Core, is_sim, new_row, notes, request, write_notes};
use crate::engine::instances::InstanceNotes;
use crate::engine::webhooks::{Event, Telling, tell};
use crate::engine::{drivers, labels};
use crate::model::launch::parse_reference;
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::runtime::{EngineInfo, Found, Life};
use crate::schema::{Machine, Type};
use crate::store::{Changes, NewResource, Tx};

use super::added::url_of;
use super::agents;
use super::attaching::pinned;
use super::host_rows::{host_fields, note_address, set_capacity};

/// The data of a deactivation that a removal follows.
pub(crate) const REMOVE: &str = r#"{"remove":true}"#;

/// What an active host shows instead: that its engine does not answer, or that its agent comes and goes.
pub(crate) fn agent_state(row: &Resource) -> Option<&'static str> {
    let state = Fields::parse(&row.fields).ok()?.text("agentState")?;
    let mut shown = agents::SHOWN_BY_HOSTS.iter().map(|shown| shown.as_str());
    shown.find(|shown| *shown == state)
}

impl Core {
    /// Writes whether an engine answers, and what it says about itself.
    pub(crate) async fn host_changed(&self, id: ResourceId, info: Option<&EngineInfo>) -> Result<()> {
        let said = info
            .map(|info| Ok::<_, Error>((info.clone(), self.address_of(info)?)))
            .transpose()?;
        let (label, telling) = (self.type_of("label")?.clone(), self.telling()?);
        let is_moved = self.write(move |tx| {
            let Some(row) = tx.find(id)?.filter(|row| row.removed.is_none()) else {
                return Ok(false);
            };
            let mut fields = Fields::parse(&row.fields)?;
            let pinned = said
                .as_ref()
                .and_then(|(info, _)| pinned(&row, info))
                .map(|note| write_notes(&note));
            // Whether a host answers that is simulated for an agent is for the pings to say.
            let has_agent = fields.text("agentId").is_some() && is_sim(&row);
            let before = fields.text("agentIpAddress");
            match &said {
                Some((info, _)) if has_agent => {
                    let hostname = fields.text("hostname");
                    fields = host_fields(fields, info)?;
                    fields.set("hostname", &hostname)?;
                }
                Some((info, address)) => {
                    fields = host_fields(fields, info)?;
                    fields.set("agentState", &None::<String>)?;
                    if !is_sim(&row) {
                        set_capacity(&mut fields, info)?;
                    }
                    if let Some(address) = address {
                        fields.set("agentIpAddress", address)?;
                        note_address(tx, &row, address)?;
                    }
                }
                None if has_agent => {}
                None => fields.set("agentState", "disconnected")?,
            }
            if pinned.is_none() && fields == Fields::parse(&row.fields)? {
                return Ok(false);
            }
            let is_moved = fields.text("agentIpAddress") != before;
            let was = agent_state(&row);
            let changes = Changes {
                fields: Some(fields),
                internal: pinned.transpose()?,
                ..Changes::default()
            };
            let row = tx.update_if(&row, &changes)?;
            labels::tie_host(tx, &label, &row)?;
            tell_state(tx, &telling, &row, was)?;
            Ok(is_moved)
        });
        if is_moved.await? {
            // What is published there is reached by another address now.
            self.look(id);
        }
        Ok(())
    }

    /// What this machine's own simulator is to remember of an earlier life of this server.
    pub(crate) fn simulated_containers(&self) -> Result<Vec<Found>> {
        let mut hosts = self.store.all("host", None)?;
        // What others remember would be strange to it, and taken for left over as soon as its row is gone.
        let is_its = |host: &Resource| agent_of(host).is_none() && url_of(host).is_none();
        hosts.retain(|host| is_sim(host) && is_its(host));
        self.simulated_on(&hosts)
    }

    /// The containers of simulated hosts as their rows have them.
    pub(crate) fn simulated_on(&self, hosts: &[Resource]) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for host in hosts {
            for row in self.store.rows_on(host.id, "instance")? {
                let note: InstanceNotes = notes(&row);
                let made: Made = serde_json::from_str(&row.fields).unwrap_or_default();
                let Some(external_id) = made.external_id.filter(|_| note.is_made) else {
                    continue;
                };
                let life = match row.state {
                    State::RUNNING | State::UPDATING_RUNNING | State::STOPPING | State::RESTARTING => Life::Running,
                    _ if note.ran => Life::Exited,
                    _ => Life::Created,
                };
                found.push(Found {
                    uuid: row.uuid,
                    external_id,
                    name: note.docker_name,
                    life,
                    is_paused: false,
                    ip: note.ip,
                    mac: note.mac,
                    ports: Vec::new(),
                    exit_code: None,
                    started_at: note.started_at,
                    mounts: Vec::new(),
                    exposed: Vec::new(),
                    native: None,
                });
            }
        }
        Ok(found)
    }
}

/// What the row of a container says of the one that was made for it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Made {
    external_id: Option<String>,
}

/// Tells whoever wants to know that a host went away, or that it is back. `was` is what it showed before.
pub(super) fn tell_state(tx: &mut Tx<'_>, telling: &Telling, host: &Resource, was: Option<&str>) -> Result<()> {
    let is_away = |shown: Option<&str>| shown == Some(State::DISCONNECTED.as_str());
    let name = match (is_away(was), is_away(agent_state(host))) {
        (false, true) => "host.down",
        (true, false) => "host.up",
        _ => return Ok(()),
    };
    let Some(project) = host.account_id else { return Ok(()) };
    let hostname = Fields::parse(&host.fields)?.text("hostname");
    let called = hostname
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| host.name.clone());
    let event = Event {
        name,
        project,
        subject: host.id,
        data: [("name".to_owned(), called.into())].into_iter().collect(),
    };
    tell(tx, telling, &event)
}

/// The agent that speaks for a host.
pub(crate) fn agent_of(host: &Resource) -> Option<ResourceId> {
    Fields::parse(&host.fields)
        .ok()?
        .text("agentId")
        .and_then(|wire| parse_reference(&wire))
}

/// How long a process waits for containers before it counts them again.
pub(super) const LEAVING_WAIT: std::time::Duration = std::time::Duration::from_millis(500);

/// What belongs to one host alone: its pools, its addresses, its machine. A pool that other hosts have too stays.
pub(super) fn parts(tx: &mut Tx<'_>, host: &Resource) -> Result<Vec<Resource>> {
    let mut ids = tx.referrers(host.id, "hostId")?;
    for pool in tx.referrers(host.id, "hostIds")? {
        let is_shared = tx.find(pool)?.is_some_and(|pool| drivers::is_of_driver(&pool));
        if !is_shared && tx.referenced(pool, "hostIds")?.len() == 1 {
            ids.push(pool);
        }
    }
    ids.extend(tx.referenced(host.id, "physicalHostId")?);
    let mut rows = tx.many(&ids)?;
    rows.retain(|row| {
        row.removed.is_none() && matches!(row.root.as_str(), "storagePool" | "ipAddress" | "physicalHost")
    });
    Ok(rows)
}

/// A pool of storage that a host has.
pub(crate) fn insert_pool(
    tx: &mut Tx<'_>,
    ty: &Type,
    host: &Resource,
    host_wire: &str,
    kind: &str,
    name: &str,
) -> Result<Resource> {
    let mut fields = Fields::default();
    fields.set("hostIds", &[host_wire])?;
    fields.set("driverName", kind)?;
    let new = NewResource {
        kind: kind.into(),
        name: name.to_owned(),
        state: State::ACTIVE,
        ..new_row(ty, host.account_id, fields)
    };
    tx.insert(new)
}

/// An address that a host is reached by.
pub(crate) fn insert_address(
    tx: &mut Tx<'_>,
    ty: &Type,
    host: &Resource,
    host_wire: &str,
    address: &str,
) -> Result<Resource> {
    let mut fields = Fields::default();
    fields.set("address", address)?;
    fields.set("hostId", host_wire)?;
    tx.insert(NewResource {
        state: State::ACTIVE,
        ..new_row(ty, host.account_id, fields)
    })
}

/// Asks a host to go, whatever it does now.
pub(crate) fn ask_to_remove(tx: &mut Tx<'_>, machine: &Machine, host: &Resource) -> Result<()> {
    if machine.start("remove", host.state).is_some() {
        request(tx, machine, host, "remove", "{}", Changes::default())?;
    } else if machine.start("deactivate", host.state).is_some() {
        request(tx, machine, host, "deactivate", REMOVE, Changes::default())?;
    } else if host.state == State::DEACTIVATING {
        for open in tx.open_processes_of(host.id)? {
            tx.set_process_data(open.id, REMOVE)?;
        }
        tx.wake_processes_of(host)?;
    }
    Ok(())
}
