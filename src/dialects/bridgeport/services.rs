//! Templates of services. A template runs nothing: it is placed on servers, and brought there by deployments.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::Call;
use super::caller::{Asker, Caller, spec};
use super::elsewhere::{self, Images, SAID_AT};
use super::fields::text;
use super::placed::{self, Placed};
use super::placements;
use super::refusal::{Code, Outcome, Refusal};
use super::registries;
use super::routes::Deed;
use super::servers;
use super::things::{Thing, list_of, named, service_type, taken};
use crate::engine::{Input, ObjectChange, Unique};
use crate::model::{Resource, ResourceId};

/// The type of templates.
pub const KIND: &str = "bridgeportService";
/// The letters of their ids.
pub const LETTERS: &str = "bps";
/// Two templates of an environment are not called alike.
pub const UNIQUE: Unique = &[&["name"]];
/// What people call one.
pub const WHAT: &str = "Service";

/// What a template is where nobody says otherwise.
pub fn defaults() -> Map<String, Value> {
    let defaults = json!({
        "containerImageId": null, "imageTag": "latest", "composeTemplate": null, "healthCheckUrl": null, "baseEnv": null,
        "deployStrategy": "sequential", "serviceTypeId": null, "healthWaitMs": 30_000, "healthRetries": 3,
        "healthIntervalMs": 5_000,
    });
    defaults.as_object().cloned().unwrap_or_default()
}

/// A template.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its row.
    pub row: Resource,
    /// All that is kept of it.
    pub kept: Map<String, Value>,
    /// What its image is called, where that is not what the image of its id is called.
    pub image_name: Option<String>,
    /// What was said here of one that was made elsewhere.
    pub edits: Map<String, Value>,
    /// Whether its image is what its services were changed to elsewhere.
    pub is_followed: bool,
}

impl Template {
    /// Reads one.
    pub fn of(row: Resource) -> Outcome<Self> {
        let mut kept = defaults();
        kept.extend(spec(&row)?);
        Ok(Self {
            row,
            kept,
            image_name: None,
            edits: Map::new(),
            is_followed: false,
        })
    }

    /// Whether it was made here.
    pub fn is_own(&self) -> bool {
        self.row.root == KIND
    }

    /// What it is called in paths and bodies.
    pub fn id(&self) -> String {
        let letters = if self.is_own() { LETTERS } else { elsewhere::LETTERS };
        format!("1{letters}{}", self.row.id)
    }

    /// A text that is kept of it.
    pub fn text(&self, name: &str) -> Option<String> {
        text(&self.kept, name)
    }

    /// The variables that all of its deployments have.
    pub fn base_env(&self) -> Map<String, Value> {
        self.kept
            .get("baseEnv")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    }

    /// Its own fields as clients see them. What the caller's role does not see of environments is null.
    pub fn shown(&self, caller: &Caller<'_>) -> Map<String, Value> {
        let mut out = Map::new();
        out.insert("id".into(), json!(self.id()));
        out.insert("name".into(), json!(self.row.name));
        let mut kept = self.kept.clone();
        let changed = kept.shift_remove("updatedAt");
        kept.shift_remove(SAID_AT);
        let shows = caller.shows("environment");
        kept.insert("baseEnv".into(), on_the_wire(kept.get("baseEnv").filter(|_| shows)));
        if !shows {
            kept.insert("composeTemplate".into(), Value::Null);
        }
        out.append(&mut kept);
        let created = self.row.created.to_wire_millis();
        out.insert("environmentId".into(), json!(caller.environment_id()));
        out.insert("createdAt".into(), json!(created));
        out.insert("updatedAt".into(), changed.unwrap_or_else(|| json!(created)));
        out
    }
}

/// An object as a text that holds it; null for none.
pub fn on_the_wire(object: Option<&Value>) -> Value {
    match object {
        Some(object) if !object.is_null() => json!(object.to_string()),
        _ => Value::Null,
    }
}

