//! From a service in Docker's words to one in the engine's own: a launch configuration, a scale, and labels that say the rest.
//!
//! What has no counterpart is refused by its name: nothing is taken and then left undone.

use serde_json::{Map, Value, json};

use super::check::SECOND;
use super::refusal::{Outcome, Refusal};
use super::spec::{ContainerSpec, Healthcheck, Mount, Placement, Resources, RestartPolicy, ServiceSpec, TaskSpec};
use crate::model::own_labels::{CONDITION, CONFIG, DELAY, MAX_ATTEMPTS, MOST_IN_WINDOW, WINDOW};

/// Labels of the engine's and Rancher's own: these say what Docker says in fields.
pub const OWN: [&str; 2] = ["io.rancher.", "io.drover."];
/// The label by which `docker stack` knows its services.
pub const NAMESPACE: &str = "com.docker.stack.namespace";
const GLOBAL: &str = "io.rancher.scheduler.global";
const START_ONCE: &str = "io.rancher.container.start_once";
const HOST_LABEL: &str = "io.rancher.scheduler.affinity:host_label";
const HOST_LABEL_NE: &str = "io.rancher.scheduler.affinity:host_label_ne";
const HEALTH_COMMAND: &str = "io.drover.health.command";
/// Microseconds that a share of a processor is counted over.
const CPU_PERIOD: i64 = 100_000;

/// What other rows are called: names and ids of Docker's to ids of rows.
pub trait Others {
    /// The secret of an id, as a reference has it.
    fn secret(&self, id: &str) -> Outcome<String>;
    /// The name of the config with an id.
    fn config(&self, id: &str) -> Outcome<String>;
    /// Whether there are simulated hosts, which images of theirs are for.
    fn simulates(&self) -> bool;
    /// The host with this name, or with this id.
    fn node(&self, by: &str, value: &str) -> Outcome<String>;
}

/// A service in the engine's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Native {
    /// Its launch configuration.
    pub launch: Map<String, Value>,
    /// How many; none is one on each host.
    pub scale: Option<u64>,
}

