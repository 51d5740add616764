//! Environments: the projects that the caller may enter.
//!
//! BRIDGEPORT's clients look for an environment that is called `management`. That is the Default project, which is there from the
//! start and has the server's own host, unless a project is really called so.

use serde_json::{Value, json};

use super::Call;
use super::caller::Asker;
use super::fields::text;
use super::refusal::{Code, Outcome, Refusal};
use super::routes::Deed;
use crate::engine::{Checked, DEFAULT_PROJECT, Input};
use crate::model::{Error, Resource, State};
use crate::schema::validate::Purpose;

/// What the Default project is called here.
pub const MANAGEMENT: &str = "management";

/// What is asked of environments.
pub async fn lead(asker: &Asker, deed: Deed, call: &Call) -> Outcome<Value> {
    match deed {
        Deed::List => Ok(json!({"environments": all(asker).await?})),
        Deed::Create => create(asker, call).await,
        Deed::Remove => remove(asker, call).await,
        Deed::Read | Deed::Update => {
            let caller = asker
                .environment(call)?
                .ok_or_else(|| Refusal::missing("Environment"))?;
            let id = caller.scope.effective.id;
            let projects = projects(asker).await?;
            let row = projects.iter().find(|row| row.id == id);
            let row = row.ok_or_else(|| Refusal::missing("Environment"))?;
            Ok(json!({"environment": shown(row, &projects)}))
        }
    }
}

/// All projects that are there, whoever may enter them.
async fn projects(asker: &Asker) -> Outcome<Vec<Resource>> {
    let engine = asker.engine.clone();
    let rows = tokio::task::spawn_blocking(move || engine.all_projects()).await;
    Ok(rows.map_err(|e| Error::internal("waiting for a blocking thread", e))??)
}

/// What a project is called here.
fn name<'r>(row: &'r Resource, all: &[Resource]) -> &'r str {
    let is_taken = || all.iter().any(|other| other.name == MANAGEMENT);
    match row.id == DEFAULT_PROJECT && !is_taken() {
        true => MANAGEMENT,
        false => &row.name,
    }
}

fn shown(row: &Resource, all: &[Resource]) -> Value {
    let made = row.created.to_wire_millis();
    json!({"id": format!("1a{}", row.id), "name": name(row, all), "createdAt": made, "updatedAt": made})
}

/// The environments that the caller may enter, by name.
pub async fn all(asker: &Asker) -> Outcome<Vec<Value>> {
    let projects = projects(asker).await?;
    let mut out = Vec::new();
    for row in &projects {
        if asker.enter(row.id)?.is_some() {
            out.push(shown(row, &projects));
        }
    }
    out.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    Ok(out)
}

/// The environment of this name among those that the caller may enter.
pub async fn named(asker: &Asker, wanted: &str) -> Outcome<Option<String>> {
    let all = all(asker).await?;
    let found = all.iter().find(|one| one["name"] == wanted || one["id"] == wanted);
    Ok(found.and_then(|one| one["id"].as_str()).map(str::to_owned))
}

async fn create(asker: &Asker, call: &Call) -> Outcome<Value> {
    let wanted = text(&call.body, "name").unwrap_or_default();
    let projects = projects(asker).await?;
    if projects
        .iter()
        .any(|row| name(row, &projects).eq_ignore_ascii_case(&wanted))
    {
        return Err(Refusal::taken("name", "An environment with this name exists"));
    }
    let mut scope = asker.scope()?;
    let view = asker.engine.view(&scope).clone();
    let ty = view.types.get("project").cloned();
    let ty = ty.ok_or_else(|| Refusal::new(Code::Role, "This role makes no environments"))?;
    let how = Checked {
        views: [view.clone(), view.clone()],
        ty: ty.clone(),
        purpose: Purpose::Create,
        own: None,
    };
    let body = Input::from_iter([("name".to_owned(), json!(wanted))]);
    let input = asker.engine.validate(&scope, how, body).await?;
    asker.note(&mut scope, &ty.def, None, "create", &input);
    let made = asker.engine.create(&scope, &ty, input).await?;
    let row = made
        .first()
        .ok_or_else(|| Error::bug("a project was made, and is not there"))?;
    Ok(json!({"environment": shown(row, &projects)}))
}

async fn remove(asker: &Asker, call: &Call) -> Outcome<Value> {
    let missing = || Refusal::missing("Environment");
    let caller = asker.environment(call)?.ok_or_else(missing)?;
    let id = caller.scope.effective.id;
    let projects = projects(asker).await?;
    let row = projects
        .iter()
        .find(|row| row.id == id && row.state != State::REMOVING)
        .ok_or_else(missing)?;
    if id == DEFAULT_PROJECT {
        return Err(Refusal::new(Code::Conflict, "The server itself needs this environment"));
    }
    let mut scope = asker.scope()?;
    let ty = asker.engine.view(&scope).types.get("project").cloned();
    let ty = ty.ok_or_else(|| Refusal::new(Code::Role, "This role removes no environments"))?;
    asker.note(&mut scope, &ty.def, Some(row), "delete", &Input::new());
    asker.engine.delete(&scope, &ty, id).await?;
    Ok(json!({"success": true}))
}
