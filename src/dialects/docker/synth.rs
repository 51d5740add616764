//! From a service in the engine's words back to Docker's: whole for those that were made elsewhere, and what was changed elsewhere for
//! those that Docker's clients made.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::check::SECOND;
use super::project::OWN;
use super::spec::SeLinuxContext;
use crate::model::launch::{LABEL_GLOBAL, LABEL_HOST, LABEL_HOST_NE, LABEL_START_ONCE};
use crate::model::own_labels::{
    CONDITION, DELAY, HOST, JobRule, MAX_ATTEMPTS, MESH_PORTS, MeshPort, PlacementRule, RestartRule, WINDOW,
    parse_mesh_ports, write_mesh_ports,
};

/// A launch configuration and a scale as a `ServiceSpec`. `scale` is none for one on each host.
pub fn synthesise(
    name: &str,
    labels: &BTreeMap<String, String>,
    launch: &Map<String, Value>,
    scale: Option<i64>,
) -> Value {
    let mut container = Map::new();
    put_program(&mut container, launch);
    put_files(&mut container, launch);
    put_surroundings(&mut container, launch);
    container.insert("Isolation".into(), json!("default"));
    let mut task = Map::new();
    task.insert("ContainerSpec".into(), Value::Object(container));
    if let Some(resources) = resources(launch) {
        task.insert("Resources".into(), resources);
    }
    if let Some(policy) = restart_policy(launch) {
        task.insert("RestartPolicy".into(), policy);
    }
    if let Some(placement) = placement(launch) {
        task.insert("Placement".into(), placement);
    }
    if let Some(Value::Object(log)) = launch.get("logConfig")
        && let Some(driver) = log.get("driver").filter(|driver| driver.is_string())
    {
        let options = log.get("config").filter(|config| config.is_object());
        let mut own = Map::from_iter([("Name".to_owned(), driver.clone())]);
        own.extend(options.map(|options| ("Options".to_owned(), options.clone())));
        task.insert("LogDriver".into(), Value::Object(own));
    }
    task.insert("ForceUpdate".into(), json!(0));
    task.insert("Runtime".into(), json!("container"));
    let mode = mode(launch, scale.map(|scale| scale.max(0)));
    let mut spec = Map::new();
    spec.insert("Name".into(), json!(name));
    spec.insert("Labels".into(), json!(labels));
    spec.insert("TaskTemplate".into(), Value::Object(task));
    spec.insert("Mode".into(), mode);
    let ports = ports(launch);
    if !ports.is_empty() {
        let ports: Vec<Value> = ports.iter().map(Published::asked).collect();
        spec.insert("EndpointSpec".into(), json!({"Mode": "vip", "Ports": ports}));
    }
    Value::Object(spec)
}

/// `kept` with what differs between `then`, what the engine was told when it was kept, and `now`.
pub fn overlay(kept: &Value, then: &Value, now: &Value) -> Value {
    let (Value::Object(kept), Value::Object(then), Value::Object(now)) = (kept, then, now) else {
        return if then == now { kept.clone() } else { now.clone() };
    };
    let mut merged = kept.clone();
    for key in then.keys().chain(now.keys()) {
        let (was, is) = (then.get(key), now.get(key));
        if was == is {
            continue;
        }
        match is {
            None => {
                merged.shift_remove(key);
            }
            Some(is) => {
                let under = merged.get(key).or(was).unwrap_or(&Value::Null);
                let one = overlay(under, was.unwrap_or(&Value::Null), is);
                merged.insert(key.clone(), one);
            }
        }
    }
    Value::Object(merged)
}

/// Whether a service runs on each host, by its label.
pub fn is_global(launch: &Map<String, Value>) -> bool {
    label(launch, LABEL_GLOBAL).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

fn text<'v>(launch: &'v Map<String, Value>, field: &str) -> Option<&'v str> {
    launch
        .get(field)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn number(launch: &Map<String, Value>, field: &str) -> Option<i64> {
    launch.get(field).and_then(Value::as_i64).filter(|number| *number > 0)
}

fn list(launch: &Map<String, Value>, field: &str) -> Vec<String> {
    let all = launch.get(field).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn label<'v>(launch: &'v Map<String, Value>, name: &str) -> Option<&'v str> {
    launch.get("labels")?.get(name)?.as_str()
}

fn put<T: serde::Serialize>(out: &mut Map<String, Value>, field: &str, all: Vec<T>) {
    if !all.is_empty() {
        out.insert(field.to_owned(), json!(all));
    }
}

