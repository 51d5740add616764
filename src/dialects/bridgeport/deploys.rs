//! Deployments: a template is brought to its servers, one after the other until the first that fails, or to all at once.
//!
//! A request writes what is to be done, as a rollout of the engine, and then waits for the end of it. Who does not wait, or a server
//! that is killed meanwhile, changes nothing about what comes of it: the records say how it ended.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::caller::{Asker, Caller, fields};
use super::elsewhere::{self, Image};
use super::fields::text;
use super::native::{self, FIELD, Options, Values, Wanted};
use super::placed::{self, Placed};
use super::refusal::{Code, Outcome, Refusal};
use super::services::{self, Template};
use super::things::named;
use super::{Call, compose, environments, history};
use crate::dialects::caller::object as object_of;
use crate::engine::{Input, ObjectChange, RolloutOf, RolloutService, RolloutStep};
use crate::model::{Error, ResourceId};
use crate::schema::validate::Purpose;

/// How long a request waits for the end of what it asked for.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What a stack that is made here does when nothing is in it.
const WHEN_EMPTY: &str = "whenEmpty";

/// What a body says of a deployment.
pub fn options(body: &Map<String, Value>) -> Options {
    let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(true);
    Options {
        tag: text(body, "imageTag"),
        pulls: flag("pullImage"),
        keeps_files: flag("generateArtifacts"),
    }
}

/// `POST …/deploy`.
pub async fn all(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (mut caller, template) = services::reach_to_change(asker, call).await?;
    to_all(&mut caller, &template, call, &options(&call.body)).await
}

async fn to_all(caller: &mut Caller<'_>, template: &Template, call: &Call, options: &Options) -> Outcome<Value> {
    let mut placed = placed::all(caller).await?;
    placed.retain(|one| one.template == template.row.id);
    if placed.is_empty() {
        return Err(Refusal::new(Code::Validation, "The service has no deployments"));
    }
    let strategy = text(&call.body, "strategy").or(template.text("deployStrategy"));
    let in_turn = strategy.as_deref() != Some("parallel");
    let ids = ask(caller, template, &placed, options, in_turn).await?;
    let ended = wait(caller, call, &ids).await?;
    let mut results = Vec::new();
    for (one, rollout) in placed.iter().zip(&ended) {
        match rollout.outcome.as_deref() {
            Some("skipped") => {}
            Some("failed") => results.push(json!({
                "serviceDeploymentId": one.id(), "result": result(rollout), "error": rollout.reason,
            })),
            _ => results.push(json!({"serviceDeploymentId": one.id(), "result": result(rollout)})),
        }
    }
    let has_failed = ended.iter().any(|rollout| rollout.outcome.as_deref() == Some("failed"));
    Ok(json!({"results": results, "halted": in_turn && has_failed}))
}

/// What came of one.
fn result(rollout: &RolloutOf) -> Value {
    json!({
        "deployment": history::shown(rollout), "logs": history::logs(rollout),
        "previousTag": rollout.about.get("previousTag"),
    })
}

/// `POST …/deployments/{depId}/deploy`.
pub async fn one(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (mut caller, template) = services::reach_to_change(asker, call).await?;
    let placed = placed::find(&caller, &template, call.param("depId")).await?;
    if !placed.is_own() && is_one_of_many(&caller, &placed).await? {
        let why =
            "The containers of a service that was made, or scaled, elsewhere are deployed together: POST …/deploy";
        return Err(Refusal::not_built(why).about("depId"));
    }
    let options = options(&call.body);
    if call.is_dry || call.query.is_on("dryRun") {
        return dry(&caller, &template, &placed, &options).await;
    }
    let ids = ask(&mut caller, &template, std::slice::from_ref(&placed), &options, true).await?;
    let ended = wait(&caller, call, &ids).await?;
    let rollout = ended.first().ok_or_else(|| Error::bug("a rollout of one has none"))?;
    let mut out = result(rollout);
    if let Some(out) = out
        .as_object_mut()
        .filter(|_| rollout.outcome.as_deref() == Some("failed"))
    {
        out.insert("error".into(), json!(rollout.reason));
    }
    Ok(out)
}

