//! What is refused of a service before anything is made of it, in Docker's words, and what Docker adds to what it keeps.

use std::collections::BTreeMap;

use super::caller::MOST_LABELS;
use super::image::is_reference;
use super::limits;
use super::refusal::{Outcome, Refusal};
use super::spec::{
    BindOptions, ContainerSpec, EndpointSpec, FileTarget, Mode, PortConfig, Replicated, ReplicatedJob, RestartPolicy,
    ServiceSpec, TaskSpec, UpdateConfig,
};

/// Billionths of a second in a second.
pub const SECOND: i64 = 1_000_000_000;
/// The longest that is kept of a service, in bytes of JSON.
const LONGEST: usize = 256 * 1024;
/// The longest name of a service.
const LONGEST_NAME: usize = 63;

/// The service as it is kept: checked, and with what Docker adds.
pub fn settled(mut spec: ServiceSpec) -> Outcome<ServiceSpec> {
    settle_task(&mut spec.task_template)?;
    check_name(&spec.name)?;
    check_task(&spec.task_template)?;
    spec.mode = Some(settled_mode(spec.mode.take())?);
    if spec.update_config.is_some() && spec.mode.as_ref().is_some_and(Mode::is_job) {
        return Err(Refusal::argument("Jobs may not have an update config"));
    }
    if let Some(policy) = &mut spec.update_config {
        settle_policy(policy, "update")?;
    }
    if let Some(policy) = &mut spec.rollback_config {
        settle_policy(policy, "rollback")?;
    }
    if let Some(endpoint) = &mut spec.endpoint_spec {
        settle_endpoint(endpoint)?;
    }
    if spec.labels.len() > MOST_LABELS {
        return Err(Refusal::argument(format!("Labels: at most {MOST_LABELS}")));
    }
    let length = serde_json::to_string(&spec).map_or(0, |text| text.len());
    match length > LONGEST {
        true => Err(Refusal::argument(format!(
            "a service of {length} bytes is longer than {LONGEST}"
        ))),
        false => Ok(spec),
    }
}

/// A name as swarm wants it.
pub fn check_name(name: &str) -> Outcome<()> {
    let is_inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    let is_edge = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    if !is_edge(bytes.first()) || !is_edge(bytes.last()) || !bytes.iter().all(|c| is_inner(*c)) {
        return Err(Refusal::argument("name must be valid as a DNS name component"));
    }
    if name.len() > LONGEST_NAME {
        return Err(Refusal::argument("name must be 63 characters or fewer"));
    }
    Ok(())
}

fn settle_task(task: &mut TaskSpec) -> Outcome<()> {
    match task.runtime.as_str() {
        "" | "container" => {}
        "plugin" => return Err(Refusal::bad("mismatched Runtime and *Spec fields")),
        _ => return Err(Refusal::bad("unsupported runtime")),
    }
    let Some(container) = task.container_spec.as_mut() else {
        return Err(Refusal::bad("mismatched Runtime and *Spec fields"));
    };
    settle_container(container)?;
    if let Some(policy) = &mut task.restart_policy {
        check_restart(policy)?;
        if policy.condition.is_empty() {
            policy.condition = "any".to_owned();
        }
    }
    if let Some(placement) = &mut task.placement {
        placement.max_replicas = placement.max_replicas.filter(|most| *most > 0);
    }
    // Of a container it says nothing.
    task.plugin_spec = None;
    task.runtime = "container".to_owned();
    Ok(())
}

fn check_task(task: &TaskSpec) -> Outcome<()> {
    if let Some(resources) = &task.resources {
        limits::check_resources(resources)?;
    }
    if let Some(placement) = &task.placement {
        limits::check_placement(placement)?;
    }
    let container = task.container_spec.as_ref();
    let image = container.map_or("", |container| container.image.as_str());
    if image.is_empty() {
        return Err(Refusal::argument("ContainerSpec: image reference must be provided"));
    }
    // Images of the simulator say what is to become of them behind this.
    if !image.starts_with("sim:") && !is_reference(image) {
        return Err(Refusal::argument(format!(
            "ContainerSpec: {image:?} is not a valid repository/tag"
        )));
    }
    match container.and_then(|container| container.healthcheck.as_ref()) {
        Some(check) => limits::check_health(check),
        None => Ok(()),
    }
}

