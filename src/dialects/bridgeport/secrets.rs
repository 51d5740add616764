//! Secrets: the project's own, whose values nobody is told.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Call;
use super::caller::{Asker, Caller, fields};
use super::fields::text;
use super::refusal::{Outcome, Refusal};
use super::routes::Deed;
use super::things::{list_of, named};
use crate::engine::Input;
use crate::model::{Error, Resource};
use crate::schema::validate::Purpose;

/// The letters of their ids.
const LETTERS: &str = "se";
/// Where a secret keeps what is said of it here.
const FIELD: &str = "bridgeportSpec";

/// What is asked of secrets.
pub async fn lead(asker: &Asker, deed: Deed, call: &Call) -> Outcome<Value> {
    match deed {
        Deed::List => {
            let Some(caller) = asker.environment(call)? else {
                return Ok(json!({"secrets": [], "total": 0}));
            };
            let users = users(&caller).await?;
            let mut all = Vec::new();
            for row in caller.lasting("secret").await? {
                let mut one = shown(&row)?;
                let services = users.get(&caller.engine.wire_id(&row)).cloned().unwrap_or_default();
                one.insert("usageCount".into(), json!(services.len()));
                one.insert("usedByConfigFiles".into(), json!([]));
                one.insert("usedByServices".into(), json!(services));
                all.push(Value::Object(one));
            }
            list_of(call, "secrets", all, 1_000)
        }
        Deed::Create => create(asker, call).await,
        Deed::Read => {
            let (_, row) = asker.reach("secret", LETTERS, call.param("id"), "Secret")?;
            Ok(json!({"secret": shown(&row)?}))
        }
        Deed::Update => update(asker, call).await,
        Deed::Remove => remove(asker, call).await,
    }
}

/// The services whose launch configurations name a secret, by its id.
async fn users(caller: &Caller<'_>) -> Outcome<BTreeMap<String, Vec<Value>>> {
    let mut users: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for service in caller.lasting("service").await? {
        let launch: Option<Map<String, Value>> = fields(&service)?.read("launchConfig")?;
        let secrets = launch.and_then(|launch| launch.get("secrets").cloned());
        let secrets = secrets.as_ref().and_then(Value::as_array).cloned();
        for secret in secrets.into_iter().flatten() {
            let id = secret.get("secretId").and_then(Value::as_str).unwrap_or_default();
            let user = json!({"id": caller.engine.wire_id(&service), "name": service.name});
            users.entry(id.to_owned()).or_default().push(user);
        }
    }
    Ok(users)
}

fn shown(row: &Resource) -> Outcome<Map<String, Value>> {
    let own = fields(row)?;
    let kept: Map<String, Value> = own.read(FIELD)?.unwrap_or_default();
    let created = row.created.to_wire_millis();
    let mut out = Map::new();
    out.insert("id".into(), json!(format!("1se{}", row.id)));
    out.insert("key".into(), json!(row.name));
    out.insert("description".into(), json!(own.text("description")));
    out.insert(
        "neverReveal".into(),
        kept.get("neverReveal").cloned().unwrap_or(json!(false)),
    );
    out.insert(
        "environmentId".into(),
        json!(row.account_id.map(|id| format!("1a{id}"))),
    );
    out.insert("createdAt".into(), json!(created));
    out.insert(
        "updatedAt".into(),
        kept.get("updatedAt").cloned().unwrap_or(json!(created)),
    );
    Ok(out)
}

async fn create(asker: &Asker, call: &Call) -> Outcome<Value> {
    let mut caller = asker.environment_to_change(call)?;
    let ty = caller.view_of("secret")?;
    caller.may_create(&ty)?;
    let key = text(&call.body, "key").unwrap_or_default();
    if caller.lasting("secret").await?.iter().any(|row| row.name == key) {
        return Err(Refusal::taken("key", "Secret with this key exists in this environment"));
    }
    let value = STANDARD.encode(text(&call.body, "value").unwrap_or_default());
    let body = json!({"name": key, "value": value, "description": call.body.get("description")});
    let mut input = caller.checked("secret", body, Purpose::Create, None).await?;
    caller.note(&ty.def, None, "create", &named(Some(&key)));
    let never = call.body.get("neverReveal").cloned().unwrap_or(json!(false));
    input.insert(FIELD.into(), json!({"neverReveal": never}));
    let made = caller.engine.create(&caller.scope, &ty, input).await?;
    let row = made
        .first()
        .ok_or_else(|| Error::bug("a secret was made, and is not there"))?;
    Ok(json!({"secret": shown(row)?}))
}

async fn update(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (mut caller, row) = asker.reach_to_change("secret", LETTERS, call.param("id"), "Secret")?;
    let ty = caller.view_of("secret")?;
    caller.may_create(&ty)?;
    let mut kept: Map<String, Value> = fields(&row)?.read(FIELD)?.unwrap_or_default();
    kept.extend(
        call.body
            .get("neverReveal")
            .map(|never| ("neverReveal".to_owned(), never.clone())),
    );
    kept.insert("updatedAt".into(), json!(caller.engine.clock().now().to_wire_millis()));
    let mut input = Input::from_iter([(FIELD.to_owned(), Value::Object(kept))]);
    input.extend(
        call.body
            .get("description")
            .map(|text| ("description".to_owned(), text.clone())),
    );
    caller.note(&ty.def, Some(&row), "update", &named(Some(&row.name)));
    let row = match text(&call.body, "value") {
        Some(value) => {
            let value = STANDARD.encode(value);
            caller.engine.replace_secret(&caller.scope, &row, &value, input).await?
        }
        None => caller.engine.write_row(&caller.scope, &row, input).await?,
    };
    Ok(json!({"secret": shown(&row)?}))
}

async fn remove(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (mut caller, row) = asker.reach_to_change("secret", LETTERS, call.param("id"), "Secret")?;
    let ty = caller.view_of("secret")?;
    if users(&caller).await?.contains_key(&caller.engine.wire_id(&row)) {
        return Err(Refusal::new(super::refusal::Code::Conflict, "Services use this secret"));
    }
    caller.note(&ty.def, Some(&row), "delete", &Input::new());
    caller.engine.delete(&caller.scope, &ty, row.id).await?;
    Ok(json!({"success": true}))
}
