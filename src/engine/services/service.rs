//! Services: making and changing one, and its restart.

use serde_json::{Map, Value, json};

use crate::engine::core::{Answer, Core, Input, Scope, not_available, notes, request, write_notes};
use crate::engine::instances::check_own_key;
use crate::model::{Error, Fields, Resource, ResourceId, Result, ServiceKind, WireId};
use crate::schema::{TypeView, Version};
use crate::store::Changes;

use super::balancing;
use super::balancing_of_v1;
use super::configs::{as_launch, check_common, check_own_labels};
use super::new_service::{NewService, no_stack};
use super::snapshot::ServiceNotes;

/// A service that a client makes: whoever asks must be let into the stack.
pub(crate) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    mut input: Input,
) -> Result<Resource> {
    balancing_of_v1::settle(&ty.def.id, None, &mut input)?;
    core.name_balancer_image(&ty.def.id, &mut input)?;
    core.apply_image_rules(&mut input)?;
    let stack = input.get("stackId").and_then(Value::as_str).and_then(WireId::parse);
    let field = if scope.version == Version::V1 {
        "environmentId"
    } else {
        "stackId"
    };
    let Some(stack) = stack else {
        return Err(no_stack(field));
    };
    let in_stack = core.store.find(stack.id)?;
    core.require_stack(scope, in_stack.as_ref())?;
    core.check_host_use(in_stack.and_then(|stack| stack.account_id), &input)?;
    check_own_key(scope, &input)?;
    let new = NewService::check(&ty.def, account, stack.id, input)?;
    core.write_for(scope, move |tx| new.insert(tx)).await
}

/// The checks of a PUT. What a kind cannot change is dropped, as the wire does.
pub(crate) fn check_update(row: &Resource, mut input: Input) -> Result<Input> {
    check_common(&input)?;
    balancing::check_config(&row.kind, &input)?;
    if let Some(Value::Object(primary)) = input.get_mut("launchConfig") {
        balancing::complete(&row.kind, primary);
        balancing::check_launch(&row.kind, primary)?;
        check_own_labels(&row.kind, &as_launch(primary)?)?;
    }
    if ServiceKind::of(&row.kind).upgrades_only() {
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
        if machine.start("restart", row.state).is_none() {
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