fn settle_container(container: &mut ContainerSpec) -> Outcome<()> {
    if container.isolation.is_empty() {
        container.isolation = "default".to_owned();
    }
    if container.stop_grace_period.is_some_and(|grace| grace < 0) {
        return Err(Refusal::argument("ContainerSpec: StopGracePeriod cannot be negative"));
    }
    for mount in &mut container.mounts {
        // Where nothing is said of a bind nothing is kept, and how exact one is was said to engines of other systems.
        mount.bind_options = mount
            .bind_options
            .take()
            .filter(|options| *options != BindOptions::default());
        mount.consistency = String::new();
        if !matches!(mount.kind.as_str(), "bind" | "volume" | "tmpfs") {
            return Err(Refusal::bad(format!("invalid MountType: {:?}", mount.kind)));
        }
        if mount.target.is_empty() {
            return Err(Refusal::argument(
                "ContainerSpec: invalid mount target, must be an absolute path",
            ));
        }
    }
    let secrets = container
        .secrets
        .iter()
        .map(|one| (&one.secret_name, one.file.as_ref()));
    check_targets("secret", secrets)?;
    let configs = container
        .configs
        .iter()
        .map(|one| (&one.config_name, one.file.as_ref()));
    check_targets("config", configs)?;
    let mut targets = BTreeMap::new();
    for mount in &container.mounts {
        if targets.insert(&mount.target, ()).is_some() {
            return Err(Refusal::argument(format!(
                "ContainerSpec: duplicate mount point: {}",
                mount.target
            )));
        }
    }
    Ok(())
}

/// Two things are not one file.
fn check_targets<'f>(kind: &str, all: impl Iterator<Item = (&'f String, Option<&'f FileTarget>)>) -> Outcome<()> {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, file) in all {
        let Some(file) = file else { continue };
        if let Some(other) = taken.insert(&file.name, name) {
            return Err(Refusal::argument(format!(
                "{kind} references '{other}' and '{name}' have a conflicting target: '{}'",
                file.name
            )));
        }
    }
    Ok(())
}

fn check_restart(policy: &RestartPolicy) -> Outcome<()> {
    match policy.condition.as_str() {
        "" | "none" | "on-failure" | "any" => Ok(()),
        other => Err(Refusal::bad(format!("invalid RestartCondition: {other:?}"))),
    }
}

fn settled_mode(mode: Option<Mode>) -> Outcome<Mode> {
    let mode = mode.unwrap_or_default();
    let given = [
        mode.replicated.is_some(),
        mode.global.is_some(),
        mode.replicated_job.is_some(),
        mode.global_job.is_some(),
    ];
    if given.iter().filter(|is_given| **is_given).count() > 1 {
        return Err(Refusal::bad("must specify only one service mode"));
    }
    if mode.global.is_some() || mode.global_job.is_some() {
        return Ok(mode);
    }
    if let Some(job) = mode.replicated_job {
        let at_once = job.max_concurrent.unwrap_or(1);
        return Ok(Mode {
            replicated_job: Some(ReplicatedJob {
                max_concurrent: Some(at_once),
                total_completions: Some(job.total_completions.unwrap_or(at_once)),
            }),
            ..Mode::default()
        });
    }
    let replicas = mode.replicated.and_then(|replicated| replicated.replicas).unwrap_or(1);
    Ok(Mode {
        replicated: Some(Replicated {
            replicas: Some(replicas),
        }),
        ..Mode::default()
    })
}

