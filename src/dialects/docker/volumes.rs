//! Volumes: those of the project that have a name. Each is made on the engine of the host whose containers mount it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::caller::{Caller, Deed, fields, given_labels, labels, named};
use super::keys::canonical;
use super::query::Query;
use super::record::nanos;
use super::refusal::{Outcome, Refusal};
use crate::engine::Input;
use crate::model::id::new_uuid;
use crate::model::launch::parse_reference;
use crate::model::{Resource, ResourceId};
use crate::schema::validate::Purpose;
use actix_web::http::StatusCode;

/// The field of labels.
const LABELS: &str = "dockerLabels";
/// The driver of who names none.
const LOCAL: &str = "local";

/// The volumes, and who mounts them.
struct All {
    rows: Vec<Resource>,
    users: BTreeMap<ResourceId, BTreeSet<ResourceId>>,
}

impl All {
    async fn read(caller: &Caller) -> Outcome<Self> {
        let mut rows = caller.lasting("volume").await?;
        rows.retain(|row| {
            let is_path = fields(row).is_ok_and(|own| own.read("isHostPath").ok().flatten() == Some(true));
            !row.name.is_empty() && !is_path
        });
        let mut users: BTreeMap<ResourceId, BTreeSet<ResourceId>> = BTreeMap::new();
        for mount in caller.lasting("mount").await? {
            let volume = fields(&mount)?.text("volumeId").as_deref().and_then(parse_reference);
            if let (Some(volume), Some(container)) = (volume, mount.parent_id) {
                users.entry(volume).or_default().insert(container);
            }
        }
        Ok(Self { rows, users })
    }

    /// All of this name: one on each host where it is.
    fn named(&self, name: &str) -> Outcome<Vec<&Resource>> {
        let found: Vec<_> = self.rows.iter().filter(|row| row.name == name).collect();
        match found.is_empty() {
            true => Err(Refusal::new(
                StatusCode::NOT_FOUND,
                format!("get {name}: no such volume"),
            )),
            false => Ok(found),
        }
    }

    fn users_of<'a>(&'a self, volumes: &'a [&Resource]) -> impl Iterator<Item = ResourceId> + 'a {
        let found = volumes.iter().filter_map(|row| self.users.get(&row.id));
        found.flatten().copied()
    }
}

/// `GET /volumes`.
pub async fn list(caller: &Caller, query: &Query) -> Outcome<Value> {
    caller.may("volume", Deed::Read)?;
    let filters = query.filters(&["dangling", "driver", "label", "name"])?;
    filters.check("dangling", &["true", "false", "1", "0"])?;
    let all = All::read(caller).await?;
    let mut out = BTreeMap::new();
    for row in &all.rows {
        let own = labels(&fields(row)?, LABELS)?;
        let is_used = all.users.contains_key(&row.id);
        let is_asked = filters.fits("name", |name| row.name.contains(name))
            && filters.fits("driver", |driver| driver_of(row) == driver)
            && filters.fits("dangling", |dangling| matches!(dangling, "1" | "true") != is_used)
            && filters.labels("label", &own);
        if is_asked {
            out.entry(row.name.clone()).or_insert(shown(row)?);
        }
    }
    Ok(json!({"Volumes": out.into_values().collect::<Vec<_>>(), "Warnings": null}))
}

/// `GET /volumes/{name}`.
pub async fn inspect(caller: &Caller, name: &str) -> Outcome<Value> {
    caller.may("volume", Deed::Read)?;
    let all = All::read(caller).await?;
    all.named(name)?
        .first()
        .map_or_else(|| Err(Refusal::nowhere()), |row| shown(row))
}

