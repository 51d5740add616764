//! The port and address rows of a container: active while it runs.

use std::collections::BTreeSet;

use crate::engine::core::{Core, fenced, new_row, notes};
use crate::model::{Fields, Resource, ResourceId, Result, State};
use crate::runtime::Found;
use crate::schema::render::wire_id;
use crate::store::{Changes, NewResource, Process, Tx};

use super::container_rows::{IMAGE_PORT, InstanceNotes, InstanceTypes};

impl Core {
    /// Writes where the ports of a container that started were bound, and its address.
    pub(super) async fn note_ports_and_address(
        &self,
        process: &Process,
        row: &Resource,
        found: &Found,
        address: Option<String>,
    ) -> Result<()> {
        let ports = self.store.children(row.id, "port")?;
        let has_address = !self.store.children(row.id, "ipAddress")?.is_empty();
        let is_other_mac = found.mac.is_some() && notes::<InstanceNotes>(row).mac != found.mac;
        if ports.is_empty() && found.exposed.is_empty() && (has_address || address.is_none()) && !is_other_mac {
            return Ok(());
        }
        let types = self.instance_types()?;
        let ip_type = self.type_of("ipAddress")?.clone();
        let public = row.host_id.map(|host| self.address_row_of(host)).transpose()?.flatten();
        let (process_id, row_id, found) = (process.id, row.id, found.clone());
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(());
            };
            if let Some(address) = address.filter(|_| !has_address) {
                let mut fields = Fields::default();
                fields.set("address", &address)?;
                tx.insert(NewResource {
                    parent_id: Some(row.id),
                    state: State::ACTIVE,
                    ..new_row(&ip_type, row.account_id, fields)
                })?;
            }
            note_hardware_address(tx, row.id, found.mac.as_deref())?;
            // Where a port is, and what it leads to.
            let private = tx.children(row.id, "ipAddress")?.first().map(|row| row.id);
            let ends = [("publicIpAddressId", public), ("privateIpAddressId", private)];
            for port in tx.children(row.id, "port")? {
                let mut fields = Fields::parse(&port.fields)?;
                let private: Option<u16> = fields.read("privatePort")?;
                let protocol = fields.text("protocol");
                let wanted: Option<u16> = fields.read("publicPort")?;
                let bound = found
                    .ports
                    .iter()
                    .find(|b| {
                        Some(b.private) == private
                            && protocol.as_deref() == Some(b.protocol.as_str())
                            && wanted.is_none_or(|w| w == b.public)
                    })
                    .or_else(|| {
                        found
                            .ports
                            .iter()
                            .find(|b| Some(b.private) == private && protocol.as_deref() == Some(b.protocol.as_str()))
                    });
                if let Some(bound) = bound {
                    fields.set("publicPort", &bound.public)?;
                }
                for (name, address) in ends.iter().filter_map(|(name, id)| Some((*name, (*id)?))) {
                    fields.set(name, &wire_id(&ip_type.prefix, address))?;
                    tx.delete_refs(port.id, name)?;
                    tx.insert_ref(port.id, name, address)?;
                }
                tx.update_if(
                    &port,
                    &Changes {
                        state: Some(State::ACTIVE),
                        fields: Some(fields),
                        host_id: Some(row.host_id),
                        ..Changes::default()
                    },
                )?;
            }
            insert_image_ports(tx, &types, &row, &found)?;
            Ok(())
        })
        .await
    }

    /// The row of the address that a host is reached by.
    fn address_row_of(&self, host: ResourceId) -> Result<Option<ResourceId>> {
        let own = self.store.referrers(host, "hostId")?;
        let is_address = |row: &Resource| row.root == "ipAddress" && row.removed.is_none();
        Ok(self.store.many(&own)?.into_iter().find(is_address).map(|row| row.id))
    }

    /// The ports of a container that stopped are bound no more.
    pub(super) async fn note_ports_down(&self, row: &Resource) -> Result<()> {
        if self.store.children(row.id, "port")?.is_empty() {
            return Ok(());
        }
        let id = row.id;
        self.write(move |tx| {
            for port in tx.children(id, "port")? {
                if port.state == State::ACTIVE {
                    tx.update_if(
                        &port,
                        &Changes {
                            state: Some(State::INACTIVE),
                            ..Changes::default()
                        },
                    )?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// The port rows of what a container listens on that nobody asked for: its image says so.
fn insert_image_ports(tx: &mut Tx<'_>, types: &InstanceTypes, row: &Resource, found: &Found) -> Result<()> {
    let mut known = BTreeSet::new();
    for port in tx.children(row.id, "port")? {
        let fields = Fields::parse(&port.fields)?;
        known.insert((fields.read::<u16>("privatePort")?, fields.text("protocol")));
    }
    for (private, protocol) in &found.exposed {
        if !known.insert((Some(*private), Some(protocol.clone()))) {
            continue;
        }
        let bound = found
            .ports
            .iter()
            .find(|b| b.private == *private && b.protocol == *protocol);
        let mut fields = Fields::default();
        fields.set("publicPort", &bound.map(|b| b.public))?;
        fields.set("privatePort", private)?;
        fields.set("protocol", protocol)?;
        fields.set("instanceId", &wire_id(&types.instance_prefix, row.id))?;
        tx.insert(NewResource {
            parent_id: Some(row.id),
            host_id: row.host_id,
            state: State::ACTIVE,
            kind: IMAGE_PORT.into(),
            ..new_row(&types.port, row.account_id, fields)
        })?;
    }
    Ok(())
}

/// Writes the hardware address of a container that started into the row of its way to the network.
fn note_hardware_address(tx: &mut Tx<'_>, container: ResourceId, mac: Option<&str>) -> Result<()> {
    let Some(mac) = mac else { return Ok(()) };
    for nic in tx.children(container, "nic")? {
        if Fields::parse(&nic.fields)?.text("macAddress").as_deref() != Some(mac) {
            let mut patch = Fields::default();
            patch.set("macAddress", &mac)?;
            let changes = Changes {
                patch,
                ..Changes::default()
            };
            tx.update_if(&nic, &changes)?;
        }
    }
    Ok(())
}
