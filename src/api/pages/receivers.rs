//! `/v1-webhooks`: receivers, which Rancher keeps in a service of its own beside the API. Each is an address that scales a
//! service, or upgrades services to an image that was pushed, for whoever calls it.

use std::sync::Arc;

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::api::resources::collection;
use crate::api::resources::handler;
use crate::api::wire::call::{Call, Reply, block};
use crate::api::wire::posting;
use crate::api::wire::request::{Query, Verb};
use crate::api::wire::route::Target;
use crate::engine::{Asked, Engine, Filter, Input, ListQuery, Received};
use crate::http::json::push_comma;
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State};
use crate::schema::validate::Purpose;
use crate::schema::{TypeView, render};

/// The type of the rows.
const ROWS: &str = "genericobjects";

/// Whether a request calls a receiver: whoever knows its key is let in, and nobody else is asked for.
pub fn is_call(target: &Target<'_>) -> bool {
    matches!(target, Target::Receivers { ty: Some(ty), id: None } if ty.eq_ignore_ascii_case("endpoint"))
}

/// `POST /v1-webhooks/endpoint?key=&projectId=`.
pub async fn execute(
    engine: &Arc<Engine>,
    verb: Verb,
    query: &Query<'_>,
    mut body: Input,
    client_ip: &str,
) -> Result<Reply> {
    if verb != Verb::Post {
        return Err(Error::new(ErrorKind::MethodNotAllowed));
    }
    let parameter = |name: &str, why: &str| {
        let bad = || Error::new(ErrorKind::BadRequest).with_message(why.to_owned());
        query.first(name).filter(|value| !value.is_empty()).ok_or_else(bad)
    };
    let key = parameter("key", "Invalid execute url, should have 'token' or 'key'")?;
    let project = parameter("projectId", "Invalid execute url, url must contain projectId")?;
    let (mut scope, receiver) = engine.open_receiver(project, key)?;
    // They name the receiver, and are nothing that was sent to it.
    body.shift_remove("key");
    body.shift_remove("projectId");
    let view = engine.view(&scope).clone();
    if let Some(ty) = view.find_by_path(ROWS) {
        let id = render::wire_id(render::id_prefix(&view, ty), receiver.id);
        let asked = Asked {
            ty: &ty.def,
            id: Some(&id),
            operation: "execute",
            body: &Input::new(),
            client_ip,
        };
        scope.attempt = engine.attempt(&asked);
    }
    if let Received::PassOn(way) = engine.receive(&scope, &receiver, &body).await? {
        let text = Value::Object(body).to_string();
        let status = posting::post(way.connection, &way.path, text).await?;
        if !(200..300).contains(&status) {
            return Err(Error::conflict(format!("the service answered with {status}")));
        }
    }
    Ok(Reply::ok("{}".to_owned()))
}

/// `/v1-webhooks/<type>/<id>`.
pub async fn answer(call: &Call<'_>, ty: Option<&str>, id: Option<&str>, body: Input) -> Result<Reply> {
    let Some(ty) = ty else {
        return reading(call).map(|()| index(call));
    };
    if is_either(ty, "schema", "schemas") {
        return reading(call).and_then(|()| schemas(call, id));
    }
    if !is_either(ty, "receiver", "receivers") {
        return Err(Error::not_found());
    }
    let rows = call.find_type(ROWS)?;
    match (call.verb, id) {
        (Verb::Get, None) => list(call, rows).await,
        (Verb::Post, None) => create(call, rows, body).await,
        (Verb::Get, Some(id)) => {
            let row = found(call, rows, id)?;
            Ok(Reply::ok(written(call, rows, &row)?.to_string()))
        }
        (Verb::Delete, Some(id)) => {
            call.require_resource_method(rows)?;
            let row = found(call, rows, id)?;
            let row = call.engine.delete(call.scope, rows, row.id).await?;
            Ok(Reply::ok(written(call, rows, &row)?.to_string()))
        }
        _ => Err(Error::new(ErrorKind::MethodNotAllowed)),
    }
}

pub(super) fn is_either(text: &str, singular: &str, plural: &str) -> bool {
    text.eq_ignore_ascii_case(singular) || text.eq_ignore_ascii_case(plural)
}