fn put_program(out: &mut Map<String, Value>, launch: &Map<String, Value>) {
    let image = text(launch, "imageUuid").unwrap_or_default();
    out.insert("Image".into(), json!(image.strip_prefix("docker:").unwrap_or(image)));
    let labels = launch.get("labels").and_then(Value::as_object).into_iter().flatten();
    let own: Map<String, Value> = labels
        .filter(|(key, _)| !OWN.iter().any(|prefix| key.starts_with(prefix)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !own.is_empty() {
        out.insert("Labels".into(), Value::Object(own));
    }
    put(out, "Command", list(launch, "entryPoint"));
    put(out, "Args", list(launch, "command"));
    let set = |out: &mut Map<String, Value>, name: &str, field: &str| {
        if let Some(text) = text(launch, field) {
            out.insert(name.to_owned(), json!(text));
        }
    };
    set(out, "Hostname", "hostname");
    let environment = launch
        .get("environment")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let lines = environment.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    put(out, "Env", lines.collect::<Vec<_>>());
    set(out, "Dir", "workingDir");
    set(out, "User", "user");
    put(out, "Groups", list(launch, "groupAdd"));
    let on = |field: &str| launch.get(field) == Some(&Value::Bool(true));
    for (name, field) in [
        ("Init", "runInit"),
        ("TTY", "tty"),
        ("OpenStdin", "stdinOpen"),
        ("ReadOnly", "readOnly"),
    ] {
        if on(field) {
            out.insert(name.into(), json!(true));
        }
    }
    if let Some(context) = SeLinuxContext::of_options(&list(launch, "securityOpt")) {
        out.insert(
            "Privileges".into(),
            json!({"CredentialSpec": null, "SELinuxContext": context}),
        );
    }
    set(out, "StopSignal", "stopSignal");
    if let Some(seconds) = number(launch, "stopTimeout") {
        out.insert("StopGracePeriod".into(), json!(seconds.saturating_mul(SECOND)));
    }
}

fn put_files(out: &mut Map<String, Value>, launch: &Map<String, Value>) {
    let mut mounts: Vec<Value> = list(launch, "dataVolumes").iter().map(|text| mount(text)).collect();
    let tmpfs = launch.get("tmpfs").and_then(Value::as_object).into_iter().flatten();
    mounts.extend(tmpfs.map(|(target, _)| json!({"Type": "tmpfs", "Target": target})));
    put(out, "Mounts", mounts);
}

/// `source:target:ro,rslave,nocopy`, `source:target` or `target`.
fn mount(text: &str) -> Value {
    let mut parts = text.splitn(3, ':');
    let first = parts.next().unwrap_or_default();
    let (source, target) = match parts.next() {
        Some(target) => (Some(first), target),
        None => (None, first),
    };
    let is_bind = source.is_some_and(|source| source.starts_with('/'));
    let mut mount = Map::new();
    mount.insert("Type".into(), json!(if is_bind { "bind" } else { "volume" }));
    mount.extend(source.map(|source| ("Source".to_owned(), json!(source))));
    mount.insert("Target".into(), json!(target));
    for word in parts.next().into_iter().flat_map(|words| words.split(',')) {
        match word {
            "ro" => mount.insert("ReadOnly".into(), json!(true)),
            "nocopy" => mount.insert("VolumeOptions".into(), json!({"NoCopy": true})),
            "private" | "shared" | "rshared" | "slave" | "rslave" => {
                mount.insert("BindOptions".into(), json!({"Propagation": word}))
            }
            _ => None,
        };
    }
    Value::Object(mount)
}

fn put_surroundings(out: &mut Map<String, Value>, launch: &Map<String, Value>) {
    let command = label(launch, "io.drover.health.command");
    if let (Some(command), Some(Value::Object(check))) = (command, launch.get("healthCheck")) {
        let nanos = |field: &str| number(check, field).unwrap_or(0).saturating_mul(1_000_000);
        let retries = number(check, "unhealthyThreshold").unwrap_or(0);
        let mut own = json!({"Test": ["CMD-SHELL", command]});
        if let Some(own) = own.as_object_mut() {
            for (name, value) in [
                ("Interval", nanos("interval")),
                ("Timeout", nanos("responseTimeout")),
                ("Retries", retries),
            ] {
                own.insert(name.into(), json!(value));
            }
        }
        out.insert("Healthcheck".into(), own);
    }
    let hosts = list(launch, "extraHosts");
    let turned = hosts.iter().filter_map(|line| line.split_once(':'));
    put(
        out,
        "Hosts",
        turned
            .map(|(name, address)| format!("{address} {name}"))
            .collect::<Vec<_>>(),
    );
    let mut dns = Map::new();
    put(&mut dns, "Nameservers", list(launch, "dns"));
    put(&mut dns, "Search", list(launch, "dnsSearch"));
    put(&mut dns, "Options", list(launch, "dnsOpt"));
    if !dns.is_empty() {
        out.insert("DNSConfig".into(), Value::Object(dns));
    }
    for (name, field) in [("CapabilityAdd", "capAdd"), ("CapabilityDrop", "capDrop")] {
        let all = list(launch, field);
        put(
            out,
            name,
            all.iter().map(|name| format!("CAP_{name}")).collect::<Vec<_>>(),
        );
    }
    if let Some(Value::Object(sysctls)) = launch
        .get("sysctls")
        .filter(|s| s.as_object().is_some_and(|s| !s.is_empty()))
    {
        out.insert("Sysctls".into(), Value::Object(sysctls.clone()));
    }
    let limits = launch.get("ulimits").and_then(Value::as_array).into_iter().flatten();
    let limits = limits.map(|limit| json!({"Name": limit["name"], "Hard": limit["hard"], "Soft": limit["soft"]}));
    put(out, "Ulimits", limits.collect::<Vec<_>>());
}

fn resources(launch: &Map<String, Value>) -> Option<Value> {
    let mut limits = Map::new();
    if let (Some(quota), Some(period)) = (number(launch, "cpuQuota"), number(launch, "cpuPeriod")) {
        limits.insert("NanoCPUs".into(), json!(quota.saturating_mul(SECOND) / period));
    }
    let set = |out: &mut Map<String, Value>, name: &str, amount: Option<i64>| {
        if let Some(amount) = amount {
            out.insert(name.to_owned(), json!(amount));
        }
    };
    set(&mut limits, "MemoryBytes", number(launch, "memory"));
    set(&mut limits, "Pids", number(launch, "pidsLimit"));
    let mut reserved = Map::new();
    let processors = number(launch, "milliCpuReservation").map(|milli| milli.saturating_mul(1_000_000));
    set(&mut reserved, "NanoCPUs", processors);
    set(&mut reserved, "MemoryBytes", number(launch, "memoryReservation"));
    match limits.is_empty() && reserved.is_empty() {
        true => None,
        false => Some(json!({"Limits": limits, "Reservations": reserved})),
    }
}

fn mode(launch: &Map<String, Value>, scale: Option<i64>) -> Value {
    let job = JobRule::checked(&labels(launch));
    match (scale, job.is_job) {
        (None, false) => json!({"Global": {}}),
        (None, true) => json!({"GlobalJob": {}}),
        (Some(scale), false) => json!({"Replicated": {"Replicas": scale}}),
        (Some(scale), true) => {
            let at_once = job.max_concurrent.map_or(scale, i64::from);
            json!({"ReplicatedJob": {"MaxConcurrent": at_once, "TotalCompletions": scale}})
        }
    }
}

fn labels(launch: &Map<String, Value>) -> BTreeMap<String, String> {
    let labels = launch.get("labels").cloned();
    labels
        .and_then(|labels| serde_json::from_value(labels).ok())
        .unwrap_or_default()
}

fn restart_policy(launch: &Map<String, Value>) -> Option<Value> {
    if label(launch, LABEL_START_ONCE).is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Some(json!({"Condition": "none", "MaxAttempts": 0}));
    }
    let labels = labels(launch);
    let rule = RestartRule::checked(Some(&labels));
    let is_said = labels
        .keys()
        .any(|key| [CONDITION, DELAY, MAX_ATTEMPTS, WINDOW].contains(&key.as_str()));
    if !is_said {
        return None;
    }
    let condition = if rule.on_failure_only { "on-failure" } else { "any" };
    let mut policy = json!({"Condition": condition, "MaxAttempts": rule.most.unwrap_or(0)});
    let nanos = |time: Duration| json!(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
    let times = [("Delay", rule.delay), ("Window", rule.window)];
    for (name, time) in times.into_iter().filter_map(|(name, time)| Some((name, time?))) {
        policy.as_object_mut()?.insert(name.into(), nanos(time));
    }
    Some(policy)
}

fn placement(launch: &Map<String, Value>) -> Option<Value> {
    let mut all = Vec::new();
    for (name, sign) in [(LABEL_HOST, "=="), (LABEL_HOST_NE, "!=")] {
        let pairs = label(launch, name).into_iter().flat_map(|text| text.split(','));
        let pairs = pairs.filter_map(|pair| pair.split_once('='));
        all.extend(pairs.filter_map(|(key, value)| Some(format!("{}{sign}{value}", node_key(key)?))));
    }
    let rule = PlacementRule::checked(&labels(launch));
    let spread = rule.spread.iter();
    let spread: Vec<Value> = spread
        .map(|label| json!({"Spread": {"SpreadDescriptor": format!("node.labels.{label}")}}))
        .collect();
    let mut out = Map::new();
    put(&mut out, "Constraints", all);
    put(&mut out, "Preferences", spread);
    if let Some(most) = rule.max_per_host {
        out.insert("MaxReplicas".into(), json!(most));
    }
    (!out.is_empty()).then_some(Value::Object(out))
}

/// What Docker calls what a rule finds of a host; nothing for its id, which differs.
fn node_key(label: &str) -> Option<String> {
    Some(match label.strip_prefix(HOST) {
        Some("id") => return None,
        Some("name") => "node.hostname".to_owned(),
        Some("role") => "node.role".to_owned(),
        Some(of) => format!("node.platform.{of}"),
        None => format!("node.labels.{label}"),
    })
}

/// A port of a service, as it is published now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// `tcp`, `udp`.
    pub protocol: String,
    /// In the container.
    pub target: u16,
    /// On hosts; 0 where it is not drawn yet.
    pub published: u16,
    /// Whether each host has it, and not those alone that have a container.
    pub is_mesh: bool,
}

impl Published {
    fn asked(&self) -> Value {
        let mut port = json!({"Protocol": self.protocol, "TargetPort": self.target});
        if let Some(port) = port.as_object_mut() {
            if self.published != 0 {
                port.insert("PublishedPort".into(), json!(self.published));
            }
            port.insert("PublishMode".into(), json!(self.mode()));
        }
        port
    }

    /// By whom it is published, as far as that is said. What no balancer balances is given as it would be asked for.
    pub fn mode(&self) -> &'static str {
        match self.is_mesh || self.protocol != "tcp" {
            true => "ingress",
            false => "host",
        }
    }
}

