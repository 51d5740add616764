//! Secrets and configs: a name, labels, and data that is set once.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::caller::{Caller, Deed, fields, given_labels, is_plain_name, labels, named};
use super::keys::canonical;
use super::query::Query;
use super::reader;
use super::record::nanos;
use super::refusal::{Outcome, Refusal};
use crate::engine::Input;
use crate::model::own_labels::CONFIG;
use crate::model::{Error, Resource};
use crate::schema::Type;
use crate::schema::validate::Purpose;
use actix_web::http::StatusCode;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// Sealed, and never shown.
    Secret,
    /// Shown to whoever may see it.
    Config,
}

/// The field of labels.
const LABELS: &str = "dockerLabels";
/// The longest data of a secret, in bytes.
const LONGEST_SECRET: usize = 500 * 1024;
/// The longest data of a config, in bytes.
const LONGEST_CONFIG: usize = 1_000 * 1024;

impl Thing {
    /// What Docker calls one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Config => "config",
        }
    }

    /// What Go calls the type of its body.
    pub fn go_type(self) -> &'static str {
        match self {
            Self::Secret => "swarm.SecretSpec",
            Self::Config => "swarm.ConfigSpec",
        }
    }

    /// A body with the names as Docker writes them, and with members of their types.
    fn body(self, sent: Value) -> Outcome<Value> {
        let body = canonical(sent);
        let what = self.go_type().trim_start_matches("swarm.");
        let types = [("Name", "string"), ("Labels", "map[string]string"), ("Data", "[]uint8")];
        reader::check_types(&body, what, &types)?;
        Ok(body)
    }

    /// The one of a path among all: its name may be written in any case.
    fn pick<'r>(self, caller: &Caller, rows: &'r [Resource], wanted: &str) -> Outcome<&'r Resource> {
        let called = |row: &Resource| match row.name.eq_ignore_ascii_case(wanted) {
            true => wanted.to_owned(),
            false => row.name.clone(),
        };
        caller.pick(rows, self.name(), wanted, called)
    }

    /// The root of its rows.
    pub fn root(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Config => "dockerConfig",
        }
    }
}

/// `GET /secrets`, `GET /configs`.
pub async fn list(caller: &Caller, thing: Thing, query: &Query) -> Outcome<Value> {
    caller.may("secret", Deed::Read)?;
    let known: &[&str] = match thing {
        Thing::Secret => &["id", "name", "names", "label"],
        Thing::Config => &["id", "name", "label"],
    };
    let filters = query.filters(known)?;
    let mut out = Vec::new();
    for row in caller.lasting(thing.root()).await? {
        let own = labels(&fields(&row)?, LABELS)?;
        let is_asked = filters.fits("id", |id| caller.ids.of(row.id).starts_with(id))
            && filters.fits("name", |name| row.name.starts_with(name))
            && filters.fits("names", |name| row.name == name)
            && filters.labels("label", &own);
        if is_asked {
            out.push(shown(caller, thing, &row)?);
        }
    }
    Ok(Value::Array(out))
}

/// `GET /secrets/{id}`, `GET /configs/{id}`.
pub async fn inspect(caller: &Caller, thing: Thing, id: &str) -> Outcome<Value> {
    caller.may("secret", Deed::Read)?;
    let rows = caller.lasting(thing.root()).await?;
    let row = thing.pick(caller, &rows, id)?;
    shown(caller, thing, row)
}