fn reading(call: &Call<'_>) -> Result<()> {
    match call.verb {
        Verb::Get => Ok(()),
        Verb::Post | Verb::Put | Verb::Delete | Verb::Other => Err(Error::new(ErrorKind::MethodNotAllowed)),
    }
}

fn found(call: &Call<'_>, rows: &TypeView, id: &str) -> Result<Arc<Resource>> {
    let row = call.get(rows, id)?;
    match row.kind == Engine::RECEIVER && row.removed.is_none() {
        true => Ok(row),
        false => Err(Error::not_found()),
    }
}

/// The project that a request is about.
fn project(call: &Call<'_>) -> Result<ResourceId> {
    let missing = || {
        Error::new(ErrorKind::BadRequest)
            .with_message("projectId is missing")
            .with_field("projectId")
    };
    call.scope.project.ok_or_else(missing)
}

async fn list(call: &Call<'_>, rows: &Arc<TypeView>) -> Result<Reply> {
    let project = project(call)?;
    let query = ListQuery {
        filters: vec![Filter {
            field: "kind".into(),
            modifier: "eq".into(),
            value: Engine::RECEIVER.into(),
        }],
        ..collection::everything()
    };
    let (engine, scope, ty) = (call.engine.clone(), call.scope.clone(), rows.clone());
    let page = block(move || collection::whole(query, |query| engine.list(&scope, &ty, query))).await?;
    let mut out = String::with_capacity(512);
    collection::open_plain(&mut out, call, "receiver");
    for row in page.rows.iter().filter(|row| row.account_id == Some(project)) {
        push_comma(&mut out);
        out.push_str(&written(call, rows, row)?.to_string());
    }
    collection::close(&mut out, None);
    Ok(Reply::ok(out))
}

async fn create(call: &Call<'_>, rows: &Arc<TypeView>, body: Input) -> Result<Reply> {
    call.require_collection_method(rows)?;
    handler::require_creatable(rows)?;
    let project = project(call)?;
    let text = |field: &str| body.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let missing = |why: &str, field: &str| {
        Error::new(ErrorKind::BadRequest)
            .with_message(why.to_owned())
            .with_field(field.to_owned())
    };
    let name = text("name").ok_or_else(|| missing("Name not provided", "name"))?;
    let driver = text("driver").ok_or_else(|| missing("Driver not provided", "driver"))?;
    let config = body.get(&format!("{driver}Config")).and_then(Value::as_object);
    let config = config.cloned().unwrap_or_default();
    call.engine.check_receiver(project, driver, &config)?;
    let input = Input::from_iter([
        ("name".to_owned(), json!(name)),
        ("kind".to_owned(), json!(Engine::RECEIVER)),
        ("resourceData".to_owned(), json!({"driver": driver, "config": config})),
    ]);
    let input = call
        .validate(call.input_view(rows), rows, input, Purpose::Create, None)
        .await?;
    let made = call.engine.create(call.scope, rows, input).await?;
    let row = made.first().ok_or_else(|| Error::bug("a receiver that was not made"))?;
    Ok(Reply::new(StatusCode::OK, written(call, rows, row)?.to_string()))
}

/// A receiver as clients read it. Its address is for those who could make one.
fn written(call: &Call<'_>, rows: &TypeView, row: &Resource) -> Result<Value> {
    let data: Map<String, Value> = Fields::parse(&row.fields)?.read("resourceData")?.unwrap_or_default();
    let driver = data
        .get("driver")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let mut config = data
        .get("config")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    config.insert("type".into(), json!(driver));
    let registry = call.engine.registry();
    let letters = registry
        .type_of("account", "project")
        .map_or("", |ty| ty.prefix.as_str());
    let project = row
        .account_id
        .map(|id| render::wire_id(letters, id))
        .unwrap_or_default();
    let (id, root) = (call.wire_id(rows, row.id), &call.base.root);
    let may_call = rows.collection_methods.iter().any(|method| method == "POST");
    let key = call.engine.receiver_key(row);
    let url = may_call.then(|| format!("{root}/endpoint?key={key}&projectId={project}"));
    let state = if row.state == State::REMOVING {
        "removed"
    } else {
        row.state.as_str()
    };
    let mut object = json!({
        "id": id, "type": "receiver", "baseType": "receiver",
        "links": {"self": format!("{root}/receivers/{id}?projectId={project}")},
        "name": row.name, "driver": driver, "state": state, "url": url,
    });
    if let Some(object) = object.as_object_mut() {
        object.insert(call.actions_key.to_owned(), json!({}));
        object.insert(format!("{driver}Config"), Value::Object(config));
    }
    Ok(object)
}

