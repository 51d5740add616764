//! The simulated engine's memory: containers, networks and volumes, changed by plain functions.

mod binding;

use super::gone;
use super::knobs::{Health, Knobs, SimStep};
use crate::model::Timestamp;
use crate::model::port::PortSpec;
use crate::runtime::{ContainerSpec, Error, Found, Life, Native, NetworkAttachment, NetworkFound, NetworkSpec, Result};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The first of the ports that IANA leaves for such use.
const FIRST_RANDOM_PORT: u16 = 49153;

/// One container.
pub(super) struct Container {
    pub(super) found: Found,
    pub(super) knobs: Knobs,
    image: String,
    /// The address it gets when it runs.
    address: Option<String>,
    /// The network on which the address is fixed.
    network: Option<String>,
    ports: Vec<PortSpec>,
    /// The external id of the container whose namespace it joins.
    provider: Option<String>,
    starts: u32,
    due: Option<Timestamp>,
}

/// The ports that a container says it listens on, in order; its image says nothing here.
fn exposed(spec: &ContainerSpec) -> Vec<(u16, String)> {
    let said = spec
        .launch
        .expose
        .iter()
        .flatten()
        .filter_map(|text| PortSpec::parse(text).ok());
    let mut ports: Vec<(u16, String)> = said
        .chain(spec.ports.iter().cloned())
        .map(|port| (port.private, port.protocol.to_owned()))
        .collect();
    ports.sort();
    ports.dedup();
    ports
}

/// What follows a start by itself.
#[derive(Default)]
pub(super) struct Aftermath {
    /// When the container ends.
    pub(super) due: Option<Timestamp>,
    /// It vanishes at once.
    pub(super) forget: bool,
    /// The engine does not answer any more.
    pub(super) hang_up: bool,
    /// The uuid of a container that came up beside it.
    pub(super) stranger: Option<String>,
}

/// Everything the engine holds.
#[derive(Default)]
pub(super) struct Contents {
    containers: HashMap<String, Container>,
    /// By project.
    networks: BTreeMap<String, NetworkFound>,
    /// Ids of networks that were removed.
    lost_networks: HashSet<String>,
    /// Name → driver.
    pub(super) volumes: BTreeMap<String, String>,
    pub(super) health: HashMap<String, Health>,
    /// By image, the server whose password the last pull brought along.
    pub(super) shown_to: HashMap<String, Option<String>>,
    /// The images that are there.
    pub(super) pulled: super::images::Pulled,
    pub(super) held_names: HashSet<String>,
    pub(super) held_ports: HashSet<u16>,
    pub(super) strict: bool,
    /// Failed attempts so far, by container or image and step.
    attempts: HashMap<(String, SimStep), u32>,
    /// How often a uuid was created; only for those that vanished, so that their next external id differs.
    lives: HashMap<String, u32>,
    created: u32,
    next_port: u16,
    /// Uuids with a `due`, so that a tick is cheap among thousands.
    timed: HashSet<String>,
    /// How often all containers were gone through.
    #[cfg(test)]
    pub(super) rounds: std::cell::Cell<u64>,
}

impl Contents {
    pub(super) fn get(&self, uuid: &str) -> Option<&Container> {
        self.containers.get(uuid)
    }

    pub(super) fn running(&self, uuid: &str) -> Option<&Container> {
        self.get(uuid).filter(|c| c.found.life == Life::Running)
    }

    pub(super) fn name_of(&self, uuid: &str) -> Option<String> {
        self.get(uuid).map(|c| c.found.name.clone())
    }

    /// Every container. What is done once for each of thousands must not come here.
    fn each(&self) -> impl Iterator<Item = &Container> {
        #[cfg(test)]
        self.rounds.set(self.rounds.get() + 1);
        self.containers.values()
    }

    /// Whether something runs at an address.
    pub(super) fn has_address(&self, address: &str) -> bool {
        let mut running = self.each().filter(|c| c.found.life == Life::Running);
        running.any(|c| c.found.ip.as_deref() == Some(address))
    }

    /// By uuid.
    pub(super) fn all(&self) -> Vec<Found> {
        let mut all: Vec<Found> = self.each().map(|c| c.found.clone()).collect();
        all.sort_by(|a, b| a.uuid.cmp(&b.uuid));
        all
    }

    /// Fails this attempt if the knobs say so.
    pub(super) fn attempt(&mut self, subject: &str, step: SimStep, knobs: &Knobs) -> Result<()> {
        if !knobs.fail.contains(&step) {
            return Ok(());
        }
        let attempts = self.attempts.entry((subject.to_owned(), step)).or_default();
        let fails = knobs.fails(step, *attempts);
        *attempts = attempts.saturating_add(1);
        if fails {
            Err(Error::Failed(step.failure()))
        } else {
            Ok(())
        }
    }

