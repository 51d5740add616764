//! Services: what is checked when one is made or changed, and its restart.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::model::launch::{LABEL_GLOBAL, LaunchConfig, is_sim_image};
use crate::model::selector::Selector;
use crate::model::{Error, Fields, Resource, ResourceId, Result, WireId};
use crate::schema::TypeView;
use crate::store::{Changes, Tx};

use super::commands::{check_free_in_account, insert_and_start, not_available, row_from_input};
use super::containers::check_launch;
use super::core::{Core, notes, write_notes};
use super::door::{Answer, Input, Scope};
use super::picture::ServiceNotes;
use super::process::request;

/// `metadata` in its serialised form may be so long.
const MAX_METADATA: usize = 1_048_576;

/// The kinds that have containers, or could.
fn has_containers(kind: &str) -> bool {
    !matches!(kind, "dnsService" | "externalService")
}

pub(crate) async fn create(core: &Core, scope: &Scope, ty: &TypeView, account: ResourceId, mut input: Input) -> Result<Resource> {
    let stack = input.get("stackId").and_then(Value::as_str).and_then(WireId::parse).map(|w| w.id);
    let stack_field = if scope.version == crate::schema::Version::V1 { "environmentId" } else { "stackId" };
    let Some(stack) = stack else { return Err(Error::invalid("MissingRequired", stack_field)) };
    core.require_stack(scope, core.store.find(stack)?.as_ref())?;
    let is_sim = check_configs(&ty.def.id, &mut input)?;
    check_common(&input)?;
    if ty.def.id == "externalService" {
        let has = |field: &str| input.get(field).is_some_and(|v| !v.is_null() && v.as_array().is_none_or(|a| !a.is_empty()));
        if has("externalIpAddresses") && has("hostname") {
            return Err(Error::invalid("InvalidOption", "hostname").with_message("either addresses or a hostname, not both"));
        }
    }
    let wants_vip = input.get("vip").is_some_and(Value::is_string) || input.get("assignServiceIpAddress") == Some(&Value::Bool(true));
    if wants_vip && !is_sim {
        return Err(Error::not_implemented("a service address (vip) needs simulated hosts in this build").with_field("vip"));
    }
    check_balancing(&input, is_sim)?;
    let mut new = row_from_input(&ty.def, account, &input)?;
    new.parent_id = Some(stack);
    if has_containers(&ty.def.id) {
        new.fields.set("serviceIndexStrategy", "deploymentUnitBased")?;
    }
    new.fields.set("currentScale", &0)?;
    // Clients walk through the sidekicks of every service: none is an empty list, not nothing.
    if ty.def.fields.contains_key("secondaryLaunchConfigs") && new.fields.get("secondaryLaunchConfigs").is_none_or(|v| v == "null") {
        new.fields.set("secondaryLaunchConfigs", &json!([]))?;
    }
    let machine = ty.def.machine.clone();
    let name = new.name.clone();
    let sidekicks = sidekick_names(&input);
    core.write_for(scope, move |tx| {
        let in_stack = tx.find(stack)?.filter(|s| s.removed.is_none());
        let Some(in_stack) = in_stack.filter(|s| !matches!(s.state.as_str(), "removing" | "error" | "erroring")) else {
            return Err(Error::invalid("InvalidState", "stackId"));
        };
        // A service belongs to its stack's project, whatever path it was asked for by.
        new.account_id = in_stack.account_id;
        check_names_free(tx, stack, std::iter::once(name.as_str()).chain(sidekicks.iter().map(String::as_str)), None)?;
        let stack_fields = Fields::parse(&in_stack.fields)?;
        if stack_fields.read::<bool>("system")?.unwrap_or(false) {
            new.fields.set("system", &true)?;
        }
        if wants_vip && new.fields.text("vip").is_none() {
            new.fields.set("vip", &free_vip(tx, new.account_id)?)?;
        }
        insert_and_start(tx, machine.as_deref(), new)
    })
    .await
}

/// Balancing has no data plane here: kept on simulated hosts, refused on others.
fn check_balancing(input: &Input, is_sim: bool) -> Result<()> {
    match input.get("lbConfig").is_some_and(|v| !v.is_null()) && !is_sim {
        true => Err(Error::not_implemented("balancing is not part of this build").with_field("lbConfig")),
        false => Ok(()),
    }
}

