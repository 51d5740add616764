//! Projects and their members: who may come in, and what a project takes with it when it goes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, WireId};
use crate::schema::{Role, Type, TypeView};
use crate::store::{Changes, Direction, NewResource, Process, Tx};

use super::accounts::{RANCHER_ID, retire_part};
use super::commands::{insert_and_start, remove_container, row_from_input};
use super::core::{ADMIN, Core, DEFAULT_PROJECT, new_row, notes, write_notes};
use super::door::{Answer, Input, Reach, Scope};
use super::infrastructure::is_token;
use super::process::{Outcome, request};
use super::seed::insert_networks;
use super::settings::MEMBER_ROLES;

/// The reference from a member to the account it stands for.
pub(crate) const MEMBER: &str = "memberAccount";

/// The action that says who belongs to a project.
pub(crate) const SET_MEMBERS: &str = "setmembers";

/// Rows looked at in one write while a project goes.
const CHUNK: usize = 50;
/// How long a project that goes waits before it looks again.
const WAIT: Duration = Duration::from_millis(500);

/// A member as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    account: ResourceId,
    name: String,
    role: String,
}

/// What the engine notes of a member.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct MemberNotes {
    /// It was a member until the project was removed.
    left_with_project: bool,
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
                Some(_) => self.store.find(project)?.is_some_and(|p| p.state == "active"),
                None => self.owned_to_the_end(scope.user.id, project)?,
            }),
            None => Ok(false),
        }
    }

    /// Whether a project is removed, and the account was an owner until then: it may see how that went.
    fn owned_to_the_end(&self, account: ResourceId, project: ResourceId) -> Result<bool> {
        let members: Vec<ResourceId> =
            self.store.references(MEMBER, &[account], Direction::To)?.into_iter().map(|(member, _)| member).collect();
        let is_last_owner = |m: &Resource| {
            let is_owner = || Fields::parse(&m.fields).ok().and_then(|f| f.text("role")).as_deref() == Some("owner");
            m.account_id == Some(project) && notes::<MemberNotes>(m).left_with_project && is_owner()
        };
        Ok(self.store.many(&members)?.iter().any(is_last_owner))
    }

    /// The projects an account is a member of.
    pub(crate) fn memberships(&self, account: ResourceId) -> Result<Vec<(ResourceId, Role)>> {
        let members: Vec<ResourceId> =
            self.store.references(MEMBER, &[account], Direction::To)?.into_iter().map(|(member, _)| member).collect();
        let live = self.store.many(&members)?.into_iter().filter(|m| m.removed.is_none() && m.state == "active");
        let role = |m: &Resource| Fields::parse(&m.fields).ok()?.text("role").as_deref().and_then(Role::parse);
        Ok(live.filter_map(|m| Some((m.account_id?, role(&m)?))).collect())
    }

    /// Which projects a list outside any project shows; `None` is all of them.
    pub(crate) fn listed_projects(&self, scope: &Scope, wants_all: bool) -> Result<Option<Vec<ResourceId>>> {
        if scope.project.is_some() {
            return Ok(scope.project.map(|project| vec![project]));
        }
        if scope.reach == Reach::All && (wants_all || scope.auth == super::door::AuthType::Admin) {
            return Ok(None);
        }
        let mut projects = Vec::new();
        for (project, role) in self.memberships(scope.user.id)? {
            let row = self.store.find(project)?.filter(|p| p.removed.is_none());
            if row.is_some_and(|p| role == Role::Owner || p.state == "active") {
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
        let allowed = self.setting(MEMBER_ROLES)?.and_then(|s| s.active_value).unwrap_or_default();
        Ok(allowed.split(',').any(|r| r.trim() == role.as_str()))
    }

    /// Reads a list of members: each has to be an account of this server, none twice, and one an owner.
    fn read_members(&self, list: &[Value]) -> Result<Vec<Member>> {
        let bad = |code: &'static str, why: &str| Error::new(ErrorKind::BadRequest).with_code(code).with_field("members").with_message(why);
        let mut members: Vec<Member> = Vec::new();
        for member in list {
            let text = |field: &str| member.get(field).and_then(Value::as_str);
            if text("externalIdType").unwrap_or(RANCHER_ID) != RANCHER_ID {
                return Err(bad("InvalidIdentity", "no directory of such identities is set up"));
            }
            let id = text("externalId").unwrap_or_default();
            let id = WireId::parse(id).filter(|w| w.letters == "a").map(|w| w.id).or_else(|| id.parse().ok().map(ResourceId));
            let account = id.map(|id| self.store.find(id)).transpose()?.flatten();
            let account = account.filter(|a| a.root == "account" && a.kind != "project" && a.removed.is_none());
            let Some(account) = account else { return Err(bad("InvalidIdentity", "there is no such account")) };
            let role = text("role").unwrap_or("member").to_owned();
            if !matches!(role.as_str(), "owner" | "member" | "restricted" | "readonly") {
                return Err(Error::invalid("InvalidOption", "role"));
            }
            if members.iter().any(|m| m.account == account.id) {
                return Err(bad("InvalidFormat", "the same member twice"));
            }
            members.push(Member { account: account.id, name: account.name, role });
        }
        match members.iter().any(|m| m.role == "owner") {
            true => Ok(members),
            false => Err(bad("InvalidFormat", "a project needs an owner")),
        }
    }
}

/// Whether an account is a project.
pub(crate) fn is_project(row: &Resource) -> bool {
    row.kind == "project" && row.root == "account"
}

fn insert_member(tx: &mut Tx<'_>, ty: &Type, account_prefix: &str, project: ResourceId, member: &Member) -> Result<Resource> {
    let mut fields = Fields::default();
    fields.set("externalId", &format!("{account_prefix}{}", member.account))?;
    fields.set("externalIdType", RANCHER_ID)?;
    fields.set("projectId", &format!("{account_prefix}{project}"))?;
    fields.set("role", &member.role)?;
    let mut new = NewResource { name: member.name.clone(), state: "active".into(), ..new_row(ty, Some(project), fields) };
    new.refs.push((MEMBER.into(), member.account));
    tx.insert(new)
}

/// The Default project belongs to the first admin until somebody says otherwise: with access control on, its clients
/// look for a project among their own (a list of members is never empty once it was set).
pub(crate) fn give_default_to_admin(tx: &mut Tx<'_>, member: &Type, account_prefix: &str) -> Result<()> {
    if !tx.all("projectMember", Some(DEFAULT_PROJECT))?.is_empty() {
        return Ok(());
    }
    let admin = Member { account: ADMIN, name: "admin".into(), role: "owner".into() };
    insert_member(tx, member, account_prefix, DEFAULT_PROJECT, &admin).map(|_| ())
}

impl Core {
    /// 501 for a template that a project cannot be made of: its stacks would come from a catalog.
    fn check_template(&self, wire: Option<&Value>) -> Result<()> {
        let id = wire.and_then(Value::as_str).and_then(WireId::parse).map(|w| w.id);
        let Some(template) = id.map(|id| self.store.find(id)).transpose()?.flatten() else { return Ok(()) };
        match Fields::parse(&template.fields)?.read::<Vec<Value>>("stacks")?.is_none_or(|stacks| stacks.is_empty()) {
            true => Ok(()),
            false => {
                Err(Error::not_implemented("making the stacks of a template is not part of this build").with_field("projectTemplateId"))
            }
        }
    }
}

/// A new project, with its members and its first networks.
pub(crate) async fn create(core: &Core, scope: &Scope, ty: &TypeView, mut input: Input) -> Result<Resource> {
    if scope.project.is_some() {
        return Err(Error::new(ErrorKind::Forbidden).with_message("a project cannot make another one"));
    }
    let given: Option<Vec<Value>> = input.shift_remove("members").and_then(|m| m.as_array().cloned()).filter(|m| !m.is_empty());
    let given = given.unwrap_or_else(|| {
        vec![json!({"externalId": core.wire_id("account", scope.user.id), "externalIdType": RANCHER_ID, "role": "owner"})]
    });
    let members = core.read_members(&given)?;
    core.check_template(input.get("projectTemplateId"))?;
    let mut new = row_from_input(&ty.def, DEFAULT_PROJECT, &input)?;
    (new.account_id, new.health) = (None, "healthy".into());
    if new.fields.text("orchestration").is_none() {
        new.fields.set("orchestration", "cattle")?;
    }
    let machine = ty.def.machine.clone();
    let (member, network) = (core.type_of("projectMember")?.clone(), core.type_of("network")?.clone());
    let prefix = ty.def.prefix.clone();
    core.write_for(scope, move |tx| {
        let project = insert_and_start(tx, machine.as_deref(), new)?;
        for one in &members {
            insert_member(tx, &member, &prefix, project.id, one)?;
        }
        insert_networks(tx, &network, project.id)?;
        Ok(project)
    })
    .await
}

/// `setmembers`: the list as it is to be from now on.
pub(crate) async fn set_members(core: &Core, scope: &Scope, project: &Resource, input: &Input) -> Result<Answer> {
    let list = input.get("members").and_then(Value::as_array).filter(|m| !m.is_empty());
    let list = list.ok_or_else(|| Error::invalid("MissingRequired", "members"))?;
    core.require(scope, project, SET_MEMBERS)?;
    let wanted = core.read_members(list)?;
    let is_owner = core.role_in(scope, project)? == Some(Role::Owner);
    let ty = core.type_of("projectMember")?.clone();
    let prefix = core.type_of("project")?.prefix.clone();
    let (id, keep) = (project.id, core.keep_removed());
    let rows = core.write_for(scope, move |tx| {
        if tx.get(id)?.removed.is_some() {
            return Err(Error::conflict("the resource is removed"));
        }
        let mut rows = Vec::new();
        let mut kept = BTreeSet::new();
        let mut owners_before = BTreeSet::new();
        for row in tx.all("projectMember", Some(id))? {
            let fields = Fields::parse(&row.fields)?;
            let account = fields.text("externalId").as_deref().and_then(WireId::parse).map(|w| w.id);
            let role = fields.text("role").unwrap_or_default();
            if role == "owner" {
                owners_before.extend(account);
            }
            match wanted.iter().find(|w| Some(w.account) == account && w.role == role) {
                Some(same) => {
                    kept.insert(same.account);
                    rows.push(row);
                }
                None => retire_part(tx, row.id, keep)?,
            }
        }
        let owners_after: BTreeSet<ResourceId> = wanted.iter().filter(|w| w.role == "owner").map(|w| w.account).collect();
        if !is_owner && owners_before != owners_after {
            let refusal = Error::new(ErrorKind::BadRequest).with_code("InvalidFormat").with_field("members");
            return Err(refusal.with_message("only an owner may change who the owners are"));
        }
        for member in wanted.iter().filter(|w| !kept.contains(&w.account)) {
            rows.push(insert_member(tx, &ty, &prefix, id, member)?);
        }
        Ok(rows)
    });
    Ok(Answer::Rows("projectMember", rows.await?))
}

/// What a deactivation is to be followed by.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct Leaving {
    remove: bool,
}

