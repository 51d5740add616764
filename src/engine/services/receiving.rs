//! What receivers do when somebody calls them: a service is scaled, or services are upgraded to an image that was pushed.
//!
//! A receiver is a generic object that says which driver it has, and how it is set. Whoever has its address may have it do
//! that, to services of its own project, and nothing else.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::engine::core::{Core, Input, Scope, Update, apply_update, insert_and_start, note_service, row_from_input};
use crate::model::launch::LABEL_PULL_IMAGE;
use crate::model::launch::parse_reference;
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State};
use crate::schema::limits::{RECEIVERS, SCALE};
use crate::schema::{Role, TypeView, Version};
use crate::store::Tx;

use super::forwarding::{Forward, Way};
use super::upgrade::{Config, Upgrade};

/// The kind of the generic objects that are receivers.
pub(crate) const RECEIVER: &str = "webhookReceiver";
/// The label that has an image pulled before each start.
const PULL: (&str, &str) = (LABEL_PULL_IMAGE, "always");
/// The driver that Rancher has and this server does not.
const NOT_BUILT: &str = "scaleHost";
/// The longest time between two batches, in seconds.
const LONGEST_INTERVAL: i64 = 86_400;

/// What a receiver does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Doing {
    /// Scales a service by so many, within bounds.
    Scale {
        service: ResourceId,
        by: i64,
        min: i64,
        max: i64,
    },
    /// Upgrades the services that have these labels to an image with this tag that was pushed.
    Upgrade {
        selector: BTreeMap<String, String>,
        image: Option<String>,
        tag: String,
        strategy: Config,
    },
    /// Passes what it is sent on to a container of a service.
    Forward(Forward),
}

/// What a call came to.
pub enum Received {
    /// All was done.
    Done,
    /// What was sent is to be posted there.
    PassOn(Way),
}

/// 400 in these words, as the original says it.
pub(super) fn bad(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadRequest).with_message(why)
}

fn number(config: &Map<String, Value>, field: &str, default: Option<i64>, most: i64) -> Result<i64> {
    let given = match config.get(field).filter(|value| !value.is_null()) {
        None => default,
        Some(value) => value.as_i64().filter(|n| (1..=most).contains(n)),
    };
    given.ok_or_else(|| bad(format!("{field} is a number from 1 to {most}")).with_field(field.to_owned()))
}

impl Doing {
    /// Reads a driver's name and its configuration.
    pub(crate) fn read(driver: &str, config: &Map<String, Value>) -> Result<Self> {
        match driver {
            "scaleService" => Self::read_scale(config),
            "serviceUpgrade" => Self::read_upgrade(config),
            "forwardPost" => Forward::read(config).map(Self::Forward),
            NOT_BUILT => {
                let why = "scaleHost is not part of this build: this server makes no machines";
                Err(Error::not_implemented(why).with_field("driver"))
            }
            other => Err(bad(format!("Invalid driver {other}")).with_field("driver")),
        }
    }

    fn read_scale(config: &Map<String, Value>) -> Result<Self> {
        let text = |field: &str| config.get(field).and_then(Value::as_str);
        let service = text("serviceId").and_then(parse_reference);
        let service = service.ok_or_else(|| bad("serviceId not provided").with_field("serviceId"))?;
        let amount = number(config, "amount", None, SCALE)?;
        let by = match text("action") {
            Some("up") => amount,
            Some("down") => -amount,
            _ => return Err(bad("action is up or down").with_field("action")),
        };
        let (min, max) = (
            number(config, "min", Some(1), SCALE)?,
            number(config, "max", Some(100), SCALE)?,
        );
        if min > max {
            return Err(bad("min must not be greater than max").with_field("min"));
        }
        Ok(Self::Scale { service, by, min, max })
    }

