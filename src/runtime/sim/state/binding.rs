//! What a simulated container takes when it starts: its address, its ports, its volumes.

use super::*;
use crate::model::port::PortSpec;
use crate::runtime::{BoundPort, ContainerSpec, Error, FoundMount, Life, Result};
use std::collections::HashSet;

impl Contents {
    pub(super) fn check_provider(&self, container: &Container) -> Result<()> {
        let Some(provider) = &container.provider else {
            return Ok(());
        };
        match self.each().find(|c| c.found.external_id == *provider) {
            None => Err(Error::Failed(format!("No such container: {provider}"))),
            Some(p) if p.found.life == Life::Running => Ok(()),
            Some(_) => Err(Error::Failed(format!(
                "cannot join network of a non running container: {provider}"
            ))),
        }
    }

    pub(super) fn check_network(&self, container: &Container) -> Result<()> {
        match &container.network {
            Some(id) if self.lost_networks.contains(id) => Err(Error::NetworkGone(format!("network {id} not found"))),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn check_address(&self, container: &Container) -> Result<()> {
        if !self.strict || container.network.is_none() {
            return Ok(());
        }
        let same = |c: &Container| {
            c.found.life == Life::Running && c.network == container.network && c.address == container.address
        };
        if self.each().any(same) {
            Err(Error::AddressTaken("Address already in use".to_owned()))
        } else {
            Ok(())
        }
    }

    pub(super) fn bind(&mut self, wanted: &[PortSpec]) -> Result<Vec<BoundPort>> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let used: HashSet<(u16, String)> = self
            .each()
            .flat_map(|c| &c.found.ports)
            .map(|p| (p.public, p.protocol.clone()))
            .collect();
        let mut bound = Vec::with_capacity(wanted.len());
        for port in wanted {
            let taken =
                |n: u16| self.held_ports.contains(&n) || (self.strict && used.contains(&(n, port.protocol.to_owned())));
            let ip = port.ip.clone().unwrap_or_else(|| "0.0.0.0".to_owned());
            let public = match port.public {
                Some(n) if taken(n) => {
                    return Err(Error::PortTaken(format!(
                        "Bind for {ip}:{n} failed: port is already allocated"
                    )));
                }
                Some(n) => n,
                None => self.draw(&used, port.protocol)?,
            };
            bound.push(BoundPort {
                ip,
                public,
                private: port.private,
                protocol: port.protocol.to_owned(),
            });
        }
        Ok(bound)
    }

    /// The next free port after the one drawn last.
    pub(super) fn draw(&mut self, used: &HashSet<(u16, String)>, protocol: &str) -> Result<u16> {
        for _ in FIRST_RANDOM_PORT..=u16::MAX {
            let port = self.next_port.max(FIRST_RANDOM_PORT);
            self.next_port = port.checked_add(1).unwrap_or(FIRST_RANDOM_PORT);
            if !self.held_ports.contains(&port) && !used.contains(&(port, protocol.to_owned())) {
                return Ok(port);
            }
        }
        Err(Error::PortTaken("all ports are allocated".to_owned()))
    }

    pub(super) fn mounts(&mut self, spec: &ContainerSpec) -> Vec<FoundMount> {
        let driver = spec.launch.volume_driver.clone().unwrap_or_else(|| "local".to_owned());
        let volume = |name: String, path: &str, writable: bool| FoundMount {
            source: format!("/var/lib/docker/volumes/{name}/_data"),
            volume: Some(name),
            path: path.to_owned(),
            writable,
            driver: driver.clone(),
        };
        let mut mounts = Vec::new();
        for text in spec.launch.data_volumes.iter().flatten() {
            let mut parts = text.split(':');
            let (first, path) = (parts.next().unwrap_or_default(), parts.next());
            let writable = parts.next().is_none_or(|mode| !mode.split(',').any(|m| m == "ro"));
            mounts.push(match path {
                None => volume(hex_id(&format!("{}:{first}", spec.uuid)), first, true),
                Some(path) if first.starts_with('/') => FoundMount {
                    volume: None,
                    source: first.to_owned(),
                    path: path.to_owned(),
                    writable,
                    driver: String::new(),
                },
                Some(path) => volume(first.to_owned(), path, writable),
            });
        }
        mounts.extend(
            spec.volume_mounts
                .iter()
                .map(|(name, path)| volume(name.clone(), path, true)),
        );
        for provider in &spec.volumes_from {
            let inherited = self
                .each()
                .find(|c| c.found.external_id == *provider)
                .map(|c| c.found.mounts.clone());
            mounts.extend(inherited.unwrap_or_default());
        }
        for name in mounts.iter().filter_map(|m| m.volume.clone()) {
            self.volumes.entry(name).or_insert_with(|| driver.clone());
        }
        mounts
    }
}
