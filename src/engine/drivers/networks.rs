//! Drivers of networks: the networks and subnets that one makes.

use super::{Object, insert_activating, stored};
use crate::engine::core::{
    Core, Outcome, fenced, insert_and_start, is_project, new_row, notes, retire_part, write_notes,
};
use crate::model::{Fields, Resource, ResourceId, Result, State};
use crate::store::{Changes, NewResource, Process, Tx};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// A network that a driver configures by CNI.
const CNI: &str = "cni";

/// What an address without a length has (cattle: `SubnetCreate`).
const DEFAULT_PREFIX: u8 = 24;

/// The containers on networks of a service's driver; its own do not count.
pub(super) fn instances_on(tx: &mut Tx<'_>, service: &Resource) -> Result<Vec<ResourceId>> {
    let mut found = std::collections::BTreeSet::new();
    for driver in tx.children(service.id, "networkDriver")? {
        for network in tx.children(driver.id, "network")? {
            for field in ["primaryNetworkId", "networkIds"] {
                let referrers = tx.referrers(network.id, field)?;
                let rows = tx.many(&referrers)?;
                let is_other = |row: &&Resource| {
                    row.root == "instance" && row.removed.is_none() && row.parent_id != Some(service.id)
                };
                found.extend(rows.iter().filter(is_other).map(|row| row.id));
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// The network that a project's managed containers are on: the first one that a driver made, else managed networking itself.
fn default_network(tx: &mut Tx<'_>, account: Option<ResourceId>) -> Result<Option<ResourceId>> {
    let mut own = None;
    for network in tx
        .all("network", account)?
        .iter()
        .filter(|network| network.state == State::ACTIVE)
    {
        if Fields::parse(&network.fields)?.text("networkDriverId").is_some() {
            return Ok(Some(network.id));
        }
        if own.is_none() && network.kind == "network" {
            own = Some(network.id);
        }
    }
    Ok(own)
}

/// The network of a project's containers that are in this mode.
pub(crate) fn network_of_mode(
    tx: &mut Tx<'_>,
    account: Option<ResourceId>,
    mode: Option<&str>,
) -> Result<Option<ResourceId>> {
    let kind = match mode {
        Some("managed") => return default_network(tx, account),
        Some("host") => "dockerHost",
        Some("none") => "dockerNone",
        Some("bridge") => "dockerBridge",
        Some("container") => "dockerContainer",
        _ => return Ok(None),
    };
    let networks = tx.all("network", account)?;
    Ok(networks
        .iter()
        .find(|n| n.state == State::ACTIVE && n.kind == kind)
        .map(|n| n.id))
}

/// The first network of a driver is its project's own, unless the project has one.
fn make_default(tx: &mut Tx<'_>, account: Option<ResourceId>, network: &Resource, wire: &str) -> Result<()> {
    let Some(project) = account.map(|id| tx.find(id)).transpose()?.flatten() else {
        return Ok(());
    };
    if !is_project(&project) || Fields::parse(&project.fields)?.text("defaultNetworkId").is_some() {
        return Ok(());
    }
    let mut patch = Fields::default();
    patch.set("defaultNetworkId", wire)?;
    tx.update_if(
        &project,
        &Changes {
            patch,
            ..Changes::default()
        },
    )?;
    tx.insert_ref(project.id, "defaultNetworkId", network.id)
}

impl Core {
    /// `networkDriver.activate`: its default network is made, unless it has one (cattle: `NetworkdriverActivate`).
    pub(crate) async fn activate_network_driver(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let ty = self.type_of("network")?.clone();
        let driver = self.wire_id("networkDriver", row.id);
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(());
            };
            let own = Fields::parse(&row.fields)?;
            let wanted: Object = own.read("defaultNetwork")?.unwrap_or_default();
            let is_empty = wanted.iter().all(|(key, value)| key == "type" || value.is_null());
            if is_empty || !tx.children(row.id, "network")?.is_empty() {
                return Ok(());
            }
            let mut fields = stored(&ty, &wanted)?;
            fields.set("networkDriverId", &driver)?;
            let text = |key: &str| wanted.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
            let has_cni = own
                .read::<Object>("cniConfig")?
                .is_some_and(|config| !config.is_empty());
            let kind = if has_cni { CNI } else { text("kind").unwrap_or(&ty.id) };
            let name = text("name").unwrap_or_default().to_owned();
            let new = NewResource {
                parent_id: Some(row.id),
                kind: kind.to_owned(),
                name,
                ..new_row(&ty, row.account_id, fields)
            };
            let account = new.account_id;
            let network = insert_and_start(tx, ty.machine.as_deref(), new)?;
            make_default(tx, account, &network, &format!("{}{}", ty.prefix, network.id))
        })
        .await?;
        Ok(Outcome::done())
    }

    /// `network.create`: each of its subnets becomes a row, and what its driver says of it is added (cattle: `NetworkCreate`).
    pub(crate) async fn create_network(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let ty = self.type_of("subnet")?.clone();
        let network = self.wire_id("network", row.id);
        let (process_id, row_id) = (process.id, row.id);
        let changes = self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(Changes::default());
            };
            let own = Fields::parse(&row.fields)?;
            let known: Vec<usize> = tx
                .children(row.id, "subnet")?
                .iter()
                .map(|subnet| notes::<SubnetNotes>(subnet).nth)
                .collect();
            let wanted: Vec<Object> = own.read("subnets")?.unwrap_or_default();
            for (nth, wanted) in wanted.iter().enumerate().filter(|(nth, _)| !known.contains(nth)) {
                let mut fields = stored(&ty, wanted)?;
                complete(&mut fields)?;
                fields.set("networkId", &network)?;
                let name = wanted
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                let internal = write_notes(&SubnetNotes { nth })?;
                let new = NewResource {
                    parent_id: Some(row.id),
                    name,
                    internal,
                    ..new_row(&ty, row.account_id, fields)
                };
                insert_activating(tx, new)?;
            }
            let Some(driver) = row.parent_id.map(|id| tx.find(id)).transpose()?.flatten() else {
                return Ok(Changes::default());
            };
            let driver = Fields::parse(&driver.fields)?;
            let mut metadata: Object = own.read("metadata")?.unwrap_or_default();
            metadata.extend(driver.read::<Object>("networkMetadata")?.unwrap_or_default());
            metadata.insert(
                "cniConfig".into(),
                json!(driver.read::<Object>("cniConfig")?.unwrap_or_default()),
            );
            let mut patch = Fields::default();
            patch.set("metadata", &metadata)?;
            Ok(Changes {
                patch,
                ..Changes::default()
            })
        });
        Ok(Outcome::Done(Box::new(changes.await?)))
    }

    /// `networkDriver.remove`: its networks and their subnets go at once.
    pub(crate) async fn remove_network_driver(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let (process_id, row_id, keep) = (process.id, row.id, self.keep_removed());
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(());
            };
            for network in tx.children(row.id, "network")? {
                for subnet in tx.children(network.id, "subnet")? {
                    retire_part(tx, subnet.id, keep)?;
                }
                retire_part(tx, network.id, keep)?;
            }
            Ok(())
        })
        .await?;
        Ok(Outcome::done())
    }
}

