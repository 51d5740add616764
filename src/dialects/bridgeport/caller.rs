//! Who asks: what proved it, what it may do here, and its scope in each project.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use actix_web::HttpRequest;
use serde_json::Value;

use super::refusal::{Code, Outcome, Refusal};
use super::routes::{Route, Who};
use super::{BridgeportApi, Call};
use crate::auth::Identified;
use crate::dialects::caller;
pub use crate::dialects::caller::fields;
use crate::dialects::entry::Claim;
use crate::engine::{Account, Bearer, BearerRole, Engine, Input, Proof, Scope, spec_of};
use crate::model::{ErrorKind, Resource, ResourceId, State, WireId};
use crate::schema::validate::Purpose;
use crate::schema::{Role, Type, TypeView, Version};

/// Somebody who proved to be somebody.
pub struct Asker {
    /// Does what is asked.
    pub engine: Arc<Engine>,
    /// The account.
    pub account: Account,
    /// What it may do here.
    pub role: BearerRole,
    /// The token that it came with, if it was one.
    pub bearer: Option<Bearer>,
    /// What it showed, which tells it from others.
    pub credential: String,
    proof: Proof,
    client_ip: String,
    /// The scope of what was asked for last, for the audit log.
    noted: RefCell<Option<Scope>>,
}

/// Somebody in a project.
pub struct Caller<'a> {
    /// Who.
    pub asker: &'a Asker,
    /// The same in this project.
    pub one: caller::Caller,
}

impl Deref for Caller<'_> {
    type Target = caller::Caller;

    fn deref(&self) -> &Self::Target {
        &self.one
    }
}

impl DerefMut for Caller<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.one
    }
}

/// What an account is here: who runs the server, who uses it, who looks.
pub fn role_of(account: &Account) -> Option<BearerRole> {
    match account.kind.as_str() {
        "admin" | "superadmin" => Some(BearerRole::Admin),
        "user" | "project" | "service" => Some(BearerRole::Operator),
        "readAdmin" => Some(BearerRole::Viewer),
        _ => None,
    }
}

impl Asker {
    /// Who sent a request.
    ///
    /// # Errors
    /// 401 for nobody, 403 for an account that has no place here, 429 for too many wrong credentials.
    pub async fn identify(state: &BridgeportApi, request: &HttpRequest) -> Outcome<Self> {
        let entry = &state.entry;
        let headers = request.headers();
        let claim = Claim {
            must_prove: true,
            ..Claim::default()
        };
        let presented = entry.presented(request, claim);
        let Identified { proof, account, bearer } = entry.gate.identify(&presented).await?;
        entry.guard.check_origin(headers)?;
        let unauthorized = || Refusal::new(Code::Unauthorized, "Unauthorized");
        let account = entry.engine.account(account)?.ok_or_else(unauthorized)?;
        let own = role_of(&account).ok_or_else(|| Refusal::new(Code::Role, "This account has no place here"))?;
        Ok(Self {
            engine: entry.engine.clone(),
            role: bearer.as_ref().map_or(own, |bearer| bearer.role.min(own)),
            account,
            bearer,
            credential: presented.authorization.unwrap_or_default().to_owned(),
            proof,
            client_ip: entry.client_text(request),
            noted: RefCell::default(),
        })
    }

    /// 403 for a token that does not open what a route leads to. One that opens some environments opens nothing outside their paths.
    pub fn check_scope(&self, route: &Route, call: &Call) -> Outcome<()> {
        let Some(bearer) = self.bearer.as_ref().filter(|bearer| bearer.projects.is_some()) else {
            return Ok(());
        };
        let environment = Some(call.param("envId")).filter(|id| !id.is_empty());
        let is_open = match environment {
            Some(id) => environment_id(id).is_some_and(|id| bearer.opens(id)),
            None => route.who == Who::Themselves,
        };
        match is_open {
            true => Ok(()),
            false => Err(Refusal::new(Code::Scope, "This token does not open this environment")),
        }
    }

    /// 403 for who may not do this anywhere.
    pub fn check_role(&self, route: &Route, method: &str) -> Outcome<()> {
        let least = match route.who {
            Who::Admins => BearerRole::Admin,
            Who::Usual if method != "GET" => BearerRole::Operator,
            Who::Usual | Who::Anybody | Who::Themselves => BearerRole::Viewer,
        };
        match self.role >= least {
            true => Ok(()),
            false => Err(Refusal::new(
                Code::Role,
                format!("This needs the role {}", least.as_str()),
            )),
        }
    }

    /// The scope outside projects.
    pub fn scope(&self) -> Outcome<Scope> {
        Ok(self.engine.admit(Version::V2Beta, self.proof, self.account.id, None)?)
    }