/// DELETE of a project: an active one is deactivated on the way.
pub(crate) fn remove(tx: &mut Tx<'_>, machine: &crate::schema::Machine, row: &Resource) -> Result<Resource> {
    if machine.start("remove", &row.state).is_some() {
        return request(tx, machine, row, "remove", "{}", Changes::default());
    }
    if machine.start("deactivate", &row.state).is_none() {
        return Err(Error::new(ErrorKind::MethodNotAllowed));
    }
    let data = serde_json::to_string(&Leaving { remove: true }).map_err(|e| Error::internal("writing a removal", e))?;
    request(tx, machine, row, "deactivate", &data, Changes::default())
}

impl Core {
    /// The process `account.deactivate`.
    pub(crate) fn deactivated_account(&self, process: &Process) -> Outcome {
        let leaving: Leaving = serde_json::from_str(&process.data).unwrap_or_default();
        match leaving.remove {
            true => Outcome::Then(Box::default(), "remove", "{}".into()),
            false => Outcome::done(),
        }
    }

    /// The process `account.remove`. Each run asks for what can go now, and waits for it; so it may be cut short anywhere.
    pub(crate) async fn remove_account_or_project(&self, row: &Resource) -> Result<Outcome> {
        if row.kind != "project" {
            self.remove_account(row).await?;
            return Ok(Outcome::done());
        }
        // What runs first, then what it ran on.
        for roots in [&["stack", "service", "instance"][..], &["volume"], &["host"]] {
            let mut waiting = Vec::new();
            for root in roots {
                waiting.extend(self.store.all(root, Some(row.id))?);
            }
            if !waiting.is_empty() {
                let message = format!("Waiting for {} to be removed", waiting.first().map_or("", |w| w.root.as_str()));
                for part in waiting.chunks(CHUNK) {
                    self.ask_to_go(part).await?;
                }
                return Ok(Outcome::Again(WAIT, message));
            }
        }
        self.retire_rest(row.id).await?;
        Ok(Outcome::done())
    }