/// What `spec` is here.
pub fn project(spec: &ServiceSpec, others: &dyn Others) -> Outcome<Native> {
    let task = &spec.task_template;
    let container = task.container_spec.clone().unwrap_or_default();
    check_unbuilt(spec, task, &container)?;
    let mut launch = Map::new();
    let mut labels: Map<String, Value> = Map::new();
    labels.extend(container.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
    put_program(&mut launch, &container, others.simulates())?;
    put_files(&mut launch, &container)?;
    put_secrets(&mut launch, &container, others)?;
    put_configs(&mut labels, &container, others)?;
    put_surroundings(&mut launch, &container);
    if let Some(resources) = &task.resources {
        put_resources(&mut launch, resources)?;
    }
    if let Some(check) = &container.healthcheck {
        put_health(&mut launch, &mut labels, check)?;
    }
    if let Some(policy) = &task.restart_policy {
        put_restart(&mut labels, policy)?;
    }
    if let Some(placement) = &task.placement {
        put_placement(&mut launch, &mut labels, placement, others)?;
    }
    if let Some(driver) = &task.log_driver {
        launch.insert(
            "logConfig".into(),
            json!({"driver": driver.name, "config": driver.options}),
        );
    }
    let ports = spec.endpoint_spec.iter().flat_map(|endpoint| &endpoint.ports);
    let ports: Vec<String> = ports
        .map(|port| match port.published_port {
            0 => format!("{}/{}", port.target_port, port.protocol),
            published => format!("{published}:{}/{}", port.target_port, port.protocol),
        })
        .collect();
    put_list(&mut launch, "ports", ports);
    let mode = spec.mode.clone().unwrap_or_default();
    let scale = match mode.global {
        Some(_) => {
            labels.insert(GLOBAL.into(), json!("true"));
            None
        }
        None => Some(mode.replicated.and_then(|replicated| replicated.replicas).unwrap_or(1)),
    };
    launch.insert("labels".into(), Value::Object(labels));
    Ok(Native { launch, scale })
}

fn unbuilt(field: &str, why: &str) -> Refusal {
    Refusal::not_built(format!("{field}: {why}"))
}

fn check_unbuilt(spec: &ServiceSpec, task: &TaskSpec, container: &ContainerSpec) -> Outcome<()> {
    if let Some(privileges) = &container.privileges {
        let selinux = privileges.selinux_context.clone().unwrap_or_default();
        if privileges.credential_spec.is_some() || selinux != super::spec::SeLinuxContext::default() {
            return Err(unbuilt(
                "ContainerSpec.Privileges",
                "credential specs and SELinux contexts are not part of this build",
            ));
        }
    }
    if container.configs.iter().any(|config| config.runtime.is_some()) {
        return Err(unbuilt("ContainerSpec.Configs", "Runtime is not part of this build"));
    }
    if container.isolation != "default" && !container.isolation.is_empty() {
        return Err(unbuilt(
            "ContainerSpec.Isolation",
            "only Windows has others than default",
        ));
    }
    // Services of a stack find each other by the names that they have in it; `docker stack` gives these as aliases.
    let own = name_in_stack(spec);
    for network in task.networks.iter().chain(&spec.networks) {
        if let Some(alias) = network.aliases.iter().find(|alias| **alias != own) {
            return Err(unbuilt(
                "TaskTemplate.Networks",
                &format!("the alias {alias:?} is not part of this build"),
            ));
        }
        if !network.driver_opts.is_empty() {
            return Err(unbuilt(
                "TaskTemplate.Networks",
                "driver options are not part of this build",
            ));
        }
    }
    Ok(())
}

/// The name of a service without that of its stack.
pub fn name_in_stack(spec: &ServiceSpec) -> &str {
    let stack = spec.labels.get(NAMESPACE).map(|stack| format!("{stack}_"));
    stack
        .and_then(|prefix| spec.name.strip_prefix(&prefix))
        .unwrap_or(&spec.name)
}

/// What runs: image, words, environment.
fn put_program(launch: &mut Map<String, Value>, container: &ContainerSpec, simulates: bool) -> Outcome<()> {
    let image = match simulates && container.image.starts_with("sim:") {
        true => container.image.clone(),
        false => format!("docker:{}", container.image),
    };
    launch.insert("imageUuid".into(), json!(image));
    put_list(launch, "entryPoint", container.command.clone());
    put_list(launch, "command", container.args.clone());
    let mut environment = Map::new();
    for line in &container.env {
        let Some((key, value)) = line.split_once('=') else {
            return Err(unbuilt(
                "ContainerSpec.Env",
                &format!("{line:?} has no value: taking a variable out of an image is not part of this build"),
            ));
        };
        environment.insert(key.to_owned(), json!(value));
    }
    if !environment.is_empty() {
        launch.insert("environment".into(), Value::Object(environment));
    }
    for (field, text) in [
        ("workingDir", &container.dir),
        ("user", &container.user),
        ("hostname", &container.hostname),
        ("stopSignal", &container.stop_signal),
    ] {
        if !text.is_empty() {
            launch.insert(field.into(), json!(text));
        }
    }
    for (field, is_on) in [
        ("tty", container.tty),
        ("stdinOpen", container.open_stdin),
        ("readOnly", container.read_only),
        ("runInit", container.init.unwrap_or(false)),
    ] {
        if is_on {
            launch.insert(field.into(), json!(true));
        }
    }
    put_list(launch, "groupAdd", container.groups.clone());
    if let Some(grace) = container.stop_grace_period {
        launch.insert("stopTimeout".into(), json!(grace.saturating_add(SECOND - 1) / SECOND));
    }
    Ok(())
}

fn put_files(launch: &mut Map<String, Value>, container: &ContainerSpec) -> Outcome<()> {
    let mut volumes = Vec::new();
    let mut tmpfs = Map::new();
    for mount in &container.mounts {
        match mount.kind.as_str() {
            "tmpfs" => {
                tmpfs.insert(mount.target.clone(), json!(tmpfs_options(mount)));
            }
            _ => volumes.push(volume(mount)?),
        }
    }
    put_list(launch, "dataVolumes", volumes);
    if !tmpfs.is_empty() {
        launch.insert("tmpfs".into(), Value::Object(tmpfs));
    }
    Ok(())
}

/// Secrets are files below `/run/secrets`, or where they say.
fn put_secrets(launch: &mut Map<String, Value>, container: &ContainerSpec, others: &dyn Others) -> Outcome<()> {
    let mut secrets = Vec::new();
    for reference in &container.secrets {
        let Some(file) = &reference.file else {
            return Err(Refusal::argument(
                "malformed secret reference, no secret target provided",
            ));
        };
        secrets.push(json!({
            "secretId": others.secret(&reference.secret_id)?, "name": file.name, "uid": file.uid, "gid": file.gid,
            "mode": format!("{:o}", file.mode),
        }));
    }
    if !secrets.is_empty() {
        launch.insert("secrets".into(), Value::Array(secrets));
    }
    Ok(())
}

/// Configs are files below the root, by labels that say which.
fn put_configs(labels: &mut Map<String, Value>, container: &ContainerSpec, others: &dyn Others) -> Outcome<()> {
    for reference in &container.configs {
        let Some(file) = &reference.file else {
            return Err(Refusal::argument(
                "malformed config reference, no config target provided",
            ));
        };
        let mut value = others.config(&reference.config_id)?;
        for (field, id) in [("uid", &file.uid), ("gid", &file.gid)] {
            if !id.is_empty() {
                value.push_str(&format!(" {field}={id}"));
            }
        }
        value.push_str(&format!(" mode={:o}", file.mode));
        labels.insert(format!("{CONFIG}/{}", file.name.trim_start_matches('/')), json!(value));
    }
    Ok(())
}

fn volume(mount: &Mount) -> Outcome<String> {
    let bind = mount.bind_options.clone().unwrap_or_default();
    let volume = mount.volume_options.clone().unwrap_or_default();
    let field = "ContainerSpec.Mounts";
    if bind.non_recursive || !matches!(bind.propagation.as_str(), "" | "rprivate") {
        return Err(unbuilt(
            field,
            "propagation and NonRecursive are not part of this build",
        ));
    }
    let driver = volume.driver_config.clone().unwrap_or_default();
    if volume.no_copy || !matches!(driver.name.as_str(), "" | "local") || !driver.options.is_empty() {
        return Err(unbuilt(
            field,
            "NoCopy and drivers of volumes are not part of this build",
        ));
    }
    if mount.kind == "bind" && !mount.source.starts_with('/') {
        return Err(Refusal::argument(format!(
            "ContainerSpec: invalid bind mount source, must be an absolute path: {}",
            mount.source
        )));
    }
    let suffix = if mount.read_only { ":ro" } else { "" };
    Ok(match mount.source.as_str() {
        "" => mount.target.clone(),
        source => format!("{source}:{}{suffix}", mount.target),
    })
}

fn tmpfs_options(mount: &Mount) -> String {
    let options = mount.tmpfs_options.clone().unwrap_or_default();
    let size = options
        .size_bytes
        .filter(|size| *size > 0)
        .map(|size| format!("size={size}"));
    let mode = options
        .mode
        .filter(|mode| *mode > 0)
        .map(|mode| format!("mode={mode:o}"));
    let read_only = mount.read_only.then(|| "ro".to_owned());
    [read_only, size, mode]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(",")
}

/// What is around it: names, capabilities, limits that are no amounts.
fn put_surroundings(launch: &mut Map<String, Value>, container: &ContainerSpec) {
    // Docker's own lists are `address name`, the engine's `name:address`.
    let hosts = container.hosts.iter().flat_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next().unwrap_or_default().to_owned();
        words.map(move |name| format!("{name}:{address}")).collect::<Vec<_>>()
    });
    put_list(launch, "extraHosts", hosts.collect());
    if let Some(dns) = &container.dns_config {
        put_list(launch, "dns", dns.nameservers.clone());
        put_list(launch, "dnsSearch", dns.search.clone());
        put_list(launch, "dnsOpt", dns.options.clone());
    }
    let capability = |name: &String| name.trim_start_matches("CAP_").to_owned();
    put_list(
        launch,
        "capAdd",
        container.capability_add.iter().map(capability).collect(),
    );
    put_list(
        launch,
        "capDrop",
        container.capability_drop.iter().map(capability).collect(),
    );
    if !container.sysctls.is_empty() {
        launch.insert("sysctls".into(), json!(container.sysctls));
    }
    if !container.ulimits.is_empty() {
        let limits = container.ulimits.iter();
        let limits: Vec<Value> = limits
            .map(|limit| json!({"name": limit.name, "hard": limit.hard, "soft": limit.soft}))
            .collect();
        launch.insert("ulimits".into(), Value::Array(limits));
    }
}

