//! Compose files of templates: the template of one, and what it comes to on a server.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::Call;
use super::caller::Asker;
use super::deploys::options;
use super::native::{self, Values, Wanted};
use super::placed;
use super::refusal::{Code, Outcome, Refusal};
use super::routes::Deed;
use super::services;

/// The compose file of a template that has none of its own.
pub fn auto(container: &str, image: &str) -> String {
    let quoted = |text: &str| json!(text).to_string();
    format!(
        "services:\n  {name}:\n    image: {image}\n    container_name: {name}\n    restart: unless-stopped\n",
        name = quoted(container),
        image = quoted(image),
    )
}

/// The files of a deployment with their checksums.
pub fn files(wanted: &Wanted) -> Vec<Value> {
    let lines: Vec<String> = wanted
        .env
        .iter()
        .map(|(key, value)| format!("{key}={}\n", value.as_str().unwrap_or_default()))
        .collect();
    let file = |name: &str, content: String| {
        let digest = Sha256::digest(content.as_bytes());
        let checksum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({"name": name, "content": content, "checksum": checksum})
    };
    vec![
        file("docker-compose.yml", wanted.compose.clone()),
        file(".env", lines.concat()),
    ]
}

/// `GET`, `PUT`, `DELETE …/compose/template`.
pub async fn template(asker: &Asker, deed: Deed, call: &Call) -> Outcome<Value> {
    let content = match deed {
        Deed::Update => call.body.get("composeTemplate").cloned().unwrap_or_default(),
        Deed::Remove => Value::Null,
        Deed::List | Deed::Create | Deed::Read => {
            let (caller, template) = services::reach(asker, call).await?;
            return Ok(json!({"template": template.shown(&caller).get("composeTemplate")}));
        }
    };
    let (mut caller, template) = services::reach_to_change(asker, call).await?;
    let body = Map::from_iter([("composeTemplate".to_owned(), content)]);
    let template = services::change(&mut caller, &template, body).await?;
    match deed {
        Deed::Remove => Ok(json!({"success": true})),
        _ => Ok(json!({"template": template.kept.get("composeTemplate")})),
    }
}

/// `GET …/compose/preview`: the files as they would be, of one deployment, or of the first.
pub async fn preview(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (caller, template) = services::reach(asker, call).await?;
    if !caller.shows("environment") {
        return Err(Refusal::new(Code::Role, "This role does not see variables"));
    }
    let placed = placed::all(&caller).await?;
    let asked = call.query.first("deploymentId");
    let mut own = placed.iter().filter(|one| one.template == template.row.id);
    let placed = own.find(|one| asked.is_none_or(|id| one.id() == id));
    let placed = placed.ok_or_else(|| Refusal::new(Code::Validation, "The service has no deployments"))?;
    let values = Values::read(&caller).await?;
    let wanted = native::wanted(&caller, &template, placed, &values, &options(&call.body)).await?;
    Ok(json!({"serviceDeploymentId": placed.id(), "artifacts": files(&wanted), "warnings": wanted.warnings}))
}