    async fn ask_to_go(&self, rows: &[Resource]) -> Result<()> {
        let mut asked = Vec::with_capacity(rows.len());
        for row in rows {
            asked.push((row.id, self.machine_of_row(row)?.clone()));
        }
        self.write(move |tx| {
            for (id, machine) in asked {
                let Some(row) = tx.find(id)?.filter(|row| row.removed.is_none()) else { continue };
                if row.root == "instance" {
                    remove_container(tx, &machine, &row)?;
                } else if machine.start("remove", &row.state).is_some() {
                    request(tx, &machine, &row, "remove", "{}", Changes::default())?;
                } else if row.root != "stack" && machine.start("deactivate", &row.state).is_some() {
                    request(tx, &machine, &row, "deactivate", "{}", Changes::default())?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Everything that is only a row: networks, keys, registries, members. The audit log stays.
    async fn retire_rest(&self, project: ResourceId) -> Result<()> {
        let keep = self.keep_removed();
        let roots: BTreeSet<&str> = self.registry.types.values().map(|ty| ty.root.as_str()).collect();
        for root in roots.into_iter().filter(|root| !matches!(*root, "auditLog" | "account" | "projectMember")) {
            for rows in self.store.all(root, Some(project))?.chunks(CHUNK) {
                let ids: Vec<ResourceId> = rows.iter().map(|row| row.id).collect();
                self.write(move |tx| ids.into_iter().try_for_each(|id| retire_part(tx, id, keep))).await?;
            }
        }
        let left = write_notes(&MemberNotes { left_with_project: true })?;
        self.write(move |tx| {
            for member in tx.all("projectMember", Some(project))? {
                tx.update_if(&member, &Changes { internal: Some(left.clone()), ..Changes::default() })?;
                retire_part(tx, member.id, keep)?;
            }
            Ok(())
        })
        .await
    }
}