fn settle_policy(policy: &mut UpdateConfig, what: &str) -> Outcome<()> {
    if policy.failure_action.is_empty() {
        policy.failure_action = "pause".to_owned();
    }
    let actions: &[&str] = match what {
        "update" => &["pause", "continue", "rollback"],
        _ => &["pause", "continue"],
    };
    if !actions.contains(&policy.failure_action.as_str()) {
        return Err(Refusal::bad(format!(
            "unrecognized update failure action {}",
            policy.failure_action
        )));
    }
    if policy.order.is_empty() {
        policy.order = "stop-first".to_owned();
    }
    if !matches!(policy.order.as_str(), "stop-first" | "start-first") {
        return Err(Refusal::bad(format!("unrecognized update order {}", policy.order)));
    }
    for (name, time) in [("delay", policy.delay), ("monitor", policy.monitor)] {
        if time < 0 {
            return Err(Refusal::argument(format!("TaskSpec: {what}-{name} cannot be negative")));
        }
    }
    match policy.max_failure_ratio.0.as_f64() {
        Some(ratio) if (0.0..=1.0).contains(&ratio) => Ok(()),
        _ => Err(Refusal::argument(format!(
            "TaskSpec: {what}-maxfailureratio cannot be less than 0 or bigger than 1"
        ))),
    }
}

fn settle_endpoint(endpoint: &mut EndpointSpec) -> Outcome<()> {
    if !matches!(endpoint.mode.as_str(), "" | "vip" | "dnsrr") {
        return Err(Refusal::bad(format!("invalid resolution mode: {:?}", endpoint.mode)));
    }
    for port in &mut endpoint.ports {
        for (field, default) in [(&mut port.protocol, "tcp"), (&mut port.publish_mode, "ingress")] {
            if field.is_empty() {
                *field = default.to_owned();
            }
        }
        check_port(port)?;
    }
    let has_ingress = endpoint.ports.iter().any(|port| port.publish_mode == "ingress");
    if endpoint.mode == "dnsrr" && has_ingress {
        return Err(Refusal::argument(
            "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
        ));
    }
    if endpoint.mode.is_empty() {
        endpoint.mode = "vip".to_owned();
    }
    let mut published = BTreeMap::new();
    for port in endpoint.ports.iter().filter(|port| port.published_port != 0) {
        if published.insert((port.published_port, &port.protocol), ()).is_some() {
            return Err(Refusal::argument("EndpointSpec: duplicate published ports provided"));
        }
    }
    Ok(())
}

fn check_port(port: &PortConfig) -> Outcome<()> {
    if !matches!(port.protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(Refusal::bad(format!("invalid protocol value {:?}", port.protocol)));
    }
    if !matches!(port.publish_mode.as_str(), "ingress" | "host") {
        return Err(Refusal::bad(format!("invalid publish mode {:?}", port.publish_mode)));
    }
    if port.target_port == 0 {
        return Err(Refusal::argument("EndpointSpec: invalid target port"));
    }
    Ok(())
}

