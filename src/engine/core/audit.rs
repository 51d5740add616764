//! The audit log: who asked for which change, and what came of it.
//!
//! The row of a request that succeeds is written in the request's own transaction: there is no change without its row, and
//! no row of a change that was lost. A request that is refused has changed nothing; its row is written by itself.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};

use crate::model::json::push_string;
use crate::model::{Resource, Result, Timestamp};
use crate::schema::{Type, View, layout, render};
use crate::store::{AuditEntry, Priority, Tx};

use super::ids::SYSTEM;
use super::request::{Input, Scope};
use super::settings;
use super::state::Core;

/// Requests about these leave no row: they are part of how things work, or of logging in (cattle: `AuditServiceImpl`).
const UNLOGGED: [&str; 15] = [
    "publish",
    "subscribe",
    "configContent",
    "externalHandler",
    "externalService",
    "hostApiProxyToken",
    "token",
    "serviceEvent",
    "userPreference",
    "dynamicSchema",
    "containerEvent",
    "externalEvent",
    "externalServiceEvent",
    "externalVolumeEvent",
    "externalStoragePoolEvent",
];

/// What is left out of bodies, wherever it stands.
const SECRETS: [&str; 9] = [
    "secretValue",
    "secretKey",
    "password",
    "newSecret",
    "oldSecret",
    "adminAccountPassword",
    "serviceAccountPassword",
    "authKey",
    "jwt",
];

/// Of these a text holds one if it holds a name of [`SECRETS`] in quotes; fewer of them, as each is looked for in each answer.
const SIGNS: [&str; 6] = [
    "secretValue\"",
    "secretKey\"",
    "assword\"",
    "Secret\"",
    "authKey\"",
    "jwt\"",
];

/// What is left out of the bodies of one type beside [`SECRETS`].
const SECRETS_OF: [(&str, &[&str]); 5] = [
    ("certificate", &["key"]),
    ("host", &["tlsKey"]),
    ("secret", &["value"]),
    ("register", &["key", "authToken"]),
    ("registrationToken", &["token", "command"]),
];

/// Types whose `<driver>Config` holds the keys of a cloud (cattle leaves out whatever ends in `Config`, launch
/// configurations too).
const DRIVEN: [&str; 3] = ["host", "machine", "hostTemplate"];

/// A longer body is not kept: the log is to be read.
const LONGEST: usize = 64 * 1024;

/// A request that is to change something: what its row says of it beside who asked.
#[derive(Debug)]
pub struct Attempt {
    resource_type: String,
    operation: String,
    resource_id: Option<String>,
    client_ip: String,
    request: Option<String>,
    success: u16,
    began: Timestamp,
    is_recorded: AtomicBool,
}

/// What the API knows of such a request.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The type in the path.
    pub ty: &'a Type,
    /// The id in the path.
    pub id: Option<&'a str>,
    /// `create`, `update`, `delete`, or an action's name.
    pub operation: &'a str,
    /// The body.
    pub body: &'a Input,
    /// Where the request came from, or empty.
    pub client_ip: &'a str,
}

impl Attempt {
    /// Where the request came from, or empty.
    pub(crate) fn client_ip(&self) -> &str {
        &self.client_ip
    }

    /// Notes what is asked for; `None` if requests of this type are not logged.
    pub(crate) fn new(asked: &Asked<'_>, began: Timestamp) -> Option<Self> {
        let ty = asked.ty.id.as_str();
        if UNLOGGED.contains(&ty) {
            return None;
        }
        let is_process = asked
            .ty
            .machine
            .as_ref()
            .is_some_and(|m| m.has_process(asked.operation));
        let success = match asked.operation {
            "create" if asked.id.is_none() => 201,
            "update" | "delete" if asked.id.is_some() => 200,
            // These are answered as done, though a process goes on.
            "evacuate" => 200,
            "deactivate" if ty == "account" => 200,
            _ if is_process => 202,
            _ => 200,
        };
        Some(Self {
            resource_type: ty.to_owned(),
            operation: asked.operation.to_owned(),
            resource_id: asked.id.map(str::to_owned),
            client_ip: asked.client_ip.to_owned(),
            request: shown(ty, asked.body).filter(|_| !is_secret_setting(asked)),
            success,
            began,
            is_recorded: AtomicBool::new(false),
        })
    }

    /// Whether its row is written.
    pub fn is_recorded(&self) -> bool {
        self.is_recorded.load(Ordering::Relaxed)
    }

    /// Quirk: in the names of events a project is still an environment, as it was called first (cattle: `AuditServiceImpl`).
    fn event_type(&self) -> String {
        let ty = if self.resource_type == "project" {
            "environment"
        } else {
            &self.resource_type
        };
        format!("api.{ty}.{}", self.operation)
    }
}

