//! What other interfaces say: services that were made elsewhere, as templates whose deployments are their containers; and templates
//! whose services were changed elsewhere.
//!
//! Nothing is kept of a service that was made elsewhere but what a PATCH says of it and waits for a deployment, and what BRIDGEPORT
//! alone goes by. All the rest of it is read from the service each time.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::caller::{Caller, fields, spec};
use super::compose;
use super::fields::text;
use super::native::{FIELD, Options, Values, Wanted, filled, object, watching};
use super::placed::Placed;
use super::refusal::{Outcome, Refusal};
use super::services::{Template, defaults};
use crate::dialects::caller::{Deed, object as object_of};
use crate::engine::Input;
use crate::model::Resource;

/// The root of such services.
pub const ROOT: &str = "service";
/// The letters of their ids.
pub const LETTERS: &str = "s";
/// The member of their field where it stands what a PATCH said.
const EDITS: &str = "edits";
/// What is said of one and waits for its deployment.
const WAITING: [&str; 3] = ["containerImageId", "imageTag", "baseEnv"];
/// What is said of one and stays: the engine does not go by it.
const STAYING: [&str; 3] = ["deployStrategy", "serviceTypeId", "updatedAt"];
/// When something was last said here of a template's image; a deployment notes it.
pub const SAID_AT: &str = "saidAt";
/// Whether what was deployed was what somebody said elsewhere.
const FOLLOWED: &str = "followed";
/// Images of services that run nothing themselves.
const NONE: &str = "rancher/none";

/// The images of a project by their ids.
pub type Images = HashMap<String, Resource>;

/// An image and its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `registry.example/web`
    pub name: String,
    /// `v1`, or a digest.
    pub tag: String,
}

impl Image {
    /// Reads what a launch configuration calls its image.
    pub fn parse(uuid: &str) -> Self {
        let full = uuid.strip_prefix("docker:").unwrap_or(uuid);
        let (name, tag) = match full.split_once('@') {
            Some((name, digest)) => (name, digest),
            None => match full.rsplit_once(':') {
                Some((name, tag)) if !tag.contains('/') => (name, tag),
                _ => (full, "latest"),
            },
        };
        Self {
            name: name.to_owned(),
            tag: tag.to_owned(),
        }
    }
}

/// An image with its tag.
pub fn full(name: &str, tag: &str) -> String {
    match tag.starts_with("sha256:") {
        true => format!("{name}@{tag}"),
        false => format!("{name}:{tag}"),
    }
}