    pub(super) fn adopt(&mut self, found: Found) {
        if self.containers.contains_key(&found.uuid) {
            return;
        }
        let ports = found
            .ports
            .iter()
            .map(|p| PortSpec {
                ip: Some(p.ip.clone()),
                public: Some(p.public),
                private: p.private,
                protocol: if p.protocol == "udp" { "udp" } else { "tcp" },
            })
            .collect();
        let container = Container {
            address: found.ip.clone(),
            network: None,
            ports,
            provider: None,
            starts: u32::from(!found.started_at.is_empty()),
            due: None,
            knobs: Knobs::default(),
            image: found.native.clone().map(|native| native.image).unwrap_or_default(),
            found,
        };
        self.containers.insert(container.found.uuid.clone(), container);
    }

    pub(super) fn create(&mut self, spec: &ContainerSpec, knobs: Knobs) -> Result<Found> {
        let clash = self.strict && self.each().any(|c| c.found.name == spec.name);
        if clash || self.held_names.contains(&spec.name) {
            return Err(Error::NameTaken(format!(
                "Conflict. The container name \"/{}\" is already in use",
                spec.name
            )));
        }
        self.created = self.created.wrapping_add(1);
        let life = self.lives.get(&spec.uuid).copied().unwrap_or(0);
        let (address, network, provider) = match &spec.network {
            NetworkAttachment::Managed { network_id, ip, .. } => (Some(ip.clone()), Some(network_id.clone()), None),
            NetworkAttachment::Bridge { .. } => {
                let n = self.created % 60_000;
                (Some(format!("172.17.{}.{}", n / 250, n % 250 + 2)), None, None)
            }
            NetworkAttachment::Host | NetworkAttachment::None => (None, None, None),
            NetworkAttachment::Container(provider) => (None, None, Some(provider.clone())),
        };
        let mounts = self.mounts(spec);
        let found = Found {
            uuid: spec.uuid.clone(),
            external_id: hex_id(&format!("{}/{life}", spec.uuid)),
            name: spec.name.clone(),
            life: Life::Created,
            is_paused: false,
            ip: None,
            mac: None,
            ports: Vec::new(),
            exit_code: None,
            started_at: String::new(),
            mounts,
            exposed: exposed(spec),
            native: None,
        };
        let mut ports = spec.ports.clone();
        if spec.launch.publish_all_ports == Some(true) {
            let exposed = spec
                .launch
                .expose
                .iter()
                .flatten()
                .filter_map(|e| PortSpec::parse(e).ok());
            ports.extend(
                exposed
                    .filter(|e| {
                        !spec
                            .ports
                            .iter()
                            .any(|p| (p.private, p.protocol) == (e.private, e.protocol))
                    })
                    .collect::<Vec<_>>(),
            );
        }
        let image = spec.launch.image_uuid.clone().unwrap_or_default();
        let container = Container {
            found: found.clone(),
            knobs,
            image,
            address,
            network,
            ports,
            provider,
            starts: 0,
            due: None,
        };
        self.containers.insert(spec.uuid.clone(), container);
        Ok(found)
    }

    /// Starts a container; returns it with what follows by itself.
    pub(super) fn start(&mut self, uuid: &str, now: Timestamp) -> Result<(Found, Aftermath)> {
        let container = self.containers.get(uuid).ok_or_else(|| gone(uuid))?;
        if container.found.life == Life::Running {
            return Ok((container.found.clone(), Aftermath::default()));
        }
        self.check_provider(container)?;
        self.check_network(container)?;
        self.check_address(container)?;
        let wanted = container.ports.clone();
        let ports = self.bind(&wanted)?;
        let container = self.containers.get_mut(uuid).ok_or_else(|| gone(uuid))?;
        container.starts = container.starts.saturating_add(1);
        container.due = container
            .knobs
            .vanish
            .or(container.knobs.exit.map(|(_, after)| after))
            .map(|after| now.plus(after));
        let found = &mut container.found;
        found.life = Life::Running;
        found.ip.clone_from(&container.address);
        found.ports = ports;
        found.exit_code = None;
        // The number of the start takes the place of the nanoseconds: two starts within a second differ.
        found.started_at = format!("{}.{:09}Z", now.to_wire().trim_end_matches('Z'), container.starts);
        if container.due.is_some() {
            self.timed.insert(uuid.to_owned());
        }
        let (due, forget, hang_up) = (container.due, container.knobs.forget, container.knobs.hang_up);
        let (found, image, another) = (
            container.found.clone(),
            container.image.clone(),
            container.knobs.another.clone(),
        );
        let stranger = another.filter(|id| !self.each().any(|c| c.found.external_id == *id));
        let stranger = stranger.map(|id| self.add_stranger(&id, &image, now));
        Ok((
            found,
            Aftermath {
                due,
                forget,
                hang_up,
                stranger,
            },
        ))
    }