/// Whether a filter of the log compares what was written as it stands: what a row is about is kept as the wire writes it,
/// whatever the type of the field says.
pub(crate) fn is_kept_as_written(ty: &str, field: &str) -> bool {
    ty == "auditLog" && field == "resourceId"
}

/// What a write gives back, as far as its audit row shows it.
pub(crate) trait Written {
    /// The row the request was about.
    fn row(&self) -> Option<&Resource> {
        None
    }
}

impl Written for () {}

impl Written for Resource {
    fn row(&self) -> Option<&Resource> {
        Some(self)
    }
}

impl Written for Vec<Resource> {
    fn row(&self) -> Option<&Resource> {
        match self.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// How a request ended.
struct End {
    status: u16,
    resource_id: Option<String>,
    response: Option<String>,
}

impl Core {
    /// A request's write. Its audit row, if it is to have one, is in the same transaction.
    pub(crate) async fn write_for<T, F>(&self, scope: &Scope, closure: F) -> Result<T>
    where
        T: Written + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let written = self.write_recorded(scope, closure).await?;
        if let Some(row) = written.row() {
            self.try_again(row.id).await?;
        }
        Ok(written)
    }

    async fn write_recorded<T, F>(&self, scope: &Scope, closure: F) -> Result<T>
    where
        T: Written + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let Some(attempt) = scope.attempt.clone().filter(|a| !a.is_recorded()) else {
            return self.store.write(Priority::Request, closure).await;
        };
        let (by, registry) = (By::of(self, scope), self.registry.clone());
        let view = registry.view(scope.version, scope.role).clone();
        let noted = attempt.clone();
        let written = self.store.write(Priority::Request, move |tx| {
            let written = closure(tx)?;
            let row = written
                .row()
                .and_then(|row| Some((row, registry.type_of(&row.root, &row.kind)?)));
            let end = End {
                status: noted.success,
                resource_id: row.map(|(row, ty)| render::wire_id(&ty.prefix, row.id)),
                response: row.and_then(|(row, ty)| response(&view, ty, row)),
            };
            record(tx, &noted, &by, &end)?;
            Ok(written)
        });
        let written = written.await?;
        attempt.is_recorded.store(true, Ordering::Relaxed);
        Ok(written)
    }

    /// The row of a request that wrote none with a change of its own: a refused one, or one that changed nothing.
    pub(crate) async fn record(&self, scope: &Scope, status: u16, response: Option<String>) -> Result<()> {
        let Some(attempt) = scope.attempt.clone().filter(|a| !a.is_recorded()) else {
            return Ok(());
        };
        let by = By::of(self, scope);
        attempt.is_recorded.store(true, Ordering::Relaxed);
        let write = self.store.write(Priority::Request, move |tx| {
            let end = End {
                status,
                resource_id: None,
                response,
            };
            record(tx, &attempt, &by, &end)
        });
        write.await
    }
}

impl Core {
    /// The row of a login, or a password, that was wrong: whoever it was has no scope.
    pub(crate) async fn record_wrong_password(&self, name: &str, client_ip: &str) -> Result<()> {
        let mut request = "{\"name\":".to_owned();
        push_string(&mut request, &name.chars().take(100).collect::<String>());
        request.push('}');
        let attempt = Attempt {
            resource_type: "token".to_owned(),
            operation: "create".to_owned(),
            resource_id: None,
            client_ip: client_ip.to_owned(),
            request: Some(request),
            success: 201,
            began: self.now(),
            is_recorded: AtomicBool::new(true),
        };
        let by = By {
            effective: SYSTEM,
            user: SYSTEM,
            wire: self.wire_id("account", SYSTEM),
            auth: super::request::AuthType::None.as_str(),
        };
        let end = End {
            status: 401,
            resource_id: None,
            response: None,
        };
        self.write(move |tx| record(tx, &attempt, &by, &end)).await
    }
}

/// Who asked.
struct By {
    effective: crate::model::ResourceId,
    user: crate::model::ResourceId,
    /// The user as the wire writes it.
    wire: String,
    auth: &'static str,
}

impl By {
    fn of(core: &Core, scope: &Scope) -> Self {
        Self {
            effective: scope.effective.id,
            user: scope.user.id,
            wire: core.wire_id("account", scope.user.id),
            auth: scope.auth.as_str(),
        }
    }
}

fn record(tx: &mut Tx<'_>, attempt: &Attempt, by: &By, end: &End) -> Result<()> {
    let runtime = tx.now().since(attempt.began).as_millis();
    tx.record(&AuditEntry {
        account: by.effective,
        auth_type: by.auth,
        user: &by.wire,
        identity: &format!("1i!rancher_id:{}", by.user),
        client_ip: &attempt.client_ip,
        event_type: &attempt.event_type(),
        resource_type: &attempt.resource_type,
        resource_id: attempt.resource_id.as_deref().or(end.resource_id.as_deref()),
        response_code: end.status,
        runtime_ms: i64::try_from(runtime).unwrap_or(i64::MAX),
        request: attempt.request.as_deref(),
        response: end.response.as_deref(),
    })
}