    /// The caller in a project; none if it may not enter, or there is none.
    pub fn enter(&self, project: ResourceId) -> Outcome<Option<Caller<'_>>> {
        let wire = format!("1a{project}");
        match self
            .engine
            .admit(Version::V2Beta, self.proof, self.account.id, Some(&wire))
        {
            Ok(scope) => Ok(Some(Caller {
                asker: self,
                one: caller::Caller::new(&self.engine, scope, self.client_ip.clone()),
            })),
            Err(error) if error.kind == ErrorKind::Forbidden => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The caller in the environment that the path names; none if it may not enter, or there is none.
    pub fn environment(&self, call: &Call) -> Outcome<Option<Caller<'_>>> {
        match environment_id(call.param("envId")) {
            Some(id) => self.enter(id),
            None => Ok(None),
        }
    }

    /// The same to change something there.
    pub fn environment_to_change(&self, call: &Call) -> Outcome<Caller<'_>> {
        let caller = self.environment(call)?.ok_or_else(|| Refusal::missing("Environment"))?;
        caller.check_may_change()?;
        Ok(caller)
    }

    /// A row by its id, and the caller in its project. Whoever may not enter that is told that there is none.
    pub fn reach(&self, root: &str, letters: &str, id: &str, what: &str) -> Outcome<(Caller<'_>, Resource)> {
        let missing = || Refusal::missing(what);
        let id = WireId::parse(id)
            .filter(|wire| wire.letters == letters)
            .ok_or_else(missing)?
            .id;
        let project = self.engine.account_of(root, id)?.ok_or_else(missing)?;
        let caller = self.enter(project)?.ok_or_else(missing)?;
        let row = caller.engine.row(&caller.scope, root, id)?.ok_or_else(missing)?;
        match row.state {
            State::REMOVING => Err(missing()),
            _ => Ok((caller, row)),
        }
    }

    /// The same to change it.
    pub fn reach_to_change(&self, root: &str, letters: &str, id: &str, what: &str) -> Outcome<(Caller<'_>, Resource)> {
        let (caller, row) = self.reach(root, letters, id, what)?;
        caller.check_may_change()?;
        Ok((caller, row))
    }

    /// Notes for the audit log what is asked for.
    pub fn note(&self, scope: &mut Scope, ty: &Type, row: Option<&Resource>, operation: &str, body: &Input) {
        caller::note(&self.engine, scope, &self.client_ip, (ty, row, operation, body));
        self.noted.replace(Some(scope.clone()));
    }

    /// Writes the audit row of a request that wrote none with a change.
    pub async fn record(&self, state: &BridgeportApi, refusal: Option<&Refusal>, request_id: &str) {
        let Some(scope) = self.noted.take() else { return };
        let status = refusal.map_or(actix_web::http::StatusCode::OK, |refusal| refusal.status);
        let said = refusal.map(|refusal| refusal.to_json(request_id).to_string());
        state.entry.record(&scope, status, said).await;
    }
}

/// The project that an environment's id is.
pub fn environment_id(id: &str) -> Option<ResourceId> {
    WireId::parse(id).filter(|wire| wire.letters == "a").map(|wire| wire.id)
}

impl Caller<'_> {
    /// 403 for who only looks at this project.
    pub fn check_may_change(&self) -> Outcome<()> {
        match self.scope.role {
            Role::Readonly | Role::ReadAdmin => Err(Refusal::new(Code::Role, "You may only look at this environment")),
            _ => Ok(()),
        }
    }

    /// The id of its environment.
    pub fn environment_id(&self) -> String {
        format!("1a{}", self.scope.effective.id)
    }

    /// The caller's view of a type.
    pub fn view_of(&self, kind: &str) -> Outcome<Arc<TypeView>> {
        let found = self.view.find_by_kind(kind).cloned();
        found.ok_or_else(|| Refusal::new(Code::Role, format!("This role sees no {kind}")))
    }

    /// Notes for the audit log what is asked for.
    pub fn note(&mut self, ty: &Type, row: Option<&Resource>, operation: &str, body: &Input) {
        self.asker.note(&mut self.one.scope, ty, row, operation, body);
    }

    /// A row of the project by its id.
    pub fn row(&self, root: &str, letters: &str, id: &str) -> Outcome<Option<Resource>> {
        let Some(wire) = WireId::parse(id).filter(|wire| wire.letters == letters) else {
            return Ok(None);
        };
        let row = self.engine.row(&self.scope, root, wire.id)?;
        Ok(row.filter(|row| row.state != State::REMOVING))
    }

    /// A body in Rancher's words, checked by the caller's view.
    pub async fn checked(&self, kind: &str, body: Value, purpose: Purpose, own: Option<ResourceId>) -> Outcome<Input> {
        let ty = self.view_of(kind)?;
        Ok(self.validated(&ty, body, purpose, own).await?)
    }
}

/// What is kept of an object.
pub fn spec(row: &Resource) -> Outcome<Input> {
    Ok(spec_of(row)?)
}