    fn read_upgrade(config: &Map<String, Value>) -> Result<Self> {
        let selector: BTreeMap<String, String> = config
            .get("serviceSelector")
            .and_then(|selector| serde_json::from_value(selector.clone()).ok())
            .filter(|selector: &BTreeMap<String, String>| !selector.is_empty())
            .ok_or_else(|| bad("Service selectors not provided").with_field("serviceSelector"))?;
        let text = |field: &str| {
            config
                .get(field)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let tag = text("tag").ok_or_else(|| bad("Tag not provided").with_field("tag"))?;
        if !is_tag(tag) {
            return Err(bad(format!("Invalid tag {tag:?}")).with_field("tag"));
        }
        let seconds = number(config, "intervalMillis", Some(2), LONGEST_INTERVAL)?;
        let mut strategy = Config::new();
        strategy.insert("batchSize".into(), json!(number(config, "batchSize", Some(1), SCALE)?));
        // Quirk: the field is called after milliseconds and holds seconds (webhook-service: `intervalMillis * 1000`).
        strategy.insert("intervalMillis".into(), json!(seconds.saturating_mul(1_000)));
        let starts_first = config.get("startFirst").and_then(Value::as_bool).unwrap_or(false);
        strategy.insert("startFirst".into(), json!(starts_first));
        Ok(Self::Upgrade {
            selector,
            image: text("image").map(str::to_owned),
            tag: tag.to_owned(),
            strategy,
        })
    }
}

/// Docker's rule for tags.
fn is_tag(tag: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(is_word) && tag.chars().all(|c| is_word(c) || ".-".contains(c))
}

/// Whether a text can be the name of a repository, with its registry or without.
fn is_repository(name: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c);
    !name.is_empty() && name.len() <= 255 && name.chars().all(is_legal) && !name.starts_with(['/', ':', '-', '.'])
}

/// What was pushed, by what Docker Hub or a registry tells of it: repositories and their tags.
fn pushed(payload: &Input) -> Result<Vec<(String, String)>> {
    let text = |at: &Value, path: &str| at.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let body = Value::Object(payload.clone());
    let found: Vec<(Option<String>, Option<String>)> = match body.get("events").and_then(Value::as_array) {
        Some(events) => events
            .iter()
            .filter(|event| event.get("action").and_then(Value::as_str) == Some("push"))
            // Layers are pushed, too, and have no tag.
            .filter(|event| event.pointer("/target/tag").is_some())
            .map(|event| {
                let name = text(event, "/target/repository");
                let host = text(event, "/request/host").filter(|host| !host.is_empty());
                let full = name.map(|name| host.map_or(name.clone(), |host| format!("{host}/{name}")));
                (full, text(event, "/target/tag"))
            })
            .collect(),
        None if body.get("push_data").is_some() => {
            vec![(text(&body, "/repository/repo_name"), text(&body, "/push_data/tag"))]
        }
        None => return Err(bad("Incomplete Docker Hub webhook response provided")),
    };
    let whole = |(name, tag): (Option<String>, Option<String>)| match (name, tag) {
        (Some(name), Some(tag)) if is_repository(&name) && is_tag(&tag) => Ok((name, tag)),
        (None, _) => Err(bad("Docker Hub response provided without image name")),
        (_, None) => Err(bad("Docker Hub webhook response contains no tag")),
        _ => Err(bad("the image that was pushed has no name that Docker knows")),
    };
    found.into_iter().map(whole).collect()
}

/// A receiver's driver and its configuration, as they are stored.
pub(crate) fn doing_of(receiver: &Resource) -> Result<Doing> {
    let data: Map<String, Value> = Fields::parse(&receiver.fields)?
        .read("resourceData")?
        .unwrap_or_default();
    let driver = data.get("driver").and_then(Value::as_str).unwrap_or_default();
    let none = Map::new();
    Doing::read(driver, data.get("config").and_then(Value::as_object).unwrap_or(&none))
}

/// Whether a receiver may do something to a service: it is of its project, and not of what runs everything else.
pub(super) fn is_own(service: &Resource, project: Option<ResourceId>) -> Result<bool> {
    let is_system = Fields::parse(&service.fields)?.read::<bool>("system")?.unwrap_or(false);
    Ok(service.root == "service"
        && service.removed.is_none()
        && service.state != State::REMOVING
        && service.account_id == project
        && !is_system)
}

pub(super) fn no_service() -> Error {
    bad("Requested service does not exist").with_field("serviceId")
}

/// Checks what a receiver is to do before it is made.
pub(crate) fn check_receiver(
    core: &Core,
    project: ResourceId,
    driver: &str,
    config: &Map<String, Value>,
) -> Result<()> {
    match Doing::read(driver, config)? {
        Doing::Scale { service, .. } => {
            let row = core.store.find(service)?.ok_or_else(no_service)?;
            match is_own(&row, Some(project))? {
                true => Ok(()),
                false => Err(no_service()),
            }
        }
        Doing::Forward(forward) => forward.check(core, project),
        Doing::Upgrade { .. } => Ok(()),
    }
}

