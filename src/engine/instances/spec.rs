//! From a container's row to the complete specification that a runtime gets.

use std::collections::BTreeSet;

use crate::engine::core::{Core, notes};
use crate::model::launch::{LaunchConfig, parse_reference};
use crate::model::own_labels;
use crate::model::port::PortSpec;
use crate::model::{Error, Fields, Resource, ResourceId, Result, ServiceKind};
use crate::runtime::{ContainerSpec, NetworkAttachment};

use super::balancing;
use super::container_rows::{InstanceNotes, PROJECT_LABEL, launch_of};
use super::granted::{NAME_SERVER, wants_names};
use super::naming::{NamesBy, domains, search_list};
use super::secrets;

/// What a container waits for before it can be made.
#[derive(Debug)]
pub(crate) enum SpecError {
    /// Another container has to be there first.
    NotYet(String),
    /// It cannot be made as it is.
    Impossible(String),
    /// Our own trouble.
    Internal(Error),
}

impl From<Error> for SpecError {
    fn from(error: Error) -> Self {
        Self::Internal(error)
    }
}

impl Core {
    /// The whole specification of a container. `ip` and the network are chosen before.
    pub(crate) fn container_spec(
        &self,
        row: &Resource,
        network: Option<(String, String)>,
    ) -> Result<ContainerSpec, SpecError> {
        let mut launch = launch_of(row)?;
        let note: InstanceNotes = notes(row);
        let mut labels = launch.labels.clone().unwrap_or_default();
        labels.insert("io.rancher.container.uuid".into(), row.uuid.clone());
        labels
            .entry("io.rancher.container.name".into())
            .or_insert_with(|| row.name.clone());
        if launch.network_mode.as_deref() == Some("managed") {
            let project = row.account_id.map(|id| self.store.find(id)).transpose()?.flatten();
            labels.extend(project.map(|project| (PROJECT_LABEL.to_owned(), project.uuid)));
        }
        let volumes_from = self.external_ids(launch.data_volumes_from.as_deref().unwrap_or_default())?;
        let volume_mounts = self.volume_mounts(&launch)?;
        let attachment = self.attachment(row, &mut launch, network)?;
        let ports = launch
            .ports
            .iter()
            .flatten()
            .map(|p| PortSpec::parse(p))
            .collect::<Result<Vec<_>>>()
            .map_err(|e| SpecError::Impossible(e.to_string()))?;
        let name = match note.docker_name.as_str() {
            "" => row.name.clone(),
            name => name.to_owned(),
        };
        let files = if note.balances {
            balancing::as_balancer(&mut launch);
            vec![balancing::beginning()]
        } else {
            Vec::new()
        };
        let (has_secrets, placed) = secrets::places(&launch).map_err(|e| SpecError::Impossible(e.to_string()))?;
        Ok(ContainerSpec {
            uuid: row.uuid.clone(),
            name,
            labels,
            has_secrets,
            placed,
            launch,
            network: attachment,
            ports,
            volumes_from,
            volume_mounts,
            files,
        })
    }

    fn external_ids(&self, wires: &[String]) -> Result<Vec<String>, SpecError> {
        wires.iter().map(|wire| self.external_id(wire)).collect()
    }

    /// The engine's id of another container, which has to be made already.
    fn external_id(&self, wire: &str) -> Result<String, SpecError> {
        let id = parse_reference(wire).ok_or_else(|| SpecError::Impossible(format!("not a container: {wire}")))?;
        let row = self.store.find(id)?.filter(|r| r.removed.is_none());
        let row = row.ok_or_else(|| SpecError::Impossible(format!("container {wire} is gone")))?;
        Fields::parse(&row.fields)?
            .text("externalId")
            .ok_or_else(|| SpecError::NotYet(format!("Waiting for {} to be created", row.name)))
    }

    fn volume_mounts(&self, launch: &LaunchConfig) -> Result<Vec<(String, String)>, SpecError> {
        let mut mounts = Vec::new();
        for (path, wire) in launch.data_volume_mounts.iter().flatten() {
            let row = parse_reference(wire)
                .map(|id| self.store.find(id))
                .transpose()?
                .flatten();
            let row = row.ok_or_else(|| SpecError::Impossible(format!("volume {wire} is gone")))?;
            mounts.push((row.name, path.clone()));
        }
        Ok(mounts)
    }

