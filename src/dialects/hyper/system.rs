//! What the server says of itself.

use serde_json::{Value, json};

use super::API_VERSION;
use super::caller::{Caller, Deed, fields};
use super::refusal::Outcome;
use crate::model::State;

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `GET /version`.
pub fn version() -> Value {
    let own = env!("CARGO_PKG_VERSION");
    json!({
        "Version": own, "ApiVersion": API_VERSION, "GitCommit": own, "GoVersion": "", "Os": "linux", "Arch": architecture(),
        "KernelVersion": "", "BuildTime": "",
    })
}

/// `GET /info`: of the project's hosts and containers.
pub async fn info(caller: &Caller) -> Outcome<Value> {
    caller.may("host", Deed::Read)?;
    let hosts = caller.lasting("host").await?;
    let containers = caller.lasting("instance").await?;
    let running = containers.iter().filter(|row| row.state == State::RUNNING).count();
    let sum = |field: &str| -> Outcome<i64> {
        let mut sum = 0_i64;
        for host in &hosts {
            sum = sum.saturating_add(fields(host)?.read::<i64>(field)?.unwrap_or(0));
        }
        Ok(sum)
    };
    let services = super::shown::all(caller).await?.len();
    Ok(json!({
        "ID": caller.engine.server_uuid(), "Name": "drover", "ServerVersion": env!("CARGO_PKG_VERSION"),
        "Containers": containers.len(), "ContainersRunning": running, "ContainersPaused": 0,
        "ContainersStopped": containers.len().saturating_sub(running), "Services": services, "Hosts": hosts.len(),
        "NCPU": sum("milliCpu")? / 1_000, "MemTotal": sum("memory")?, "OperatingSystem": "Drover", "OSType": "linux",
        "Architecture": std::env::consts::ARCH, "SystemTime": caller.engine.now().to_wire_millis(), "Driver": "", "DriverStatus": [],
        "Plugins": {"Volume": ["local"], "Network": ["bridge"]}, "Labels": [], "IndexServerAddress": "https://index.docker.io/v1/",
    }))
}
