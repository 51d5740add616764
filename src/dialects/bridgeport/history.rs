//! What was deployed: the rollouts of the engine, as records of deployments.

use serde_json::{Value, json};

use super::Call;
use super::caller::{Asker, Caller};
use super::placed::rollouts;
use super::refusal::{Code, Outcome, Refusal};
use super::services;
use crate::engine::RolloutOf;
use crate::model::Timestamp;

/// The letters of their ids.
pub const LETTERS: &str = "ro";

/// What a rollout's stand is called.
pub fn status(rollout: &RolloutOf) -> &'static str {
    match (rollout.outcome.as_deref(), rollout.begun) {
        (Some("success"), _) => "success",
        (Some("skipped"), _) => "cancelled",
        (Some(_), _) => "failed",
        (None, Some(_)) => "deploying",
        (None, None) => "pending",
    }
}

/// A record as clients see it.
pub fn shown(rollout: &RolloutOf) -> Value {
    let about = |name: &str| rollout.about.get(name).cloned().unwrap_or_default();
    let took = rollout
        .begun
        .zip(rollout.ended)
        .map(|(begun, ended)| ended.since(begun).as_millis());
    json!({
        "id": format!("1{LETTERS}{}", rollout.id), "serviceId": about("service"),
        "serviceDeploymentId": about("deployment"), "serverName": about("server"), "imageTag": about("imageTag"),
        "previousTag": about("previousTag"), "status": status(rollout), "logs": logs(rollout),
        "triggeredBy": about("by"), "startedAt": rollout.begun.map(Timestamp::to_wire_millis),
        "completedAt": rollout.ended.map(Timestamp::to_wire_millis),
        "durationMs": took.and_then(|took| u64::try_from(took).ok()), "createdAt": rollout.created.to_wire_millis(),
    })
}

/// What there is to say of it, a line for each thing that happened.
pub fn logs(rollout: &RolloutOf) -> String {
    let text = |name: &str| rollout.about.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut lines = vec![format!(
        "{} asked for {} on {}",
        rollout.created.to_wire(),
        text("image"),
        text("server")
    )];
    if let Some(begun) = rollout.begun {
        lines.push(format!("{} began", begun.to_wire()));
    }
    if let Some(ended) = rollout.ended {
        let why = if rollout.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", rollout.reason)
        };
        lines.push(format!("{} {}{why}", ended.to_wire(), status(rollout)));
    }
    lines.join("\n")
}

/// `GET …/deployments-history`, newest first. What was never begun, as one before it failed, is no deployment.
pub async fn of_service(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (caller, template) = services::reach(asker, call).await?;
    let limit = call.query.number("limit", 20, 1, 1_000)?;
    let id = template.id();
    let all = rollouts(&caller).await?;
    let own = all
        .iter()
        .rev()
        .filter(|one| one.about.get("service").and_then(Value::as_str) == Some(&id));
    let own = own.filter(|one| one.outcome.as_deref() != Some("skipped"));
    Ok(json!({"deployments": own.take(limit).map(shown).collect::<Vec<_>>()}))
}

fn reach<'a>(asker: &'a Asker, call: &Call) -> Outcome<(Caller<'a>, RolloutOf)> {
    let (caller, row) = asker.reach("rollout", LETTERS, call.param("id"), "Deployment")?;
    let found = caller.engine.rollout(&caller.scope, row.id)?;
    let found = found.filter(|rollout| rollout.about.get("deployment").is_some());
    let rollout = found.ok_or_else(|| Refusal::missing("Deployment"))?;
    Ok((caller, rollout))
}

/// `GET /api/deployments/{id}`.
pub async fn one(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (_, rollout) = reach(asker, call)?;
    Ok(json!({"deployment": shown(&rollout)}))
}

/// `GET /api/deployments/{id}/artifacts`.
pub async fn artifacts(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (caller, rollout) = reach(asker, call)?;
    if !caller.shows("environment") {
        return Err(Refusal::new(Code::Role, "This role does not see variables"));
    }
    let files = if rollout.files.is_null() {
        json!([])
    } else {
        rollout.files
    };
    Ok(json!({"artifacts": files}))
}