/// `POST /api/webhooks/deploy`.
pub async fn by_name(asker: &Asker, call: &Call) -> Outcome<Value> {
    let wanted = text(&call.body, "environment").unwrap_or_default();
    let id = environments::named(asker, &wanted).await?;
    let project = id.as_deref().and_then(super::caller::environment_id);
    let missing = || Refusal::missing("Environment");
    let mut caller = asker.enter(project.ok_or_else(missing)?)?.ok_or_else(missing)?;
    caller.check_may_change()?;
    let name = text(&call.body, "service").unwrap_or_default();
    let mut found = services::all(&caller).await?;
    found.retain(|one| one.row.name == name || one.id() == name);
    let has_own = found.first().is_some_and(Template::is_own);
    if found.len() > 1 && !has_own {
        return Err(Refusal::taken(
            "service",
            format!("Several services are called {name}: name one by its id"),
        ));
    }
    let template = found.into_iter().next().ok_or_else(|| Refusal::missing("Service"))?;
    let keeps_files = call
        .body
        .get("generateArtifacts")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let options = Options {
        keeps_files,
        ..options(&call.body)
    };
    to_all(&mut caller, &template, call, &options).await
}

/// Whether a container's service has others.
async fn is_one_of_many(caller: &Caller<'_>, placed: &Placed) -> Outcome<bool> {
    let service = placed.service.as_ref().map(|row| row.id);
    let all = placed::all(caller).await?;
    let of_it = all
        .iter()
        .filter(|one| one.service.as_ref().map(|row| row.id) == service);
    Ok(of_it.count() > 1)
}

/// What would be done.
async fn dry(caller: &Caller<'_>, template: &Template, placed: &Placed, options: &Options) -> Outcome<Value> {
    let server = placed.server.as_ref().map(|server| server.name.clone());
    let action = if placed.container.is_some() { "cycle" } else { "start" };
    let mut out = json!({
        "dryRun": true, "serviceId": template.id(), "serviceDeploymentId": placed.id(), "serverName": server,
        "imageDigest": null, "containerAction": action,
    });
    let values = Values::read(caller).await?;
    let more = match native::wanted(caller, template, placed, &values, options).await {
        Ok(wanted) => {
            let shows = caller.shows("environment");
            json!({
                "imageTag": wanted.tag, "composeContent": Some(&wanted.compose).filter(|_| shows),
                "env": Some(&wanted.env).filter(|_| shows), "warnings": wanted.warnings, "wouldSucceed": true,
            })
        }
        Err(refusal) => json!({"warnings": [], "wouldSucceed": false, "error": refusal.message}),
    };
    if let (Some(out), Value::Object(more)) = (out.as_object_mut(), more) {
        out.extend(more);
    }
    Ok(out)
}