/// The template of a path as it stands, and the caller in its project. A service that was made elsewhere is one, too.
pub async fn reach<'a>(asker: &'a Asker, call: &Call) -> Outcome<(Caller<'a>, Template)> {
    let id = call.param("id");
    let (caller, row) = match asker.reach(KIND, LETTERS, id, WHAT) {
        Err(refusal) if refusal.code == Code::NotFound => asker.reach(elsewhere::ROOT, elsewhere::LETTERS, id, WHAT)?,
        other => other?,
    };
    let all = Context::read(&caller).await?.templates;
    let found = all.into_iter().find(|template| template.row.id == row.id);
    Ok((caller, found.ok_or_else(|| Refusal::missing(WHAT))?))
}

/// The same to change it.
pub async fn reach_to_change<'a>(asker: &'a Asker, call: &Call) -> Outcome<(Caller<'a>, Template)> {
    let (caller, template) = reach(asker, call).await?;
    caller.check_may_change()?;
    Ok((caller, template))
}

/// All templates of a project, by name; those that were made here first among those of one name.
pub async fn all(caller: &Caller<'_>) -> Outcome<Vec<Template>> {
    Ok(Context::read(caller).await?.templates)
}

/// Whether a template of the project says this id in a field.
pub async fn uses(caller: &Caller<'_>, field: &str, id: &str) -> Outcome<bool> {
    for row in caller.lasting(KIND).await? {
        if text(&spec(&row)?, field).as_deref() == Some(id) {
            return Ok(true);
        }
    }
    let all = all(caller).await?;
    Ok(all
        .iter()
        .any(|template| text(&template.edits, field).as_deref() == Some(id)))
}

