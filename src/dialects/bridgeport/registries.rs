//! Registries: the project's own, each with what it is opened with.

use serde_json::{Map, Value, json};

use super::Call;
use super::caller::{Asker, Caller, fields, spec};
use super::fields::text;
use super::refusal::{Code, Outcome, Refusal};
use super::routes::Deed;
use super::things::{Thing, list_of, named};
use crate::engine::Input;
use crate::model::Resource;
use crate::schema::validate::Purpose;

/// The root of their rows.
const ROOT: &str = "storagePool";
/// The letters of their ids.
const LETTERS: &str = "sp";
/// Where a registry keeps what is said of it here.
const FIELD: &str = "bridgeportSpec";
/// How often BRIDGEPORT looks for new tags, where nobody says otherwise.
const REFRESH: i64 = 30;
/// What people call Docker's own registry.
const HUB: [&str; 4] = ["docker.io", "registry-1.docker.io", "hub.docker.com", "index.docker.io"];

/// The registry of an id in a project.
pub fn find(caller: &Caller<'_>, id: &str) -> Outcome<Option<Resource>> {
    let row = caller.row(ROOT, LETTERS, id)?;
    Ok(row.filter(|row| row.kind == "registry"))
}

/// What is asked of registries.
pub async fn lead(asker: &Asker, deed: Deed, call: &Call) -> Outcome<Value> {
    match deed {
        Deed::List => {
            let Some(caller) = asker.environment(call)? else {
                return Ok(json!({"registries": [], "total": 0}));
            };
            let used = images(&caller).await?;
            let mut all = Vec::new();
            for row in caller.lasting(ROOT).await?.iter().filter(|row| row.kind == "registry") {
                all.push(shown(&caller, row, &used).await?);
            }
            list_of(call, "registries", all, 1_000)
        }
        Deed::Create => create(asker, call).await,
        Deed::Read => {
            let (caller, row) = reach(asker, call)?;
            let used = images(&caller).await?;
            Ok(json!({"registry": shown(&caller, &row, &used).await?}))
        }
        Deed::Update => update(asker, call).await,
        Deed::Remove => remove(asker, call).await,
    }
}

fn reach<'a>(asker: &'a Asker, call: &Call) -> Outcome<(Caller<'a>, Resource)> {
    let (caller, row) = asker.reach(ROOT, LETTERS, call.param("id"), "Registry")?;
    match row.kind == "registry" {
        true => Ok((caller, row)),
        false => Err(Refusal::missing("Registry")),
    }
}

/// The registries that images of the project name, once for each image.
async fn images(caller: &Caller<'_>) -> Outcome<Vec<String>> {
    let mut used = Vec::new();
    for row in caller.lasting(Thing::Image.root()).await? {
        used.extend(text(&spec(&row)?, "registryConnectionId"));
    }
    Ok(used)
}