/// Writes what is to be done. Everything is looked at before the first thing is written.
async fn ask(
    caller: &mut Caller<'_>,
    template: &Template,
    placed: &[Placed],
    options: &Options,
    in_turn: bool,
) -> Outcome<Vec<ResourceId>> {
    let ty = caller.view_of("service")?;
    caller.may_create(&ty)?;
    if !ty.actions.contains_key("upgrade") {
        return Err(Refusal::new(Code::Role, "This role may not upgrade services"));
    }
    let values = Values::read(caller).await?;
    let (mut steps, mut turns): (Vec<RolloutStep>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut at: HashMap<ResourceId, usize> = HashMap::new();
    for one in placed {
        // The containers of one service are brought there together.
        if let Some(turn) = one.service.as_ref().and_then(|service| at.get(&service.id)) {
            turns.push(*turn);
            continue;
        }
        let together = placed.iter().filter(|other| is_of_one(other, one)).count().max(1);
        let what = native::wanted(caller, template, one, &values, options).await?;
        let strategy = strategy(caller, template, &what, if in_turn { 1 } else { together }).await?;
        let mut beside = Input::from_iter([(FIELD.to_owned(), mark(template, one, &what))]);
        let name = native::plain_name(&one.container_name());
        let service = match &one.service {
            Some(service) => {
                if template.is_own() && name != service.name {
                    beside.insert("name".into(), json!(name));
                }
                at.insert(service.id, steps.len());
                RolloutService::There(service.id)
            }
            None => new_service(caller, template, one, &what, name).await?,
        };
        turns.push(steps.len());
        let files = options.keeps_files.then(|| compose::files(&what));
        steps.push(RolloutStep {
            service,
            strategy,
            beside,
            about: about(caller, template, one, &what)?,
            files: json!(files),
        });
    }
    let def = match template.is_own() {
        true => caller.hidden(services::KIND)?,
        false => ty.def.clone(),
    };
    caller.note(&def, Some(&template.row), "deploy", &named(Some(&template.row.name)));
    let tag = options.tag.as_ref().filter(|_| template.is_own());
    let tag = tag.map(|tag| ObjectChange {
        name: None,
        spec: Map::from_iter([("imageTag".to_owned(), json!(tag))]),
        unique: services::UNIQUE,
    });
    let also = tag.map(|change| (&template.row, change));
    let asked = caller.engine.roll_out(&caller.scope, steps, in_turn, also).await;
    let asked = asked.map_err(|error| match error.code.as_deref() {
        Some("NotUnique") => {
            let stack = native::plain_name(&template.row.name);
            let words = format!("A service of the name of one of the containers is in the stack {stack} already");
            Refusal::taken("containerName", words)
        }
        _ => Refusal::from(error),
    })?;
    Ok(turns.into_iter().filter_map(|turn| asked.get(turn).copied()).collect())
}

/// Whether two deployments are containers of one service.
fn is_of_one(one: &Placed, other: &Placed) -> bool {
    let service = |placed: &Placed| placed.service.as_ref().map(|row| row.id);
    service(one).is_some() && service(one) == service(other)
}

/// What a service keeps of what it is here.
fn mark(template: &Template, placed: &Placed, wanted: &Wanted) -> Value {
    match template.is_own() {
        true => elsewhere::marked(template, placed, wanted),
        false => elsewhere::after_deployment(template),
    }
}

/// What a record keeps of its deployment.
fn about(caller: &Caller<'_>, template: &Template, placed: &Placed, wanted: &Wanted) -> Outcome<Value> {
    let before = match &placed.service {
        Some(service) if placed.container.is_some() => {
            let launch = object_of(&fields(service)?, "launchConfig")?;
            text(&launch, "imageUuid").map(|uuid| Image::parse(&uuid).tag)
        }
        _ => None,
    };
    Ok(json!({
        "service": template.id(), "serviceName": template.row.name, "deployment": placed.id(),
        "server": placed.server.as_ref().map(|server| &server.name), "image": wanted.image,
        "imageName": wanted.image_name, "imageTag": wanted.tag, "previousTag": before,
        "by": caller.asker.account.name,
    }))
}

/// The upgrade of a service that becomes what is wanted, so many containers at a time, checked by the caller's view. One that was
/// made elsewhere keeps what that view does not show.
async fn strategy(
    caller: &Caller<'_>,
    template: &Template,
    wanted: &Wanted,
    at_once: usize,
) -> Outcome<Map<String, Value>> {
    const SAID: [&str; 3] = ["imageUuid", "environment", "labels"];
    let mut launch = wanted.launch.clone();
    if !template.is_own() {
        launch.retain(|name, _| SAID.contains(&name.as_str()));
    }
    let strategy = json!({"launchConfig": launch, "batchSize": at_once, "intervalMillis": 100, "startFirst": false});
    let body = json!({"inServiceStrategy": strategy});
    let input = caller.checked("serviceUpgrade", body, Purpose::Create, None).await?;
    let strategy = input.get("inServiceStrategy").and_then(Value::as_object).cloned();
    let mut strategy = strategy.ok_or_else(|| Error::bug("an upgrade without its strategy"))?;
    if let (false, Some(checked)) = (
        template.is_own(),
        strategy.get_mut("launchConfig").and_then(Value::as_object_mut),
    ) {
        let said = std::mem::replace(checked, wanted.launch.clone());
        checked.extend(said.into_iter().filter(|(name, _)| SAID.contains(&name.as_str())));
    }
    Ok(strategy)
}

/// A service of the engine's own for a deployment that has none, in the stack of its template's name: both are made with the
/// rollout, and the service runs nothing before it begins.
async fn new_service(
    caller: &Caller<'_>,
    template: &Template,
    placed: &Placed,
    wanted: &Wanted,
    name: String,
) -> Outcome<RolloutService> {
    let ty = caller.view_of("stack")?;
    caller.may_create(&ty)?;
    let body = json!({"name": native::plain_name(&template.row.name)});
    let mut stack = caller.checked("stack", body, Purpose::Create, None).await?;
    stack.insert(WHEN_EMPTY.into(), json!("stay"));
    let body = json!({"name": name, "scale": 1, "startOnCreate": false, "launchConfig": wanted.launch});
    let mut service = caller.checked("service", body, Purpose::Create, None).await?;
    let marked = json!({"service": template.id(), "deployment": placed.id()});
    service.insert(FIELD.into(), marked);
    Ok(RolloutService::New { stack, service })
}

/// Waits until rollouts have ended, but not for ever, and not where nobody wants to; how they stand then.
async fn wait(caller: &Caller<'_>, call: &Call, ids: &[ResourceId]) -> Outcome<Vec<RolloutOf>> {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut left = PATIENCE.as_millis() / LOOK_EVERY.as_millis();
    loop {
        looks.tick().await;
        let mut all = Vec::with_capacity(ids.len());
        for id in ids {
            let found = caller.engine.rollout(&caller.scope, *id)?;
            all.push(found.ok_or_else(|| Refusal::missing("Deployment"))?);
        }
        left = left.saturating_sub(1);
        if call.is_async || left == 0 || all.iter().all(|rollout| rollout.outcome.is_some()) {
            return Ok(all);
        }
    }
}
