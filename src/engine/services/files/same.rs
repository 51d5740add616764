//! Whether a service is what its file says: by what both mean, not by how it is written.

use serde_json::{Map, Value, json};

use crate::compose::{HASH, SELECTOR_CONTAINER, SELECTOR_LINK, SIDEKICKS, is_config_field};
use crate::model::own_labels::{MESH_PORTS, MeshPort, parse_mesh_ports};
use crate::model::port::PortSpec;

type Config = Map<String, Value>;

/// What of a service's launch configurations has to be upgraded; none if it is what the file says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Difference {
    pub(super) primary: Option<Config>,
    /// Changed and new ones; those that go have the image `rancher/none`.
    pub(super) sidekicks: Vec<Config>,
}

impl Difference {
    pub(super) fn is_none(&self) -> bool {
        self.primary.is_none() && self.sidekicks.is_empty()
    }
}

/// Compares what is with what is wanted.
pub(super) fn difference(
    primary: Option<&Config>,
    sidekicks: &[Config],
    wanted: Option<&Config>,
    wanted_sidekicks: &[Config],
) -> Difference {
    let mut found = Difference::default();
    if let Some(wanted) = wanted
        && primary.is_none_or(|primary| !is_same(primary, wanted))
    {
        found.primary = Some(merged(primary, wanted));
    }
    for wanted in wanted_sidekicks {
        let old = sidekicks
            .iter()
            .find(|old| name_of(old).eq_ignore_ascii_case(name_of(wanted)));
        if old.is_none_or(|old| !is_same(old, wanted)) {
            found.sidekicks.push(merged(old, wanted));
        }
    }
    for old in sidekicks {
        if !wanted_sidekicks
            .iter()
            .any(|wanted| name_of(wanted).eq_ignore_ascii_case(name_of(old)))
        {
            let gone = json!({"name": name_of(old), "imageUuid": "rancher/none"});
            found.sidekicks.extend(gone.as_object().cloned());
        }
    }
    found
}

