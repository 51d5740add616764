//! Deployments: a template is brought to its servers, one after the other until the first that fails, or to all at once.
//!
//! A request writes what is to be done, as a rollout of the engine, and then waits for the end of it. Who does not wait, or a server
//! that is killed meanwhile, changes nothing about what comes of it: the records say how it ended.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::caller::{Asker, Caller, fields};
use super::fields::text;
use super::native::{self, FIELD, Options, Values, Wanted};
use super::placements::{self, Placed};
use super::refusal::{Code, Outcome, Refusal};
use super::services::{self, Template};
use super::things::named;
use super::{Call, compose, environments, history};
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
    let (mut caller, template) = services::reach_to_change(asker, call)?;
    to_all(&mut caller, &template, call, &options(&call.body)).await
}

async fn to_all(caller: &mut Caller<'_>, template: &Template, call: &Call, options: &Options) -> Outcome<Value> {
    let mut placed = placements::all(caller).await?;
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
    let (mut caller, template) = services::reach_to_change(asker, call)?;
    let placed = placements::find(&caller, &template, call.param("depId")).await?;
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
    let template = services::all(&caller)
        .await?
        .into_iter()
        .find(|one| one.row.name == name || one.id() == name);
    let template = template.ok_or_else(|| Refusal::missing("Service"))?;
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
    let mut wanted = Vec::new();
    for one in placed {
        let what = native::wanted(caller, template, one, &values, options).await?;
        let strategy = strategy(caller, &what).await?;
        wanted.push((one, what, strategy));
    }
    let mut steps = Vec::new();
    for (one, what, strategy) in wanted {
        let marked = json!({"service": template.id(), "deployment": one.id(), "imageTag": what.tag});
        let mut beside = Input::from_iter([(FIELD.to_owned(), marked)]);
        let name = native::plain_name(&one.container_name());
        let service = match &one.service {
            Some(service) => {
                if name != service.name {
                    beside.insert("name".into(), json!(name));
                }
                RolloutService::There(service.id)
            }
            None => new_service(caller, template, one, &what, name).await?,
        };
        let files = options.keeps_files.then(|| compose::files(&what));
        steps.push(RolloutStep {
            service,
            strategy,
            beside,
            about: about(caller, template, one, &what)?,
            files: json!(files),
        });
    }
    let def = caller.hidden(services::KIND)?;
    caller.note(&def, Some(&template.row), "deploy", &named(Some(&template.row.name)));
    let tag = options.tag.as_ref().map(|tag| ObjectChange {
        name: None,
        spec: Map::from_iter([("imageTag".to_owned(), json!(tag))]),
        unique: services::UNIQUE,
    });
    let also = tag.map(|change| (&template.row, change));
    let asked = caller.engine.roll_out(&caller.scope, steps, in_turn, also).await;
    asked.map_err(|error| match error.code.as_deref() {
        Some("NotUnique") => {
            let stack = native::plain_name(&template.row.name);
            let words = format!("A service of the name of one of the containers is in the stack {stack} already");
            Refusal::taken("containerName", words)
        }
        _ => Refusal::from(error),
    })
}

/// What a record keeps of its deployment.
fn about(caller: &Caller<'_>, template: &Template, placed: &Placed, wanted: &Wanted) -> Outcome<Value> {
    let before = match &placed.service {
        Some(service) => fields(service)?
            .read::<Map<String, Value>>(FIELD)?
            .and_then(|own| text(&own, "imageTag")),
        None => None,
    };
    let before = before.filter(|_| placed.container.is_some());
    Ok(json!({
        "service": template.id(), "serviceName": template.row.name, "deployment": placed.id(),
        "server": placed.server.as_ref().map(|server| &server.name), "image": wanted.image,
        "imageName": wanted.image_name, "imageTag": wanted.tag, "previousTag": before,
        "by": caller.asker.account.name,
    }))
}

/// The upgrade of a service that becomes what is wanted, checked by the caller's view.
async fn strategy(caller: &Caller<'_>, wanted: &Wanted) -> Outcome<Map<String, Value>> {
    let strategy = json!({"launchConfig": wanted.launch, "batchSize": 1, "intervalMillis": 100, "startFirst": false});
    let body = json!({"inServiceStrategy": strategy});
    let input = caller.checked("serviceUpgrade", body, Purpose::Create, None).await?;
    let strategy = input.get("inServiceStrategy").and_then(Value::as_object).cloned();
    Ok(strategy.ok_or_else(|| Error::bug("an upgrade without its strategy"))?)
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
