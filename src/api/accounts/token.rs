//! `/token`: logging in and out. Needs no login itself, and says whether the rest does.

use std::sync::Arc;

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::api::resources::collection::{self, Head};
use crate::api::wire::call::{Reply, plain_object};
use crate::api::wire::request::{Base, Verb};
use crate::api::wire::route::{Route, Target};
use crate::auth::{Basic, Gate, Presented};
use crate::engine::{Account, Engine, Input, LOCAL, Proof};
use crate::model::{Error, ErrorKind, Result};

/// What a browser is told to forget when it has logged out.
pub const NO_COOKIE: &str = "token=;Path=/;Expires=Thu, 01 Jan 1970 00:00:00 GMT;";

/// A request for `/token`.
pub struct Login<'r> {
    /// Checks passwords.
    pub gate: &'r Gate,
    /// Keeps sessions.
    pub engine: &'r Arc<Engine>,
    /// The token that is there already, and the address.
    pub presented: &'r Presented<'r>,
    /// What links begin with.
    pub base: &'r Base,
    /// The path.
    pub route: &'r Route<'r>,
    /// The method.
    pub verb: Verb,
    /// `actions` or `actionLinks`.
    pub actions_key: &'static str,
}

/// Whether a path is about logging in.
pub fn is_asked(target: &Target<'_>) -> bool {
    let (Target::Collection(ty) | Target::Resource { ty, .. }) = target else {
        return false;
    };
    ty.eq_ignore_ascii_case("token") || ty.eq_ignore_ascii_case("tokens")
}

/// Says who is logged in, logs in, or out.
pub async fn answer(login: &Login<'_>, body: Input) -> Result<Reply> {
    match (login.verb, &login.route.target) {
        (Verb::Get, Target::Collection(_)) => list(login),
        (Verb::Get, _) => Ok(Reply::ok(login.object(login.current()?)?)),
        (Verb::Post, Target::Collection(_)) => log_in(login, &body).await,
        (Verb::Delete, Target::Resource { .. }) => log_out(login).await,
        _ => Err(Error::new(ErrorKind::MethodNotAllowed)),
    }
}

/// Quirk: a collection, of exactly one.
fn list(login: &Login<'_>) -> Result<Reply> {
    let url = [&login.base.root, "/token"].concat();
    let mut out = String::with_capacity(1024);
    let (root, actions_key) = (login.base.root.as_str(), login.actions_key);
    collection::open(
        &mut out,
        &Head {
            resource_type: "token",
            url: &url,
            create_types: None,
            root,
            actions_key,
        },
    );
    out.push_str(&login.object(login.current()?)?);
    collection::close(&mut out, None);
    Ok(Reply::ok(out))
}

async fn log_in(login: &Login<'_>, body: &Input) -> Result<Reply> {
    if login.engine.policy()?.provider.is_none() {
        let why = "nobody can log in: access control was not turned on through localAuthConfig";
        return Err(Error::not_implemented(why).with_code("NoAuthProvider"));
    }
    if let Some(provider) = body.get("authProvider").and_then(Value::as_str)
        && !provider.eq_ignore_ascii_case(LOCAL)
    {
        return Err(Error::invalid("InvalidOption", "authProvider"));
    }
    let code = match body.get("code") {
        None | Some(Value::Null) => return Err(Error::invalid("MissingRequired", "code")),
        Some(Value::String(code)) if code.len() <= MOST => code,
        Some(_) => return Err(Error::invalid("InvalidFormat", "code")),
    };
    let basic = Basic::parse(code).ok_or_else(|| Error::new(ErrorKind::Forbidden))?;
    let id = login.gate.check_login(&basic, login.presented.client).await?;
    let (session, token) = login.engine.begin_session(id).await?;
    let scope = login
        .engine
        .admit(login.route.version, Proof::Session(session), id, None)?;
    login.engine.make_first_project(&scope, &basic.name).await?;
    let account = login
        .engine
        .account(id)?
        .ok_or_else(|| Error::new(ErrorKind::Unauthorized))?;
    let mut fields = login.fields(Some((&account, &basic.name)))?;
    fields.insert("jwt".into(), Value::from(token));
    Ok(Reply::new(
        StatusCode::CREATED,
        plain_object("token", &fields, login.actions_key),
    ))
}

/// Names and passwords longer than this are nobody's, and hashing them takes time.
const MOST: usize = 1024;

async fn log_out(login: &Login<'_>) -> Result<Reply> {
    let Some((token, _)) = login.presented.token() else {
        return Err(Error::new(ErrorKind::BadRequest).with_code("JWTNotProvided"));
    };
    if let Some((session, _)) = login.engine.check_session(token)? {
        login.engine.end_session(session).await?;
    }
    Ok(Reply::new(StatusCode::NO_CONTENT, String::new()))
}

impl Login<'_> {
    /// Who is logged in by the token of this request.
    fn current(&self) -> Result<Option<Account>> {
        let Some((token, _)) = self.presented.token() else {
            return Ok(None);
        };
        let session = self.engine.check_session(token)?;
        session
            .map(|(_, account)| self.engine.account(account))
            .transpose()
            .map(Option::flatten)
    }

    fn object(&self, account: Option<Account>) -> Result<String> {
        let fields = self.fields(account.as_ref().map(|a| (a, a.name.as_str())))?;
        Ok(plain_object("token", &fields, self.actions_key))
    }

    fn fields(&self, account: Option<(&Account, &str)>) -> Result<Map<String, Value>> {
        let policy = self.engine.policy()?;
        let identity = account.map(|(account, login)| {
            let id = format!("1a{}", account.id);
            json!({
                "id": format!("1i!rancher_id:{id}"), "type": "identity", "links": {}, self.actions_key: {}, "baseType": "identity",
                "all": null, "externalId": id, "externalIdType": "rancher_id", "login": login, "name": account.name,
                "profilePicture": null, "profileUrl": null, "projectId": null, "role": null, "user": true,
            })
        });
        let fields = json!({
            "accountId": account.map(|(a, _)| format!("1a{}", a.id)),
            "authProvider": policy.provider,
            "code": null,
            "enabled": policy.is_on,
            "identities": identity.iter().collect::<Vec<_>>(),
            "jwt": null,
            "originalLogin": null,
            "redirectUrl": null,
            "security": policy.is_on,
            "user": account.map(|(_, login)| login),
            "userIdentity": identity,
            "userType": account.map(|(a, _)| a.kind.as_str()),
        });
        match fields {
            Value::Object(fields) => Ok(fields),
            _ => Err(Error::bug("a token is an object")),
        }
    }
}