/// `POST /volumes/create`: one that is there already is the answer, if it is as it is wanted.
pub async fn create(caller: &mut Caller, body: Value) -> Outcome<Value> {
    let ty = caller.may("volume", Deed::Create)?;
    let body = canonical(body);
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = match text("Name") {
        "" => random_name(),
        name => name.to_owned(),
    };
    check_name(&name)?;
    let driver = match text("Driver") {
        "" => LOCAL,
        driver => driver,
    };
    if body.get("ClusterVolumeSpec").is_some() {
        return Err(Refusal::not_built(
            "ClusterVolumeSpec: volumes are those of the engines",
        ));
    }
    if let Ok(found) = All::read(caller).await?.named(&name) {
        let row = found.into_iter().find(|row| driver_of(row) == driver);
        return row.map(shown).unwrap_or_else(|| {
            let words = format!("create {name}: conflict: volume name must be unique: {name:?} is of another driver");
            Err(Refusal::new(StatusCode::CONFLICT, words))
        });
    }
    let options = body.get("DriverOpts").cloned().unwrap_or(Value::Null);
    let sent = json!({"name": name, "driver": driver, "driverOpts": options});
    let mut input = caller.validated(&ty, sent, Purpose::Create, None).await?;
    caller.note(&ty.def, None, "create", &named(&name));
    input.insert(LABELS.into(), given_labels(&body)?);
    let made = caller.engine.create(&caller.scope, &ty, input).await?;
    made.first().map_or_else(|| Err(Refusal::nowhere()), shown)
}

/// `DELETE /volumes/{name}`.
pub async fn remove(caller: &mut Caller, name: &str, query: &Query) -> Outcome<()> {
    caller.may("volume", Deed::Remove)?;
    let all = All::read(caller).await?;
    let found = match all.named(name) {
        // What is to be gone in any case is gone.
        Err(_) if query.truth("force")? => return Ok(()),
        found => found?,
    };
    let mut users = Vec::new();
    for id in all.users_of(&found) {
        let container = caller.engine.row(&caller.scope, "instance", id)?;
        let known = container.map(|row| fields(&row)).transpose()?;
        users.push(known.and_then(|own| own.text("externalId")).unwrap_or_default());
    }
    if !users.is_empty() {
        let words = format!("remove {name}: volume is in use - [{}]", users.join(", "));
        return Err(Refusal::new(StatusCode::CONFLICT, words));
    }
    let rows: Vec<Resource> = found.into_iter().cloned().collect();
    delete(caller, rows).await
}

/// `POST /volumes/prune`: removes all that no container mounts.
pub async fn prune(caller: &mut Caller, query: &Query) -> Outcome<Value> {
    caller.may("volume", Deed::Remove)?;
    let filters = query.filters(&["label", "label!"])?;
    let all = All::read(caller).await?;
    let mut unused = Vec::new();
    for row in all.rows.into_iter().filter(|row| !all.users.contains_key(&row.id)) {
        let own = labels(&fields(&row)?, LABELS)?;
        if filters.labels("label", &own) && filters.lacks("label!", &own) {
            unused.push(row);
        }
    }
    let names: BTreeSet<String> = unused.iter().map(|row| row.name.clone()).collect();
    delete(caller, unused).await?;
    // How much was in them is known to the engines alone.
    Ok(json!({"VolumesDeleted": names, "SpaceReclaimed": 0}))
}

async fn delete(caller: &mut Caller, rows: Vec<Resource>) -> Outcome<()> {
    let ty = caller.may("volume", Deed::Remove)?;
    for row in rows {
        caller.note(&ty.def, Some(&row), "delete", &Input::new());
        caller.engine.delete(&caller.scope, &ty, row.id).await?;
    }
    Ok(())
}

fn driver_of(row: &Resource) -> String {
    let own = fields(row).ok().and_then(|own| own.text("driver"));
    own.filter(|driver| !driver.is_empty())
        .unwrap_or_else(|| LOCAL.to_owned())
}

fn check_name(name: &str) -> Outcome<()> {
    let is_first = |c: char| c.is_ascii_alphanumeric();
    let is_other = |c: char| is_first(c) || "_.-".contains(c);
    let fits = name.len() > 1 && name.len() <= 255 && name.starts_with(is_first) && name.chars().all(is_other);
    match fits {
        true => Ok(()),
        false => Err(Refusal::bad(format!(
            "create {name}: {name:?} includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        ))),
    }
}

/// One that nobody else thinks of, as long as Docker's.
fn random_name() -> String {
    format!("{}{}", new_uuid().simple(), new_uuid().simple())
}

fn shown(row: &Resource) -> Outcome<Value> {
    let own = fields(row)?;
    let options: Option<BTreeMap<String, String>> = own.read("driverOpts")?;
    Ok(json!({
        "CreatedAt": nanos(row.created),
        "Driver": driver_of(row),
        "Labels": labels(&own, LABELS)?,
        // Each engine has its own, and tells nobody.
        "Mountpoint": "",
        "Name": row.name,
        "Options": options,
        "Scope": "local",
    }))
}