/// `POST /secrets/create`, `POST /configs/create`.
pub async fn create(caller: &mut Caller, thing: Thing, body: Value) -> Outcome<Value> {
    let ty = caller.may("secret", Deed::Create)?;
    let body = thing.body(body)?;
    let name = checked_name(&body)?;
    let driver = body.get("Driver").is_some_and(|driver| *driver != json!({}));
    if driver
        || body
            .get("Templating")
            .is_some_and(|driver| driver.get("Name").is_some())
    {
        return Err(Refusal::not_built(
            "Driver, Templating: drivers are not part of this build",
        ));
    }
    let data = body.get("Data").and_then(Value::as_str).unwrap_or_default();
    let bytes = STANDARD
        .decode(data)
        .map_err(|e| Refusal::bad(format!("illegal base64 data at input byte {}", place_of(data, &e))))?;
    let longest = match thing {
        Thing::Secret => LONGEST_SECRET,
        Thing::Config => LONGEST_CONFIG,
    };
    if bytes.is_empty() || bytes.len() > longest {
        let kind = thing.name();
        return Err(Refusal::argument(format!(
            "{kind} data must be larger than 0 and less than {longest} bytes"
        )));
    }
    let rows = caller.lasting(thing.root()).await?;
    if rows.iter().any(|row| row.name.eq_ignore_ascii_case(&name)) {
        let words = format!(
            "rpc error: code = AlreadyExists desc = {} {name} already exists",
            thing.name()
        );
        return Err(Refusal::new(StatusCode::CONFLICT, words));
    }
    let own = given_labels(&body)?;
    let row = match thing {
        Thing::Secret => {
            let sent = json!({"name": name, "value": data});
            let mut input = caller.validated(&ty, sent, Purpose::Create, None).await?;
            caller.note(&ty.def, None, "create", &named(&name));
            input.insert(LABELS.into(), own);
            let made = caller.engine.create(&caller.scope, &ty, input).await?;
            made.into_iter().next().ok_or_else(Refusal::nowhere)?
        }
        Thing::Config => {
            let def = hidden(caller, thing.root())?;
            caller.note(&def, None, "create", &named(&name));
            let input = Input::from_iter([
                ("name".to_owned(), json!(name)),
                ("data".to_owned(), json!(data)),
                (LABELS.to_owned(), own),
            ]);
            caller.engine.create_row(&caller.scope, thing.root(), input).await?
        }
    };
    Ok(json!({"ID": caller.ids.of(row.id)}))
}

/// `POST /secrets/{id}/update`, `POST /configs/{id}/update`: labels can be changed, and nothing else.
pub async fn update(caller: &mut Caller, thing: Thing, id: &str, query: &Query, body: Value) -> Outcome<()> {
    caller.may("secret", Deed::Create)?;
    let body = thing.body(body)?;
    let own = given_labels(&body)?;
    let version = query.version(thing.name());
    let version = version.map_err(|_| Refusal::bad(format!("invalid {} version", thing.name())))?;
    let rows = caller.lasting(thing.root()).await?;
    let row = thing.pick(caller, &rows, id)?;
    let name = body.get("Name").and_then(Value::as_str).unwrap_or_default();
    let data = body.get("Data").and_then(Value::as_str);
    let is_own = |data: &str| -> Outcome<bool> {
        Ok(match thing {
            Thing::Secret => caller.engine.is_secret_value(row, data)?,
            Thing::Config => fields(row)?.text("data").as_deref() == Some(data),
        })
    };
    let is_same_data = data.map(is_own).transpose()?.unwrap_or(true);
    let is_same = is_same_data && name == row.name;
    if !is_same {
        return Err(Refusal::argument("only updates to Labels are allowed"));
    }
    if version != row.version.unsigned_abs() {
        return Err(Refusal::stale());
    }
    let input = Input::from_iter([(LABELS.to_owned(), own)]);
    let (row, def) = (row.clone(), hidden(caller, thing.root())?);
    caller.note(&def, Some(&row), "update", &named(&row.name));
    caller.engine.write_row(&caller.scope, &row, input).await?;
    Ok(())
}

