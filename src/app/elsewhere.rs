//! The programs that run where the server does not: agents, name servers and what feeds them.

use super::hold;
use crate::agent;
use crate::balancer;
use crate::cli::{self, BalancerCommand, InsideCommand, NetdCommand};
use crate::config;
use crate::failure::Failure;
use crate::netd;

/// The agent: one for each folder.
pub(super) async fn dial(flags: cli::Agent) -> Result<(), Failure> {
    let options = agent::Options {
        url: flags.url.or(flags.registration),
        docker: flags.docker,
        state_dir: flags.state_dir,
        address: flags.address.map(|address| address.to_string()),
        name: flags.name,
        ca: flags.ca,
        ca_fingerprint: flags.ca_fingerprint,
        ca_checksum: flags.ca_checksum,
        labels: config::host_labels(flags.labels.as_deref().unwrap_or_default())?,
    };
    agent::prepare(&options)?;
    let file = agent::lock_file(&options);
    let _lock = hold(&file, || {
        format!(
            "another agent uses {}: stop it, or choose another folder with --state-dir.",
            file.display()
        )
    })?;
    agent::run(options).await
}

/// What runs in containers.
pub(super) async fn inside(command: InsideCommand) -> Result<(), Failure> {
    match command {
        InsideCommand::Netd(flags) => names(*flags).await,
        InsideCommand::Balancer {
            command: BalancerCommand::Feed,
        } => balancer::feed(),
    }
}

/// The name server, or what feeds it.
async fn names(flags: cli::Netd) -> Result<(), Failure> {
    match flags.command {
        Some(NetdCommand::Feed { feed }) => netd::feed(&feed),
        Some(NetdCommand::Hold) => netd::hold().await,
        None => {
            let options = netd::Options {
                table: flags.table,
                feed: flags.feed,
                dns: flags.dns,
                http: flags.http,
                upstreams: flags.upstreams,
                address: flags.address,
            };
            netd::run(options).await
        }
    }
}
