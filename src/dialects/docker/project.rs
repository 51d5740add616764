//! From a service in Docker's words to one in the engine's own: a launch configuration, a scale, and labels that say the rest.
//!
//! What has no counterpart is refused by its name: nothing is taken and then left undone.

use serde_json::{Map, Value, json};

use super::check::SECOND;
use super::files::{put_configs, put_files, put_secrets};
use super::policies::{put_placement, put_restart};
use super::refusal::{Outcome, Refusal};
use super::spec::{ContainerSpec, Healthcheck, Mode, Resources, ServiceSpec, TaskSpec};
use super::templates;
use crate::model::launch::LABEL_GLOBAL;
use crate::model::lb_config::RESERVED_PORT;
use crate::model::own_labels::{
    ALIASES, JOB, MAX_CONCURRENT, MESH_PORTS, MeshPort, TEMPLATES, UNSET, write_mesh_ports,
};

/// Labels of the engine's and Rancher's own: these say what Docker says in fields.
pub const OWN: [&str; 2] = ["io.rancher.", "io.drover."];
/// The label by which `docker stack` knows its services.
pub const NAMESPACE: &str = "com.docker.stack.namespace";
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
    /// The host with an id, as rules about hosts call it.
    fn node(&self, id: &str) -> Option<String>;
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
    let container = match templates::settled(&container, spec)? {
        Some(settled) => {
            labels.insert(TEMPLATES.into(), json!("docker"));
            settled
        }
        None => container,
    };
    put_program(&mut launch, &container, others.simulates());
    put_environment(&mut launch, &mut labels, &container);
    put_files(&mut launch, &mut labels, &container)?;
    put_secrets(&mut launch, &container, others)?;
    put_configs(&mut labels, &container, others)?;
    put_surroundings(&mut launch, &container);
    if let Some(resources) = &task.resources {
        put_resources(&mut launch, resources)?;
    }
    if let Some(check) = &container.healthcheck {
        put_health(&mut launch, &mut labels, check)?;
    }
    let is_job = spec.mode.as_ref().is_some_and(Mode::is_job);
    if let Some(policy) = &task.restart_policy {
        put_restart(&mut labels, policy, is_job)?;
    }
    if let Some(placement) = &task.placement {
        put_placement(&mut labels, placement, others)?;
    }
    put_aliases(&mut labels, spec);
    if let Some(driver) = &task.log_driver {
        launch.insert(
            "logConfig".into(),
            json!({"driver": driver.name, "config": driver.options}),
        );
    }
    put_ports(&mut launch, &mut labels, spec)?;
    let mode = spec.mode.clone().unwrap_or_default();
    let scale = put_mode(&mut labels, mode);
    launch.insert("labels".into(), Value::Object(labels));
    Ok(Native { launch, scale })
}

/// Over which hosts, until when; and how many, unless that is one on each host.
fn put_mode(labels: &mut Map<String, Value>, mode: Mode) -> Option<u64> {
    if mode.is_job() {
        labels.insert(JOB.into(), json!("true"));
    }
    if mode.global.is_some() || mode.global_job.is_some() {
        labels.insert(LABEL_GLOBAL.into(), json!("true"));
        return None;
    }
    let Some(job) = mode.replicated_job else {
        return Some(mode.replicated.and_then(|replicated| replicated.replicas).unwrap_or(1));
    };
    let at_once = job.max_concurrent.unwrap_or(1).clamp(1, u32::MAX.into());
    labels.insert(MAX_CONCURRENT.into(), json!(at_once.to_string()));
    // None at once are none at all.
    Some(job.total_completions.unwrap_or(at_once))
        .filter(|_| job.max_concurrent != Some(0))
        .or(Some(0))
}

/// Ports: what a swarm opens on each node is of the mesh, as far as a balancer can balance it; all other ports are those of the hosts
/// that have a container.
fn put_ports(launch: &mut Map<String, Value>, labels: &mut Map<String, Value>, spec: &ServiceSpec) -> Outcome<()> {
    let (mut mesh, mut own) = (Vec::new(), Vec::new());
    for port in spec.endpoint_spec.iter().flat_map(|endpoint| &endpoint.ports) {
        let public = Some(port.published_port).filter(|public| *public != 0);
        if port.publish_mode != "host" && port.protocol == "tcp" {
            if public.is_some_and(|public| i64::from(public) == RESERVED_PORT) {
                let why = "port 42 is where balancers are asked how they are";
                return Err(unbuilt("EndpointSpec.Ports", why));
            }
            let private = port.target_port;
            mesh.push(MeshPort { public, private });
        } else {
            let public = public.map_or(String::new(), |public| format!("{public}:"));
            own.push(format!("{public}{}/{}", port.target_port, port.protocol));
        }
    }
    put_list(launch, "ports", own);
    if !mesh.is_empty() {
        labels.insert(MESH_PORTS.into(), json!(write_mesh_ports(&mesh)));
    }
    Ok(())
}