/// Whether what is to be made is a receiver, by whatever path it comes.
pub(crate) fn is_receiver(ty: &TypeView, input: &Input) -> bool {
    ty.def.root == "genericObject" && input.get("kind").and_then(Value::as_str) == Some(RECEIVER)
}

/// A new receiver, if its project may have one more.
pub(crate) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    project: ResourceId,
    input: &Input,
) -> Result<Resource> {
    let new = row_from_input(&ty.def, project, input)?;
    let machine = ty.def.machine.clone();
    core.write_for(scope, move |tx| {
        let of_project = tx.all("genericObject", Some(project))?;
        if of_project.iter().filter(|row| row.kind == RECEIVER).count() >= RECEIVERS {
            let why = format!("a project has at most {RECEIVERS} receivers");
            return Err(Error::invalid("MaxLimitExceeded", "projectId").with_message(why));
        }
        insert_and_start(tx, machine.as_deref(), new)
    })
    .await
}

/// Does what a receiver is for. `scope` is its project's.
pub(crate) async fn receive(core: &Core, scope: &Scope, receiver: &Resource, payload: &Input) -> Result<Received> {
    let done = match doing_of(receiver)? {
        Doing::Forward(forward) => {
            let way = forward.open(core, scope.project).await?;
            let id = receiver.id;
            core.write_for(scope, move |tx| tx.get(id)).await?;
            return Ok(Received::PassOn(way));
        }
        Doing::Scale { service, by, min, max } => {
            let row = core.store.find(service)?.ok_or_else(no_service)?;
            scale(core, scope, &row, by, (min, max)).await
        }
        Doing::Upgrade {
            selector,
            image,
            tag,
            strategy,
        } => {
            let fits =
                |(name, pushed): &&(String, String)| *pushed == tag && image.as_ref().is_none_or(|image| image == name);
            let images = pushed(payload)?;
            match images.iter().find(fits) {
                Some((name, tag)) => upgrade_all(core, scope, &selector, &format!("{name}:{tag}"), &strategy).await,
                None => Ok(()),
            }
        }
    };
    done.map(|()| Received::Done)
}

async fn scale(core: &Core, scope: &Scope, service: &Resource, by: i64, bounds: (i64, i64)) -> Result<()> {
    let view = core.registry.view(Version::V2Beta, Role::Project).clone();
    let ty = view.find_by_kind(&service.kind).ok_or_else(no_service)?;
    let update = Update::of(ty);
    let (id, project) = (service.id, scope.project);
    core.write_for(scope, move |tx| {
        let row = tx.find(id)?.ok_or_else(no_service)?;
        if !is_own(&row, project)? {
            return Err(no_service());
        }
        let now = Fields::parse(&row.fields)?.read::<i64>("scale")?.unwrap_or(1);
        let wanted = now.saturating_add(by);
        if wanted < bounds.0 {
            return Err(bad("Cannot scale below provided min scale value"));
        }
        if wanted > bounds.1 {
            return Err(bad("Cannot scale above provided max scale value"));
        }
        apply_update(
            tx,
            &update,
            &row,
            &Input::from_iter([("scale".to_owned(), json!(wanted))]),
        )
    })
    .await
    .map(drop)
}

/// Upgrades each service that has the labels. One that cannot be upgraded now says so in its log, and holds up no other.
async fn upgrade_all(
    core: &Core,
    scope: &Scope,
    selector: &BTreeMap<String, String>,
    image: &str,
    pace: &Config,
) -> Result<()> {
    let project = scope.project;
    let prefix = core.type_of("service")?.prefix.clone();
    let range = core.port_range(project)?;
    for service in core.store.all("service", project)? {
        if !is_own(&service, project)? {
            continue;
        }
        let Some(strategy) = strategy_for(&service, selector, image, pace)? else {
            continue;
        };
        let machine = core.machine_of(&service.kind)?.clone();
        let upgrade = checked(core, &service, strategy);
        let (id, image, prefix) = (service.id, image.to_owned(), prefix.clone());
        core.write_for(scope, move |tx| {
            let row = tx.get(id)?;
            match upgrade {
                Ok(upgrade) if machine.start("upgrade", row.state).is_some() => {
                    upgrade.begin(tx, &machine, &row, range)
                }
                Ok(_) => skip(tx, row, &prefix, &image, "finishupgrade or rollback comes first"),
                Err(error) => skip(
                    tx,
                    row,
                    &prefix,
                    &image,
                    error.external.as_deref().unwrap_or("it is refused"),
                ),
            }
        })
        .await?;
    }
    Ok(())
}

