//! What follows from containers: health, scale and endpoints of services, health of stacks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::engine::core::{Core, Key, is_active_like, request};
use crate::model::{Fields, Resource, ResourceId, Result, State};
use crate::plan;
use crate::store::{Changes, Wake};

use super::snapshot::ServiceSnapshot;

/// Where an engine is reached whose address is not known: it is this machine's own.
const OWN_ADDRESS: &str = "127.0.0.1";

/// Whether a stack was made for services that are gone.
fn goes_when_empty(row: &Resource) -> Result<bool> {
    Ok(Fields::parse(&row.fields)?.text("whenEmpty").as_deref() == Some("go"))
}

impl Core {
    pub(crate) async fn look_at_service(&self, row: &Resource) -> Result<()> {
        if row.removed.is_some() {
            if let Some(stack) = row.parent_id {
                self.look(stack);
            }
            return Ok(());
        }
        let open = self.store.open_processes_of(row.id)?;
        if !open.is_empty() {
            // Its process rolls up by itself.
            for process in open {
                self.queue.push(Key::Process(process.id), self.now());
            }
            return Ok(());
        }
        self.follow_mesh(row.id, None).await?;
        self.follow_whole(row).await?;
        let Some(snapshot) = self.snapshot(row.id)? else {
            return Ok(());
        };
        if is_active_like(row.state) {
            self.follow_container_selector(&snapshot).await?;
        }
        self.roll_up(&snapshot).await?;
        if row.state == State::ACTIVE {
            self.follow_schedule(&snapshot).await?;
        }
        // Background triggers act on an active service only: all other states have a worker, or are left alone.
        if row.state == State::ACTIVE && !self.needs_reconcile(&snapshot) {
            self.release_surplus_units(&snapshot).await?;
        } else if row.state == State::ACTIVE {
            let machine = self.machine_of(&row.kind)?.clone();
            let id = row.id;
            self.write(move |tx| {
                if let Some(row) = tx.find(id)?.filter(|r| r.state == State::ACTIVE) {
                    request(tx, &machine, &row, "update", "{}", Changes::default())?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    pub(crate) async fn look_at_stack(&self, row: &Resource) -> Result<()> {
        for process in self.store.open_processes_of(row.id)? {
            self.queue.push(Key::Process(process.id), self.now());
        }
        if row.removed.is_some() {
            return Ok(());
        }
        let services = self.store.states_of_children(row.id, "service")?;
        if services.is_empty() && goes_when_empty(row)? {
            return self.let_go(row).await;
        }
        let there = services.iter().filter(|(state, _)| *state != State::REMOVING);
        let health = plan::stack_health(there.map(|(state, health)| (is_active_like(*state), health.as_str())));
        if row.health == health {
            return Ok(());
        }
        let id = row.id;
        self.write(move |tx| {
            if let Some(row) = tx.find(id)?.filter(|r| r.health != health) {
                tx.update_if(
                    &row,
                    &Changes {
                        health: Some(health.into()),
                        ..Changes::default()
                    },
                )?;
            }
            Ok(())
        })
        .await
    }

    /// Removes a stack that was made for services which are gone, unless one came meanwhile.
    async fn let_go(&self, row: &Resource) -> Result<()> {
        let (id, machine) = (row.id, self.machine_of_row(row)?.clone());
        self.write(move |tx| {
            let Some(row) = tx.find(id)? else {
                return Ok(());
            };
            let can_go = machine.start("remove", row.state).is_some() && goes_when_empty(&row)?;
            if can_go && tx.children(id, "service")?.is_empty() {
                request(tx, &machine, &row, "remove", "{}", Changes::default())?;
            }
            Ok(())
        })
        .await
    }

    /// Writes a service's health, scale and endpoints where they changed, and wakes its stack.
    pub(crate) async fn roll_up(&self, snapshot: &ServiceSnapshot) -> Result<()> {
        let now = self.now();
        let health = snapshot.health(now);
        if let Some(at) = snapshot.steady_at(now) {
            self.queue.push(Key::Look(snapshot.service.id), at);
        }
        // What was never activated has no scale yet.
        let has_scale = snapshot.fields.current_scale.is_some()
            || matches!(snapshot.service.state.as_str(), "activating" | "updating-active");
        // What goes keeps the scale that it had.
        let scale = match snapshot.service.state == State::REMOVING {
            true => snapshot.fields.current_scale,
            false => has_scale.then(|| snapshot.current_scale()),
        };
        let endpoints = self.public_endpoints(snapshot)?;
        let stored = snapshot.fields.public_endpoints.as_ref().map_or("null", |e| e.get());
        let same_endpoints = stored == endpoints || stored == "null" && endpoints == "[]";
        if snapshot.service.health == health && snapshot.fields.current_scale == scale && same_endpoints {
            return Ok(());
        }
        let (id, stack) = (snapshot.service.id, snapshot.stack.id);
        self.write(move |tx| {
            let Some(row) = tx.find(id)?.filter(|r| r.removed.is_none()) else {
                return Ok(());
            };
            let mut fields = Fields::parse(&row.fields)?;
            if has_scale {
                fields.set("currentScale", &scale)?;
            }
            if !same_endpoints {
                let endpoints: Value = serde_json::from_str(&endpoints).unwrap_or(Value::Null);
                fields.set("publicEndpoints", &endpoints)?;
            }
            let changes = Changes {
                health: Some(health.into()),
                fields: Some(fields),
                ..Changes::default()
            };
            tx.update_if(&row, &changes)?;
            tx.wake(Wake::Resource(stack));
            Ok(())
        })
        .await?;
        self.wake_waiting(id);
        Ok(())
    }

    /// Where the service can be reached from outside: the active ports of its running containers.
    fn public_endpoints(&self, snapshot: &ServiceSnapshot) -> Result<String> {
        let publishes = snapshot.configs.iter().any(|c| {
            c.launch.ports.as_ref().is_some_and(|p| !p.is_empty()) || c.launch.publish_all_ports == Some(true)
        });
        if !publishes {
            return Ok("[]".into());
        }
        let running: BTreeMap<ResourceId, Option<ResourceId>> = snapshot
            .instances
            .iter()
            .filter(|i| i.state == State::RUNNING)
            .map(|i| (i.id, i.host_id))
            .collect();
        let ids = self
            .store
            .child_ids(&running.keys().copied().collect::<Vec<_>>(), "port")?;
        let mut ports = self
            .store
            .many(&ids.into_iter().map(|(_, port)| port).collect::<Vec<_>>())?;
        ports.retain(|port| port.state == State::ACTIVE);
        let hosts: BTreeSet<ResourceId> = running.values().flatten().copied().collect();
        let addresses = self.host_addresses(hosts)?;
        let mut endpoints = BTreeSet::new();
        for port in ports {
            let fields = Fields::parse(&port.fields)?;
            let (Some(public), Some(instance)) = (fields.read::<u16>("publicPort")?, port.parent_id) else {
                continue;
            };
            let host = running.get(&instance).copied().flatten();
            let bound = fields.text("bindAddress").filter(|b| !b.is_empty());
            let own = || host.and_then(|host| addresses.get(&host).cloned());
            let address = bound.or_else(own).unwrap_or_else(|| OWN_ADDRESS.to_owned());
            endpoints.insert((address, public, instance, host));
        }
        let service = self.wire_id("service", snapshot.service.id);
        let list: Vec<Value> = endpoints
            .into_iter()
            .map(|(address, port, instance, host)| {
                json!({
                    "type": "publicEndpoint",
                    "hostId": host.map(|h| self.wire_id("host", h)),
                    "instanceId": self.wire_id("container", instance),
                    "ipAddress": address,
                    "port": port,
                    "serviceId": service,
                })
            })
            .collect();
        Ok(Value::Array(list).to_string())
    }

    /// The addresses of hosts as their users reach them, as far as they are known. One query, however many.
    fn host_addresses(&self, hosts: BTreeSet<ResourceId>) -> Result<BTreeMap<ResourceId, String>> {
        let mut addresses = BTreeMap::new();
        for row in self.store.many(&hosts.into_iter().collect::<Vec<_>>())? {
            if let Some(address) = Fields::parse(&row.fields)?.text("agentIpAddress") {
                addresses.insert(row.id, address);
            }
        }
        Ok(addresses)
    }
}