/// What a registry is opened with.
async fn credential(caller: &Caller<'_>, registry: &Resource) -> Outcome<Option<Resource>> {
    let wire = caller.engine.wire_id(registry);
    for row in caller.lasting("credential").await? {
        if row.kind == "registryCredential" && fields(&row)?.text("registryId").as_ref() == Some(&wire) {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

async fn shown(caller: &Caller<'_>, row: &Resource, used: &[String]) -> Outcome<Value> {
    let own = fields(row)?;
    let kept: Map<String, Value> = own.read(FIELD)?.unwrap_or_default();
    let id = caller.engine.wire_id(row);
    let credential = credential(caller, row).await?;
    let username = match &credential {
        Some(credential) => fields(credential)?.text("publicValue"),
        None => text(&kept, "username"),
    };
    let kept_or = |name: &str, or: Value| kept.get(name).cloned().unwrap_or(or);
    let address = own.text("serverAddress").unwrap_or_default();
    let name = if row.name.is_empty() {
        address.clone()
    } else {
        row.name.clone()
    };
    let has_token = kept_or("hasToken", json!(false));
    let has_password = credential.is_some() && has_token != json!(true);
    Ok(json!({
        "id": id, "name": name, "type": kept_or("type", json!("generic")),
        "registryUrl": kept_or("registryUrl", json!(address)), "repositoryPrefix": kept_or("repositoryPrefix", Value::Null),
        "hasToken": has_token, "hasPassword": has_password, "username": username, "isDefault": false,
        "refreshIntervalMinutes": REFRESH, "autoLinkPattern": kept_or("autoLinkPattern", Value::Null),
        "environmentId": caller.environment_id(),
        "_count": {"containerImages": used.iter().filter(|one| **one == id).count()},
        "createdAt": row.created.to_wire_millis(),
    }))
}

/// The server that an address of a registry names, as images name it.
fn server_of(url: &str) -> Outcome<String> {
    let bare = url.trim().trim_start_matches("https://").trim_start_matches("http://");
    let host = bare.split('/').next().unwrap_or_default().to_ascii_lowercase();
    let is_good = |host: &str| host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c));
    match host.as_str() {
        "" => Err(Refusal::bad("registryUrl", "Invalid registry URL")),
        hub if HUB.contains(&hub) => Ok("index.docker.io".to_owned()),
        host if is_good(host) => Ok(host.to_owned()),
        _ => Err(Refusal::bad("registryUrl", "Invalid registry URL")),
    }
}

/// 501 for what would have to be done with tags and repositories, which nothing here looks at.
fn check_built(body: &Map<String, Value>) -> Outcome<()> {
    let given = |name: &str| text(body, name).is_some_and(|text| !text.is_empty());
    let unbuilt = [
        ("isDefault", body.get("isDefault") == Some(&json!(true))),
        ("autoLinkPattern", given("autoLinkPattern")),
        ("repositoryPrefix", given("repositoryPrefix")),
        (
            "refreshIntervalMinutes",
            body.get("refreshIntervalMinutes")
                .is_some_and(|minutes| *minutes != json!(REFRESH)),
        ),
    ];
    match unbuilt.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((field, _)) => {
            let words = format!("{field}: nothing looks for repositories and tags in this build");
            Err(Refusal::not_built(words).about(*field))
        }
    }
}

/// The secret that a body has: a password, or a token.
fn secret(body: &Map<String, Value>) -> Outcome<Option<(String, bool)>> {
    let given = |name: &str| text(body, name).filter(|text| !text.is_empty());
    match (given("password"), given("token")) {
        (Some(_), Some(_)) => Err(Refusal::bad("token", "Give a password, or a token")),
        (password, token) => Ok(password.map(|text| (text, false)).or(token.map(|text| (text, true)))),
    }
}

/// What is kept of a body: all but what is secret, and what stands elsewhere.
fn kept_of(body: &Map<String, Value>) -> Map<String, Value> {
    let mut kept = body.clone();
    for name in ["password", "token", "name", "isDefault", "refreshIntervalMinutes"] {
        kept.shift_remove(name);
    }
    kept
}

async fn create(asker: &Asker, call: &Call) -> Outcome<Value> {
    let mut caller = asker.environment_to_change(call)?;
    check_built(&call.body)?;
    let server = server_of(&text(&call.body, "registryUrl").unwrap_or_default())?;
    let name = text(&call.body, "name");
    let body = json!({"serverAddress": server, "name": name});
    let registry = caller.view_of("registry")?;
    let mut input = caller.checked("registry", body, Purpose::Create, None).await?;
    caller.may_create(&registry)?;
    let mut kept = kept_of(&call.body);
    let credential = match secret(&call.body)? {
        None => None,
        Some((plain, is_token)) => {
            let username = text(&call.body, "username").filter(|name| !name.is_empty());
            let username =
                username.ok_or_else(|| Refusal::bad("username", "A password or a token needs a username"))?;
            kept.insert("hasToken".into(), json!(is_token));
            let input = Input::from_iter([
                ("publicValue".to_owned(), json!(username)),
                ("secretValue".to_owned(), json!(plain)),
            ]);
            Some((caller.view_of("registryCredential")?, input))
        }
    };
    caller.note(&registry.def, None, "create", &named(name.as_deref()));
    input.insert(FIELD.into(), Value::Object(kept));
    let opened = credential.as_ref().map(|(ty, input)| (ty.as_ref(), input.clone()));
    let made = caller
        .engine
        .open_registry(&caller.scope, (&registry, input), opened)
        .await;
    let row = made.map_err(|error| match error.code.as_deref() {
        Some("ServerAddressUsed") => Refusal::taken(
            "registryUrl",
            "A registry with this registryUrl exists in this environment",
        ),
        _ => Refusal::from(error),
    })?;
    Ok(json!({"registry": shown(&caller, &row, &[]).await?}))
}