/// Which of its network's subnets a row is.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct SubnetNotes {
    nth: usize,
}

/// Splits an address from its length, and fills in the gateway, the first and the last address (cattle: `SubnetCreate`, `NetUtils`).
fn complete(fields: &mut Fields) -> Result<()> {
    let text = fields.text("networkAddress").unwrap_or_default();
    let mut prefix: u8 = fields.read("cidrSize")?.unwrap_or(DEFAULT_PREFIX);
    let address = match text.split_once('/') {
        Some((address, length)) => {
            prefix = length.trim().parse().unwrap_or(DEFAULT_PREFIX);
            address
        }
        None => text.as_str(),
    };
    fields.set("networkAddress", address)?;
    fields.set("cidrSize", &prefix)?;
    let Some(base) = address
        .parse::<Ipv4Addr>()
        .ok()
        .filter(|_| (1..=30).contains(&prefix))
        .map(u32::from)
    else {
        return Ok(());
    };
    let size = 1_u32 << (32 - prefix);
    let base = base & !(size - 1);
    for (field, offset) in [
        ("gateway", 1),
        ("startAddress", 2),
        ("endAddress", size.saturating_sub(6)),
    ] {
        if fields.text(field).is_none() {
            fields.set(field, &Ipv4Addr::from(base.saturating_add(offset)).to_string())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn subnets_are_completed_as_the_original_did() {
        for (address, given, expected) in [
            (
                "1.1.1.1/8",
                Some(24),
                json!(["1.1.1.1", 8, "1.0.0.1", "1.0.0.2", "1.255.255.250"]),
            ),
            (
                "192.168.0.0",
                None,
                json!(["192.168.0.0", 24, "192.168.0.1", "192.168.0.2", "192.168.0.250"]),
            ),
            (
                "10.42.0.0/16",
                None,
                json!(["10.42.0.0", 16, "10.42.0.1", "10.42.0.2", "10.42.255.250"]),
            ),
            (
                "10.42.0.0/x",
                None,
                json!(["10.42.0.0", 24, "10.42.0.1", "10.42.0.2", "10.42.0.250"]),
            ),
            ("nowhere", None, json!(["nowhere", 24, null, null, null])),
            ("1.2.3.4/99", None, json!(["1.2.3.4", 99, null, null, null])),
        ] {
            let mut fields = Fields::default();
            fields.set("networkAddress", address).expect("text");
            fields.set("cidrSize", &given).expect("a number");
            complete(&mut fields).expect("completed");
            let value = |name: &str| fields.read::<Value>(name).expect("JSON").unwrap_or_default();
            let found = json!(["networkAddress", "cidrSize", "gateway", "startAddress", "endAddress"].map(value));
            assert_eq!(found, expected, "{address}");
        }
    }
}
