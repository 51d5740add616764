//! Services: making and changing one, and its restart.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::engine::core::{
    Answer, Core, Input, Scope, insert_and_start, not_available, notes, request, row_from_input, write_notes,
};
use crate::model::launch::{LaunchConfig, is_sim_image};
use crate::model::{Error, Fields, Resource, ResourceId, Result, WireId};
use crate::schema::TypeView;
use crate::store::{Changes, Tx};

use super::configs::{check_balancing, check_common, check_configs, sidekick_names};
use super::names::check_names_free;
use super::snapshot::ServiceNotes;

/// The kinds that have containers, or could.
fn has_containers(kind: &str) -> bool {
    !matches!(kind, "dnsService" | "externalService")
}

pub(crate) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    mut input: Input,
) -> Result<Resource> {
    let stack = input
        .get("stackId")
        .and_then(Value::as_str)
        .and_then(WireId::parse)
        .map(|w| w.id);
    let stack_field = if scope.version == crate::schema::Version::V1 {
        "environmentId"
    } else {
        "stackId"
    };
    let Some(stack) = stack else {
        return Err(Error::invalid("MissingRequired", stack_field));
    };
    core.require_stack(scope, core.store.find(stack)?.as_ref())?;
    let is_sim = check_configs(&ty.def.id, &mut input)?;
    check_common(&input)?;
    if ty.def.id == "externalService" {
        let has = |field: &str| {
            input
                .get(field)
                .is_some_and(|v| !v.is_null() && v.as_array().is_none_or(|a| !a.is_empty()))
        };
        if has("externalIpAddresses") && has("hostname") {
            return Err(
                Error::invalid("InvalidOption", "hostname").with_message("either addresses or a hostname, not both")
            );
        }
    }
    let wants_vip = input.get("vip").is_some_and(Value::is_string)
        || input.get("assignServiceIpAddress") == Some(&Value::Bool(true));
    if wants_vip && !is_sim {
        return Err(
            Error::not_implemented("a service address (vip) needs simulated hosts in this build").with_field("vip"),
        );
    }
    check_balancing(&input, is_sim)?;
    let mut new = row_from_input(&ty.def, account, &input)?;
    new.parent_id = Some(stack);
    if has_containers(&ty.def.id) {
        new.fields.set("serviceIndexStrategy", "deploymentUnitBased")?;
    }
    new.fields.set("currentScale", &0)?;
    // Clients walk through the sidekicks of every service: none is an empty list, not nothing.
    if ty.def.fields.contains_key("secondaryLaunchConfigs")
        && new.fields.get("secondaryLaunchConfigs").is_none_or(|v| v == "null")
    {
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
        check_names_free(
            tx,
            stack,
            std::iter::once(name.as_str()).chain(sidekicks.iter().map(String::as_str)),
            None,
        )?;
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

/// The checks of a PUT. What a kind cannot change is dropped, as the wire does.
pub(crate) fn check_update(row: &Resource, mut input: Input) -> Result<Input> {
    check_common(&input)?;
    let launch: Option<LaunchConfig> = Fields::parse(&row.fields)?.read("launchConfig")?;
    check_balancing(
        &input,
        launch.is_some_and(|l| is_sim_image(l.image_uuid.as_deref().unwrap_or_default())),
    )?;
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
        let changes = Changes {
            fields: Some(fields),
            internal: Some(write_notes(&note)?),
            ..Changes::default()
        };
        request(tx, &machine, &row, "restart", "{}", changes)
    })
    .await
    .map(|row| Answer::Accepted(Box::new(row)))
}