async fn update(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (mut caller, row) = reach(asker, call)?;
    caller.check_may_change()?;
    check_built(&call.body)?;
    let ty = caller.view_of("registry")?;
    caller.may_create(&ty)?;
    let mut kept: Map<String, Value> = fields(&row)?.read(FIELD)?.unwrap_or_default();
    kept.extend(kept_of(&call.body));
    let mut input = Input::new();
    if let Some(url) = text(&call.body, "registryUrl") {
        let server = server_of(&url)?;
        for other in caller
            .rows(ROOT)
            .await?
            .iter()
            .filter(|other| other.id != row.id && other.kind == "registry")
        {
            if fields(other)?
                .text("serverAddress")
                .is_some_and(|own| own.eq_ignore_ascii_case(&server))
            {
                let words = "A registry with this registryUrl exists in this environment";
                return Err(Refusal::taken("registryUrl", words));
            }
        }
        input.insert("serverAddress".into(), json!(server));
    }
    let name = text(&call.body, "name");
    caller.note(&ty.def, Some(&row), "update", &named(name.as_deref()));
    change_credential(&caller, call, &row, &mut kept).await?;
    input.extend(name.map(|name| ("name".to_owned(), json!(name))));
    input.insert(FIELD.into(), Value::Object(kept));
    let row = caller.engine.write_row(&caller.scope, &row, input).await?;
    let used = images(&caller).await?;
    Ok(json!({"registry": shown(&caller, &row, &used).await?}))
}

/// Another user, or another password; what is not said stays.
async fn change_credential(
    caller: &Caller<'_>,
    call: &Call,
    registry: &Resource,
    kept: &mut Map<String, Value>,
) -> Outcome<()> {
    let given = secret(&call.body)?;
    let username = text(&call.body, "username").filter(|name| !name.is_empty());
    if given.is_none() && username.is_none() {
        return Ok(());
    }
    if let Some((_, is_token)) = &given {
        kept.insert("hasToken".into(), json!(is_token));
    }
    let ty = caller.view_of("registryCredential")?;
    let mut input = Input::new();
    input.extend(username.map(|name| ("publicValue".to_owned(), json!(name))));
    input.extend(given.map(|(plain, _)| ("secretValue".to_owned(), json!(plain))));
    match credential(caller, registry).await? {
        Some(row) => drop(caller.engine.update(&caller.scope, &ty, row.id, input).await?),
        None if input.len() == 2 => {
            input.insert("registryId".into(), json!(caller.engine.wire_id(registry)));
            caller.engine.create(&caller.scope, &ty, input).await?;
        }
        // A name alone opens nothing.
        None => {}
    }
    Ok(())
}

async fn remove(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (mut caller, row) = reach(asker, call)?;
    caller.check_may_change()?;
    let ty = caller.view_of("registry")?;
    caller.may_create(&ty)?;
    let id = caller.engine.wire_id(&row);
    if images(&caller).await?.contains(&id) {
        return Err(Refusal::new(Code::Conflict, "Container images name this registry"));
    }
    caller.note(&ty.def, Some(&row), "delete", &Input::new());
    caller.engine.drop_registry(&caller.scope, &row).await?;
    Ok(json!({"success": true}))
}

impl Caller<'_> {
    /// 403 unless the caller's view lets it make rows of a type.
    pub fn may_create(&self, ty: &crate::schema::TypeView) -> Outcome<()> {
        match ty.collection_methods.iter().any(|method| method == "POST") {
            true => Ok(()),
            false => Err(Refusal::new(
                Code::Role,
                format!("This role may not change a {}", ty.id),
            )),
        }
    }
}
