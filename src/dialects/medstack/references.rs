//! The rows that a service may name, read before it is translated.

use std::collections::HashMap;

use super::caller::{Caller, Deed, fields, hostname};
use super::ids::Ids;
use super::nodes;
use super::placement::{Hosts, MANAGER};
use super::project::Others;
use super::refusal::Outcome;
use super::synth::SecretNames;
use crate::model::own_labels::HOST;
use crate::model::{Resource, ResourceId};

/// See the head of this file.
pub struct Named {
    ids: std::sync::Arc<Ids>,
    /// Name and id here, and the id that references have.
    secrets: Vec<(String, ResourceId, String)>,
    configs: Vec<(String, ResourceId)>,
    volumes: Vec<(String, ResourceId)>,
    /// With the ids that rules have.
    hosts: Vec<(ResourceId, String)>,
    manager: String,
    simulates: bool,
}

impl Named {
    /// Reads them.
    pub async fn read(caller: &Caller) -> Outcome<Self> {
        let secrets = caller.lasting("secret").await?;
        let hosts = caller.lasting("host").await?;
        let name_of = |row: &Resource| (row.name.clone(), row.id);
        let wire = |row: &Resource| caller.engine.wire_id(row);
        Ok(Self {
            ids: caller.ids.clone(),
            secrets: secrets
                .iter()
                .map(|row| (row.name.clone(), row.id, wire(row)))
                .collect(),
            configs: caller.lasting("dockerConfig").await?.iter().map(name_of).collect(),
            volumes: caller.lasting("volume").await?.iter().map(name_of).collect(),
            hosts: hosts.iter().map(|row| (row.id, wire(row))).collect(),
            manager: manager(caller, &hosts),
            simulates: hosts.iter().any(|host| caller.engine.is_simulated(host)),
        })
    }

    /// The names of secrets by the ids that references have.
    pub fn secret_names(&self) -> SecretNames {
        let names: HashMap<_, _> = self
            .secrets
            .iter()
            .map(|(name, _, wire)| (wire.clone(), name.clone()))
            .collect();
        names
    }

    /// The id of the secret that is called so, or has this id.
    pub fn secret_id(&self, name: &str) -> Option<String> {
        let id = self.secret_of(name).map(|(_, id, _)| *id)?;
        Some(self.ids.of("secret", id))
    }

    /// The id of the config that is called so, or has this id.
    pub fn config_id(&self, name: &str) -> Option<String> {
        let id = self.config_of(name).map(|(_, id)| *id)?;
        Some(self.ids.of("config", id))
    }

    /// By its name, else by its id.
    fn secret_of(&self, name: &str) -> Option<&(String, ResourceId, String)> {
        let by_name = self.secrets.iter().find(|(called, ..)| called == name);
        by_name.or_else(|| {
            let id = self.ids.row("secret", name)?;
            self.secrets.iter().find(|(_, own, _)| *own == id)
        })
    }

    fn config_of(&self, name: &str) -> Option<&(String, ResourceId)> {
        let by_name = self.configs.iter().find(|(called, _)| called == name);
        by_name.or_else(|| {
            let id = self.ids.row("config", name)?;
            self.configs.iter().find(|(_, own)| *own == id)
        })
    }
}

/// The rule that managers fit: their label, or the oldest host.
fn manager(caller: &Caller, hosts: &[Resource]) -> String {
    let has_label = |host: &&Resource| nodes::is_labelled(host);
    if hosts.iter().any(|host| has_label(&host)) {
        return format!("{MANAGER}=true");
    }
    let oldest = hosts.first().map(|host| caller.engine.wire_id(host));
    format!("{HOST}id={}", oldest.unwrap_or_else(|| "none".to_owned()))
}

impl Hosts for Named {
    fn node(&self, id: &str) -> Option<String> {
        let id = self.ids.row("node", id)?;
        let found = self.hosts.iter().find(|(own, _)| *own == id)?;
        Some(found.1.clone())
    }

    fn manager(&self) -> String {
        self.manager.clone()
    }
}

impl Others for Named {
    fn secret(&self, name: &str) -> Option<String> {
        self.secret_of(name).map(|(_, _, wire)| wire.clone())
    }

    fn config(&self, name: &str) -> Option<String> {
        self.config_of(name).map(|(called, _)| called.clone())
    }

    fn volume(&self, source: &str) -> String {
        let by_id = self.ids.row("volume", source);
        let found = self.volumes.iter().find(|(_, id)| Some(*id) == by_id);
        found.map_or_else(|| source.to_owned(), |(name, _)| name.clone())
    }

    fn simulates(&self) -> bool {
        self.simulates
    }
}

/// 403 for a service that names secrets or configs, if the caller may see none.
pub fn check_may_name(caller: &Caller, names_any: bool) -> Outcome<()> {
    match names_any {
        true => Ok(caller.may("secret", Deed::Read).map(drop)?),
        false => Ok(()),
    }
}

/// What a host is called, and whether it has an address that others reach it by.
pub fn address_of(host: &Resource) -> (String, String) {
    let own = fields(host).ok();
    let address = own.and_then(|own| own.text("agentIpAddress")).unwrap_or_default();
    (hostname(host), address)
}
