//! Launch configurations of services: what is checked when a service is made, changed or upgraded.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::engine::core::Input;
use crate::engine::instances::{check_launch, check_ports};
use crate::model::launch::{LABEL_GLOBAL, LaunchConfig, is_sim_image};
use crate::model::own_labels::{MESH_PORTS, check_mesh, check_primary, check_sidekick};
use crate::model::port::PortSpec;
use crate::model::selector::Selector;
use crate::model::{Error, Result, ServiceKind};

use super::balancing;

/// `metadata` in its serialised form may be so long.
const MAX_METADATA: usize = 1_048_576;

/// Quirk: what is wrong stands where other errors name the field, here and below (cattle: `ServiceCreateValidationFilter`).
const NEEDS_IMAGE: &str = "Image is required when selectorContainer is not passed in";

/// Checks and normalises the launch configurations of a create or an upgrade; returns whether all images are simulated.
pub(super) fn check_configs(kind: &str, input: &mut Input) -> Result<bool> {
    let selects = input
        .get("selectorContainer")
        .is_some_and(|s| s.as_str().is_some_and(|s| !s.is_empty()));
    let mut names = BTreeMap::new();
    let mut is_sim = true;
    if let Some(Value::Object(primary)) = input.get_mut("launchConfig") {
        primary.shift_remove("name");
        balancing::complete(kind, primary);
        balancing::check_launch(kind, primary)?;
        is_sim &= check_config(primary)?;
        let launch = as_launch(primary)?;
        check_own_labels(kind, &launch)?;
        if ServiceKind::of(kind).needs_image() && !launch.names_image() && !selects {
            return Err(Error::invalid("InvalidOption", NEEDS_IMAGE));
        }
        names.insert(String::new(), launch);
    }
    let service = input.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(Value::Array(sidekicks)) = input.get_mut("secondaryLaunchConfigs") {
        for sidekick in sidekicks.iter_mut().filter_map(Value::as_object_mut) {
            let name = sidekick
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            if name.is_empty() {
                return Err(Error::invalid("MissingRequired", "name"));
            }
            check_service_name(&name)?;
            is_sim &= check_config(sidekick)?;
            let launch = as_launch(sidekick)?;
            check_sidekick(&launch.labels.clone().unwrap_or_default())?;
            if names.insert(name.to_lowercase(), launch).is_some() || name.eq_ignore_ascii_case(&service) {
                return Err(Error::invalid("NotUnique", "name"));
            }
        }
    }
    check_references(&service, &names)?;
    Ok(is_sim)
}

fn check_config(config: &mut Map<String, Value>) -> Result<bool> {
    check_launch(config)?;
    // Reconcile owns restarts: a policy of the engine's own would fight it.
    config.shift_remove("restartPolicy");
    Ok(config
        .get("imageUuid")
        .and_then(Value::as_str)
        .is_some_and(is_sim_image))
}

/// The labels of a primary that the engine goes by.
pub(super) fn check_own_labels(kind: &str, launch: &LaunchConfig) -> Result<()> {
    let Some(labels) = &launch.labels else { return Ok(()) };
    check_primary(labels)?;
    check_mesh(launch)?;
    match labels.contains_key(MESH_PORTS) && ServiceKind::of(kind) != ServiceKind::Service {
        true => Err(
            Error::invalid("InvalidOption", "launchConfig.labels").with_message(format!(
                "label {MESH_PORTS}: only what is a service of containers has ports in the mesh"
            )),
        ),
        false => Ok(()),
    }
}

pub(super) fn as_launch(config: &Map<String, Value>) -> Result<LaunchConfig> {
    serde_json::from_value(Value::Object(config.clone()))
        .map_err(|e| Error::internal("reading a launch configuration", e))
}

