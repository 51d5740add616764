//! Servers: the hosts of a project, and hosts that are expected.
//!
//! A server that is made here is a record. Once the project has a host of its hostname, or one that is called so, the record is that host, and stays what it
//! is called here; until then nothing can be brought to it. A host without a record is a server by itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Call;
use super::caller::{Asker, Caller, fields, spec};
use super::fields::text;
use super::refusal::{Code, Outcome, Refusal};
use super::routes::Deed;
use super::things::list_of;
use crate::engine::{Input, ObjectChange};
use crate::model::{Resource, State};

/// The type of records.
pub const RECORD: &str = "bridgeportServer";
/// The letters of their ids.
const LETTERS: &str = "bph";
/// Where a host keeps what is said of it here.
const FIELD: &str = "bridgeportSpec";

/// A server.
#[derive(Debug, Clone)]
pub struct Server {
    /// What it is called in paths and bodies.
    pub id: String,
    /// Its name.
    pub name: String,
    hostname: String,
    record: Option<Resource>,
    /// The host that it is, if that is there.
    pub host: Option<Resource>,
    kept: Map<String, Value>,
}

impl Server {
    /// Whether an id of a server means this one: its own, or that of its host.
    pub fn is(&self, engine_id: impl Fn(&Resource) -> String, id: &str) -> bool {
        self.id == id || self.host.as_ref().is_some_and(|host| engine_id(host) == id)
    }

    fn status(&self) -> &'static str {
        let Some(host) = &self.host else { return "unknown" };
        let agent = fields(host).ok().and_then(|fields| fields.text("agentState"));
        match (host.state, agent.as_deref()) {
            (State::ACTIVE | State::UPDATING_ACTIVE, None | Some("" | "active")) => "healthy",
            (State::ACTIVE | State::UPDATING_ACTIVE, Some("disconnected" | "reconnecting")) => "unhealthy",
            _ => "unknown",
        }
    }

    fn shown(&self, caller: &Caller<'_>) -> Value {
        let created = self
            .record
            .as_ref()
            .or(self.host.as_ref())
            .map(|row| row.created.to_wire_millis());
        let tags = self.kept.get("tags").cloned().unwrap_or_else(|| json!([]));
        json!({
            "id": self.id, "environmentId": caller.environment_id(), "name": self.name, "hostname": self.hostname,
            "publicIp": self.kept.get("publicIp"), "status": self.status(), "tags": tags.to_string(),
            "createdAt": created,
        })
    }
}

/// All servers of a project, by name.
pub async fn all(caller: &Caller<'_>) -> Outcome<Vec<Server>> {
    let mut hosts = BTreeMap::new();
    for host in caller.lasting("host").await? {
        hosts.insert(host.id, host);
    }
    let mut out = Vec::new();
    for record in caller.lasting(RECORD).await? {
        let kept = spec(&record)?;
        let hostname = text(&kept, "hostname").unwrap_or_default();
        let mut found = None;
        for host in hosts.values() {
            let is_called = |name: &str| name.eq_ignore_ascii_case(&hostname);
            if is_called(&hostname_of(host)?) || is_called(&host.name) {
                found = Some(host.id);
                break;
            }
        }
        out.push(Server {
            id: caller.engine.wire_id(&record),
            name: record.name.clone(),
            hostname,
            host: found.and_then(|id| hosts.remove(&id)),
            record: Some(record),
            kept,
        });
    }
    for host in hosts.into_values() {
        let hostname = hostname_of(&host)?;
        let name = if host.name.is_empty() {
            hostname.clone()
        } else {
            host.name.clone()
        };
        out.push(Server {
            id: caller.engine.wire_id(&host),
            name,
            hostname,
            record: None,
            kept: fields(&host)?.read(FIELD)?.unwrap_or_default(),
            host: Some(host),
        });
    }
    out.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(out)
}

fn hostname_of(host: &Resource) -> Outcome<String> {
    let own = fields(host)?.text("hostname").filter(|name| !name.is_empty());
    Ok(own.unwrap_or_else(|| host.name.clone()))
}

/// The server of an id in a project.
pub async fn find(caller: &Caller<'_>, id: &str) -> Outcome<Option<Server>> {
    let all = all(caller).await?;
    Ok(all
        .into_iter()
        .find(|server| server.is(|host| caller.engine.wire_id(host), id)))
}

/// The server of an id, and the caller in its project.
pub async fn reach<'a>(asker: &'a Asker, id: &str) -> Outcome<(Caller<'a>, Server)> {
    let (caller, _) = match asker.reach(RECORD, LETTERS, id, "Server") {
        Ok(found) => found,
        Err(refusal) if refusal.code == Code::NotFound => asker.reach("host", "h", id, "Server")?,
        Err(refusal) => return Err(refusal),
    };
    let server = find(&caller, id).await?.ok_or_else(|| Refusal::missing("Server"))?;
    Ok((caller, server))
}

