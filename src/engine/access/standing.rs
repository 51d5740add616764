//! What an account is for a project, or by itself, and the scope that follows from it. cattle: `AuthDaoImpl`.

use std::sync::Arc;

use crate::engine::core::{Account, Core, Holder, Proof, Reach, Scope, Standing, is_usable, notes};
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result, State, WireId};
use crate::schema::{Role, Version};

/// What an open server's callers see outside projects.
const OPEN_ROLE: Role = Role::Admin;

/// What the engine notes of the account of an agent that acts for its project.
#[derive(serde::Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Acting {
    acts_for: Option<i64>,
    acts_as: Option<String>,
}

pub(crate) fn unauthorized() -> Error {
    Error::new(ErrorKind::Unauthorized)
}

fn account_of(row: &Resource) -> Account {
    Account {
        id: row.id,
        kind: row.kind.clone(),
        name: row.name.clone(),
    }
}

/// Whether accounts of this kind see the rows of all accounts.
pub(super) fn reaches_all(kind: &str) -> bool {
    matches!(kind, "superadmin" | "admin" | "readAdmin" | "service")
}

impl Core {
    /// What an account is for a project, or by itself.
    pub(crate) fn standing(&self, account: ResourceId, project: Option<ResourceId>) -> Result<Standing> {
        let known = self.access.known();
        if let Some(standing) = known.standings.get(&(account, project)) {
            return Ok(standing);
        }
        let standing = match project {
            None => self.standing_alone(account)?,
            Some(project) => self.standing_in(account, project)?,
        };
        known.standings.keep((account, project), standing.clone());
        Ok(standing)
    }

    fn standing_alone(&self, account: ResourceId) -> Result<Standing> {
        let Some(row) = self.store.find(account)?.filter(is_usable) else {
            return Ok(Standing::Nobody);
        };
        let user = account_of(&row);
        let acting: Acting = notes(&row);
        if let (Some(project), Some(role)) = (acting.acts_for, acting.acts_as.as_deref().and_then(Role::parse)) {
            let project = self
                .store
                .find(ResourceId(project))?
                .filter(|p| p.kind == "project" && is_usable(p));
            let Some(project) = project.filter(|_| matches!(role, Role::Environment | Role::ProjectAdmin)) else {
                return Ok(Standing::Nobody);
            };
            let (effective, reach) = (account_of(&project), Reach::Account(project.id));
            return Ok(Standing::Holder(Arc::new(Holder {
                user,
                effective,
                project: Some(project.id),
                role,
                reach,
            })));
        }
        if row.kind == "project" {
            let (id, effective) = (row.id, user.clone());
            let holder = Holder {
                user,
                effective,
                project: Some(id),
                role: Role::Project,
                reach: Reach::Account(id),
            };
            return Ok(Standing::Holder(Arc::new(holder)));
        }
        // A kind that no role is named after (`system`, `registeredAgent`) is nobody's who may ask.
        let Some(role) = Role::parse(&row.kind) else {
            return Ok(Standing::Nobody);
        };
        let reach = if reaches_all(&row.kind) {
            Reach::All
        } else {
            Reach::Account(row.id)
        };
        Ok(Standing::Holder(Arc::new(Holder {
            effective: user.clone(),
            user,
            project: None,
            role,
            reach,
        })))
    }

    fn standing_in(&self, account: ResourceId, project: ResourceId) -> Result<Standing> {
        let Standing::Holder(alone) = self.standing(account, None)? else {
            return Ok(Standing::Nobody);
        };
        let Some(row) = self
            .store
            .find(project)?
            .filter(|r| r.kind == "project" && is_usable(r))
        else {
            return Ok(Standing::Foreign);
        };
        if alone.project == Some(project) {
            return Ok(Standing::Holder(alone));
        }
        let role = match alone.user.kind.as_str() {
            // Who changes nothing outside changes nothing inside.
            "readAdmin" => Some(Role::Readonly),
            kind if reaches_all(kind) => Some(Role::Owner),
            "user" => self.best_membership(account, project)?,
            _ => None,
        };
        let Some(role) = role else { return Ok(Standing::Foreign) };
        let (user, effective) = (alone.user.clone(), account_of(&row));
        Ok(Standing::Holder(Arc::new(Holder {
            user,
            effective,
            project: Some(project),
            role,
            reach: Reach::Account(project),
        })))
    }

    /// The scope of an account that has proved itself; `project` is the wire id that the request names.
    pub(crate) fn admit(
        &self,
        version: Version,
        proof: Proof,
        account: ResourceId,
        project: Option<&str>,
    ) -> Result<Scope> {
        let asked = match project {
            None => None,
            Some(wire) => match WireId::parse(wire).filter(|w| w.letters == "a") {
                Some(wire) => Some(wire.id),
                None => return Err(Error::new(ErrorKind::Forbidden)),
            },
        };
        let holder = match self.standing(account, asked)? {
            Standing::Nobody => return Err(unauthorized()),
            Standing::Foreign => return Err(Error::new(ErrorKind::Forbidden)),
            Standing::Holder(holder) => holder,
        };
        let (role, reach) = match proof {
            Proof::Registration(_) => (Role::Register, holder.reach),
            Proof::Open if holder.project.is_none() => (OPEN_ROLE, holder.reach),
            Proof::Bearer(id) => self.narrowed(id, &holder)?,
            _ => (holder.role, holder.reach),
        };
        let (user, effective) = (holder.user.clone(), holder.effective.clone());
        Ok(Scope {
            version,
            project: holder.project,
            role,
            reach,
            auth: proof.auth_type(),
            proof,
            user,
            effective,
            attempt: None,
        })
    }

    pub(crate) fn still_admits(&self, scope: &Scope) -> Result<bool> {
        let account = match scope.proof {
            Proof::Nobody => return Ok(true),
            Proof::Open if self.policy()?.is_on => None,
            Proof::Open => self.first_admin()?,
            Proof::Key(id) | Proof::Registration(id) => {
                let is_live =
                    |row: &Resource| row.removed.is_none() && row.state == State::ACTIVE && row.root == "credential";
                self.store.find(id)?.filter(is_live).and_then(|row| row.account_id)
            }
            Proof::Bearer(id) => self.bearer_of(id)?.map(|bearer| bearer.account),
            Proof::Session(id) => self
                .store
                .find_session(id)?
                .filter(|s| s.expires > self.now())
                .map(|s| s.account),
        };
        let Some(account) = account.filter(|id| *id == scope.user.id) else {
            return Ok(false);
        };
        let project = scope.project.map(|id| self.wire_id("project", id));
        match self.admit(scope.version, scope.proof, account, project.as_deref()) {
            Ok(now) => Ok(now.role == scope.role && now.reach == scope.reach),
            Err(e) if matches!(e.kind, ErrorKind::Unauthorized | ErrorKind::Forbidden) => Ok(false),
            Err(e) => Err(e),
        }
    }
}
