//! A service as the engine has it, in MedStack Control's words; and what was said, with what was changed elsewhere laid over it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::placement::constraint;
use super::spec::{File, Mount, Spec, Variable};
use super::words;
use crate::model::launch::{LABEL_HOST, LABEL_HOST_NE};
use crate::model::own_labels::CONFIG;

/// The names of secrets by their ids.
pub type SecretNames = HashMap<String, String>;

/// What is read of a service's row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Its launch configuration.
    pub launch: Map<String, Value>,
    /// How many containers.
    pub scale: i64,
    /// What it says of itself to balancers; null is nothing.
    pub routes: Value,
}

/// The same service in MedStack Control's words, where it has words for it.
pub fn synthesise(seen: &Seen, secrets: &SecretNames) -> Spec {
    let launch = &seen.launch;
    let image = text(launch, "imageUuid");
    let mut spec = Spec {
        image: image.strip_prefix("docker:").unwrap_or(image).to_owned(),
        replicas: seen.scale,
        command: words::join(&list(launch, "entryPoint")),
        args: words::join(&list(launch, "command")),
        mounts: list(launch, "dataVolumes")
            .iter()
            .filter_map(|text| mount(text))
            .collect(),
        environment_variables: variables(launch),
        secrets: secrets_of(launch, secrets),
        ..Spec::default()
    };
    put_labels(&mut spec, launch);
    put_check(&mut spec, launch);
    put_routes(&mut spec, &seen.routes);
    spec
}

/// `kept` with what differs between `then`, what the engine was told when it was kept, and `now`.
pub fn overlay(kept: &Spec, then: &Spec, now: Spec) -> Spec {
    let mut shown = kept.clone();
    macro_rules! lay {
        ($($field:ident),*) => {
            $(if then.$field != now.$field { shown.$field = now.$field; })*
        };
    }
    lay!(
        image,
        replicas,
        command,
        args,
        hosts,
        port,
        healthcheck_path,
        secrets,
        configs,
        mounts,
        environment_variables,
        placement_constraints
    );
    if shown.healthcheck_path != kept.healthcheck_path || then.healthcheck_interval != now.healthcheck_interval {
        shown.healthcheck_interval = now.healthcheck_interval;
    }
    if shown.healthcheck_path != kept.healthcheck_path || then.healthcheck_timeout != now.healthcheck_timeout {
        shown.healthcheck_timeout = now.healthcheck_timeout;
    }
    shown
}

fn text<'v>(of: &'v Map<String, Value>, field: &str) -> &'v str {
    of.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn list(launch: &Map<String, Value>, field: &str) -> Vec<String> {
    let all = launch.get(field).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn objects<'v>(of: &'v Map<String, Value>, field: &str) -> impl Iterator<Item = &'v Map<String, Value>> {
    let all = of.get(field).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_object)
}

/// `source:target`, `source:target:ro`; none for what is no volume with a name.
fn mount(text: &str) -> Option<Mount> {
    let mut parts = text.splitn(3, ':');
    let (source, target) = (parts.next()?, parts.next()?);
    let is_named = !source.starts_with('/');
    is_named.then(|| Mount {
        source: source.to_owned(),
        target: target.to_owned(),
        readonly: parts
            .next()
            .is_some_and(|words| words.split(',').any(|word| word == "ro")),
    })
}

fn variables(launch: &Map<String, Value>) -> Vec<Variable> {
    let all = launch
        .get("environment")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let all = all.filter_map(|(key, value)| {
        Some(Variable {
            key: key.clone(),
            value: value.as_str()?.to_owned(),
        })
    });
    let mut all: Vec<Variable> = all.collect();
    all.sort_by(|one, other| one.key.cmp(&other.key));
    all
}

fn secrets_of(launch: &Map<String, Value>, names: &SecretNames) -> Vec<File> {
    let all = objects(launch, "secrets").map(|one| {
        let id = text(one, "secretId");
        let name = names.get(id).cloned().unwrap_or_else(|| id.to_owned());
        let file_name = match text(one, "name") {
            "" => name.clone(),
            path => path.to_owned(),
        };
        File {
            file_name,
            name,
            uid: text(one, "uid").parse().unwrap_or(0),
            gid: text(one, "gid").parse().unwrap_or(0),
            mode: text(one, "mode").to_owned(),
        }
    });
    all.collect()
}

fn put_labels(spec: &mut Spec, launch: &Map<String, Value>) {
    let labels = launch.get("labels").and_then(Value::as_object).into_iter().flatten();
    for (label, value) in labels {
        let value = value.as_str().unwrap_or_default();
        if let Some(place) = label.strip_prefix(CONFIG) {
            let mut words = value.split_whitespace();
            let mut file = File {
                name: words.next().unwrap_or_default().to_owned(),
                file_name: place.to_owned(),
                ..File::default()
            };
            for word in words {
                match word.split_once('=') {
                    Some(("uid", uid)) => file.uid = uid.parse().unwrap_or(0),
                    Some(("gid", gid)) => file.gid = gid.parse().unwrap_or(0),
                    Some(("mode", mode)) => file.mode = mode.to_owned(),
                    _ => {}
                }
            }
            spec.configs.push(file);
        }
    }
    spec.configs.sort_by(|one, other| one.file_name.cmp(&other.file_name));
    let labels = launch.get("labels").and_then(Value::as_object);
    for (label, is_same) in [(LABEL_HOST, true), (LABEL_HOST_NE, false)] {
        let value = labels
            .and_then(|labels| labels.get(label)?.as_str())
            .unwrap_or_default();
        let rules = value.split(',').filter_map(|rule| constraint(rule, is_same));
        spec.placement_constraints.extend(rules);
    }
}

fn put_check(spec: &mut Spec, launch: &Map<String, Value>) {
    let Some(check) = launch.get("healthCheck").and_then(Value::as_object) else {
        return;
    };
    let line = text(check, "requestLine");
    let path = line.strip_prefix("GET ").and_then(|rest| rest.split(' ').next());
    let Some(path) = path.filter(|path| !path.is_empty()) else {
        return;
    };
    let number = |field: &str| check.get(field).and_then(Value::as_i64);
    spec.healthcheck_path = path.to_owned();
    spec.healthcheck_interval = number("interval").map(|millis| millis / 1_000);
    spec.healthcheck_timeout = number("responseTimeout").map(|millis| millis / 1_000);
    spec.port = number("port").and_then(|port| u16::try_from(port).ok());
}

fn put_routes(spec: &mut Spec, routes: &Value) {
    let Some(routes) = routes.as_object() else { return };
    for rule in objects(routes, "portRules") {
        let host = text(rule, "hostname");
        if !host.is_empty() {
            spec.hosts.push(host.to_owned());
        }
        let port = rule.get("targetPort").and_then(Value::as_i64);
        spec.port = port.and_then(|port| u16::try_from(port).ok()).or(spec.port);
    }
}
