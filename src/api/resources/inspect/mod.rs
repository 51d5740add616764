//! What `docker inspect` says of a container, in Rancher's words: the inside of `POST /scripts/transform`.
//!
//! Pure: equal documents give equal bytes, for clients keep a hash of the answer and call a service out of date when
//! it changes. So nothing here depends on time or on the server, and what the document gives without an order (ports,
//! volumes, labels) is written in the order of its text.

mod part;

use crate::model::{Error, Result};
use part::Part;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The fields of the container that `document` describes. Absent and null parts are empty ones; parts of another type
/// are 422 with the name they have in the document.
pub fn container(document: &Map<String, Value>) -> Result<Map<String, Value>> {
    let all = Part {
        name: "",
        fields: Some(document),
    };
    let config = all.part("Config")?;
    let host = all.part("HostConfig")?;
    let health = config.part("Healthcheck")?;
    let seconds = |name| health.int(name).map(|n| n.map(to_seconds));
    let image = config.text("Image")?.map(|image| format!("docker:{image}"));
    let name = all.text("Name")?.map(|name| name.trim_start_matches('/').to_owned());
    let fields = [
        ("name", json!(name)),
        ("externalId", json!(all.text("Id")?)),
        ("kind", json!("container")),
        ("imageUuid", json!(image)),
        ("hostname", json!(config.text("Hostname")?)),
        ("domainName", json!(config.text("Domainname")?)),
        ("user", json!(config.text("User")?)),
        ("workingDir", json!(config.text("WorkingDir")?)),
        ("command", json!(config.words("Cmd")?)),
        ("entryPoint", json!(config.words("Entrypoint")?)),
        ("environment", json!(config.environment("Env")?)),
        ("labels", json!(config.texts("Labels")?)),
        ("tty", json!(config.flag("Tty")?)),
        ("stdinOpen", json!(config.flag("OpenStdin")?)),
        ("stopSignal", json!(config.text("StopSignal")?)),
        ("stopTimeout", json!(config.int("StopTimeout")?)),
        ("healthCmd", json!(health.list("Test")?)),
        ("healthInterval", json!(seconds("Interval")?)),
        ("healthTimeout", json!(seconds("Timeout")?)),
        ("healthRetries", json!(health.int("Retries")?)),
        ("dataVolumes", json!(volumes(&config, &host)?)),
        ("ports", json!(ports(&config, &host)?)),
        ("privileged", json!(host.flag("Privileged")?)),
        ("publishAllPorts", json!(host.flag("PublishAllPorts")?)),
        ("readOnly", json!(host.flag("ReadonlyRootfs")?)),
        ("dns", json!(host.list("Dns")?)),
        ("dnsSearch", json!(host.list("DnsSearch")?)),
        ("dnsOpt", json!(host.list("DnsOptions")?)),
        ("capAdd", json!(host.list("CapAdd")?)),
        ("capDrop", json!(host.list("CapDrop")?)),
        ("lxcConf", json!({})),
        ("restartPolicy", json!(restart_policy(&host)?)),
        ("devices", json!(devices(&host)?)),
        ("memory", json!(host.int("Memory")?)),
        ("memorySwap", json!(host.int("MemorySwap")?)),
        ("memoryReservation", json!(host.int("MemoryReservation")?)),
        ("memorySwappiness", json!(host.int("MemorySwappiness")?)),
        ("kernelMemory", json!(host.int("KernelMemory")?)),
        ("cpuShares", json!(host.int("CpuShares")?)),
        ("cpuSet", json!(host.text("CpusetCpus")?)),
        ("cpuSetMems", json!(host.text("CpusetMems")?)),
        ("cpuPeriod", json!(host.int("CpuPeriod")?)),
        ("cpuQuota", json!(host.int("CpuQuota")?)),
        ("blkioWeight", json!(host.int("BlkioWeight")?)),
        ("blkioDeviceOptions", json!(block_devices(&host)?)),
        ("shmSize", json!(host.int("ShmSize")?)),
        ("pidsLimit", json!(host.int("PidsLimit")?)),
        ("groupAdd", json!(host.list("GroupAdd")?)),
        ("securityOpt", json!(host.list("SecurityOpt")?)),
        ("extraHosts", json!(host.list("ExtraHosts")?)),
        ("tmpfs", json!(host.texts("Tmpfs")?)),
        ("sysctls", json!(host.texts("Sysctls")?)),
        ("storageOpt", json!(host.texts("StorageOpt")?)),
        ("ulimits", json!(ulimits(&host)?)),
        ("pidMode", json!(host.text("PidMode")?)),
        ("ipcMode", json!(host.text("IpcMode")?)),
        ("uts", json!(host.text("UTSMode")?)),
        ("usernsMode", json!(host.text("UsernsMode")?)),
        ("isolation", json!(host.text("Isolation")?)),
        ("cgroupParent", json!(host.text("CgroupParent")?)),
        ("volumeDriver", json!(host.text("VolumeDriver")?)),
        ("oomKillDisable", json!(host.optional_flag("OomKillDisable")?)),
        ("oomScoreAdj", json!(host.int("OomScoreAdj")?)),
        ("runInit", json!(host.optional_flag("Init")?)),
        ("networkMode", json!(network_mode(&host)?)),
        ("logConfig", json!(log_config(&host)?)),
    ];
    Ok(fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect())
}