fn put_resources(launch: &mut Map<String, Value>, resources: &Resources) -> Outcome<()> {
    let limits = resources.limits.clone().unwrap_or_default();
    let reserved = resources.reservations.clone().unwrap_or_default();
    if !limits.generic_resources.is_empty() || !reserved.generic_resources.is_empty() {
        return Err(unbuilt("Resources.GenericResources", "not part of this build"));
    }
    if limits.nano_cpus > 0 {
        launch.insert("cpuPeriod".into(), json!(CPU_PERIOD));
        launch.insert("cpuQuota".into(), json!(limits.nano_cpus / (SECOND / CPU_PERIOD)));
    }
    for (field, amount) in [
        ("memory", limits.memory_bytes),
        ("pidsLimit", limits.pids),
        ("memoryReservation", reserved.memory_bytes),
        ("milliCpuReservation", reserved.nano_cpus / 1_000_000),
    ] {
        if amount > 0 {
            launch.insert(field.into(), json!(amount));
        }
    }
    Ok(())
}

/// A check that Docker would run in the container is run there by the engine, so that what it finds counts.
fn put_health(launch: &mut Map<String, Value>, labels: &mut Map<String, Value>, check: &Healthcheck) -> Outcome<()> {
    let command = match check.test.split_first().map(|(kind, words)| (kind.as_str(), words)) {
        // What the image says holds; it is Docker's to run.
        None => return Ok(()),
        Some(("NONE", _)) => return Ok(()),
        Some(("CMD-SHELL", words)) => words.join(" "),
        Some(("CMD", words)) => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        Some((other, _)) => {
            return Err(Refusal::argument(format!(
                "ContainerSpec: Unknown healthcheck type {other:?}"
            )));
        }
    };
    let millis = |nanos: i64, default: i64| if nanos > 0 { (nanos / 1_000_000).max(1) } else { default };
    let interval = millis(check.interval, 30_000);
    let retries = if check.retries > 0 { check.retries } else { 3 };
    labels.insert(HEALTH_COMMAND.into(), json!(command));
    launch.insert(
        "healthCheck".into(),
        json!({
            // A check has to have one, and a command asks none.
            "port": 1, "interval": interval, "responseTimeout": millis(check.timeout, 30_000), "healthyThreshold": 1,
            "unhealthyThreshold": retries, "initializingTimeout": interval.saturating_mul(retries).saturating_add(millis(check.start_period, 0)),
            "strategy": "recreate",
        }),
    );
    Ok(())
}