/// Whether the value in the body is one that settings do not show.
fn is_secret_setting(asked: &Asked<'_>) -> bool {
    let name = asked
        .id
        .or_else(|| asked.body.get("name").and_then(Value::as_str))
        .unwrap_or_default();
    matches!(asked.ty.id.as_str(), "setting" | "activeSetting") && settings::is_secret(name)
}

/// A body as the log keeps it; `None` if it is too long.
fn shown(ty: &str, body: &Map<String, Value>) -> Option<String> {
    let mut text = String::with_capacity(256);
    push_members(&mut text, ty, body, true);
    (text.len() <= LONGEST).then_some(text)
}

fn push_members(out: &mut String, ty: &str, members: &Map<String, Value>, is_top: bool) {
    let mut is_first = true;
    out.push('{');
    for (name, value) in members
        .iter()
        .filter(|(name, _)| !(is_secret(name) || is_top && is_secret_of(ty, name)))
    {
        if !std::mem::take(&mut is_first) {
            out.push(',');
        }
        push_string(out, name);
        out.push(':');
        push_value(out, ty, value);
    }
    out.push('}');
}

fn push_value(out: &mut String, ty: &str, value: &Value) {
    match value {
        Value::Object(members) => push_members(out, ty, members, false),
        Value::Array(list) => {
            out.push('[');
            for (nth, value) in list.iter().enumerate() {
                if nth > 0 {
                    out.push(',');
                }
                push_value(out, ty, value);
            }
            out.push(']');
        }
        Value::String(text) => push_string(out, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => drop(write!(out, "{value}")),
    }
}

fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name)
}

fn is_secret_of(ty: &str, name: &str) -> bool {
    SECRETS_OF.iter().any(|(t, names)| *t == ty && names.contains(&name))
        || DRIVEN.contains(&ty) && name.ends_with("Config")
}

/// A row as the log keeps it: what the caller's view shows of it, without links, and without secrets.
fn response(view: &Arc<View>, ty: &Arc<Type>, row: &Resource) -> Option<String> {
    let mut text = String::with_capacity(row.fields.len() + 128);
    text.push_str(r#"{"id":"#);
    push_string(&mut text, &render::wire_id(&ty.prefix, row.id));
    for (name, value) in [
        ("type", ty.id.as_str()),
        ("name", &row.name),
        ("state", row.state.as_str()),
    ] {
        if !value.is_empty() {
            let _ = write!(text, r#","{name}":"#);
            push_string(&mut text, value);
        }
    }
    for part in layout::shown(ty, &row.fields, &row.cuts, view.bit)
        .into_iter()
        .flatten()
    {
        text.push(',');
        text.push_str(part);
    }
    text.push('}');
    let may_hold = SIGNS.iter().any(|sign| text.contains(sign))
        || SECRETS_OF.iter().any(|(t, _)| *t == ty.id)
        || DRIVEN.contains(&&*ty.id);
    if may_hold {
        return serde_json::from_str::<Map<String, Value>>(&text)
            .ok()
            .and_then(|members| shown(&ty.id, &members));
    }
    (text.len() <= LONGEST).then_some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;
    use serde_json::json;

    #[test]
    fn each_secret_shows_a_sign() {
        for name in SECRETS {
            let text = json!({ name: "S" }).to_string();
            assert!(SIGNS.iter().any(|sign| text.contains(sign)), "{name}");
        }
    }

    #[test]
    fn bodies_are_kept_without_their_secrets() {
        let cases = [
            ("apiKey", json!({"name": "k", "secretValue": "S"}), r#"{"name":"k"}"#),
            ("password", json!({"oldSecret": "S", "newSecret": "S"}), "{}"),
            (
                "certificate",
                json!({"cert": "c", "key": "S", "certChain": "d"}),
                r#"{"cert":"c","certChain":"d"}"#,
            ),
            (
                "service",
                json!({"metadata": {"key": [1, {"password": "S", "x": null}]}}),
                r#"{"metadata":{"key":[1,{"x":null}]}}"#,
            ),
            (
                "service",
                json!({"launchConfig": {"tty": true}}),
                r#"{"launchConfig":{"tty":true}}"#,
            ),
            (
                "host",
                json!({"amazonec2Config": {"accessKey": "S"}, "hostname": "h"}),
                r#"{"hostname":"h"}"#,
            ),
        ];
        for (ty, body, expected) in cases {
            assert_eq!(shown(ty, body.as_object().unwrap()).unwrap(), expected);
        }
        let long = json!({"x": "y".repeat(LONGEST)});
        assert_eq!(shown("service", long.as_object().unwrap()), None);
    }
}
