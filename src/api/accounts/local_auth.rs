//! `/localAuthConfig`: turning access control on and off.

use actix_web::http::StatusCode;
use serde_json::{Value, json};

use crate::api::resources::collection;
use crate::api::wire::call::{Call, Reply, plain_object};
use crate::api::wire::request::Verb;
use crate::api::wire::route::Target;
use crate::engine::{AccessMode, Input, LOCAL, LocalAuth};
use crate::model::{Error, ErrorKind, Result};

/// The longest name, and the longest password.
const MOST: usize = 255;

/// Whether a path is about this.
pub fn is_asked(target: &Target<'_>) -> bool {
    let (Target::Collection(ty) | Target::Resource { ty, .. }) = target else {
        return false;
    };
    ty.eq_ignore_ascii_case(LOCAL) || ty.eq_ignore_ascii_case("localAuthConfigs")
}

/// Says how access is controlled, or changes it.
pub async fn answer(call: &Call<'_>, body: &Input) -> Result<Reply> {
    let may_read = call.verb == Verb::Get && call.view.find_by_path(LOCAL).is_some();
    if !call.scope.rules() && !may_read {
        return Err(Error::not_found());
    }
    match call.verb {
        Verb::Get => read(call),
        Verb::Post => write(call, body).await,
        Verb::Put | Verb::Delete | Verb::Other => Err(Error::new(ErrorKind::MethodNotAllowed)),
    }
}

fn read(call: &Call<'_>) -> Result<Reply> {
    let policy = call.engine.policy()?;
    let mode = call.engine.access_mode()?;
    let is_on = policy.is_on && policy.provider.as_deref() == Some(LOCAL);
    let body = object(call, &[("accessMode", mode.as_str().into()), ("enabled", is_on.into())]);
    let mut out = String::with_capacity(body.len() + 512);
    collection::open_plain(&mut out, call, LOCAL);
    out.push_str(&body);
    collection::close(&mut out, None);
    Ok(Reply::ok(out))
}

async fn write(call: &Call<'_>, body: &Input) -> Result<Reply> {
    let enabled = match body.get("enabled") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(is_on)) => Some(*is_on),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Some(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Some(false),
        Some(_) => return Err(Error::invalid("InvalidFormat", "enabled")),
    };
    let mode = text(body, "accessMode")?.unwrap_or_else(|| AccessMode::Unrestricted.as_str().to_owned());
    let mode = AccessMode::parse(&mode).ok_or_else(|| Error::invalid("InvalidOption", "accessMode"))?;
    let username = text(body, "username")?.unwrap_or_default();
    // Quirk: `false` with a name is the first half of turning it on, as the UI does it: who logs in then shows that it will be
    // let in afterwards. Without a name it means what null means.
    let is_on = match enabled {
        Some(true) => true,
        Some(false) if !username.is_empty() => false,
        _ => {
            call.engine.turn_access_control_off(call.scope).await?;
            return Ok(Reply::new(
                StatusCode::CREATED,
                object(call, &[("accessMode", mode.as_str().into()), ("enabled", Value::Null)]),
            ));
        }
    };
    if username.is_empty() {
        return Err(Error::invalid("MissingRequired", "username"));
    }
    // A login is `name:password`.
    if username.contains(':') || username.trim() != username || username.chars().any(char::is_control) {
        return Err(Error::invalid("InvalidCharacters", "username"));
    }
    let password = text(body, "password")?
        .filter(|password| !password.is_empty())
        .ok_or_else(|| Error::invalid("MissingRequired", "password"))?;
    let name = text(body, "name")?.unwrap_or_else(|| "admin".to_owned());
    let auth = LocalAuth {
        username: username.clone(),
        password: password.clone(),
        name: name.clone(),
        mode,
        is_on,
    };
    call.engine.set_access_control_up(call.scope, auth).await?;
    let fields = [
        ("accessMode", mode.as_str().into()),
        ("enabled", is_on.into()),
        ("name", name.into()),
        // Only in this answer.
        ("password", password.into()),
        ("username", username.into()),
    ];
    Ok(Reply::new(StatusCode::CREATED, object(call, &fields)))
}

fn text(body: &Input, name: &'static str) -> Result<Option<String>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() > MOST => Err(Error::invalid("MaxLengthExceeded", name)),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::invalid("InvalidFormat", name)),
    }
}

fn object(call: &Call<'_>, known: &[(&str, Value)]) -> String {
    let mut fields = json!({"accessMode": null, "enabled": null, "name": null, "password": null, "username": null});
    if let Some(fields) = fields.as_object_mut() {
        fields.extend(known.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
    plain_object(
        LOCAL,
        fields.as_object().unwrap_or(&serde_json::Map::new()),
        call.actions_key,
    )
}