/// All of a unit: they run on one host. Sidekicks refer only to each other and to the primary (by the service's name),
/// and not in a circle.
fn check_references(service: &str, configs: &BTreeMap<String, LaunchConfig>) -> Result<()> {
    let ports = configs.values().flat_map(|c| c.ports.iter().flatten());
    check_ports(&ports.filter_map(|p| PortSpec::parse(p).ok()).collect::<Vec<_>>())?;
    let key = |name: &String| {
        if name.eq_ignore_ascii_case(service) {
            String::new()
        } else {
            name.to_lowercase()
        }
    };
    let edges = |launch: &LaunchConfig| -> Vec<String> {
        launch
            .network_launch_config
            .iter()
            .chain(launch.data_volumes_from_launch_configs.iter().flatten())
            .map(key)
            .collect()
    };
    let refuse = |sentence: String| Err(Error::invalid("InvalidReference", sentence));
    for launch in configs.values() {
        let of_network = launch.network_launch_config.iter().map(|name| ("network_from", name));
        let of_volumes = launch.data_volumes_from_launch_configs.iter().flatten();
        for (what, name) in of_network.chain(of_volumes.map(|name| ("volumes_from", name))) {
            if !configs.contains_key(&key(name)) {
                return refuse(format!(
                    "{what} of service {service} is referencing a service {name} that either does not exist or is not \
                     properly labeled as a sidekick"
                ));
            }
        }
    }
    // Kahn's way: what is left after taking away all without open references is a circle.
    let mut open: BTreeMap<&String, Vec<String>> = configs.iter().map(|(n, l)| (n, edges(l))).collect();
    while let Some(done) = open
        .iter()
        .find(|(_, e)| e.iter().all(|n| !open.contains_key(n)))
        .map(|(n, _)| (*n).clone())
    {
        open.remove(&done);
    }
    if open.is_empty() {
        Ok(())
    } else {
        refuse("CircularReference".into())
    }
}

/// What create and update check alike.
pub(super) fn check_common(input: &Input) -> Result<()> {
    if let Some(name) = input.get("name").and_then(Value::as_str) {
        check_service_name(name)?;
    }
    if input.get("scale").and_then(Value::as_i64).is_some_and(|s| s < 0) {
        return Err(Error::invalid("MinLimitExceeded", "scale"));
    }
    if let Some(metadata) = input.get("metadata").filter(|m| !m.is_null())
        && metadata.to_string().len() > MAX_METADATA
    {
        return Err(Error::invalid("MaxLimitExceeded", "metadata"));
    }
    if let Some(Value::Object(policy)) = input.get("scalePolicy") {
        let number = |key: &str| policy.get(key).and_then(Value::as_i64).unwrap_or(1);
        if number("min") > number("max") {
            return Err(Error::invalid("MaxLimitExceeded", "Min scale can't exceed scale"));
        }
    }
    for field in ["selectorContainer", "selectorLink"] {
        if let Some(text) = input.get(field).and_then(Value::as_str) {
            Selector::parse(text, field)?;
        }
    }
    Ok(())
}

/// Names of services and sidekicks are parts of DNS names.
fn check_service_name(name: &str) -> Result<()> {
    if name.len() > 63 {
        return Err(Error::invalid("MaxLengthExceeded", "name"));
    }
    let is_legal = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !is_legal || name.starts_with('-') || name.ends_with('-') || name.contains("--") {
        return Err(Error::invalid("InvalidCharacters", "name"));
    }
    Ok(())
}

