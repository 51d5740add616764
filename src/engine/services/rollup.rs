//! What follows from containers: health, scale and endpoints of services, health of stacks.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::engine::core::{Core, Key, is_active_like, request};
use crate::model::{Fields, Resource, ResourceId, Result};
use crate::plan;
use crate::store::{Changes, Wake};

use super::snapshot::Picture;

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
        let Some(picture) = self.picture(row.id)? else {
            return Ok(());
        };
        if is_active_like(&row.state) {
            self.follow_container_selector(&picture).await?;
        }
        self.roll_up(&picture).await?;
        // Background triggers act on an active service only: all other states have a worker, or are left alone.
        if row.state == "active" && self.needs_reconcile(&picture) {
            let machine = self.machine_of(&row.kind)?.clone();
            let id = row.id;
            self.write(move |tx| {
                if let Some(row) = tx.find(id)?.filter(|r| r.state == "active") {
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
        let services = self.store.children(row.id, "service")?;
        let there = services.iter().filter(|s| s.state != "removing");
        let health = plan::stack_health(there.map(|s| (is_active_like(&s.state), s.health.as_str())));
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

    /// Writes a service's health, scale and endpoints where they changed, and wakes its stack.
    pub(crate) async fn roll_up(&self, picture: &Picture) -> Result<()> {
        let now = self.now();
        let health = picture.health(now);
        if let Some(at) = picture.steady_at(now) {
            self.queue.push(Key::Look(picture.service.id), at);
        }
        let scale = picture.current_scale();
        let endpoints = self.public_endpoints(picture)?;
        let stored = picture.fields.public_endpoints.as_ref().map_or("null", |e| e.get());
        let same_endpoints = stored == endpoints || stored == "null" && endpoints == "[]";
        if picture.service.health == health && picture.fields.current_scale == Some(scale) && same_endpoints {
            return Ok(());
        }
        let (id, stack) = (picture.service.id, picture.stack.id);
        self.write(move |tx| {
            let Some(row) = tx.find(id)?.filter(|r| r.removed.is_none()) else {
                return Ok(());
            };
            let mut fields = Fields::parse(&row.fields)?;
            fields.set("currentScale", &scale)?;
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
        .await
    }

    /// Where the service can be reached from outside: the active ports of its running containers.
    fn public_endpoints(&self, picture: &Picture) -> Result<String> {
        let publishes = picture.configs.iter().any(|c| {
            c.launch.ports.as_ref().is_some_and(|p| !p.is_empty()) || c.launch.publish_all_ports == Some(true)
        });
        if !publishes {
            return Ok("[]".into());
        }
        let mut endpoints = BTreeSet::new();
        for instance in picture.instances.iter().filter(|i| i.state == "running") {
            for port in self
                .store
                .children(instance.id, "port")?
                .into_iter()
                .filter(|p| p.state == "active")
            {
                let fields = Fields::parse(&port.fields)?;
                let Some(public) = fields.read::<u16>("publicPort")? else {
                    continue;
                };
                let address = match fields.text("bindAddress").filter(|b| !b.is_empty()) {
                    Some(bound) => bound,
                    None => self.host_address(instance.host_id)?,
                };
                endpoints.insert((address, public, instance.id, instance.host_id));
            }
        }
        let service = self.wire_id("service", picture.service.id);
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

    /// The address of a host as its users reach it; the local engine's is this machine's own.
    fn host_address(&self, host: Option<ResourceId>) -> Result<String> {
        let row = host.map(|h| self.store.find(h)).transpose()?.flatten();
        let address = row
            .map(|r| Fields::parse(&r.fields))
            .transpose()?
            .and_then(|f| f.text("agentIpAddress"));
        Ok(address.unwrap_or_else(|| "127.0.0.1".into()))
    }
}