/// Part of a second is a whole one: zero would mean the engine's default.
fn to_seconds(nanos: i64) -> i64 {
    let whole = nanos / NANOS_PER_SECOND;
    if nanos % NANOS_PER_SECOND > 0 { whole + 1 } else { whole }
}

fn volumes(config: &Part<'_>, host: &Part<'_>) -> Result<Vec<String>> {
    let mut all: Vec<String> = config.keys("Volumes")?.into_iter().collect();
    all.extend(host.list("Binds")?);
    Ok(all)
}

/// `[address:]public:private/protocol` for each binding, `private/protocol` for a port that has none.
fn ports(config: &Part<'_>, host: &Part<'_>) -> Result<Vec<String>> {
    let bindings = host.part("PortBindings")?;
    let mut all = Vec::new();
    for port in config
        .keys("ExposedPorts")?
        .into_iter()
        .chain(host.keys("PortBindings")?)
        .collect::<BTreeSet<_>>()
    {
        let bound: Vec<Part<'_>> = match bindings.get(&port) {
            None => Vec::new(),
            Some(Value::Array(list)) => list
                .iter()
                .map(|one| Part {
                    name: "PortBindings",
                    fields: one.as_object(),
                })
                .collect(),
            Some(_) => return Err(host.wrong("PortBindings")),
        };
        if bound.is_empty() {
            all.push(port.clone());
        }
        for binding in bound {
            let address = binding.text("HostIp")?.filter(|ip| ip != "0.0.0.0");
            all.push(match (address, binding.text("HostPort")?) {
                (None, None) => port.clone(),
                (None, Some(public)) => format!("{public}:{port}"),
                (Some(address), public) => format!("{address}:{}:{port}", public.unwrap_or_default()),
            });
        }
    }
    Ok(all)
}

fn restart_policy(host: &Part<'_>) -> Result<Value> {
    let policy = host.part("RestartPolicy")?;
    let Some(name) = policy.text("Name")? else {
        return Ok(Value::Null);
    };
    Ok(json!({"name": name, "maximumRetryCount": policy.int("MaximumRetryCount")?.unwrap_or_default()}))
}

fn devices(host: &Part<'_>) -> Result<Vec<String>> {
    let parts = |device: Part<'_>| {
        let names = ["PathOnHost", "PathInContainer", "CgroupPermissions"];
        let parts = names
            .into_iter()
            .filter_map(|name| device.text(name).transpose())
            .collect::<Result<Vec<_>>>()?;
        Ok(parts.join(":"))
    };
    host.parts("Devices")?.into_iter().map(parts).collect()
}

fn block_devices(host: &Part<'_>) -> Result<Map<String, Value>> {
    let lists = [
        ("BlkioWeightDevice", "Weight", "weight"),
        ("BlkioDeviceReadBps", "Rate", "readBps"),
        ("BlkioDeviceWriteBps", "Rate", "writeBps"),
        ("BlkioDeviceReadIOps", "Rate", "readIops"),
        ("BlkioDeviceWriteIOps", "Rate", "writeIops"),
    ];
    let mut all: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (list, amount, option) in lists {
        for device in host.parts(list)? {
            if let (Some(path), Some(amount)) = (device.text("Path")?, device.int(amount)?) {
                all.entry(path)
                    .or_default()
                    .insert(option.to_owned(), Value::from(amount));
            }
        }
    }
    Ok(all
        .into_iter()
        .map(|(path, options)| (path, Value::Object(options)))
        .collect())
}