/// A refusal of a field that has no counterpart.
pub fn unbuilt(field: &str, why: &str) -> Refusal {
    Refusal::not_built(format!("{field}: {why}"))
}

fn check_unbuilt(spec: &ServiceSpec, task: &TaskSpec, container: &ContainerSpec) -> Outcome<()> {
    let privileges = container.privileges.as_ref();
    if privileges.is_some_and(|privileges| privileges.credential_spec.is_some()) {
        return Err(unbuilt(
            "ContainerSpec.Privileges",
            "credential specs are not part of this build",
        ));
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
    let networks = task.networks.iter().chain(&spec.networks);
    if networks.into_iter().any(|network| !network.driver_opts.is_empty()) {
        return Err(unbuilt(
            "TaskTemplate.Networks",
            "driver options are not part of this build",
        ));
    }
    Ok(())
}

/// Other names than the service's own. Services of a stack find each other by the names that they have in it; `docker stack` gives these
/// as aliases.
fn put_aliases(labels: &mut Map<String, Value>, spec: &ServiceSpec) {
    let own = name_in_stack(spec);
    let networks = spec.task_template.networks.iter().chain(&spec.networks);
    let mut aliases: Vec<&str> = networks
        .flat_map(|network| &network.aliases)
        .map(String::as_str)
        .filter(|alias| *alias != own)
        .collect();
    aliases.sort_unstable();
    aliases.dedup();
    if !aliases.is_empty() {
        labels.insert(ALIASES.into(), json!(aliases.join(",")));
    }
}

/// The name of a service without that of its stack.
pub fn name_in_stack(spec: &ServiceSpec) -> &str {
    let stack = spec.labels.get(NAMESPACE).map(|stack| format!("{stack}_"));
    stack
        .and_then(|prefix| spec.name.strip_prefix(&prefix))
        .unwrap_or(&spec.name)
}

/// What runs: image, words, switches.
fn put_program(launch: &mut Map<String, Value>, container: &ContainerSpec, simulates: bool) {
    let image = match simulates && container.image.starts_with("sim:") {
        true => container.image.clone(),
        false => format!("docker:{}", container.image),
    };
    launch.insert("imageUuid".into(), json!(image));
    put_list(launch, "entryPoint", container.command.clone());
    put_list(launch, "command", container.args.clone());
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
}

/// Variables: those without a value are taken out of what the image sets.
fn put_environment(launch: &mut Map<String, Value>, labels: &mut Map<String, Value>, container: &ContainerSpec) {
    let mut environment = Map::new();
    let mut unset = Vec::new();
    for line in &container.env {
        match line.split_once('=') {
            Some((key, value)) => drop(environment.insert(key.to_owned(), json!(value))),
            // An empty line names nothing.
            None if line.is_empty() => {}
            None => unset.push(line.as_str()),
        }
    }
    if !environment.is_empty() {
        launch.insert("environment".into(), Value::Object(environment));
    }
    if !unset.is_empty() {
        labels.insert(UNSET.into(), json!(unset.join(",")));
    }
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
    let capability = |name: &String| name.to_ascii_uppercase().trim_start_matches("CAP_").to_owned();
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
    let privileges = container.privileges.as_ref();
    if let Some(context) = privileges.and_then(|privileges| privileges.selinux_context.as_ref()) {
        put_list(launch, "securityOpt", context.options());
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
    // A container that is started again has as long to become well as a new one.
    let patience = interval
        .saturating_mul(retries)
        .saturating_add(millis(check.start_period, 0));
    labels.insert(HEALTH_COMMAND.into(), json!(command));
    launch.insert(
        "healthCheck".into(),
        json!({
            // A check has to have one, and a command asks none.
            "port": 1, "interval": interval, "responseTimeout": millis(check.timeout, 30_000), "healthyThreshold": 1,
            "unhealthyThreshold": retries, "initializingTimeout": patience, "reinitializingTimeout": patience,
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

/// A list, unless it is empty.
pub fn put_list(launch: &mut Map<String, Value>, field: &str, all: Vec<String>) {
    if !all.is_empty() {
        launch.insert(field.into(), json!(all));
    }
}