/// The image of a project with this name.
fn named<'i>(images: &'i Images, name: &str) -> Outcome<Option<&'i str>> {
    for (id, row) in images {
        if text(&spec(row)?, "imageName").as_deref() == Some(name) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// What is kept of a service here.
pub fn mark(service: &Resource) -> Outcome<Map<String, Value>> {
    Ok(object_of(&fields(service)?, FIELD)?)
}

/// A service that was made elsewhere, as a template; none for one that was made here, or has no containers of its own.
pub fn template(caller: &Caller<'_>, row: &Resource, images: &Images) -> Outcome<Option<Template>> {
    let own = fields(row)?;
    let launch = object_of(&own, "launchConfig")?;
    let kept_here = object_of(&own, FIELD)?;
    let uuid = text(&launch, "imageUuid").unwrap_or_default();
    let image = Image::parse(&uuid);
    let is_hidden = row.kind != ROOT
        || own.read("system")?.unwrap_or(false)
        || kept_here.contains_key("deployment")
        || caller.engine.is_part(row)
        || uuid.is_empty()
        || image.name == NONE;
    if is_hidden {
        return Ok(None);
    }
    let edits = kept_here
        .get(EDITS)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let environment = object(&launch, "environment");
    let mut kept = defaults();
    kept.insert("containerImageId".into(), json!(named(images, &image.name)?));
    kept.insert("imageTag".into(), json!(image.tag));
    let environment = Some(environment).filter(|environment| !environment.is_empty());
    kept.insert("baseEnv".into(), json!(environment));
    kept.extend(health(&launch));
    kept.extend(edits.clone());
    Ok(Some(Template {
        row: row.clone(),
        image_name: Some(image.name).filter(|_| !edits.contains_key("containerImageId")),
        kept,
        edits,
        is_followed: false,
    }))
}

/// The health check of a launch configuration, as far as there are words for it.
fn health(launch: &Map<String, Value>) -> Map<String, Value> {
    let check = object(launch, "healthCheck");
    let number = |name: &str| check.get(name).and_then(Value::as_i64);
    let line = text(&check, "requestLine").unwrap_or_default();
    let path = line.split_whitespace().nth(1).filter(|_| line.starts_with("GET "));
    let mut out = Map::new();
    if let (Some(path), Some(port)) = (path, number("port")) {
        let path = path.trim_matches('"');
        out.insert("healthCheckUrl".into(), json!(format!("http://localhost:{port}{path}")));
        let numbers = [
            ("healthWaitMs", "initializingTimeout"),
            ("healthRetries", "unhealthyThreshold"),
            ("healthIntervalMs", "interval"),
        ];
        out.extend(
            numbers
                .into_iter()
                .filter_map(|(name, native)| Some((name.to_owned(), json!(number(native)?)))),
        );
    }
    out
}

/// Lays over a template what all of its services were changed to elsewhere: another image, if nothing was said of it here since.
pub fn follow(template: &mut Template, placed: &[Placed], images: &Images) -> Outcome<()> {
    let mut found: Option<Image> = None;
    for one in placed.iter().filter(|one| one.template == template.row.id) {
        let Some(service) = &one.service else { continue };
        let mark = mark(service)?;
        let said_at = |kept: &Map<String, Value>| kept.get(SAID_AT).and_then(Value::as_i64);
        let is_as_deployed = said_at(&mark) == said_at(&template.kept);
        let is_followed = mark.get(FOLLOWED) == Some(&json!(true));
        let now = text(&object_of(&fields(service)?, "launchConfig")?, "imageUuid").unwrap_or_default();
        let is_same = |then: &str| {
            let (then, now) = (then.trim_start_matches("docker:"), now.trim_start_matches("docker:"));
            // A registry may have been put before it.
            now == then || now.ends_with(&format!("/{then}"))
        };
        let changed = text(&mark, "imageUuid").filter(|then| is_as_deployed && (is_followed || !is_same(then)));
        let image = changed.map(|_| Image::parse(&now));
        match (&found, image) {
            (_, None) => return Ok(()),
            (Some(found), Some(image)) if *found != image => return Ok(()),
            (_, Some(image)) => found = Some(image),
        }
    }
    let Some(image) = found else { return Ok(()) };
    let own = template.text("containerImageId").and_then(|id| images.get(&id));
    let own = own.map(spec).transpose()?.and_then(|own| text(&own, "imageName"));
    if own.as_deref() != Some(image.name.as_str()) {
        let id = named(images, &image.name)?;
        template.kept.insert("containerImageId".into(), json!(id));
        template.image_name = Some(image.name);
    }
    template.kept.insert("imageTag".into(), json!(image.tag));
    template.is_followed = true;
    Ok(())
}

/// What a service of a template's own keeps of what it is here: which deployment, and what was deployed; by that it is seen what was
/// changed elsewhere.
pub fn marked(template: &Template, placed: &Placed, wanted: &Wanted) -> Value {
    json!({
        "service": template.id(), "deployment": placed.id(), "imageUuid": wanted.launch.get("imageUuid"),
        SAID_AT: template.kept.get(SAID_AT), FOLLOWED: template.is_followed,
    })
}

/// Keeps what a PATCH says of a service that was made elsewhere. What it says as it is already is said by nobody.
///
/// # Errors
/// 501 for what is changed where the service was made.
pub async fn edit(caller: &mut Caller<'_>, template: &Template, body: Map<String, Value>) -> Outcome<()> {
    let mut edits = template.edits.clone();
    for (name, value) in body {
        let is = match name.as_str() {
            "name" => template.row.name == value,
            other => template.kept.get(other) == Some(&value),
        };
        let is_known = WAITING.contains(&name.as_str()) || STAYING.contains(&name.as_str());
        match is_known {
            _ if is => {}
            true => drop(edits.insert(name, value)),
            false => {
                let why = format!("{name}: this service was made elsewhere, and is changed there");
                return Err(Refusal::not_built(why).about(name));
            }
        }
    }
    let ty = caller.may(ROOT, Deed::Update)?;
    caller.note(&ty.def, Some(&template.row), "update", &Input::new());
    let input = Input::from_iter([(FIELD.to_owned(), json!({EDITS: edits}))]);
    caller.engine.write_row(&caller.scope, &template.row, input).await?;
    Ok(())
}

/// What stays of what was said of a service once it is deployed.
pub fn after_deployment(template: &Template) -> Value {
    let mut edits = template.edits.clone();
    edits.retain(|name, _| STAYING.contains(&name.as_str()));
    json!({EDITS: edits})
}

/// What a service that was made elsewhere comes to: all that it is, with another image and other variables.
pub fn wanted(
    template: &Template,
    service: &Resource,
    values: &Values,
    options: &Options,
    name: &str,
) -> Outcome<Wanted> {
    let mut launch = object_of(&fields(service)?, "launchConfig")?;
    let tag = options.tag.clone().or(template.text("imageTag"));
    let tag = tag.unwrap_or_else(|| "latest".to_owned());
    let image = full(name, &tag);
    let was = text(&launch, "imageUuid").unwrap_or_default();
    let uuid = match image.starts_with("sim:") && !was.starts_with("docker:") {
        true => image.clone(),
        false => format!("docker:{image}"),
    };
    let mut env = template.base_env();
    if template.edits.contains_key("baseEnv") {
        let all = values.of(&[
            ("SERVICE_NAME", &template.row.name),
            ("IMAGE_NAME", name),
            ("IMAGE_TAG", &tag),
            ("FULL_IMAGE", &image),
        ]);
        for value in env.values_mut() {
            let words = value.as_str().unwrap_or_default();
            values.check("baseEnv", words)?;
            *value = json!(filled(words, &all, false));
        }
    }
    launch.insert("imageUuid".into(), json!(uuid));
    launch.insert("environment".into(), Value::Object(env.clone()));
    let own = object(&launch, "labels");
    let mut labels = watching(own.clone(), launch.contains_key("healthCheck"), options);
    // How it is watched is as it was said elsewhere.
    labels.extend(own);
    launch.insert("labels".into(), Value::Object(labels));
    Ok(Wanted {
        launch,
        compose: compose::auto(&template.row.name, &image),
        image,
        image_name: name.to_owned(),
        tag,
        env,
        warnings: Vec::new(),
    })
}

/// The image of a service as clients see it where the project has none of that name.
pub fn image_shown(name: &str) -> Value {
    json!({
        "id": null, "name": name, "imageName": name, "tagFilter": "latest", "registryConnectionId": null, "autoUpdate": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_apart_and_together() {
        for (uuid, name, tag) in [
            ("docker:nginx", "nginx", "latest"),
            ("docker:reg.example:5000/a/web:v1", "reg.example:5000/a/web", "v1"),
            ("docker:reg.example:5000/a/web", "reg.example:5000/a/web", "latest"),
            ("sim:slow:500", "sim:slow", "500"),
            ("docker:web@sha256:abc", "web", "sha256:abc"),
        ] {
            let image = Image::parse(uuid);
            assert_eq!((image.name.as_str(), image.tag.as_str()), (name, tag), "{uuid}");
        }
        assert_eq!(full("web", "sha256:abc"), "web@sha256:abc");
        assert_eq!(full("a/web", "v1"), "a/web:v1");
    }
}
