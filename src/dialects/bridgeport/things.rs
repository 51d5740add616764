//! Objects that are nothing but what is kept of them: container images, variables, fragments, files, types of services.

use serde_json::{Map, Value, json};

use super::Call;
use super::caller::{Asker, Caller, spec};
use super::fields::text;
use super::refusal::{Code, Outcome, Refusal};
use super::routes::Deed;
use super::services;
use crate::engine::{DEFAULT_PROJECT, Input, ObjectChange, TAKEN, Unique};
use crate::model::{Error, Resource};

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// An image that services are made of.
    Image,
    /// A variable of an environment.
    Var,
    /// A part of files.
    Fragment,
    /// A file.
    File,
    /// A type of services.
    ServiceType,
}

/// Types of services that are there from the start: their names, and what people read.
const BUILT_IN: [(&str, &str); 16] = [
    ("generic", "Generic"),
    ("nodejs", "Node.js"),
    ("python", "Python"),
    ("django", "Django"),
    ("laravel", "Laravel"),
    ("rails", "Ruby on Rails"),
    ("go", "Go"),
    ("java", "Java"),
    ("dotnet", ".NET"),
    ("static", "Static site"),
    ("postgres", "PostgreSQL"),
    ("mysql", "MySQL"),
    ("mongodb", "MongoDB"),
    ("redis", "Redis"),
    ("rabbitmq", "RabbitMQ"),
    ("nginx", "nginx"),
];
/// What ids of those begin with.
const BUILT_IN_ID: &str = "type-";

impl Thing {
    /// The type of its rows.
    pub fn root(self) -> &'static str {
        match self {
            Self::Image => "bridgeportImage",
            Self::Var => "bridgeportVar",
            Self::Fragment => "bridgeportFragment",
            Self::File => "bridgeportFile",
            Self::ServiceType => "bridgeportServiceType",
        }
    }

    /// The letters of its ids.
    pub fn letters(self) -> &'static str {
        match self {
            Self::Image => "bpi",
            Self::Var => "bpv",
            Self::Fragment => "bpg",
            Self::File => "bpf",
            Self::ServiceType => "bpt",
        }
    }

    /// One in answers, many in answers, and what people call one.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Image => ("image", "images", "Container image"),
            Self::Var => ("var", "vars", "Variable"),
            Self::Fragment => ("fragment", "fragments", "Config fragment"),
            Self::File => ("configFile", "configFiles", "Config file"),
            Self::ServiceType => ("serviceType", "serviceTypes", "Service type"),
        }
    }

    /// What must not be there twice in an environment.
    fn unique(self) -> Unique {
        match self {
            Self::Image => &[&["imageName"]],
            Self::Var => &[&["key"]],
            Self::Fragment | Self::File | Self::ServiceType => &[&["name"]],
        }
    }

    fn missing(self) -> Refusal {
        Refusal::missing(self.words().2)
    }

    /// What a new one has where its body says nothing.
    fn defaults(self) -> Value {
        match self {
            Self::Image => json!({"tagFilter": "latest", "registryConnectionId": null, "autoUpdate": false}),
            Self::Var | Self::Fragment => json!({"description": null}),
            Self::File => json!({"description": null, "language": null, "autoResync": true, "fragmentIds": []}),
            Self::ServiceType => json!({}),
        }
    }

    /// An object as clients see it.
    pub fn shown(self, row: &Resource) -> Outcome<Map<String, Value>> {
        let mut kept = self.defaults().as_object().cloned().unwrap_or_default();
        kept.extend(spec(row)?);
        let mut out = Map::new();
        out.insert("id".into(), json!(format!("1{}{}", self.letters(), row.id)));
        if self != Self::Var {
            out.insert("name".into(), json!(row.name));
        }
        let changed = kept
            .shift_remove("updatedAt")
            .unwrap_or_else(|| json!(row.created.to_wire_millis()));
        out.append(&mut kept);
        match self {
            Self::File => {
                let content = out.get("content").and_then(Value::as_str).unwrap_or_default().len();
                let more = json!({"isBinary": false, "mimeType": null, "fileSize": content});
                out.extend(more.as_object().cloned().unwrap_or_default());
            }
            Self::ServiceType => {
                out.insert("isBuiltIn".into(), json!(false));
                out.insert("commands".into(), json!([]));
            }
            Self::Image | Self::Var | Self::Fragment => {}
        }
        if self != Self::ServiceType
            && let Some(project) = row.account_id
        {
            out.insert("environmentId".into(), json!(format!("1a{project}")));
        }
        out.insert("createdAt".into(), json!(row.created.to_wire_millis()));
        out.insert("updatedAt".into(), changed);
        Ok(out)
    }
}