/// The ports of a launch configuration.
pub fn ports(launch: &Map<String, Value>) -> Vec<Published> {
    let read = |text: String| {
        let (numbers, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        let mut parts = numbers.rsplit(':');
        let target = parts.next()?.parse().ok()?;
        Some(Published {
            protocol: protocol.to_owned(),
            target,
            published: parts.next().and_then(|text| text.parse().ok()).unwrap_or(0),
            is_mesh: false,
        })
    };
    let mesh = label(launch, MESH_PORTS).map_or(Vec::new(), parse_mesh_ports);
    let mesh = mesh.into_iter().map(|port| Published {
        protocol: "tcp".to_owned(),
        target: port.private,
        published: port.public.unwrap_or(0),
        is_mesh: true,
    });
    let own = list(launch, "ports").into_iter().filter_map(read);
    mesh.chain(own).collect()
}

/// Takes drawn ports back out of a launch configuration: a port that was to be any is not asked for as the one that it became.
pub fn undraw(launch: &mut Map<String, Value>, asked: &[Published]) {
    let (mut mesh, mut own) = (Vec::new(), Vec::new());
    for port in ports(launch) {
        let any = Published {
            published: 0,
            ..port.clone()
        };
        let is_drawn = !asked.contains(&port) && asked.contains(&any);
        let public = Some(port.published).filter(|public| *public != 0 && !is_drawn);
        if port.is_mesh {
            let private = port.target;
            mesh.push(MeshPort { public, private });
        } else {
            let public = public.map_or(String::new(), |public| format!("{public}:"));
            own.push(format!("{public}{}/{}", port.target, port.protocol));
        }
    }
    launch.insert("ports".into(), json!(own));
    let labels = launch.get_mut("labels").and_then(Value::as_object_mut);
    if let Some(label) = labels.and_then(|labels| labels.get_mut(MESH_PORTS)) {
        *label = json!(write_mesh_ports(&mesh));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_elsewhere_shows_and_the_rest_stays_as_given() {
        let kept = json!({"A": {"Image": "a", "Env": ["B=1", "A=2"], "Raw": 1}, "Scale": 1});
        let then = json!({"A": {"Image": "a", "Env": ["A=2", "B=1"]}, "Scale": 1});
        assert_eq!(overlay(&kept, &then, &then), kept);
        let now = json!({"A": {"Image": "b", "Env": ["A=2", "B=1"]}, "Scale": 3, "New": true});
        let shown = json!({"A": {"Image": "b", "Env": ["B=1", "A=2"], "Raw": 1}, "Scale": 3, "New": true});
        assert_eq!(overlay(&kept, &then, &now), shown);
        let without = json!({"A": {"Image": "a"}, "Scale": 1});
        assert_eq!(overlay(&kept, &then, &without)["A"], json!({"Image": "a", "Raw": 1}));
    }
}
