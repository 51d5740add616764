//! What an engine says of itself, and what is known of its machine.

use super::address::Address;
use super::{Inner, SHORT, machine};
use crate::runtime::{EngineInfo, Result};

pub(super) async fn describe(docker: &Inner) -> Result<EngineInfo> {
    if let Some(membership) = &docker.membership {
        membership.check_ready()?;
    }
    let info = docker.call(SHORT, docker.api()?.info()).await?;
    let label = |text: &String| {
        text.split_once('=')
            .map_or((text.clone(), String::new()), |(k, v)| (k.to_owned(), v.to_owned()))
    };
    let is_here = matches!(docker.address, Address::Unix(_));
    let processors = if is_here {
        machine::processors()
    } else {
        machine::Processors::default()
    };
    Ok(EngineInfo {
        id: info.id.unwrap_or_default(),
        mhz: processors.mhz.map(machine::whole),
        cpu_model: processors.model,
        address: docker.address.of_machine().await,
        is_address_told: matches!(docker.address, Address::Tunnel { .. }),
        name: info.name.unwrap_or_default(),
        version: info.server_version.unwrap_or_default(),
        os: info.operating_system.unwrap_or_default(),
        kernel: info.kernel_version.unwrap_or_default(),
        architecture: info.architecture.unwrap_or_default(),
        cores: info.ncpu.unwrap_or_default(),
        memory_bytes: info.mem_total.unwrap_or_default(),
        labels: info.labels.iter().flatten().map(label).collect(),
        node: info.swarm.and_then(|swarm| swarm.node_id).unwrap_or_default(),
    })
}