fn built_in(name: &str, display: &str) -> Value {
    json!({
        "id": format!("{BUILT_IN_ID}{name}"), "name": name, "displayName": display, "isBuiltIn": true, "commands": [],
    })
}

/// The type of services with this id, wherever it is kept.
pub fn service_type(caller: &Caller<'_>, id: &str) -> Outcome<Option<Value>> {
    if let Some(name) = id.strip_prefix(BUILT_IN_ID) {
        let found = BUILT_IN.iter().find(|(known, _)| *known == name);
        return Ok(found.map(|(name, display)| built_in(name, display)));
    }
    let thing = Thing::ServiceType;
    // They are the server's, and of no environment.
    let Some(keeper) = caller.asker.enter(DEFAULT_PROJECT)? else {
        return Ok(None);
    };
    let row = keeper.row(thing.root(), thing.letters(), id)?;
    row.map(|row| thing.shown(&row).map(Value::Object)).transpose()
}

/// A page of a list.
pub fn list_of(call: &Call, many: &str, all: Vec<Value>, default: usize) -> Outcome<Value> {
    let limit = call.query.number("limit", default, 1, 1_000)?;
    let offset = call.query.number("offset", 0, 0, usize::MAX)?;
    let total = all.len();
    let page: Vec<Value> = all.into_iter().skip(offset).take(limit).collect();
    Ok(json!({many: page, "total": total, "limit": limit, "offset": offset}))
}

/// What is asked of such objects.
pub async fn lead(asker: &Asker, thing: Thing, deed: Deed, call: &Call) -> Outcome<Value> {
    let (one, _, what) = thing.words();
    match deed {
        Deed::List => list(asker, thing, call).await,
        Deed::Create => create(asker, thing, call).await,
        Deed::Read => {
            if let (Thing::ServiceType, Some(name)) = (thing, call.param("id").strip_prefix(BUILT_IN_ID)) {
                let found = BUILT_IN.iter().find(|(known, _)| *known == name);
                let (name, display) = found.ok_or_else(|| thing.missing())?;
                return Ok(json!({one: built_in(name, display)}));
            }
            let (_, row) = asker.reach(thing.root(), thing.letters(), call.param("id"), what)?;
            Ok(json!({one: thing.shown(&row)?}))
        }
        Deed::Update => update(asker, thing, call).await,
        Deed::Remove => remove(asker, thing, call).await,
    }
}

async fn list(asker: &Asker, thing: Thing, call: &Call) -> Outcome<Value> {
    let (_, many, _) = thing.words();
    let caller = match thing {
        Thing::ServiceType => asker.enter(DEFAULT_PROJECT)?,
        _ => asker.environment(call)?,
    };
    let mut all: Vec<Value> = match thing {
        Thing::ServiceType => BUILT_IN.iter().map(|(name, display)| built_in(name, display)).collect(),
        _ => Vec::new(),
    };
    if let Some(caller) = caller {
        for row in caller.lasting(thing.root()).await? {
            all.push(Value::Object(thing.shown(&row)?));
        }
    }
    let default = if thing == Thing::Fragment || thing == Thing::File {
        25
    } else {
        1_000
    };
    list_of(call, many, all, default)
}

/// 409 in the words of what is there already.
pub fn taken(error: Error, what: &str) -> Refusal {
    match error.code.as_deref() {
        Some(TAKEN) => {
            let field = error.field.unwrap_or_default();
            let words = format!("{what} with this {field} exists in this environment");
            Refusal::taken(field, words)
        }
        _ => Refusal::from(error),
    }
}

/// What can only be seen with others at hand: references, and what this build does not do.
async fn check(caller: &Caller<'_>, thing: Thing, body: &Map<String, Value>) -> Outcome<()> {
    if body.get("autoUpdate") == Some(&json!(true)) {
        let words = "autoUpdate: nothing looks for new tags in this build";
        return Err(Refusal::not_built(words).about("autoUpdate"));
    }
    if let Some(id) = text(body, "registryConnectionId").filter(|id| !id.is_empty())
        && super::registries::find(caller, &id)?.is_none()
    {
        return Err(Refusal::bad("registryConnectionId", "Registry not found"));
    }
    for id in body.get("fragmentIds").and_then(Value::as_array).into_iter().flatten() {
        let (root, letters) = (Thing::Fragment.root(), Thing::Fragment.letters());
        if caller.row(root, letters, id.as_str().unwrap_or_default())?.is_none() {
            return Err(Refusal::bad("fragmentIds", "Config fragment not found"));
        }
    }
    let name = text(body, "name").unwrap_or_default();
    let is_plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if thing == Thing::ServiceType && (!is_plain || BUILT_IN.iter().any(|(known, _)| *known == name)) {
        return Err(match is_plain {
            true => Refusal::taken("name", "A service type with this name exists"),
            false => Refusal::bad("name", "A name has lower-case letters, digits and hyphens"),
        });
    }
    Ok(())
}

