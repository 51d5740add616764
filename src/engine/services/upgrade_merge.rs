//! The launch configurations after an upgrade: what is given, what depends on it, and the rest as it was.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::model::id::random_uuid;
use crate::model::launch::LaunchConfig;
use crate::model::port::PortSpec;
use crate::model::{Fields, Result};

use super::mesh_ports;
use super::snapshot::removes_sidekick;
use super::upgrade::Config;

pub(super) struct Merged {
    pub(super) primary: Option<Config>,
    pub(super) sidekicks: Vec<Config>,
    pub(super) old_primary: Option<Config>,
    pub(super) old_sidekicks: Vec<Config>,
}

/// The complete new set: what is given, what depends on it (with a new version), and the rest as it was.
pub(super) fn merge(service: &str, fields: &Fields, strategy: &Config) -> Result<Merged> {
    let old_primary: Option<Config> = fields.read("launchConfig")?;
    let old_sidekicks: Vec<Config> = fields.read("secondaryLaunchConfigs")?.unwrap_or_default();
    let selects = fields.text("selectorContainer").is_some();
    let given_primary = strategy.get("launchConfig").and_then(Value::as_object).cloned();
    let given: Vec<Config> = strategy
        .get("secondaryLaunchConfigs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .cloned()
        .collect();
    let mut upgraded: BTreeSet<String> = given.iter().map(name_of).collect();
    if given_primary.is_some() {
        upgraded.insert(String::new());
    }
    // What takes its network or its volumes from an upgraded one has to be made anew with it.
    loop {
        let depends = |config: &Config| edges(service, config).iter().any(|e| upgraded.contains(e));
        let mut more: Vec<String> = old_sidekicks.iter().filter(|c| depends(c)).map(name_of).collect();
        if old_primary.as_ref().is_some_and(depends) {
            more.push(String::new());
        }
        let before = upgraded.len();
        upgraded.extend(more);
        if upgraded.len() == before {
            break;
        }
    }
    let version = random_uuid().to_string();
    let stamp = |mut config: Config, old: Option<&Config>| {
        config.insert("version".into(), json!(version));
        if let Some(old) = old {
            inherit_ports(&mut config, old);
            mesh_ports::inherit(&mut config, old);
        }
        config
    };
    let primary = match (given_primary, &old_primary) {
        (Some(new), old) => Some(stamp(new, old.as_ref())),
        (None, Some(old)) if upgraded.contains("") => Some(stamp(old.clone(), None)),
        (None, old) => old.clone(),
    };
    let mut sidekicks = Vec::new();
    for old in &old_sidekicks {
        let name = name_of(old);
        match given.iter().find(|g| name_of(g) == name) {
            Some(new) if !selects && removes_sidekick(new.get("imageUuid").and_then(Value::as_str)) => {}
            Some(new) => sidekicks.push(stamp(new.clone(), Some(old))),
            None if upgraded.contains(&name) => sidekicks.push(stamp(old.clone(), None)),
            None => sidekicks.push(old.clone()),
        }
    }
    for new in given {
        let is_new = !old_sidekicks.iter().any(|o| name_of(o) == name_of(&new));
        if is_new && !removes_sidekick(new.get("imageUuid").and_then(Value::as_str)) {
            sidekicks.push(stamp(new, None));
        }
    }
    Ok(Merged {
        primary,
        sidekicks,
        old_primary,
        old_sidekicks,
    })
}

fn name_of(config: &Config) -> String {
    config
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_lowercase()
}

fn edges(service: &str, config: &Config) -> Vec<String> {
    let launch: LaunchConfig = serde_json::from_value(Value::Object(config.clone())).unwrap_or_default();
    let names = launch
        .network_launch_config
        .into_iter()
        .chain(launch.data_volumes_from_launch_configs.into_iter().flatten());
    names
        .map(|n| {
            if n.eq_ignore_ascii_case(service) {
                String::new()
            } else {
                n.to_lowercase()
            }
        })
        .collect()
}

/// A port without a public part keeps the one that the old configuration had for the same private port.
fn inherit_ports(config: &mut Config, old: &Config) {
    let read = |config: &Config| -> Vec<PortSpec> {
        let texts: Vec<String> = config
            .get("ports")
            .and_then(|p| serde_json::from_value(p.clone()).ok())
            .unwrap_or_default();
        texts.iter().filter_map(|t| PortSpec::parse(t).ok()).collect()
    };
    let (old, mut ports) = (read(old), read(config));
    for port in ports.iter_mut().filter(|p| p.public.is_none()) {
        port.public = old.iter().find(|o| o.private == port.private).and_then(|o| o.public);
    }
    if !ports.is_empty() {
        config.insert(
            "ports".into(),
            json!(ports.iter().map(ToString::to_string).collect::<Vec<_>>()),
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    fn service(primary: Value, sidekicks: Value) -> Fields {
        let mut fields = Fields::default();
        fields.set("launchConfig", &primary).expect("sets");
        fields.set("secondaryLaunchConfigs", &sidekicks).expect("sets");
        fields
    }

    fn versions(merged: &Merged) -> Vec<(String, bool)> {
        let is_new = |c: &Config| c.get("version").and_then(Value::as_str) != Some("0");
        merged
            .primary
            .iter()
            .chain(&merged.sidekicks)
            .map(|c| (name_of(c), is_new(c)))
            .collect()
    }

    #[test]
    fn only_what_is_upgraded_and_what_depends_on_it_gets_a_new_version() {
        let fields = service(
            json!({"imageUuid": "a", "version": "0", "networkLaunchConfig": "one"}),
            json!([
                {"name": "one", "version": "0", "dataVolumesFromLaunchConfigs": ["two"]},
                {"name": "two", "version": "0"},
                {"name": "three", "version": "0"},
            ]),
        );
        let strategy = json!({"secondaryLaunchConfigs": [{"name": "two", "imageUuid": "b"}]});
        let merged = merge("web", &fields, strategy.as_object().expect("object")).expect("merges");
        let expected = [("", true), ("one", true), ("two", true), ("three", false)].map(|(n, v)| (n.to_owned(), v));
        assert_eq!(versions(&merged), expected);
        assert_eq!(merged.old_sidekicks.len(), 3);
    }

    #[test]
    fn sidekicks_are_added_and_removed() {
        let fields = service(
            json!({"imageUuid": "a", "version": "0"}),
            json!([{"name": "old", "version": "0"}]),
        );
        let strategy = json!({"secondaryLaunchConfigs": [{"name": "OLD", "imageUuid": "rancher/NONE"}, {"name": "new", "imageUuid": "b"}]});
        let merged = merge("web", &fields, strategy.as_object().expect("object")).expect("merges");
        assert_eq!(versions(&merged), [("".to_owned(), false), ("new".to_owned(), true)]);
    }

    #[test]
    fn random_ports_survive_an_upgrade() {
        let fields = service(
            json!({"ports": ["49153:80/tcp", "49154:82/tcp"], "version": "0"}),
            json!([]),
        );
        let strategy = json!({"launchConfig": {"imageUuid": "b", "ports": ["80/tcp", "82/udp", "8083:83/udp"]}});
        let merged = merge("web", &fields, strategy.as_object().expect("object")).expect("merges");
        let ports = merged.primary.and_then(|p| p.get("ports").cloned());
        assert_eq!(ports, Some(json!(["49153:80/tcp", "49154:82/udp", "8083:83/udp"])));
    }
}