    fn attachment(
        &self,
        row: &Resource,
        launch: &mut LaunchConfig,
        network: Option<(String, String)>,
    ) -> Result<NetworkAttachment, SpecError> {
        Ok(match launch.network_mode.as_deref() {
            Some("host") => {
                if let Some(NamesBy::Server(server)) = notes::<InstanceNotes>(row).names {
                    ask_server(launch, &self.names(row)?, server);
                }
                NetworkAttachment::Host
            }
            Some("bridge") => NetworkAttachment::Bridge {
                links: self.instance_links(launch, Core::external_id)?,
            },
            Some("container") => {
                let provider = launch.network_container_id.as_deref();
                let provider = provider
                    .ok_or_else(|| SpecError::Impossible("networkMode container needs networkContainerId".into()))?;
                NetworkAttachment::Container(self.external_id(provider)?)
            }
            Some("managed") => {
                let (network_id, ip) = network.ok_or_else(|| SpecError::NotYet("Waiting for a network".into()))?;
                let names = self.names(row)?;
                // No engine is told of our own name server by the address that rows show.
                launch.dns = launch.dns.take().map(|all| other_than(all, &[NAME_SERVER.to_owned()]));
                match notes::<InstanceNotes>(row).names {
                    Some(NamesBy::Server(server)) => by_server(launch, &names, server, network_id, ip),
                    Some(NamesBy::Aliases) | None => self.by_aliases(row, launch, names, network_id, ip)?,
                }
            }
            Some("none") | None => NetworkAttachment::None,
            Some(other) => {
                return Err(SpecError::Impossible(format!(
                    "Failed to find network for networkMode {other}"
                )));
            }
        })
    }

    /// The engine's own name server knows a container by its aliases, and who is linked by its links.
    fn by_aliases(
        &self,
        row: &Resource,
        launch: &mut LaunchConfig,
        names: Names,
        network_id: String,
        ip: String,
    ) -> Result<NetworkAttachment, SpecError> {
        let mut links = self.instance_links(launch, Core::docker_name)?;
        if let Some(service) = row.parent_id {
            self.service_links(service, launch, &mut links)?;
        }
        let mut aliases = names.aliases;
        aliases.extend(launch.labels.iter().flat_map(own_labels::aliases));
        aliases.extend(launch.net_alias.iter().flatten().cloned());
        // Docker writes `ndots:0`, by which a bare name is asked of the world before the search domains.
        launch.dns_opt.get_or_insert_with(|| vec!["ndots:1".into()]);
        launch.dns_search = launch.dns_search.take().map(|all| other_than(all, &names.search));
        let dns_search = if wants_names(launch) { names.search } else { Vec::new() };
        Ok(NetworkAttachment::Managed {
            network_id,
            ip,
            aliases,
            links,
            dns_search,
        })
    }

    fn docker_name(&self, wire: &str) -> Result<String, SpecError> {
        let row = parse_reference(wire)
            .map(|id| self.store.find(id))
            .transpose()?
            .flatten();
        let row = row.ok_or_else(|| SpecError::Impossible(format!("container {wire} is gone")))?;
        Ok(notes::<InstanceNotes>(&row).docker_name)
    }

    fn instance_links(
        &self,
        launch: &LaunchConfig,
        target: impl Fn(&Self, &str) -> Result<String, SpecError>,
    ) -> Result<Vec<(String, String)>, SpecError> {
        launch
            .instance_links
            .iter()
            .flatten()
            .map(|(alias, wire)| Ok((target(self, wire)?, alias.clone())))
            .collect()
    }

    /// The names of a service container: by service, in any stack, and as a sidekick.
    pub(super) fn names(&self, row: &Resource) -> Result<Names> {
        let service = row.parent_id.map(|id| self.store.find(id)).transpose()?.flatten();
        let stack = service
            .as_ref()
            .and_then(|s| s.parent_id)
            .map(|id| self.store.find(id))
            .transpose()?
            .flatten();
        let (Some(service), Some(stack)) = (service, stack) else {
            return Ok(Names {
                aliases: Vec::new(),
                search: domains(None),
            });
        };
        let search = domains(Some((&service.name, &stack.name)));
        let (service, stack) = (service.name.to_lowercase(), stack.name.to_lowercase());
        let own = match notes::<InstanceNotes>(row).config {
            None => format!("{service}.{stack}"),
            Some(sidekick) => format!("{}.{service}.{stack}", sidekick.to_lowercase()),
        };
        Ok(Names {
            aliases: vec![format!("{own}.rancher.internal"), own],
            search,
        })
    }