fn name_of(config: &Config) -> &str {
    config.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// What is wanted, with what the old one has in fields that no file says.
fn merged(old: Option<&Config>, wanted: &Config) -> Config {
    let mut new = wanted.clone();
    for (field, value) in old.into_iter().flatten() {
        let is_ours = matches!(field.as_str(), "version" | "name" | "type") || is_config_field(field);
        if !is_ours && !is_nothing(value) {
            new.insert(field.clone(), value.clone());
        }
    }
    new
}

/// Whether two configurations mean the same, as far as files say anything of it.
fn is_same(old: &Config, wanted: &Config) -> bool {
    let fields = old.keys().chain(wanted.keys()).filter(|field| is_config_field(field));
    let of = |config: &Config, field: &str| plain(field, config.get(field).unwrap_or(&Value::Null));
    fields.into_iter().all(|field| match field.as_str() {
        "ports" => are_same_ports(old.get("ports"), wanted.get("ports")),
        "labels" => are_same_labels(old.get("labels"), wanted.get("labels")),
        field => of(old, field) == of(wanted, field),
    })
}

/// What a value of a service's own fields comes to, without what says nothing.
pub(in crate::engine::services) fn means(value: &Value) -> Value {
    plain("", value)
}

/// A value without what says nothing.
fn plain(field: &str, value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let says = |name: &str, value: &Value| match field {
                "labels" => ![HASH, SIDEKICKS, SELECTOR_CONTAINER, SELECTOR_LINK].contains(&name),
                // What is done where nothing is said.
                "healthCheck" if name == "strategy" => value != "recreate",
                _ => name != "type",
            };
            let is_texts = matches!(field, "labels" | "environment");
            let entries = map
                .iter()
                .filter(|(name, value)| says(name, value) && (is_texts || !is_nothing(value)));
            let entries = entries.map(|(name, value)| match value {
                // A variable without a value is an empty one.
                Value::Null => (name.clone(), json!("")),
                value if is_texts => (name.clone(), value.clone()),
                value => (name.clone(), plain("", value)),
            });
            let map: Config = entries.collect();
            match map.is_empty() {
                true => Value::Null,
                false => Value::Object(map),
            }
        }
        Value::Array(list) => match list.is_empty() {
            true => Value::Null,
            false => Value::Array(list.iter().map(|value| plain("", value)).collect()),
        },
        value if is_nothing(value) => Value::Null,
        value => value.clone(),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Whether labels mean the same: a port of the mesh that may be any is the one that was drawn for it.
fn are_same_labels(old: Option<&Value>, wanted: Option<&Value>) -> bool {
    let ports = |labels: Option<&Value>| -> Option<Vec<MeshPort>> {
        let text = labels?.get(MESH_PORTS)?.as_str()?;
        Some(parse_mesh_ports(text))
    };
    let mut old = old.cloned().unwrap_or_default();
    if let (Some(drawn), Some(asked)) = (ports(Some(&old)), ports(wanted))
        && let Some(labels) = old.as_object_mut()
    {
        let fits = |(old, new): (&MeshPort, &MeshPort)| {
            old.private == new.private && (new.public.is_none() || old.public == new.public)
        };
        let is_same = drawn.len() == asked.len() && drawn.iter().zip(&asked).all(fits);
        if let Some(text) = wanted.and_then(|labels| labels.get(MESH_PORTS)).filter(|_| is_same) {
            labels.insert(MESH_PORTS.to_owned(), text.clone());
        }
    }
    plain("labels", &old) == plain("labels", wanted.unwrap_or(&Value::Null))
}

/// Whether two lists ask for the same ports: a port that may be any is the one that was drawn for it.
fn are_same_ports(old: Option<&Value>, wanted: Option<&Value>) -> bool {
    let read = |value: Option<&Value>| -> Vec<PortSpec> {
        let list = value.and_then(Value::as_array).into_iter().flatten();
        let mut ports: Vec<PortSpec> = list.filter_map(|text| PortSpec::parse(text.as_str()?).ok()).collect();
        ports.sort();
        ports
    };
    let (mut old, wanted) = (read(old), read(wanted));
    // Those that are said to the last number first: what is left may be drawn ones.
    let (open, said): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|port| port.public.is_none());
    said.iter().chain(&open).all(|port| {
        let fits = |old: &PortSpec| {
            let is_port = port.public.is_none() || port.public == old.public;
            is_port && (old.private, old.protocol, &old.ip) == (port.private, port.protocol, &port.ip)
        };
        old.iter().position(fits).map(|at| old.remove(at)).is_some()
    }) && old.is_empty()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    fn config(value: Value) -> Config {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        let old = config(json!({
            "imageUuid": "docker:a", "version": "7", "ports": ["49153:80/tcp", "81:81/udp"], "tty": false, "command": null,
            "labels": {"a": "b", "io.rancher.service.hash": "x"}, "environment": {"E": null}, "requestedHostId": "1h1"
        }));
        for (wanted, is_it) in [
            (
                json!({"imageUuid": "docker:a", "ports": ["81:81/udp", "80/tcp"], "labels": {"a": "b"}, "environment": {"E": ""}}),
                true,
            ),
            (
                json!({"imageUuid": "docker:a", "ports": ["81:81/udp", "80/tcp"], "labels": {"a": "c"}, "environment": {"E": ""}}),
                false,
            ),
            (
                json!({"imageUuid": "docker:a", "ports": ["81:81/udp"], "labels": {"a": "b"}, "environment": {"E": ""}}),
                false,
            ),
            (
                json!({"imageUuid": "docker:a", "ports": ["81:81/udp", "8080:80/tcp"], "labels": {"a": "b"}, "environment": {"E": ""}}),
                false,
            ),
            (
                json!({"imageUuid": "docker:b", "ports": ["81:81/udp", "80/tcp"], "labels": {"a": "b"}, "environment": {"E": ""}}),
                false,
            ),
        ] {
            let found = difference(Some(&old), &[], Some(&config(wanted.clone())), &[]);
            assert_eq!(found.is_none(), is_it, "{wanted}");
            if let Some(primary) = found.primary {
                assert_eq!(primary.get("requestedHostId"), Some(&json!("1h1")));
            }
        }
    }

    #[test]
    fn sidekicks_come_change_and_go() {
        let of = |name: &str, image: &str| config(json!({"name": name, "imageUuid": image}));
        let old = [of("same", "docker:a"), of("other", "docker:a"), of("gone", "docker:a")];
        let wanted = [of("same", "docker:a"), of("other", "docker:b"), of("new", "docker:c")];
        let primary = config(json!({"imageUuid": "docker:p"}));
        let found = difference(Some(&primary), &old, Some(&primary), &wanted);
        assert_eq!(found.primary, None);
        assert_eq!(
            found.sidekicks,
            [
                of("other", "docker:b"),
                of("new", "docker:c"),
                of("gone", "rancher/none")
            ]
        );
    }
}
