//! What the server says of itself: its version, and itself as an engine.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::API_VERSION;
use super::caller::{Caller, Deed, hostname};
use super::record::nanos;
use super::refusal::{Outcome, Refusal};
use super::{swarm, tasks};

/// The least version that clients may speak.
pub const LEAST: &str = "1.24";
/// The engine whose answers are given.
pub const ENGINE: &str = "20.10.24";

/// How long engines may take to say how many images they have.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /version`.
pub fn version() -> Value {
    let (os, arch, build) = ("linux", architecture(), env!("CARGO_PKG_VERSION"));
    json!({
        "Platform": {"Name": "Drover"},
        "Components": [{
            "Name": "Engine", "Version": ENGINE,
            "Details": {"ApiVersion": API_VERSION, "Arch": arch, "BuildTime": "", "Experimental": "false", "GitCommit": build,
                "GoVersion": "", "KernelVersion": "", "MinAPIVersion": LEAST, "Os": os},
        }],
        "Version": ENGINE, "ApiVersion": API_VERSION, "MinAPIVersion": LEAST, "GitCommit": build, "GoVersion": "", "Os": os,
        "Arch": arch, "KernelVersion": "", "BuildTime": "",
    })
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `GET /info`.
pub async fn info(caller: &Caller) -> Outcome<Value> {
    caller.may("host", Deed::Read)?;
    let hosts = caller.lasting("host").await?;
    let tally = tasks::states(caller).await?;
    let images = tokio::time::timeout(PATIENCE, caller.engine.images(&caller.scope, false));
    // A host that does not answer is no reason to say nothing.
    let images = images.await.ok().and_then(Result::ok).map_or(0, |all| all.len());
    let first = hosts.first();
    let number = |name: &str| {
        let all = hosts
            .iter()
            .filter_map(|host| super::caller::fields(host).ok()?.read::<i64>(name).ok()?);
        all.sum::<i64>()
    };
    let address = first
        .and_then(|host| super::caller::fields(host).ok()?.text("agentIpAddress"))
        .unwrap_or_default();
    let node = first.map(|host| caller.ids.of(host.id)).unwrap_or_default();
    let managers: Vec<Value> = hosts
        .iter()
        .map(|host| {
            let own = super::caller::fields(host)
                .ok()
                .and_then(|own| own.text("agentIpAddress"));
            json!({"NodeID": caller.ids.of(host.id), "Addr": format!("{}:2377", own.unwrap_or_default())})
        })
        .collect();
    let own = json!({
        "NodeID": node, "NodeAddr": address, "LocalNodeState": "active", "ControlAvailable": true, "Error": "",
        "RemoteManagers": managers, "Nodes": hosts.len(), "Managers": hosts.len(), "Cluster": swarm::cluster(caller)?,
    });
    let counted = json!({
        "ID": caller.engine.server_uuid(), "Containers": tally.all, "ContainersRunning": tally.running, "ContainersPaused": 0,
        "ContainersStopped": tally.all.saturating_sub(tally.running), "Images": images, "Name": first.map(hostname).unwrap_or_default(),
        "NCPU": number("milliCpu") / 1_000, "MemTotal": number("memory"), "ServerVersion": ENGINE, "Swarm": own,
        "SystemTime": nanos(caller.engine.now()),
    });
    let all = [counted, everywhere(), of_no_engine()];
    let all = all.into_iter().filter_map(|part| part.as_object().cloned());
    Ok(Value::Object(all.flatten().collect()))
}

/// What is the same of all projects.
fn everywhere() -> Value {
    json!({
        "Driver": "overlay2", "DriverStatus": [], "LoggingDriver": "json-file", "CgroupDriver": "systemd",
        "Plugins": {"Volume": ["local"], "Network": ["bridge", "overlay"], "Authorization": null, "Log": ["json-file"]},
        "MemoryLimit": true, "SwapLimit": true, "CpuCfsPeriod": true, "CpuCfsQuota": true, "PidsLimit": true, "Debug": false,
        "OperatingSystem": "Drover", "OSType": "linux", "Architecture": std::env::consts::ARCH, "KernelVersion": "",
        "DockerRootDir": "/var/lib/docker", "Labels": [], "ExperimentalBuild": false, "Runtimes": {"runc": {"path": "runc"}}, "DefaultRuntime": "runc",
        "LiveRestoreEnabled": false, "Isolation": "", "InitBinary": "docker-init", "SecurityOptions": [], "Warnings": null,
    })
}

/// What an engine says of itself that this server knows nothing of.
fn of_no_engine() -> Value {
    json!({
        "CPUShares": true, "CPUSet": true, "KernelMemory": true, "KernelMemoryTCP": true, "OomKillDisable": true, "IPv4Forwarding": true,
        "BridgeNfIptables": true, "BridgeNfIp6tables": true, "CgroupVersion": "", "OSVersion": "", "NFd": 0, "NGoroutines": 0,
        "NEventsListener": 0, "IndexServerAddress": "https://index.docker.io/v1/", "GenericResources": null, "HttpProxy": "", "HttpsProxy": "",
        "NoProxy": "", "ContainerdCommit": {"ID": "", "Expected": ""}, "RuncCommit": {"ID": "", "Expected": ""},
        "InitCommit": {"ID": "", "Expected": ""},
        "RegistryConfig": {"AllowNondistributableArtifactsCIDRs": [], "AllowNondistributableArtifactsHostnames": [],
            "InsecureRegistryCIDRs": [], "IndexConfigs": {}, "Mirrors": []},
    })
}

/// What `POST /auth` is sent, as the header that says the same.
pub fn authorization(sent: &[u8]) -> Outcome<String> {
    let body: Value = serde_json::from_slice(sent).map_err(|e| Refusal::bad(format!("invalid JSON: {e}")))?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let pair = format!("{}:{}", text("username"), text("password"));
    Ok(format!("Basic {}", STANDARD.encode(pair)))
}

/// What it is answered if a key of this server was sent.
pub fn logged_in() -> Value {
    json!({"Status": "Login Succeeded", "IdentityToken": ""})
}