/// The service with what Docker does where nothing is said (`insertDefaults`).
pub fn with_defaults(mut spec: ServiceSpec) -> ServiceSpec {
    let task = &mut spec.task_template;
    if let Some(container) = &mut task.container_spec {
        container.stop_grace_period.get_or_insert(10 * SECOND);
        container.dns_config.get_or_insert_default();
    }
    task.resources.get_or_insert_default();
    let policy = task.restart_policy.get_or_insert_default();
    if policy.condition.is_empty() {
        policy.condition = "any".to_owned();
    }
    policy.delay.get_or_insert(5 * SECOND);
    task.placement.get_or_insert_default();
    let default = || UpdateConfig {
        parallelism: 1,
        failure_action: "pause".to_owned(),
        monitor: 5 * SECOND,
        order: "stop-first".to_owned(),
        ..UpdateConfig::default()
    };
    // Whoever sends back what it has read is not refused for it.
    if !spec.mode.as_ref().is_some_and(Mode::is_job) {
        spec.update_config.get_or_insert_with(default);
    }
    spec.rollback_config.get_or_insert_with(default);
    for policy in [&mut spec.update_config, &mut spec.rollback_config]
        .into_iter()
        .flatten()
    {
        if policy.monitor == 0 {
            policy.monitor = 5 * SECOND;
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use serde_json::{Value, json};

    use super::*;

    fn settle(more: Value) -> Outcome<Value> {
        let mut sent = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "busybox:latest"}}});
        for (key, value) in more.as_object().unwrap() {
            sent[key] = value.clone();
        }
        settled(serde_json::from_value(sent).unwrap()).map(|spec| serde_json::to_value(spec).unwrap())
    }

    #[test]
    fn what_is_kept_is_what_was_sent_and_what_docker_adds() {
        let plain = json!({"Name": "web", "Labels": {}, "TaskTemplate": {"ContainerSpec": {"Image": "busybox:latest",
            "Isolation": "default"}, "ForceUpdate": 0, "Runtime": "container"}, "Mode": {"Replicated": {"Replicas": 1}}});
        assert_eq!(settle(json!({})).unwrap(), plain);
        assert_eq!(settle(json!({"Mode": {}})).unwrap(), plain);
        let more = settle(json!({"UpdateConfig": {"Parallelism": 2}, "EndpointSpec": {"Ports": [{"TargetPort": 80}]}}))
            .unwrap();
        assert_eq!(
            more["UpdateConfig"],
            json!({"Parallelism": 2, "FailureAction": "pause", "MaxFailureRatio": 0, "Order": "stop-first"})
        );
        let port = json!({"Protocol": "tcp", "TargetPort": 80, "PublishMode": "ingress"});
        assert_eq!(more["EndpointSpec"], json!({"Mode": "vip", "Ports": [port]}));
    }

    #[test]
    fn what_is_wrong_is_said_in_dockers_words() {
        let ports = |mode: &str, ports: Value| json!({"EndpointSpec": {"Mode": mode, "Ports": ports}});
        let two = json!([{"TargetPort": 80, "PublishedPort": 1}, {"TargetPort": 81, "PublishedPort": 1}]);
        for (sent, said) in [
            (
                json!({"Name": "-a"}),
                "rpc error: code = InvalidArgument desc = name must be valid as a DNS name component",
            ),
            (
                json!({"Name": "a".repeat(64)}),
                "rpc error: code = InvalidArgument desc = name must be 63 characters or fewer",
            ),
            (json!({"TaskTemplate": {}}), "mismatched Runtime and *Spec fields"),
            (
                json!({"TaskTemplate": {"ContainerSpec": {}}}),
                "rpc error: code = InvalidArgument desc = ContainerSpec: image reference must be provided",
            ),
            (
                json!({"TaskTemplate": {"ContainerSpec": {"Image": "X"}}}),
                "rpc error: code = InvalidArgument desc = ContainerSpec: \"X\" is not a valid repository/tag",
            ),
            (
                json!({"Mode": {"Replicated": {}, "Global": {}}}),
                "must specify only one service mode",
            ),
            (
                json!({"UpdateConfig": {"Order": "sideways"}}),
                "unrecognized update order sideways",
            ),
            (
                json!({"UpdateConfig": {"FailureAction": "explode"}}),
                "unrecognized update failure action explode",
            ),
            (
                json!({"TaskTemplate": {"ContainerSpec": {"Image": "a"}, "RestartPolicy": {"Condition": "bogus"}}}),
                "invalid RestartCondition: \"bogus\"",
            ),
            (
                ports("vip", two),
                "rpc error: code = InvalidArgument desc = EndpointSpec: duplicate published ports provided",
            ),
            (
                ports("dnsrr", json!([{"TargetPort": 80}])),
                "rpc error: code = InvalidArgument desc = EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
            ),
        ] {
            let refusal = settle(sent.clone()).unwrap_err();
            assert_eq!(
                (refusal.status.as_u16(), refusal.message.as_str()),
                (400, said),
                "{sent}"
            );
        }
        assert!(settle(json!({"Name": "a_b-c"})).is_ok());
        let job = |mode: Value| settle(json!({"Mode": mode})).unwrap()["Mode"].clone();
        let of = |at_once: u64, all: u64| json!({"ReplicatedJob": {"MaxConcurrent": at_once, "TotalCompletions": all}});
        assert_eq!(job(json!({"GlobalJob": {}})), json!({"GlobalJob": {}}));
        assert_eq!(job(json!({"ReplicatedJob": {}})), of(1, 1));
        assert_eq!(job(json!({"ReplicatedJob": {"MaxConcurrent": 2}})), of(2, 2));
        assert_eq!(job(json!({"ReplicatedJob": {"TotalCompletions": 4}})), of(1, 4));
        let updated = settle(json!({"Mode": {"GlobalJob": {}}, "UpdateConfig": {"Parallelism": 1}})).unwrap_err();
        assert!(updated.message.ends_with("Jobs may not have an update config"));
    }
}
