//! Members of projects: who sees a project, and what they are in it.

use crate::engine::core::{AuthType, Core, MEMBER_ROLES, Reach, Scope, is_token, is_usable, notes};
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::schema::{Role, TypeView};
use crate::store::{Direction, Tx};

use super::standing::reaches_all;

/// The reference from a member to the account it stands for.
pub(crate) const MEMBER: &str = "memberAccount";

/// The action that says who belongs to a project.
pub(crate) const SET_MEMBERS: &str = "setmembers";

/// What the engine notes of a member.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct MemberNotes {
    /// It was a member until the project was removed.
    pub(crate) left_with_project: bool,
}

impl Core {
    /// Whether the caller sees a row: of its own account, or a project it is a member of, and that one's members.
    pub(crate) fn sees(&self, scope: &Scope, row: &Resource) -> Result<bool> {
        if is_token(row) && !self.has_infrastructure(scope.role)? {
            return Ok(false);
        }
        if scope.sees(row) {
            return Ok(true);
        }
        let project = match row.root.as_str() {
            "account" if row.kind == "project" => Some(row.id),
            "projectMember" => row.account_id,
            _ => None,
        };
        match project.filter(|_| scope.project.is_none()) {
            // Who may not come in does not learn that a project sleeps.
            Some(project) => Ok(match self.best_membership(scope.user.id, project)? {
                Some(Role::Owner) => true,
                Some(_) => self.store.find(project)?.is_some_and(|p| p.state == State::ACTIVE),
                None => self.owned_to_the_end(scope.user.id, project)?,
            }),
            None => Ok(false),
        }
    }

    /// Whether a project is removed, and the account was an owner until then: it may see how that went.
    fn owned_to_the_end(&self, account: ResourceId, project: ResourceId) -> Result<bool> {
        let members: Vec<ResourceId> = self
            .store
            .references(MEMBER, &[account], Direction::To)?
            .into_iter()
            .map(|(member, _)| member)
            .collect();
        let is_last_owner = |m: &Resource| {
            let is_owner = || Fields::parse(&m.fields).ok().and_then(|f| f.text("role")).as_deref() == Some("owner");
            m.account_id == Some(project) && notes::<MemberNotes>(m).left_with_project && is_owner()
        };
        Ok(self.store.many(&members)?.iter().any(is_last_owner))
    }

    /// The projects an account is a member of.
    pub(crate) fn memberships(&self, account: ResourceId) -> Result<Vec<(ResourceId, Role)>> {
        let members: Vec<ResourceId> = self
            .store
            .references(MEMBER, &[account], Direction::To)?
            .into_iter()
            .map(|(member, _)| member)
            .collect();
        let live = self
            .store
            .many(&members)?
            .into_iter()
            .filter(|m| m.removed.is_none() && m.state == State::ACTIVE);
        let role = |m: &Resource| {
            Fields::parse(&m.fields)
                .ok()?
                .text("role")
                .as_deref()
                .and_then(Role::parse)
        };
        Ok(live.filter_map(|m| Some((m.account_id?, role(&m)?))).collect())
    }

    /// Which projects a list outside any project shows; `None` is all of them.
    pub(crate) fn listed_projects(&self, scope: &Scope, wants_all: bool) -> Result<Option<Vec<ResourceId>>> {
        if scope.project.is_some() {
            return Ok(scope.project.map(|project| vec![project]));
        }
        if scope.reach == Reach::All && (wants_all || scope.auth == AuthType::Admin) {
            return Ok(None);
        }
        let mut projects = Vec::new();
        for (project, role) in self.memberships(scope.user.id)? {
            let row = self.store.find(project)?.filter(|p| p.removed.is_none());
            if row.is_some_and(|p| role == Role::Owner || p.state == State::ACTIVE) {
                projects.push(project);
            }
        }
        projects.sort_unstable();
        projects.dedup();
        Ok(Some(projects))
    }

    /// What the caller is in a project.
    pub(crate) fn role_in(&self, scope: &Scope, project: &Resource) -> Result<Option<Role>> {
        match scope.reach {
            Reach::All => Ok(Some(Role::Owner)),
            Reach::Account(_) if scope.project == Some(project.id) => Ok(Some(scope.role)),
            Reach::Account(_) if scope.project.is_none() => self.best_membership(scope.user.id, project.id),
            Reach::Account(_) => Ok(None),
        }
    }

    /// Whether a role that is no owner may say who belongs to its project.
    pub(crate) fn may_set_members(&self, role: Role) -> Result<bool> {
        let allowed = self
            .setting(MEMBER_ROLES)?
            .and_then(|s| s.active_value)
            .unwrap_or_default();
        Ok(allowed.split(',').any(|r| r.trim() == role.as_str()))
    }

    /// The active projects that an account is a member of.
    pub(crate) fn projects_of(&self, account: ResourceId) -> Result<Vec<ResourceId>> {
        let mut projects = Vec::new();
        for project in self
            .store
            .all("account", None)?
            .into_iter()
            .filter(|row| row.kind == "project" && is_usable(row))
        {
            if self.best_membership(account, project.id)?.is_some() {
                projects.push(project.id);
            }
        }
        Ok(projects)
    }

    /// The role of the best of an account's memberships in a project.
    pub(crate) fn best_membership(&self, account: ResourceId, project: ResourceId) -> Result<Option<Role>> {
        let identity = self.wire_id("account", account);
        let members: Vec<ResourceId> = self
            .store
            .references("projectId", &[project], Direction::To)?
            .into_iter()
            .map(|(member, _)| member)
            .collect();
        let mut best = None;
        for member in self.store.many(&members)? {
            if member.root != "projectMember" || member.removed.is_some() || member.state != State::ACTIVE {
                continue;
            }
            let fields = Fields::parse(&member.fields)?;
            if fields.text("externalIdType").is_none_or(|t| t == "rancher_id")
                && fields.text("externalId").as_ref() == Some(&identity)
            {
                let role = fields.text("role").as_deref().and_then(Role::parse);
                best = best.max(role.and_then(rank));
            }
        }
        Ok(best.map(|(_, role)| role))
    }
}

/// Whether an account may enter a project now: whoever may enter all, and members.
pub(crate) fn may_enter(tx: &mut Tx<'_>, account: &Resource, project: ResourceId) -> Result<bool> {
    if reaches_all(&account.kind) {
        return Ok(true);
    }
    let members = tx.referrers(account.id, MEMBER)?;
    let is_in = |member: &Resource| {
        let is_active = member.removed.is_none() && member.state == State::ACTIVE;
        member.root == "projectMember" && is_active && member.account_id == Some(project)
    };
    Ok(tx.many(&members)?.iter().any(is_in))
}

/// The better role is the greater one.
fn rank(role: Role) -> Option<(u8, Role)> {
    let rank = match role {
        Role::Owner => 4,
        Role::Member => 3,
        Role::Restricted => 2,
        Role::Readonly => 1,
        _ => return None,
    };
    Some((rank, role))
}

impl Core {
    /// A row the caller may see, of the type that the path names.
    pub(crate) fn visible(&self, scope: &Scope, ty: &TypeView, id: ResourceId) -> Result<Resource> {
        let row = self.store.find(id)?.ok_or_else(Error::not_found)?;
        if !ty.has(&row) || !self.sees(scope, &row)? {
            return Err(Error::not_found());
        }
        Ok(row)
    }
}