fn ulimits(host: &Part<'_>) -> Result<Vec<Value>> {
    let limit = |one: Part<'_>| {
        let amount = |name| one.read(name, Value::as_i64);
        Ok(json!({"name": one.text("Name")?, "hard": amount("Hard")?, "soft": amount("Soft")?}))
    };
    host.parts("Ulimits")?.into_iter().map(limit).collect()
}

/// The engine's default is its bridge. Another container's network cannot be told: it is named by an id of the engine,
/// where a launch configuration wants a container of ours.
fn network_mode(host: &Part<'_>) -> Result<String> {
    match host.text("NetworkMode")? {
        Some(mode) if mode.starts_with("container:") => Err(Error::invalid("InvalidOption", "HostConfig.NetworkMode")
            .with_message("the network of another container cannot be told")),
        Some(mode) if mode != "default" => Ok(mode),
        Some(_) | None => Ok("bridge".to_owned()),
    }
}

/// Always there: clients look into it without looking whether it is null.
fn log_config(host: &Part<'_>) -> Result<Value> {
    let log = host.part("LogConfig")?;
    Ok(json!({"driver": log.text("Type")?, "config": log.texts("Config")?}))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    fn read(document: Value) -> Result<Map<String, Value>> {
        container(document.as_object().unwrap())
    }

    #[test]
    fn each_part_of_an_inspect_document_has_its_field() {
        let hosts = |fields: Value| json!({"HostConfig": fields});
        let configs = |fields: Value| json!({"Config": fields});
        let cases = [
            (
                json!({"Name": "/web", "Id": "4f"}),
                json!({"name": "web", "externalId": "4f", "imageUuid": null, "workingDir": null}),
            ),
            (
                configs(json!({"Image": "nginx:1"})),
                json!({"imageUuid": "docker:nginx:1"}),
            ),
            (
                configs(json!({"Image": null, "WorkingDir": "", "Hostname": ""})),
                json!({"imageUuid": null, "workingDir": null, "hostname": null}),
            ),
            (
                configs(json!({"Cmd": ["a", "b"], "Entrypoint": "sh"})),
                json!({"command": ["a", "b"], "entryPoint": ["sh"]}),
            ),
            (
                configs(json!({})),
                json!({"command": [], "entryPoint": [], "environment": {}, "labels": {}, "tty": false, "stdinOpen": false}),
            ),
            (
                configs(json!({"Env": ["A=1=2", "B", "C="]})),
                json!({"environment": {"A": "1=2", "B": "", "C": ""}}),
            ),
            (
                configs(json!({"Tty": true, "OpenStdin": true, "StopSignal": "INT", "StopTimeout": 0})),
                json!({"tty": true, "stdinOpen": true, "stopSignal": "INT", "stopTimeout": null}),
            ),
            (
                configs(
                    json!({"Healthcheck": {"Test": ["CMD", "true"], "Interval": 2_500_000_000_i64, "Timeout": 1_000_000_000, "Retries": 3}}),
                ),
                json!({"healthCmd": ["CMD", "true"], "healthInterval": 3, "healthTimeout": 1, "healthRetries": 3}),
            ),
            (
                json!({"Config": {"Volumes": {"/b": {}, "/a": {}}}, "HostConfig": {"Binds": ["/h:/c:ro"]}}),
                json!({"dataVolumes": ["/a", "/b", "/h:/c:ro"]}),
            ),
            (
                json!({"Config": {"ExposedPorts": {"80/tcp": {}, "53/udp": {}, "1/tcp": {}}}, "HostConfig": {"PortBindings": {
                    "80/tcp": [{"HostPort": "8080"}, {"HostIp": "127.0.0.1", "HostPort": "81"}, {"HostIp": "0.0.0.0", "HostPort": ""}],
                    "1/tcp": null, "7/tcp": [{"HostIp": "127.0.0.1"}]}}}),
                json!({"ports": ["1/tcp", "53/udp", "127.0.0.1::7/tcp", "8080:80/tcp", "127.0.0.1:81:80/tcp", "80/tcp"]}),
            ),
            (
                hosts(json!({"RestartPolicy": {"Name": "", "MaximumRetryCount": 0}})),
                json!({"restartPolicy": null}),
            ),
            (
                hosts(json!({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}})),
                json!({"restartPolicy": {"name": "on-failure", "maximumRetryCount": 2}}),
            ),
            (
                hosts(
                    json!({"Devices": [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "rwm"}]}),
                ),
                json!({"devices": ["/dev/a:/dev/b:rwm"]}),
            ),
            (
                hosts(
                    json!({"BlkioWeightDevice": [{"Path": "/dev/b", "Weight": 9}], "BlkioDeviceReadIOps": [{"Path": "/dev/a", "Rate": 5}, {"Path": "/dev/b", "Rate": 6}]}),
                ),
                json!({"blkioDeviceOptions": {"/dev/a": {"readIops": 5}, "/dev/b": {"weight": 9, "readIops": 6}}}),
            ),
            (
                hosts(json!({"Ulimits": [{"Name": "nofile", "Hard": 2, "Soft": 0}]})),
                json!({"ulimits": [{"name": "nofile", "hard": 2, "soft": 0}]}),
            ),
            (
                hosts(json!({"Memory": 0, "ShmSize": 64, "CpusetCpus": "", "UTSMode": "host"})),
                json!({"memory": null, "shmSize": 64, "cpuSet": null, "uts": "host"}),
            ),
            (
                hosts(json!({"NetworkMode": "default"})),
                json!({"networkMode": "bridge"}),
            ),
            (hosts(json!({"NetworkMode": ""})), json!({"networkMode": "bridge"})),
            (hosts(json!({"NetworkMode": "host"})), json!({"networkMode": "host"})),
            (
                hosts(json!({"LogConfig": {"Type": "", "Config": null}})),
                json!({"logConfig": {"driver": null, "config": {}}}),
            ),
            (
                json!({}),
                json!({"logConfig": {"driver": null, "config": {}}, "oomKillDisable": null, "lxcConf": {}}),
            ),
            (
                hosts(json!({"LogConfig": {"Type": "syslog", "Config": {"tag": "t"}}})),
                json!({"logConfig": {"driver": "syslog", "config": {"tag": "t"}}}),
            ),
            (
                hosts(json!({"OomKillDisable": false, "Init": true})),
                json!({"oomKillDisable": false, "runInit": true}),
            ),
        ];
        for (document, expected) in cases {
            let fields = read(document.clone()).unwrap();
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(&fields[name], value, "{name} of {document}");
            }
        }
    }

    #[test]
    fn parts_of_another_type_are_named() {
        let cases = [
            (json!({"Name": 1}), "Name"),
            (json!({"Config": []}), "Config"),
            (json!({"Config": {"Env": "A=1"}}), "Config.Env"),
            (json!({"Config": {"Labels": {"a": 1}}}), "Config.Labels"),
            (
                json!({"Config": {"Healthcheck": {"Interval": "1s"}}}),
                "Healthcheck.Interval",
            ),
            (json!({"HostConfig": {"Memory": 1.5}}), "HostConfig.Memory"),
            (json!({"HostConfig": {"Memory": 1e30}}), "HostConfig.Memory"),
            (json!({"HostConfig": {"Privileged": "yes"}}), "HostConfig.Privileged"),
            (json!({"HostConfig": {"Devices": [1]}}), "HostConfig.Devices"),
            (
                json!({"HostConfig": {"PortBindings": {"80/tcp": 80}}}),
                "HostConfig.PortBindings",
            ),
        ];
        for (document, field) in cases {
            let refused = read(document.clone()).expect_err(&document.to_string());
            assert_eq!(
                (refused.code.as_deref(), refused.field.as_deref()),
                (Some("InvalidFormat"), Some(field)),
                "{document}"
            );
        }
        let refused = read(json!({"HostConfig": {"NetworkMode": "container:4f"}})).expect_err("no such network");
        assert_eq!(refused.code.as_deref(), Some("InvalidOption"));
    }

    #[test]
    fn equal_documents_give_equal_bytes_whatever_their_order() {
        let one: Value = serde_json::from_str(
            r#"{"Config":{"Labels":{"b":"1","a":"2"},"Env":["X=1","A=2"]},"HostConfig":{"Sysctls":{"y":"1","x":"2"}}}"#,
        )
        .unwrap();
        let other: Value = serde_json::from_str(
            r#"{"HostConfig":{"Sysctls":{"x":"2","y":"1"}},"Config":{"Env":["A=2","X=1"],"Labels":{"a":"2","b":"1"}}}"#,
        )
        .unwrap();
        let bytes = |document: Value| serde_json::to_string(&read(document).unwrap()).unwrap();
        assert_eq!(bytes(one), bytes(other));
    }
}