/// The lowest address of 169.254.64.0/18 that no service of the project has.
fn free_vip(tx: &mut Tx<'_>, account: Option<ResourceId>) -> Result<String> {
    let mut used = BTreeSet::new();
    for service in tx.all("service", account)? {
        used.extend(Fields::parse(&service.fields)?.text("vip"));
    }
    let base = u32::from(std::net::Ipv4Addr::new(169, 254, 64, 0));
    (2..16_382)
        .map(|n| std::net::Ipv4Addr::from(base + n).to_string())
        .find(|ip| !used.contains(ip))
        .ok_or_else(|| Error::conflict("no service address is left"))
}

/// Checks and normalises the launch configurations of a create or an upgrade; returns whether all images are simulated.
fn check_configs(kind: &str, input: &mut Input) -> Result<bool> {
    let selects = input.get("selectorContainer").is_some_and(|s| s.as_str().is_some_and(|s| !s.is_empty()));
    let mut names = BTreeMap::new();
    let mut is_sim = true;
    if let Some(Value::Object(primary)) = input.get_mut("launchConfig") {
        primary.shift_remove("name");
        is_sim &= check_config(primary)?;
        let launch = as_launch(primary)?;
        if kind == "service" && !launch.has_image() && !selects {
            return Err(Error::invalid("InvalidOption", "launchConfig").with_message("an image is needed"));
        }
        names.insert(String::new(), launch);
    }
    let service = input.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(Value::Array(sidekicks)) = input.get_mut("secondaryLaunchConfigs") {
        for sidekick in sidekicks.iter_mut().filter_map(Value::as_object_mut) {
            let name = sidekick.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            if name.is_empty() {
                return Err(Error::invalid("MissingRequired", "name"));
            }
            check_service_name(&name)?;
            is_sim &= check_config(sidekick)?;
            let launch = as_launch(sidekick)?;
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
    Ok(config.get("imageUuid").and_then(Value::as_str).is_some_and(is_sim_image))
}

fn as_launch(config: &Map<String, Value>) -> Result<LaunchConfig> {
    serde_json::from_value(Value::Object(config.clone())).map_err(|e| Error::internal("reading a launch configuration", e))
}

/// Sidekicks refer only to each other and to the primary (by the service's name), and not in a circle.
fn check_references(service: &str, configs: &BTreeMap<String, LaunchConfig>) -> Result<()> {
    let key = |name: &String| if name.eq_ignore_ascii_case(service) { String::new() } else { name.to_lowercase() };
    let edges = |launch: &LaunchConfig| -> Vec<String> {
        launch.network_launch_config.iter().chain(launch.data_volumes_from_launch_configs.iter().flatten()).map(key).collect()
    };
    let refuse = |field: &str, sentence: String| Err(Error::invalid("InvalidReference", field).with_message(sentence));
    for launch in configs.values() {
        for name in edges(launch) {
            if !configs.contains_key(&name) {
                return refuse("launchConfig", format!("{name} either does not exist or is not a sidekick of this service"));
            }
        }
    }
    // Kahn's way: what is left after taking away all without open references is a circle.
    let mut open: BTreeMap<&String, Vec<String>> = configs.iter().map(|(n, l)| (n, edges(l))).collect();
    while let Some(done) = open.iter().find(|(_, e)| e.iter().all(|n| !open.contains_key(n))).map(|(n, _)| (*n).clone()) {
        open.remove(&done);
    }
    if open.is_empty() { Ok(()) } else { refuse("launchConfig", "CircularReference".into()) }
}

/// What create and update check alike.
fn check_common(input: &Input) -> Result<()> {
    if let Some(name) = input.get("name").and_then(Value::as_str) {
        check_service_name(name)?;
    }
    if input.get("scale").and_then(Value::as_i64).is_some_and(|s| s < 0) {
        return Err(Error::invalid("MinLimitExceeded", "scale"));
    }
    if input.get("scale").and_then(Value::as_i64).is_some_and(|s| s > 100_000) {
        return Err(Error::invalid("MaxLimitExceeded", "scale"));
    }
    if let Some(metadata) = input.get("metadata").filter(|m| !m.is_null())
        && metadata.to_string().len() > MAX_METADATA
    {
        return Err(Error::invalid("MaxLimitExceeded", "metadata"));
    }
    if let Some(Value::Object(policy)) = input.get("scalePolicy") {
        let number = |key: &str| policy.get(key).and_then(Value::as_i64).unwrap_or(1);
        if number("min") > number("max") {
            return Err(Error::invalid("MaxLimitExceeded", "scalePolicy"));
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

fn sidekick_names(input: &Input) -> Vec<String> {
    let sidekicks = input.get("secondaryLaunchConfigs").and_then(Value::as_array).into_iter().flatten();
    sidekicks.filter_map(|s| s.get("name").and_then(Value::as_str)).map(str::to_owned).collect()
}

/// No service and no sidekick of the stack has one of these names.
pub(crate) fn check_names_free<'a>(
    tx: &mut Tx<'_>,
    stack: ResourceId,
    names: impl Iterator<Item = &'a str>,
    except: Option<ResourceId>,
) -> Result<()> {
    let mut taken = BTreeSet::new();
    for service in tx.children(stack, "service")? {
        if Some(service.id) == except || service.state == "removing" && service.removed.is_some() {
            continue;
        }
        taken.insert(service.name.to_lowercase());
        let sidekicks: Option<Vec<Named>> = Fields::parse(&service.fields)?.read("secondaryLaunchConfigs")?;
        taken.extend(sidekicks.into_iter().flatten().map(|s| s.name.to_lowercase()));
    }
    for name in names {
        if taken.contains(&name.to_lowercase()) {
            return Err(Error::invalid("NotUnique", "name"));
        }
    }
    Ok(())
}

/// No other service of the stack has the name of one of these sidekicks.
pub(crate) fn check_names_free_of_sidekicks(tx: &mut Tx<'_>, row: &Resource, sidekicks: &[Map<String, Value>]) -> Result<()> {
    let names = sidekicks.iter().filter_map(|s| s.get("name").and_then(Value::as_str));
    match row.parent_id {
        Some(stack) => check_names_free(tx, stack, names, Some(row.id)),
        None => Ok(()),
    }
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

/// The name rules of a rename, whatever the type.
pub(crate) fn check_name_free(tx: &mut Tx<'_>, row: &Resource, name: &str) -> Result<()> {
    match (row.root.as_str(), row.parent_id, row.account_id) {
        ("service", Some(stack), _) => check_names_free(tx, stack, std::iter::once(name), Some(row.id)),
        ("stack", _, Some(account)) => check_free_in_account(tx, "stack", account, name, Some(row.id)),
        _ => Ok(()),
    }
}

/// The checks of a PUT. What a kind cannot change is dropped, as the wire does.
pub(crate) fn check_update(row: &Resource, mut input: Input) -> Result<Input> {
    check_common(&input)?;
    let launch: Option<LaunchConfig> = Fields::parse(&row.fields)?.read("launchConfig")?;
    check_balancing(&input, launch.is_some_and(|l| is_sim_image(l.image_uuid.as_deref().unwrap_or_default())))?;
    if row.kind == "service" {
        input.shift_remove("launchConfig");
        input.shift_remove("secondaryLaunchConfigs");
    }
    // A scale of null is the default, not nothing.
    if input.get("scale").is_some_and(Value::is_null) {
        input.insert("scale".into(), json!(1));
    }
    Ok(input)
}

/// Checks the launch configurations of an upgrade as those of a create.
pub(crate) fn check_upgrade_configs(kind: &str, service_name: &str, selector: Option<&str>, strategy: &mut Input) -> Result<()> {
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
    for config in configs_mut(strategy) {
        check_config(config)?;
    }
    let selects = strategy.get("selectorContainer").is_some();
    if let Some(Value::Object(primary)) = strategy.get_mut("launchConfig") {
        primary.shift_remove("name");
        if kind == "service" && !as_launch(primary)?.has_image() && !selects {
            return Err(Error::invalid("InvalidOption", "launchConfig").with_message("an image is needed"));
        }
    }
    for name in sidekick_names(strategy) {
        check_service_name(&name)?;
    }
    Ok(())
}

fn configs_mut(input: &mut Input) -> Vec<&mut Map<String, Value>> {
    let mut configs = Vec::new();
    for (key, value) in input.iter_mut() {
        match (key.as_str(), value) {
            ("launchConfig", Value::Object(config)) => configs.push(config),
            ("secondaryLaunchConfigs", Value::Array(list)) => configs.extend(list.iter_mut().filter_map(Value::as_object_mut)),
            _ => {}
        }
    }
    configs
}

/// Checks references of a complete set, after an upgrade was merged in.
pub(crate) fn check_complete(service: &str, primary: Option<&Map<String, Value>>, sidekicks: &[Map<String, Value>]) -> Result<()> {
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
    let label = config.and_then(|c| c.get("labels")).and_then(|l| l.get(LABEL_GLOBAL)).and_then(Value::as_str);
    label.is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

/// A rolling restart: the start counts of now say later who is done.
pub(crate) async fn restart(core: &Core, scope: &Scope, row: &Resource, input: Input) -> Result<Answer> {
    if !input.get("rollingRestartStrategy").is_some_and(Value::is_object) {
        return Err(Error::invalid("MissingRequired", "rollingRestartStrategy"));
    }
    let machine = core.machine_of(&row.kind)?.clone();
    let id = row.id;
    core.write_for(scope, move |tx| {
        let row = tx.get(id)?;
        if machine.start("restart", &row.state).is_none() {
            return Err(not_available());
        }
        let mut fields = Fields::parse(&row.fields)?;
        let mut note: ServiceNotes = notes(&row);
        note.start_counts.clear();
        note.last_batch_at = None;
        let mut restart = input;
        let mut wire_counts = Map::new();
        for instance in tx.children(id, "instance")? {
            let count: i64 = Fields::parse(&instance.fields)?.read("startCount")?.unwrap_or(0);
            note.start_counts.insert(instance.id.0, count);
            wire_counts.insert(instance.id.0.to_string(), json!(count));
        }
        if let Some(Value::Object(strategy)) = restart.get_mut("rollingRestartStrategy") {
            strategy.insert("instanceToStartCount".into(), Value::Object(wire_counts));
        }
        fields.set("restart", &restart)?;
        let changes = Changes { fields: Some(fields), internal: Some(write_notes(&note)?), ..Changes::default() };
        request(tx, &machine, &row, "restart", "{}", changes)
    })
    .await
    .map(|row| Answer::Accepted(Box::new(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<bool>) -> String {
        result.map_or_else(|e| format!("{}/{}", e.code.unwrap_or_default(), e.field.unwrap_or_default()), |_| "ok".into())
    }

    fn check(config: Value) -> String {
        let Value::Object(mut map) = config else { return "not an object".into() };
        code(check_configs("service", &mut map))
    }

    #[test]
    fn launch_configurations_are_checked_as_rancher_does() {
        let image = "docker:a";
        for (config, expected) in [
            (json!({"name": "web", "launchConfig": {"imageUuid": image}}), "ok"),
            (json!({"name": "web", "launchConfig": {}}), "InvalidOption/launchConfig"),
            (json!({"name": "web", "launchConfig": {"imageUuid": "docker:rancher/none"}, "selectorContainer": "a=b"}), "ok"),
            (json!({"name": "web", "launchConfig": {"imageUuid": image, "ports": ["1:a"]}}), "PortWrongFormat/"),
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
            (json!({"name": "web", "launchConfig": {"imageUuid": image, "networkLaunchConfig": "x"}}), "InvalidReference/launchConfig"),
            (
                json!({"name": "web", "launchConfig": {"imageUuid": image, "networkLaunchConfig": "a"},
                       "secondaryLaunchConfigs": [{"name": "a", "imageUuid": image, "dataVolumesFromLaunchConfigs": ["web"]}]}),
                "InvalidReference/launchConfig",
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
        for (name, expected) in [("web", true), ("-a", false), ("a-", false), ("a--b", false), ("a_b", false), ("A1", true)] {
            assert_eq!(check_service_name(name).is_ok(), expected, "{name}");
        }
        assert!(check_service_name(&"x".repeat(64)).is_err());
    }
}
