//! Secrets and configs: a name, and data that is set once. Both are the ones of Docker's interface, too.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::caller::{Caller, Deed, fields, list as listed, named};
use super::read::Members;
use super::refusal::{Form, Outcome, Refusal};
use super::services;
use super::spec::{File, Spec};
use crate::engine::Input;
use crate::model::own_labels::CONFIG;
use crate::model::{Error, Resource};
use crate::schema::Type;
use crate::schema::validate::Purpose;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// Sealed, and never shown.
    Secret,
    /// Shown to whoever may see it.
    Config,
}

/// The longest data of a secret, in bytes.
const LONGEST_SECRET: usize = 500 * 1024;
/// The longest data of a config, in bytes.
const LONGEST_CONFIG: usize = 1_000 * 1024;
/// The longest name.
const LONGEST_NAME: usize = 64;

impl Thing {
    /// What it is called.
    fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Config => "config",
        }
    }

    /// The root of its rows.
    fn root(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Config => "dockerConfig",
        }
    }

    fn of(self, spec: &Spec) -> &[File] {
        match self {
            Self::Secret => &spec.secrets,
            Self::Config => &spec.configs,
        }
    }
}

/// `GET …/secrets`, `GET …/configs`.
pub async fn list(caller: &Caller, thing: Thing) -> Outcome<Value> {
    caller.may("secret", Deed::Read)?;
    let rows = caller.lasting(thing.root()).await?;
    let shown = rows
        .iter()
        .map(|row| shown(caller, thing, row))
        .collect::<Outcome<_>>()?;
    Ok(listed(shown))
}

/// `GET …/configs/{config_id}`.
pub async fn show(caller: &Caller, thing: Thing, id: &str) -> Outcome<Value> {
    caller.may("secret", Deed::Read)?;
    shown(caller, thing, &find(caller, thing, id).await?)
}

async fn find(caller: &Caller, thing: Thing, id: &str) -> Outcome<Resource> {
    let id = caller.ids.row(thing.name(), id).ok_or_else(Refusal::nowhere)?;
    let found = caller.lasting(thing.root()).await?.into_iter().find(|row| row.id == id);
    found.ok_or_else(Refusal::nowhere)
}

/// `POST …/secrets`, `POST …/configs`.
pub async fn create(caller: &mut Caller, thing: Thing, body: Value) -> Outcome<Value> {
    let ty = caller.may("secret", Deed::Create)?;
    let def = def_of(caller, thing)?;
    caller.note(&def, None, "create", &Input::new());
    let mut own = Members::new(Form::Plain, body);
    let name = own.needed("name")?;
    if !is_name(&name) {
        return own.wrong(
            "name",
            "must have letters, digits, dots, hyphens and underscores, at most 64",
        );
    }
    let data = own.needed("data")?;
    let longest = match thing {
        Thing::Secret => LONGEST_SECRET,
        Thing::Config => LONGEST_CONFIG,
    };
    if data.is_empty() || data.len() > longest {
        return own.wrong("data", &format!("must have from 1 to {longest} bytes"));
    }
    own.end()?;
    caller.note(&def, None, "create", &named(&name));
    let rows = caller.lasting(thing.root()).await?;
    if rows.iter().any(|row| row.name.eq_ignore_ascii_case(&name)) {
        return Err(Refusal::field(Form::Plain, "name", "must be unique"));
    }
    let data = STANDARD.encode(data);
    let row = match thing {
        Thing::Secret => {
            let sent = json!({"name": name, "value": data});
            let input = caller.validated(&ty, sent, (Purpose::Create, None), (Form::Plain, &[("value", "data")]));
            let made = caller.engine.create(&caller.scope, &ty, input.await?).await;
            let made = made.map_err(|error| Refusal::about(Form::Plain, error, &[("value", "data")]))?;
            let made = made.into_iter().next();
            made.ok_or_else(|| Error::bug("a secret was made, and is not there"))?
        }
        Thing::Config => {
            let input = Input::from_iter([
                ("name".to_owned(), json!(name)),
                ("data".to_owned(), json!(data)),
                ("dockerLabels".to_owned(), json!({})),
            ]);
            caller.engine.create_row(&caller.scope, thing.root(), input).await?
        }
    };
    shown(caller, thing, &row)
}

/// `DELETE …/secrets/{secret_id}`, `DELETE …/configs/{config_id}`: refused while a service has it.
pub async fn remove(caller: &mut Caller, thing: Thing, id: &str) -> Outcome<()> {
    let ty = caller.may("secret", Deed::Remove)?;
    let row = find(caller, thing, id).await?;
    let def = def_of(caller, thing)?;
    caller.note(&def, Some(&row), "delete", &Input::new());
    if is_used(caller, thing, &row).await? {
        return Err(Refusal::conflict());
    }
    match thing {
        Thing::Secret => caller.engine.delete(&caller.scope, &ty, row.id).await?,
        Thing::Config => caller.engine.remove_row(&caller.scope, &row).await?,
    };
    Ok(())
}

fn def_of(caller: &Caller, thing: Thing) -> Outcome<Arc<Type>> {
    Ok(caller.hidden(thing.root())?)
}

/// Whether a service has it: one of this interface, or any other.
async fn is_used(caller: &Caller, thing: Thing, row: &Resource) -> Outcome<bool> {
    let (services, _) = services::all(caller).await?;
    let own_id = caller.ids.of(thing.name(), row.id);
    let names_it = |file: &File| file.name == row.name || file.name == own_id;
    if services
        .iter()
        .any(|service| thing.of(&service.spec).iter().any(names_it))
    {
        return Ok(true);
    }
    let wire = format!("\"secretId\":\"{}\"", caller.engine.wire_id(row));
    for service in caller.lasting("service").await? {
        let is_named = match thing {
            Thing::Secret => service.fields.contains(&wire),
            Thing::Config => service.fields.contains(CONFIG) && labels_name(&service, &row.name)?,
        };
        if is_named {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a label of a service's configurations names a config.
fn labels_name(service: &Resource, config: &str) -> Outcome<bool> {
    let own = fields(service)?;
    let primary: Value = own.read("launchConfig")?.unwrap_or_default();
    let others: Vec<Value> = own.read("secondaryLaunchConfigs")?.unwrap_or_default();
    let names_it = |launch: &Value| {
        let labels = launch.get("labels").and_then(Value::as_object).into_iter().flatten();
        let mut values = labels
            .filter(|(label, _)| label.starts_with(CONFIG))
            .map(|(_, value)| value);
        values.any(|value| value.as_str().and_then(|text| text.split_whitespace().next()) == Some(config))
    };
    Ok(names_it(&primary) || others.iter().any(names_it))
}

fn is_name(name: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    name.len() <= LONGEST_NAME
        && name.chars().all(is_known)
        && is_edge(name.chars().next())
        && is_edge(name.chars().last())
}

fn shown(caller: &Caller, thing: Thing, row: &Resource) -> Outcome<Value> {
    let mut out = json!({
        "id": caller.ids.of(thing.name(), row.id),
        "object": thing.name(),
        "name": row.name,
        "created": row.created.to_wire(),
    });
    if let (Thing::Config, Some(out)) = (thing, out.as_object_mut()) {
        let data = fields(row)?.text("data").unwrap_or_default();
        let bytes = STANDARD.decode(data).unwrap_or_default();
        out.insert("data".into(), json!(String::from_utf8_lossy(&bytes)));
    }
    Ok(out)
}