/// Takes the name out of a body: it stands in a column.
fn split(thing: Thing, body: &Map<String, Value>) -> (Option<String>, Map<String, Value>) {
    let mut kept = body.clone();
    let name = kept
        .shift_remove("name")
        .and_then(|name| name.as_str().map(str::to_owned));
    match thing {
        Thing::Var => (text(&kept, "key"), kept),
        _ => (name, kept),
    }
}

async fn create(asker: &Asker, thing: Thing, call: &Call) -> Outcome<Value> {
    let (one, _, what) = thing.words();
    let mut caller = match thing {
        Thing::ServiceType => asker.enter(DEFAULT_PROJECT)?.ok_or_else(|| thing.missing())?,
        _ => asker.environment_to_change(call)?,
    };
    check(&caller, thing, &call.body).await?;
    let (name, kept) = split(thing, &call.body);
    let mut whole = thing.defaults().as_object().cloned().unwrap_or_default();
    whole.extend(kept);
    let def = caller.hidden(thing.root())?;
    caller.note(&def, None, "create", &named(name.as_deref()));
    let made = ObjectChange {
        name,
        spec: whole,
        unique: thing.unique(),
    };
    let row = caller.engine.add_object(&caller.scope, thing.root(), made).await;
    let row = row.map_err(|error| taken(error, what))?;
    Ok(json!({one: thing.shown(&row)?}))
}

/// What the audit log reads of an object: what it is called.
pub fn named(name: Option<&str>) -> Input {
    Input::from_iter([("name".to_owned(), json!(name))])
}

async fn update(asker: &Asker, thing: Thing, call: &Call) -> Outcome<Value> {
    let (one, _, what) = thing.words();
    check_built_in(thing, call)?;
    let (mut caller, row) = asker.reach_to_change(thing.root(), thing.letters(), call.param("id"), what)?;
    check(&caller, thing, &call.body).await?;
    let (name, mut kept) = split(thing, &call.body);
    kept.insert("updatedAt".into(), json!(caller.engine.clock().now().to_wire_millis()));
    let def = caller.hidden(thing.root())?;
    caller.note(&def, Some(&row), "update", &named(name.as_deref()));
    let change = ObjectChange {
        name,
        spec: kept,
        unique: thing.unique(),
    };
    let row = caller.engine.change_object(&caller.scope, &row, change).await;
    let row = row.map_err(|error| taken(error, what))?;
    Ok(json!({one: thing.shown(&row)?}))
}

fn check_built_in(thing: Thing, call: &Call) -> Outcome<()> {
    match thing == Thing::ServiceType && call.param("id").starts_with(BUILT_IN_ID) {
        true => Err(Refusal::new(Code::Conflict, "This service type is built in")),
        false => Ok(()),
    }
}

async fn remove(asker: &Asker, thing: Thing, call: &Call) -> Outcome<Value> {
    let (_, _, what) = thing.words();
    check_built_in(thing, call)?;
    let (mut caller, row) = asker.reach_to_change(thing.root(), thing.letters(), call.param("id"), what)?;
    let own = call.param("id");
    let used = match thing {
        Thing::Image => services::uses(&caller, "containerImageId", own).await?,
        Thing::ServiceType => services::uses_anywhere(asker, "serviceTypeId", own).await?,
        Thing::Fragment => is_in_files(&caller, own).await?,
        Thing::Var | Thing::File => false,
    };
    if used {
        return Err(Refusal::new(Code::Validation, format!("{what} is in use")));
    }
    let def = caller.hidden(thing.root())?;
    caller.note(&def, Some(&row), "delete", &Input::new());
    caller.engine.drop_objects(&caller.scope, &row, Vec::new()).await?;
    Ok(json!({"success": true}))
}

async fn is_in_files(caller: &Caller<'_>, fragment: &str) -> Outcome<bool> {
    for file in caller.lasting(Thing::File.root()).await? {
        let ids = spec(&file)?.get("fragmentIds").and_then(Value::as_array).cloned();
        if ids.into_iter().flatten().any(|id| id == fragment) {
            return Ok(true);
        }
    }
    Ok(false)
}