/// What is asked of servers.
pub async fn lead(asker: &Asker, deed: Deed, call: &Call) -> Outcome<Value> {
    match deed {
        Deed::List => {
            let Some(caller) = asker.environment(call)? else {
                return Ok(json!({"servers": [], "total": 0}));
            };
            let all = all(&caller).await?;
            let shown = all.iter().map(|server| server.shown(&caller)).collect();
            list_of(call, "servers", shown, 1_000)
        }
        Deed::Create => create(asker, call).await,
        Deed::Read => {
            let (caller, server) = reach(asker, call.param("id")).await?;
            Ok(json!({"server": server.shown(&caller)}))
        }
        Deed::Update => update(asker, call).await,
        Deed::Remove => remove(asker, call).await,
    }
}

/// 409 if another server of the project has this name, or is expected under this hostname.
async fn check_free(caller: &Caller<'_>, name: &str, hostname: &str, own: Option<&str>) -> Outcome<()> {
    for other in all(caller).await?.iter().filter(|other| Some(other.id.as_str()) != own) {
        if other.name == name && other.record.is_some() {
            return Err(Refusal::taken(
                "name",
                "A server with this name exists in this environment",
            ));
        }
        if other.hostname.eq_ignore_ascii_case(hostname) && other.record.is_some() {
            return Err(Refusal::taken(
                "hostname",
                "A server with this hostname exists in this environment",
            ));
        }
    }
    Ok(())
}

async fn create(asker: &Asker, call: &Call) -> Outcome<Value> {
    let mut caller = asker.environment_to_change(call)?;
    let (name, hostname) = (
        text(&call.body, "name").unwrap_or_default(),
        text(&call.body, "hostname").unwrap_or_default(),
    );
    check_free(&caller, &name, &hostname, None).await?;
    let mut kept = call.body.clone();
    kept.shift_remove("name");
    let def = caller.hidden(RECORD)?;
    caller.note(&def, None, "create", &call.body);
    let made = ObjectChange {
        name: Some(name),
        spec: kept,
        unique: &[&["name"], &["hostname"]],
    };
    let row = caller.engine.add_object(&caller.scope, RECORD, made).await?;
    let id = caller.engine.wire_id(&row);
    let server = find(&caller, &id).await?.ok_or_else(|| Refusal::missing("Server"))?;
    Ok(json!({"server": server.shown(&caller)}))
}

async fn update(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (mut caller, server) = reach(asker, call.param("id")).await?;
    caller.check_may_change()?;
    let name = text(&call.body, "name");
    let hostname = text(&call.body, "hostname");
    let mut kept = call.body.clone();
    kept.shift_remove("name");
    match (&server.record, &server.host) {
        (Some(record), _) => {
            let (new_name, new_host) = (
                name.clone().unwrap_or(server.name.clone()),
                hostname.unwrap_or(server.hostname.clone()),
            );
            check_free(&caller, &new_name, &new_host, Some(&server.id)).await?;
            let def = caller.hidden(RECORD)?;
            caller.note(&def, Some(record), "update", &call.body);
            let change = ObjectChange {
                name,
                spec: kept,
                unique: &[&["name"], &["hostname"]],
            };
            caller.engine.change_object(&caller.scope, record, change).await?;
        }
        (None, Some(host)) => {
            if hostname.as_ref().is_some_and(|hostname| *hostname != server.hostname) {
                return Err(Refusal::taken("hostname", "A host says itself what it is called"));
            }
            kept.shift_remove("hostname");
            let mut own = server.kept.clone();
            own.extend(kept);
            let mut input = Input::from_iter([(FIELD.to_owned(), Value::Object(own))]);
            input.extend(name.map(|name| ("name".to_owned(), json!(name))));
            let ty = caller.view_of("host")?;
            caller.note(&ty.def, Some(host), "update", &input);
            caller.check_host(&ty)?;
            caller.engine.write_row(&caller.scope, host, input).await?;
        }
        (None, None) => return Err(Refusal::missing("Server")),
    }
    let server = find(&caller, &server.id)
        .await?
        .ok_or_else(|| Refusal::missing("Server"))?;
    Ok(json!({"server": server.shown(&caller)}))
}

async fn remove(asker: &Asker, call: &Call) -> Outcome<Value> {
    let (mut caller, server) = reach(asker, call.param("id")).await?;
    caller.check_may_change()?;
    let Some(record) = &server.record else {
        return Err(Refusal::new(
            Code::Conflict,
            "This is a host of the project: it is removed at /v2-beta/hosts",
        ));
    };
    for placement in caller.lasting(super::placed::KIND).await? {
        if text(&spec(&placement)?, "serverId").as_deref() == Some(server.id.as_str()) {
            return Err(Refusal::new(Code::Conflict, "Services are placed on this server"));
        }
    }
    let def = caller.hidden(RECORD)?;
    caller.note(&def, Some(record), "delete", &Input::new());
    caller.engine.drop_objects(&caller.scope, record, Vec::new()).await?;
    Ok(json!({"success": true}))
}

impl Caller<'_> {
    /// 403 unless the caller's view lets it change hosts.
    fn check_host(&self, ty: &crate::schema::TypeView) -> Outcome<()> {
        match ty.resource_methods.iter().any(|method| method == "PUT") {
            true => Ok(()),
            false => Err(Refusal::new(Code::Role, "This role may not change hosts")),
        }
    }
}