/// The same of all projects that somebody may enter.
pub async fn uses_anywhere(asker: &Asker, field: &str, id: &str) -> Outcome<bool> {
    for environment in super::environments::all(asker).await? {
        let project = environment
            .get("id")
            .and_then(Value::as_str)
            .and_then(super::caller::environment_id);
        if let Some(project) = project
            && let Some(caller) = asker.enter(project)?
            && uses(&caller, field, id).await?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is asked of templates.
pub async fn lead(asker: &Asker, deed: Deed, call: &Call) -> Outcome<Value> {
    match deed {
        Deed::List => list(asker, call).await,
        Deed::Create => {
            let mut caller = asker.environment_to_change(call)?;
            let template = create(&mut caller, call.body.clone()).await?;
            Ok(json!({"service": template.shown(&caller)}))
        }
        Deed::Read => {
            let (caller, template) = reach(asker, call).await?;
            let context = Context::read(&caller).await?;
            Ok(json!({"service": context.whole(&caller, &template, Whole::One)?}))
        }
        Deed::Update => update(asker, call).await,
        Deed::Remove => remove(asker, call).await,
    }
}

/// Rows that templates are shown with, read once for all of them.
struct Context {
    images: Images,
    placed: HashMap<ResourceId, Vec<Placed>>,
    templates: Vec<Template>,
}

/// How much is shown of what a template refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    /// As in a list.
    Listed,
    /// As one that is asked for.
    One,
}

impl Context {
    async fn read(caller: &Caller<'_>) -> Outcome<Self> {
        let images = caller.lasting(Thing::Image.root()).await?;
        let images: Images = images
            .into_iter()
            .map(|row| (caller.engine.wire_id(&row), row))
            .collect();
        let all = placed::all(caller).await?;
        let rows = caller.lasting(KIND).await?;
        let mut templates = rows.into_iter().map(Template::of).collect::<Outcome<Vec<Template>>>()?;
        for template in &mut templates {
            elsewhere::follow(template, &all, &images)?;
        }
        for row in caller.lasting(elsewhere::ROOT).await? {
            templates.extend(elsewhere::template(caller, &row, &images)?);
        }
        let key = |template: &Template| (template.row.name.clone(), !template.is_own(), template.row.id);
        templates.sort_by_cached_key(key);
        let mut placed: HashMap<ResourceId, Vec<Placed>> = HashMap::new();
        for one in all {
            placed.entry(one.template).or_default().push(one);
        }
        Ok(Self {
            images,
            placed,
            templates,
        })
    }

    fn whole(&self, caller: &Caller<'_>, template: &Template, how: Whole) -> Outcome<Map<String, Value>> {
        let mut out = template.shown(caller);
        let placed = self.placed.get(&template.row.id).map(Vec::as_slice).unwrap_or_default();
        let deployments: Vec<Value> = placed
            .iter()
            .map(|one| Value::Object(one.shown(caller, true)))
            .collect();
        if let (Whole::Listed, Some(first)) = (how, placed.first()) {
            let first = first.shown(caller, false);
            let run = first
                .into_iter()
                .filter(|(name, _)| placed::RUN.contains(&name.as_str()));
            out.extend(run);
        }
        out.insert("serviceDeployments".into(), Value::Array(deployments));
        let image = template.text("containerImageId").and_then(|id| self.images.get(&id));
        let mut image = image.map(|row| Thing::Image.shown(row)).transpose()?;
        if let (Whole::One, Some(image)) = (how, image.as_mut()) {
            let id = text(image, "registryConnectionId").unwrap_or_default();
            let registry = registries::find(caller, &id)?;
            let registry =
                registry.map(|row| json!({"id": id, "name": row.name, "hasToken": false, "hasPassword": true}));
            image.insert("registryConnection".into(), json!(registry));
        }
        let image = match (image, &template.image_name) {
            (None, Some(name)) => elsewhere::image_shown(name),
            (image, _) => json!(image),
        };
        out.insert("containerImage".into(), image);
        let kind = template
            .text("serviceTypeId")
            .map(|id| service_type(caller, &id))
            .transpose()?;
        out.insert("serviceType".into(), json!(kind.flatten()));
        if how == Whole::One {
            let name = &caller.scope.effective.name;
            out.insert(
                "environment".into(),
                json!({"id": caller.environment_id(), "name": name}),
            );
        }
        Ok(out)
    }
}

async fn list(asker: &Asker, call: &Call) -> Outcome<Value> {
    let Some(caller) = asker.environment(call)? else {
        return list_of(call, "services", Vec::new(), 25);
    };
    let context = Context::read(&caller).await?;
    let mut out = Vec::new();
    for template in &context.templates {
        out.push(Value::Object(context.whole(&caller, template, Whole::Listed)?));
    }
    list_of(call, "services", out, 25)
}

/// `GET /api/environments/{envId}/services/type-counts`.
pub async fn type_counts(asker: &Asker, call: &Call) -> Outcome<Value> {
    let Some(caller) = asker.environment(call)? else {
        return Ok(json!({"types": []}));
    };
    let mut counts: Vec<(Value, i64)> = Vec::new();
    for template in all(&caller).await? {
        let kind = template
            .text("serviceTypeId")
            .map(|id| service_type(&caller, &id))
            .transpose()?;
        let kind = kind.flatten();
        let shown = kind.map_or(
            json!({"id": null, "displayName": "None"}),
            |kind| json!({"id": kind.get("id"), "displayName": kind.get("displayName")}),
        );
        match counts.iter_mut().find(|(known, _)| *known == shown) {
            Some((_, count)) => *count += 1,
            None => counts.push((shown, 1)),
        }
    }
    let types = counts.into_iter().map(|(mut kind, count)| {
        if let Some(kind) = kind.as_object_mut() {
            kind.insert("count".into(), json!(count));
        }
        kind
    });
    Ok(json!({"types": types.collect::<Vec<_>>()}))
}

/// 400 for an image or a type that the project does not have.
fn check_references(caller: &Caller<'_>, body: &Map<String, Value>) -> Outcome<()> {
    if let Some(id) = text(body, "containerImageId") {
        let thing = Thing::Image;
        if caller.row(thing.root(), thing.letters(), &id)?.is_none() {
            return Err(Refusal::bad("containerImageId", "Container image not found"));
        }
    }
    match text(body, "serviceTypeId") {
        Some(id) if service_type(caller, &id)?.is_none() => {
            Err(Refusal::bad("serviceTypeId", "Service type not found"))
        }
        _ => Ok(()),
    }
}

/// A new template. What its body does not say is as it is where nobody says otherwise.
pub async fn create(caller: &mut Caller<'_>, mut body: Map<String, Value>) -> Outcome<Template> {
    check_references(caller, &body)?;
    let name = body
        .shift_remove("name")
        .and_then(|name| name.as_str().map(str::to_owned));
    let mut whole = defaults();
    whole.extend(body);
    let def = caller.hidden(KIND)?;
    caller.note(&def, None, "create", &named(name.as_deref()));
    let made = ObjectChange {
        name,
        spec: whole,
        unique: UNIQUE,
    };
    let row = caller.engine.add_object(&caller.scope, KIND, made).await;
    Template::of(row.map_err(|error| taken(error, WHAT))?)
}

async fn update(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (mut caller, template) = reach_to_change(asker, call).await?;
    let template = change(&mut caller, &template, call.body.clone()).await?;
    Ok(json!({"service": template.shown(&caller)}))
}

/// Writes what a body says of a template. Nothing that runs changes before it is deployed.
pub async fn change(caller: &mut Caller<'_>, template: &Template, mut body: Map<String, Value>) -> Outcome<Template> {
    check_references(caller, &body)?;
    if ["containerImageId", "imageTag"]
        .iter()
        .any(|name| body.contains_key(*name))
        && template.is_own()
    {
        body.insert(SAID_AT.into(), json!(caller.engine.clock().now().0));
    }
    if !template.is_own() {
        body.insert("updatedAt".into(), json!(caller.engine.clock().now().to_wire_millis()));
        elsewhere::edit(caller, template, body).await?;
        return again(caller, template).await;
    }
    let name = body
        .shift_remove("name")
        .and_then(|name| name.as_str().map(str::to_owned));
    body.insert("updatedAt".into(), json!(caller.engine.clock().now().to_wire_millis()));
    let def = caller.hidden(KIND)?;
    caller.note(&def, Some(&template.row), "update", &named(name.as_deref()));
    let change = ObjectChange {
        name,
        spec: body,
        unique: UNIQUE,
    };
    let row = caller.engine.change_object(&caller.scope, &template.row, change).await;
    row.map_err(|error| taken(error, WHAT))?;
    again(caller, template).await
}

/// A template as it stands now.
async fn again(caller: &Caller<'_>, template: &Template) -> Outcome<Template> {
    let all = all(caller).await?;
    let found = all.into_iter().find(|one| one.row.id == template.row.id);
    found.ok_or_else(|| Refusal::missing(WHAT))
}

/// Removes a template, its deployments, and what runs of them.
async fn remove(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (mut caller, template) = reach_to_change(asker, call).await?;
    if !template.is_own() {
        placements::end(&mut caller, &template.row).await?;
        return Ok(json!({"success": true}));
    }
    let mut rows = Vec::new();
    for placed in placed::all(&caller).await? {
        if placed.template == template.row.id && placed.is_own() {
            placements::stop(&mut caller, &placed).await?;
            rows.push(placed.row.id);
        }
    }
    let def = caller.hidden(KIND)?;
    caller.note(&def, Some(&template.row), "delete", &Input::new());
    caller.engine.drop_objects(&caller.scope, &template.row, rows).await?;
    Ok(json!({"success": true}))
}

/// The server that a body names.
pub async fn server_of(caller: &Caller<'_>, id: &str) -> Outcome<servers::Server> {
    let found = servers::find(caller, id).await?;
    found.ok_or_else(|| Refusal::bad("serverId", "Server not found"))
}