    /// A running container that nobody asked for; returns its uuid.
    fn add_stranger(&mut self, external_id: &str, image: &str, now: Timestamp) -> String {
        let uuid = format!("name-{external_id}");
        let found = Found {
            uuid: uuid.clone(),
            external_id: external_id.to_owned(),
            name: external_id.to_owned(),
            life: Life::Running,
            is_paused: false,
            ip: None,
            mac: None,
            ports: Vec::new(),
            exit_code: None,
            started_at: format!("{}.{:09}Z", now.to_wire().trim_end_matches('Z'), 1),
            mounts: Vec::new(),
            exposed: Vec::new(),
            native: Some(Native {
                image: image.to_owned(),
                labels: BTreeMap::new(),
            }),
        };
        self.adopt(found);
        uuid
    }

    /// Ends a running container.
    pub(super) fn end(&mut self, uuid: &str, code: i64) -> bool {
        self.timed.remove(uuid);
        let Some(container) = self.containers.get_mut(uuid).filter(|c| c.found.life == Life::Running) else {
            return false;
        };
        container.due = None;
        let found = &mut container.found;
        found.life = Life::Exited;
        found.exit_code = Some(code);
        found.ip = None;
        found.ports.clear();
        true
    }

    /// Ends those whose time has come; returns their uuids in order.
    pub(super) fn end_due(&mut self, now: Timestamp) -> Vec<String> {
        if self.timed.is_empty() {
            return Vec::new();
        }
        let mut due: Vec<(String, Option<i64>)> = self
            .timed
            .iter()
            .filter_map(|uuid| self.containers.get(uuid))
            .filter(|c| c.due.is_some_and(|d| d <= now))
            .map(|c| {
                (
                    c.found.uuid.clone(),
                    c.knobs.exit.filter(|_| c.knobs.vanish.is_none()).map(|(code, _)| code),
                )
            })
            .collect();
        due.sort();
        let mut ended = |uuid: &str, code: Option<i64>| match code {
            Some(code) => self.end(uuid, code),
            None => self.forget(uuid),
        };
        due.into_iter()
            .filter(|(uuid, code)| ended(uuid, *code))
            .map(|(uuid, _)| uuid)
            .collect()
    }

    /// Removes a container and every memory of it.
    pub(super) fn remove(&mut self, uuid: &str) {
        self.containers.remove(uuid);
        self.timed.remove(uuid);
        self.lives.remove(uuid);
        self.health.remove(uuid);
        self.attempts.retain(|(subject, _), _| subject != uuid);
    }

    /// Removes a container behind everyone's back.
    pub(super) fn forget(&mut self, uuid: &str) -> bool {
        self.timed.remove(uuid);
        let was_there = self.containers.remove(uuid).is_some();
        if was_there {
            *self.lives.entry(uuid.to_owned()).or_default() += 1;
        }
        was_there
    }

    pub(super) fn ensure_network(&mut self, spec: &NetworkSpec) -> Result<NetworkFound> {
        if let Some(there) = self.networks.get(&spec.project_uuid) {
            return Ok(there.clone());
        }
        let free = spec
            .candidates
            .iter()
            .find(|c| !self.networks.values().any(|n| n.subnet == **c));
        let Some(subnet) = free else {
            return Err(Error::Failed(
                "Pool overlaps with other one on this address space".to_owned(),
            ));
        };
        let network = NetworkFound {
            id: hex_id(&spec.project_uuid),
            subnet: subnet.clone(),
        };
        self.lost_networks.remove(&network.id);
        self.networks.insert(spec.project_uuid.clone(), network.clone());
        Ok(network)
    }

    pub(super) fn remove_network(&mut self, project_uuid: &str) -> Result<()> {
        let Some(network) = self.networks.get(project_uuid) else {
            return Ok(());
        };
        let active = |c: &Container| c.found.life == Life::Running && c.network.as_ref() == Some(&network.id);
        if self.each().any(active) {
            return Err(Error::Failed(format!(
                "error while removing network: network id {} has active endpoints",
                network.id
            )));
        }
        let removed = self.networks.remove(project_uuid);
        self.lost_networks.extend(removed.map(|n| n.id));
        Ok(())
    }

    pub(super) fn remove_volume(&mut self, name: &str) -> Result<()> {
        let user = |c: &&Container| c.found.mounts.iter().any(|m| m.volume.as_deref() == Some(name));
        if let Some(user) = self.each().find(user) {
            return Err(Error::Failed(format!(
                "remove {name}: volume is in use - [{}]",
                user.found.external_id
            )));
        }
        self.volumes.remove(name);
        Ok(())
    }
}

/// 64 hexadecimal digits that look like an engine's id and depend on the text alone (FNV-1a, four times).
pub(super) fn hex_id(text: &str) -> String {
    let word = |salt: u64| {
        let start = 0xcbf2_9ce4_8422_2325 ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        text.bytes()
            .fold(start, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
    };
    format!("{:016x}{:016x}{:016x}{:016x}", word(1), word(2), word(3), word(4))
}