/// An upgrade that nobody asked for by hand, and that finishes by itself.
fn checked(core: &Core, service: &Resource, mut strategy: Config) -> Result<Upgrade> {
    core.apply_image_rules(&mut strategy)?;
    core.check_host_use(service.account_id, &strategy)?;
    Upgrade::check(service, strategy).map(Upgrade::finishing)
}

fn skip(tx: &mut Tx<'_>, row: Resource, prefix: &str, image: &str, why: &str) -> Result<Resource> {
    let sentence = format!(
        "Not upgraded to {image}, which was pushed: the service is {}, {why}",
        row.state
    );
    note_service(tx, &row, prefix, "service.upgrade.skipped", "warn", &sentence)?;
    Ok(row)
}

/// The upgrade of those configurations of a service that have the labels; nothing if none has.
fn strategy_for(
    service: &Resource,
    selector: &BTreeMap<String, String>,
    image: &str,
    pace: &Config,
) -> Result<Option<Config>> {
    let fields = Fields::parse(&service.fields)?;
    let renewed = |mut config: Config| -> Option<Config> {
        let labels = config.get("labels").and_then(Value::as_object)?;
        let has = |(key, value): (&String, &String)| {
            let is_it = |(k, v): (&String, &Value)| {
                k.eq_ignore_ascii_case(key) && v.as_str().is_some_and(|v| v.eq_ignore_ascii_case(value))
            };
            labels.iter().any(is_it)
        };
        if !selector.iter().all(has) {
            return None;
        }
        config.insert("imageUuid".into(), json!(format!("docker:{image}")));
        if let Some(Value::Object(labels)) = config.get_mut("labels") {
            labels.insert(PULL.0.into(), json!(PULL.1));
        }
        Some(config)
    };
    let primary = fields.read::<Config>("launchConfig")?.and_then(renewed);
    let sidekicks: Vec<Config> = fields
        .read::<Vec<Config>>("secondaryLaunchConfigs")?
        .unwrap_or_default();
    let sidekicks: Vec<Config> = sidekicks.into_iter().filter_map(renewed).collect();
    if primary.is_none() && sidekicks.is_empty() {
        return Ok(None);
    }
    let mut strategy = pace.clone();
    strategy.extend(primary.map(|config| ("launchConfig".to_owned(), Value::Object(config))));
    strategy.insert("secondaryLaunchConfigs".into(), json!(sidekicks));
    Ok(Some(strategy))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn what_was_pushed_is_read_of_docker_hub_and_of_registries() {
        let hub = json!({"push_data": {"tag": "latest"}, "repository": {"repo_name": "acme/web"}});
        let registry = json!({"events": [
            {"action": "push", "target": {"repository": "acme/web"}},
            {"action": "pull", "target": {"repository": "acme/web", "tag": "old"}},
            {"action": "push", "target": {"repository": "acme/web", "tag": "2"}, "request": {"host": "r.example:5000"}},
        ]});
        let pair = |name: &str, tag: &str| vec![(name.to_owned(), tag.to_owned())];
        assert_eq!(pushed(&object(hub)).expect("Docker Hub"), pair("acme/web", "latest"));
        assert_eq!(
            pushed(&object(registry)).expect("a registry"),
            pair("r.example:5000/acme/web", "2")
        );
        for bad in [
            json!({}),
            json!({"push_data": {"tag": "a b"}, "repository": {"repo_name": "acme/web"}}),
            json!({"push_data": {"tag": "1"}, "repository": {"repo_name": "acme web"}}),
            json!({"push_data": {"tag": "1"}}),
            json!({"push_data": {}, "repository": {"repo_name": "acme/web"}}),
        ] {
            assert!(pushed(&object(bad.clone())).is_err(), "{bad}");
        }
    }
}