    /// The links of a service, as names that only its containers see. External services become hosts entries.
    fn service_links(
        &self,
        service: ResourceId,
        launch: &mut LaunchConfig,
        links: &mut Vec<(String, String)>,
    ) -> Result<(), SpecError> {
        let mut seen = BTreeSet::new();
        self.links_from(service, None, launch, links, &mut seen)
    }

    /// The service that a link leads to, by its id or by its name, if it is there now.
    pub(crate) fn linked_service(&self, map: &Resource) -> Result<Option<Resource>> {
        let fields = Fields::parse(&map.fields)?;
        if let Some(id) = fields.text("consumedServiceId").and_then(|w| parse_reference(&w)) {
            return Ok(self.store.find(id)?.filter(|t| t.removed.is_none()));
        }
        let Some(named) = fields.text("consumedService") else {
            return Ok(None);
        };
        let consumer = map.parent_id.map(|id| self.store.find(id)).transpose()?.flatten();
        let (stack, name) = match named.split_once('/') {
            None => (consumer.and_then(|consumer| consumer.parent_id), named.as_str()),
            Some((stack, name)) => {
                let stacks = self.store.all("stack", map.account_id)?;
                let found = stacks.iter().find(|row| row.name.eq_ignore_ascii_case(stack));
                (found.map(|row| row.id), name)
            }
        };
        let services = stack.map(|id| self.store.children(id, "service")).transpose()?;
        Ok(services
            .into_iter()
            .flatten()
            .find(|row| row.name.eq_ignore_ascii_case(name)))
    }

    fn links_from(
        &self,
        service: ResourceId,
        alias: Option<&str>,
        launch: &mut LaunchConfig,
        links: &mut Vec<(String, String)>,
        seen: &mut BTreeSet<ResourceId>,
    ) -> Result<(), SpecError> {
        if !seen.insert(service) {
            return Ok(());
        }
        for map in self.store.children(service, "serviceConsumeMap")? {
            let Some(target) = self.linked_service(&map)? else {
                continue;
            };
            let Some(stack) = target.parent_id.map(|id| self.store.find(id)).transpose()?.flatten() else {
                continue;
            };
            let own_alias = Some(map.name.as_str())
                .filter(|n| !n.is_empty())
                .unwrap_or(&target.name);
            let alias = alias.unwrap_or(own_alias).to_owned();
            match ServiceKind::of(&target.kind) {
                ServiceKind::External => {
                    let addresses: Vec<String> = Fields::parse(&target.fields)?
                        .read("externalIpAddresses")?
                        .unwrap_or_default();
                    launch
                        .extra_hosts
                        .get_or_insert_default()
                        .extend(addresses.iter().map(|ip| format!("{alias}:{ip}")));
                }
                // An alias stands for what it links to.
                ServiceKind::Dns => self.links_from(target.id, Some(&alias), launch, links, seen)?,
                ServiceKind::Service | ServiceKind::LoadBalancer | ServiceKind::Other => links.push((
                    format!("{}.{}", target.name.to_lowercase(), stack.name.to_lowercase()),
                    alias,
                )),
            }
        }
        Ok(())
    }
}

/// What a container is called, and where it looks for others.
pub(super) struct Names {
    aliases: Vec<String>,
    pub(super) search: Vec<String>,
}

/// The project's name server answers for everything. Whatever the engine knew itself would win over it, with containers that
/// are not well, so it is told nothing. Bare names are asked of the server as they are, and it knows the search list:
/// so Docker's own `ndots:0` stays.
fn by_server(
    launch: &mut LaunchConfig,
    names: &Names,
    server: String,
    network_id: String,
    ip: String,
) -> NetworkAttachment {
    if wants_names(launch) {
        ask_server(launch, names, server);
    }
    NetworkAttachment::Managed {
        network_id,
        ip,
        aliases: Vec::new(),
        links: Vec::new(),
        dns_search: Vec::new(),
    }
}

/// The name servers that its owner asked for are asked by ours.
fn ask_server(launch: &mut LaunchConfig, names: &Names, server: String) {
    launch.dns_search = Some(search_list(launch, &names.search));
    launch.dns = Some(vec![server]);
}

/// The words of a list that are in no other one.
fn other_than(mut words: Vec<String>, others: &[String]) -> Vec<String> {
    words.retain(|word| !others.contains(word));
    words
}