/// `DELETE /secrets/{id}`, `DELETE /configs/{id}`.
pub async fn remove(caller: &mut Caller, thing: Thing, id: &str) -> Outcome<()> {
    let ty = caller.may("secret", Deed::Remove)?;
    let rows = caller.lasting(thing.root()).await?;
    let row = thing.pick(caller, &rows, id)?.clone();
    let users = users(caller, thing, &row).await?;
    if !users.is_empty() {
        let (kind, name) = (thing.name(), &row.name);
        return Err(Refusal::argument(format!(
            "{kind} '{name}' is in use by the following service{}: {}",
            if users.len() > 1 { "s" } else { "" },
            users.join(", ")
        )));
    }
    match thing {
        Thing::Secret => {
            caller.note(&ty.def, Some(&row), "delete", &Input::new());
            caller.engine.delete(&caller.scope, &ty, row.id).await?;
        }
        Thing::Config => {
            let def = hidden(caller, thing.root())?;
            caller.note(&def, Some(&row), "delete", &Input::new());
            caller.engine.remove_row(&caller.scope, &row).await?;
        }
    }
    Ok(())
}

/// A type that no view of Rancher's shows.
pub fn hidden(caller: &Caller, root: &str) -> Outcome<Arc<Type>> {
    let def = caller.engine.registry().find_type(root).cloned();
    def.ok_or_else(|| Error::bug("a type is not there").into())
}

/// The names of the services that use it.
async fn users(caller: &Caller, thing: Thing, row: &Resource) -> Outcome<Vec<String>> {
    let (id, wire) = (caller.ids.of(row.id), caller.engine.wire_id(row));
    let mut users = Vec::new();
    for service in super::services::all(caller).await? {
        let container = service.spec.task_template.container_spec.as_ref();
        let uses = container.is_some_and(|container| match thing {
            Thing::Secret => container.secrets.iter().any(|secret| secret.secret_id == id),
            Thing::Config => container.configs.iter().any(|config| config.config_id == id),
        });
        let fields = &service.row.fields;
        let is_named = match thing {
            Thing::Secret => fields.contains(&format!("\"secretId\":\"{wire}\"")),
            Thing::Config => fields.contains(CONFIG) && labels_name(&service.row, &row.name)?,
        };
        if uses || is_named {
            users.push(service.spec.name);
        }
    }
    Ok(users)
}

/// Where base64 is wrong, as Go counts it: what ends too early is wrong from its last four on.
fn place_of(data: &str, error: &base64::DecodeError) -> usize {
    match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        _ => data.len().saturating_sub(1) / 4 * 4,
    }
}

/// Whether labels of a launch configuration make files of this config.
fn labels_name(service: &Resource, config: &str) -> Outcome<bool> {
    let own = fields(service)?;
    let secondary: Option<Vec<Value>> = own.read("secondaryLaunchConfigs")?;
    let mut launches: Vec<Value> = secondary.unwrap_or_default();
    launches.extend(own.read::<Option<Value>>("launchConfig")?.flatten());
    let labels = launches.iter().filter_map(|launch| launch.get("labels")?.as_object());
    let mut values = labels
        .flatten()
        .filter(|(key, _)| key.starts_with(CONFIG))
        .map(|(_, value)| value);
    Ok(values.any(|value| value.as_str().and_then(|text| text.split_whitespace().next()) == Some(config)))
}

fn checked_name(body: &Value) -> Outcome<String> {
    let name = body.get("Name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Err(Refusal::argument("name must be provided"));
    }
    match is_plain_name(name) {
        true => Ok(name.to_owned()),
        false => Err(Refusal::argument(
            "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]",
        )),
    }
}

fn shown(caller: &Caller, thing: Thing, row: &Resource) -> Outcome<Value> {
    let own = fields(row)?;
    let mut spec = Map::new();
    spec.insert("Name".into(), json!(row.name));
    spec.insert("Labels".into(), json!(labels(&own, LABELS)?));
    if thing == Thing::Config {
        spec.insert("Data".into(), json!(own.text("data").unwrap_or_default()));
    }
    Ok(json!({
        "ID": caller.ids.of(row.id),
        "Version": {"Index": row.version},
        "CreatedAt": nanos(row.created),
        "UpdatedAt": nanos(row.created),
        "Spec": spec,
    }))
}