fn index(call: &Call<'_>) -> Reply {
    let root = &call.base.root;
    let index = json!({
        "id": "v1-webhooks", "type": "apiVersion", "baseType": "apiVersion", "actions": {},
        "links": {"self": root, "schemas": format!("{root}/schemas"), "receivers": format!("{root}/receivers")},
    });
    Reply::ok(index.to_string())
}

/// The fields of the types: name, type, default, choices.
fn kinds() -> [(&'static str, Value); 4] {
    let field = |ty: &str, default: Value| json!({"type": ty, "default": default, "create": true, "update": false, "nullable": true, "required": false});
    let choice = |options: &[&str]| json!({"type": "enum", "options": options, "create": true, "update": false, "nullable": false, "required": true});
    let read = |ty: &str| json!({"type": ty, "create": false, "update": false, "nullable": true});
    [
        (
            "receiver",
            json!({
                "name": field("string", Value::Null), "driver": choice(&["scaleService", "serviceUpgrade", "forwardPost"]),
                "url": read("string"), "state": read("string"),
                "scaleServiceConfig": field("scaleService", Value::Null),
                "serviceUpgradeConfig": field("serviceUpgrade", Value::Null),
                "forwardPostConfig": field("forwardPost", Value::Null),
            }),
        ),
        (
            "scaleService",
            json!({
                "serviceId": field("reference[service]", Value::Null), "action": choice(&["up", "down"]),
                "amount": field("int", json!(1)), "min": field("int", json!(1)), "max": field("int", json!(100)),
            }),
        ),
        (
            "serviceUpgrade",
            json!({
                "serviceSelector": field("map[string]", Value::Null), "tag": field("string", Value::Null),
                "image": field("string", Value::Null), "batchSize": field("int", json!(1)),
                "intervalMillis": field("int", json!(2)), "startFirst": field("boolean", json!(false)),
            }),
        ),
        (
            "forwardPost",
            json!({
                "projectId": field("string", Value::Null), "serviceName": field("string", Value::Null),
                "port": field("string", Value::Null), "path": field("string", Value::Null),
            }),
        ),
    ]
}

fn schemas(call: &Call<'_>, id: Option<&str>) -> Result<Reply> {
    let root = &call.base.root;
    let written = |(name, fields): &(&'static str, Value)| {
        let is_receiver = *name == "receiver";
        json!({
            "id": name, "type": "schema", "baseType": "schema", "actions": {}, "pluralName": format!("{name}s"),
            "links": {"self": format!("{root}/schemas/{}", name.to_ascii_lowercase())},
            "resourceFields": fields, "resourceActions": {}, "collectionActions": {}, "collectionFields": {},
            "collectionFilters": {}, "includeableLinks": [],
            "collectionMethods": if is_receiver { json!(["GET", "POST"]) } else { json!([]) },
            "resourceMethods": if is_receiver { json!(["GET", "DELETE"]) } else { json!([]) },
        })
    };
    let kinds = kinds();
    if let Some(id) = id {
        let kind = kinds.iter().find(|(name, _)| is_either(id, name, &format!("{name}s")));
        return kind
            .map(|kind| Reply::ok(written(kind).to_string()))
            .ok_or_else(Error::not_found);
    }
    let mut out = String::with_capacity(4096);
    collection::open_plain(&mut out, call, "schema");
    for kind in &kinds {
        push_comma(&mut out);
        out.push_str(&written(kind).to_string());
    }
    collection::close(&mut out, None);
    Ok(Reply::ok(out))
}