/// A word as a shell reads it whole.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// What becomes of a container that ended, by labels.
fn put_restart(labels: &mut Map<String, Value>, policy: &RestartPolicy) -> Outcome<()> {
    match policy.condition.as_str() {
        "none" => {
            labels.insert(START_ONCE.into(), json!("true"));
            return Ok(());
        }
        "on-failure" => {
            labels.insert(CONDITION.into(), json!("on-failure"));
        }
        _ => {}
    }
    let time = |nanos: i64| json!(format!("{}ms", (nanos / 1_000_000).max(1)));
    let given = |nanos: Option<i64>| nanos.filter(|nanos| *nanos > 0);
    if let Some(delay) = given(policy.delay) {
        labels.insert(DELAY.into(), time(delay));
    }
    if policy.max_attempts == 0 {
        return Ok(());
    }
    labels.insert(
        MAX_ATTEMPTS.into(),
        json!(policy.max_attempts.min(u32::MAX.into()).to_string()),
    );
    if let Some(window) = given(policy.window) {
        if policy.max_attempts > MOST_IN_WINDOW.into() {
            return Err(unbuilt(
                "TaskTemplate.RestartPolicy",
                &format!("a Window with MaxAttempts of more than {MOST_IN_WINDOW} is not part of this build"),
            ));
        }
        labels.insert(WINDOW.into(), time(window));
    }
    Ok(())
}

fn put_placement(
    launch: &mut Map<String, Value>,
    labels: &mut Map<String, Value>,
    placement: &Placement,
    others: &dyn Others,
) -> Outcome<()> {
    if !placement.preferences.is_empty() || placement.max_replicas.is_some_and(|max| max > 0) {
        return Err(unbuilt(
            "Placement",
            "Preferences and MaxReplicas are not part of this build",
        ));
    }
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for text in &placement.constraints {
        let (key, is_same, value) = constraint(text)?;
        match (key.split_once("node.labels."), key, is_same) {
            (Some((_, label)), _, true) => with.push(format!("{label}={value}")),
            (Some((_, label)), _, false) => without.push(format!("{label}={value}")),
            (None, "node.hostname" | "node.id", true) => {
                launch.insert("requestedHostId".into(), json!(others.node(key, value)?));
            }
            // Each host of this server is what Docker calls a manager, on Linux.
            (None, "node.role", _) if is_same == (value == "manager") => {}
            (None, "node.platform.os", _) if is_same == (value == "linux") => {}
            _ => {
                return Err(unbuilt(
                    "Placement.Constraints",
                    &format!("{text:?} is not part of this build"),
                ));
            }
        }
    }
    for (label, all) in [(HOST_LABEL, with), (HOST_LABEL_NE, without)] {
        if !all.is_empty() {
            labels.insert(label.into(), json!(all.join(",")));
        }
    }
    Ok(())
}

/// `key == value`, or `key != value`.
fn constraint(text: &str) -> Outcome<(&str, bool, &str)> {
    let parts = text.split_once("==").map(|(key, value)| (key, true, value));
    let parts = parts.or_else(|| text.split_once("!=").map(|(key, value)| (key, false, value)));
    let (key, is_same, value) = parts.ok_or_else(|| {
        Refusal::argument(format!(
            "constraint expected one operator from ==, !=: {text:?} has none"
        ))
    })?;
    Ok((key.trim(), is_same, value.trim()))
}

fn put_list(launch: &mut Map<String, Value>, field: &str, all: Vec<String>) {
    if !all.is_empty() {
        launch.insert(field.into(), json!(all));
    }
}