pub(super) fn sidekick_names(input: &Input) -> Vec<String> {
    let sidekicks = input
        .get("secondaryLaunchConfigs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    sidekicks
        .filter_map(|s| s.get("name").and_then(Value::as_str))
        .map(str::to_owned)
        .collect()
}

/// Checks the launch configurations of an upgrade as those of a create.
pub(crate) fn check_upgrade_configs(
    kind: &str,
    service_name: &str,
    selector: Option<&str>,
    strategy: &mut Input,
) -> Result<()> {
    strategy.insert("name".into(), json!(service_name));
    if let Some(selector) = selector {
        strategy.insert("selectorContainer".into(), json!(selector));
    }
    let checked = check_configs_of_upgrade(kind, strategy);
    strategy.shift_remove("name");
    strategy.shift_remove("selectorContainer");
    checked
}

/// An upgrade may name only some configurations: references are checked on the complete result.
fn check_configs_of_upgrade(kind: &str, strategy: &mut Input) -> Result<()> {
    if let Some(Value::Object(primary)) = strategy.get_mut("launchConfig") {
        balancing::complete(kind, primary);
        balancing::check_launch(kind, primary)?;
    }
    for config in configs_mut(strategy) {
        check_config(config)?;
    }
    let selects = strategy.get("selectorContainer").is_some();
    if let Some(Value::Object(primary)) = strategy.get_mut("launchConfig") {
        primary.shift_remove("name");
        let launch = as_launch(primary)?;
        check_own_labels(kind, &launch)?;
        if ServiceKind::of(kind).needs_image() && !launch.names_image() && !selects {
            return Err(Error::invalid("InvalidOption", NEEDS_IMAGE));
        }
    }
    for name in sidekick_names(strategy) {
        check_service_name(&name)?;
    }
    let sidekicks = strategy.get("secondaryLaunchConfigs").and_then(Value::as_array);
    for sidekick in sidekicks.into_iter().flatten().filter_map(Value::as_object) {
        check_sidekick(&as_launch(sidekick)?.labels.unwrap_or_default())?;
        // `rancher/none` is an image here: it asks for the sidekick to go.
        let image = sidekick.get("imageUuid").and_then(Value::as_str).unwrap_or_default();
        if image.trim().is_empty() && !selects {
            return Err(Error::invalid("InvalidOption", "secondaryLaunchConfigs").with_message("an image is needed"));
        }
    }
    Ok(())
}

fn configs_mut(input: &mut Input) -> Vec<&mut Map<String, Value>> {
    let mut configs = Vec::new();
    for (key, value) in input.iter_mut() {
        match (key.as_str(), value) {
            ("launchConfig", Value::Object(config)) => configs.push(config),
            ("secondaryLaunchConfigs", Value::Array(list)) => {
                configs.extend(list.iter_mut().filter_map(Value::as_object_mut))
            }
            _ => {}
        }
    }
    configs
}

/// Checks references of a complete set, after an upgrade was merged in.
pub(crate) fn check_complete(
    service: &str,
    primary: Option<&Map<String, Value>>,
    sidekicks: &[Map<String, Value>],
) -> Result<()> {
    let mut names = BTreeMap::new();
    if let Some(primary) = primary {
        names.insert(String::new(), as_launch(primary)?);
    }
    for sidekick in sidekicks {
        let launch = as_launch(sidekick)?;
        names.insert(launch.name.clone().unwrap_or_default().to_lowercase(), launch);
    }
    check_references(service, &names)
}

/// Whether a configuration makes its service global.
pub(crate) fn is_global(config: Option<&Map<String, Value>>) -> bool {
    let label = config
        .and_then(|c| c.get("labels"))
        .and_then(|l| l.get(LABEL_GLOBAL))
        .and_then(Value::as_str);
    label.is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<bool>) -> String {
        result.map_or_else(
            |e| format!("{}/{}", e.code.unwrap_or_default(), e.field.unwrap_or_default()),
            |_| "ok".into(),
        )
    }

    fn check(config: Value) -> String {
        let Value::Object(mut map) = config else {
            return "not an object".into();
        };
        code(check_configs("service", &mut map))
    }

    #[test]
    fn launch_configurations_are_checked_as_rancher_does() {
        let image = "docker:a";
        for (config, expected) in [
            (json!({"name": "web", "launchConfig": {"imageUuid": image}}), "ok"),
            (
                json!({"name": "web", "launchConfig": {}}),
                "InvalidOption/Image is required when selectorContainer is not passed in",
            ),
            (
                json!({"name": "web", "launchConfig": {"imageUuid": "docker:rancher/none"}, "selectorContainer": "a=b"}),
                "ok",
            ),
            (
                json!({"name": "web", "launchConfig": {"imageUuid": image, "ports": ["1:a"]}}),
                "PortWrongFormat/",
            ),
            (
                json!({"name": "web", "launchConfig": {"imageUuid": image}, "secondaryLaunchConfigs": [{"imageUuid": image}]}),
                "MissingRequired/name",
            ),
            (
                json!({"name": "web", "launchConfig": {"imageUuid": image}, "secondaryLaunchConfigs": [{"name": "a--b", "imageUuid": image}]}),
                "InvalidCharacters/name",
            ),
            (
                json!({"name": "web", "launchConfig": {"imageUuid": image}, "secondaryLaunchConfigs": [{"name": "WEB", "imageUuid": image}]}),
                "NotUnique/name",
            ),
            (
                json!({"name": "web", "launchConfig": {"imageUuid": image, "networkLaunchConfig": "x"}}),
                "InvalidReference/network_from of service web is referencing a service x that either does not exist or is not properly labeled as a sidekick",
            ),
            (
                json!({"name": "web", "launchConfig": {"imageUuid": image, "networkLaunchConfig": "a"},
                       "secondaryLaunchConfigs": [{"name": "a", "imageUuid": image, "dataVolumesFromLaunchConfigs": ["web"]}]}),
                "InvalidReference/CircularReference",
            ),
            (
                json!({"name": "web", "launchConfig": {"imageUuid": image, "dataVolumesFromLaunchConfigs": ["a", "b"]},
                       "secondaryLaunchConfigs": [{"name": "a", "imageUuid": image, "dataVolumesFromLaunchConfigs": ["b"]}, {"name": "b", "imageUuid": image}]}),
                "ok",
            ),
        ] {
            assert_eq!(check(config.clone()), expected, "{config}");
        }
    }

    #[test]
    fn service_names_are_dns_labels() {
        for (name, expected) in [
            ("web", true),
            ("-a", false),
            ("a-", false),
            ("a--b", false),
            ("a_b", false),
            ("A1", true),
        ] {
            assert_eq!(check_service_name(name).is_ok(), expected, "{name}");
        }
        assert!(check_service_name(&"x".repeat(64)).is_err());
    }
}
