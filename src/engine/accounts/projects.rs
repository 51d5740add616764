//! Projects: what one begins with, who belongs to it, and what it takes with it when it goes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::engine::access::{HOST_POLICY_FIELD, MEMBER, SET_MEMBERS};
use crate::engine::core::{
    ADMIN, Answer, Core, DEFAULT_PORTS, DEFAULT_PROJECT, Input, Outcome, Reach, Scope, insert_and_start, is_project,
    new_row, notes, retire_part, row_from_input, write_notes,
};
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State, WireId};
use crate::schema::{Role, Type, TypeView, limits};
use crate::store::{Changes, NewResource, Tx};

use super::people::RANCHER_ID;

/// A member as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    account: ResourceId,
    name: String,
    role: String,
}

/// 404 for somebody whom nobody knows.
fn no_identity(id: &str) -> Error {
    Error {
        detail: Some("This maybe a result of an invalid identity, or the backing authentication system has deleted this identity.".to_owned()),
        ..Error::new(ErrorKind::NotFound)
            .with_code("identityNotFound")
            .with_message(format!("Identity: {RANCHER_ID}:{id} not found."))
    }
}

impl Core {
    /// Reads a list of members: each has to be an account of this server, none twice, and one an owner.
    fn read_members(&self, list: &[Value]) -> Result<Vec<Member>> {
        let bad = |code: &'static str, why: &str| Error::new(ErrorKind::BadRequest).with_code(code).with_message(why);
        let mut members: Vec<Member> = Vec::new();
        for member in list {
            if !member.is_object() {
                return Err(bad("InvalidFormat", "Member format invalid"));
            }
            let text = |field: &str| member.get(field).and_then(Value::as_str);
            if text("externalIdType").unwrap_or(RANCHER_ID) != RANCHER_ID {
                return Err(bad("InvalidIdentity", "no directory of such identities is set up"));
            }
            let Some(id) = text("externalId") else {
                return Err(bad("InvalidFormat", "Member format invalid"));
            };
            let named = id;
            let id = WireId::parse(id)
                .filter(|w| w.letters == "a")
                .map(|w| w.id)
                .or_else(|| id.parse().ok().map(ResourceId));
            let account = id.map(|id| self.store.find(id)).transpose()?.flatten();
            let account = account.filter(|a| a.root == "account" && a.kind != "project" && a.removed.is_none());
            let Some(account) = account else {
                return Err(no_identity(named));
            };
            let role = text("role").unwrap_or("member").to_owned();
            if !matches!(role.as_str(), "owner" | "member" | "restricted" | "readonly") {
                return Err(Error::invalid("InvalidOption", "role"));
            }
            // Named twice, it is a member once.
            if members.iter().any(|m| m.account == account.id && m.role == role) {
                continue;
            }
            if members.iter().any(|m| m.account == account.id) {
                return Err(bad("InvalidFormat", "the same member twice"));
            }
            members.push(Member {
                account: account.id,
                name: account.name,
                role,
            });
        }
        match members.iter().any(|m| m.role == "owner") {
            true => Ok(members),
            false => Err(bad("InvalidFormat", "Members list does not have an owner")),
        }
    }
}

fn insert_member(
    tx: &mut Tx<'_>,
    ty: &Type,
    account_prefix: &str,
    project: ResourceId,
    member: &Member,
) -> Result<Resource> {
    let mut fields = Fields::default();
    fields.set("externalId", &format!("{account_prefix}{}", member.account))?;
    fields.set("externalIdType", RANCHER_ID)?;
    fields.set("projectId", &format!("{account_prefix}{project}"))?;
    fields.set("role", &member.role)?;
    let mut new = NewResource {
        name: member.name.clone(),
        state: State::ACTIVE,
        ..new_row(ty, Some(project), fields)
    };
    new.refs.push((MEMBER.into(), member.account));
    tx.insert(new)
}

/// The Default project belongs to the first admin until somebody says otherwise: with access control on, its clients
/// look for a project among their own (a list of members is never empty once it was set).
pub(crate) fn give_default_to_admin(tx: &mut Tx<'_>, member: &Type, account_prefix: &str) -> Result<()> {
    if !tx.all("projectMember", Some(DEFAULT_PROJECT))?.is_empty() {
        return Ok(());
    }
    let admin = Member {
        account: ADMIN,
        name: "admin".into(),
        role: "owner".into(),
    };
    insert_member(tx, member, account_prefix, DEFAULT_PROJECT, &admin).map(|_| ())
}

/// What the engine notes of a project.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct ProjectNotes {
    /// Who made it.
    maker: Option<i64>,
}

/// 422 for somebody who has made as many projects as one may who does not run the server.
fn check_number(tx: &mut Tx<'_>, maker: ResourceId) -> Result<()> {
    let accounts = tx.all("account", None)?;
    let own = accounts
        .iter()
        .filter(|row| is_project(row) && notes::<ProjectNotes>(row).maker == Some(maker.0));
    match own.count() >= limits::PROJECTS {
        true => {
            Err(Error::invalid("MaxLimitExceeded", "name").with_message("you have made as many projects as you may"))
        }
        false => Ok(()),
    }
}

impl Core {
    /// The accounts that are owners of a project.
    fn owners_of(&self, project: ResourceId) -> Result<BTreeSet<ResourceId>> {
        let mut owners = BTreeSet::new();
        for row in self.store.all("projectMember", Some(project))? {
            let fields = Fields::parse(&row.fields)?;
            if fields.text("role").as_deref() == Some("owner") {
                owners.extend(
                    fields
                        .text("externalId")
                        .as_deref()
                        .and_then(WireId::parse)
                        .map(|w| w.id),
                );
            }
        }
        Ok(owners)
    }

    /// 501 for a template that a project cannot be made of: its stacks would come from a catalog.
    fn check_template(&self, wire: Option<&Value>) -> Result<()> {
        let id = wire.and_then(Value::as_str).and_then(WireId::parse).map(|w| w.id);
        let Some(template) = id.map(|id| self.store.find(id)).transpose()?.flatten() else {
            return Ok(());
        };
        match Fields::parse(&template.fields)?
            .read::<Vec<Value>>("stacks")?
            .is_none_or(|stacks| stacks.is_empty())
        {
            true => Ok(()),
            false => Err(
                Error::not_implemented("making the stacks of a template is not part of this build")
                    .with_field("projectTemplateId"),
            ),
        }
    }
}

/// A new project, with its members and its first networks.
pub(crate) async fn create(core: &Core, scope: &Scope, ty: &TypeView, mut input: Input) -> Result<Resource> {
    if scope.project.is_some() {
        return Err(Error::new(ErrorKind::Forbidden).with_message("a project cannot make another one"));
    }
    let given: Option<Vec<Value>> = input
        .shift_remove("members")
        .and_then(|m| m.as_array().cloned())
        .filter(|m| !m.is_empty());
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
    if !input.contains_key(HOST_POLICY_FIELD) {
        new.fields.set(HOST_POLICY_FIELD, &core.new_host_policy()?)?;
    }
    let machine = ty.def.machine.clone();
    let (member, network) = (core.type_of("projectMember")?.clone(), core.type_of("network")?.clone());
    let prefix = ty.def.prefix.clone();
    let maker = scope.user.id;
    new.internal = write_notes(&ProjectNotes { maker: Some(maker.0) })?;
    let is_counted = scope.reach != Reach::All;
    core.write_for(scope, move |tx| {
        if is_counted {
            check_number(tx, maker)?;
        }
        let project = insert_and_start(tx, machine.as_deref(), new)?;
        for one in &members {
            insert_member(tx, &member, &prefix, project.id, one)?;
        }
        insert_networks(tx, &network, project.id)?;
        Ok(project)
    })
    .await
}

/// `account.create`: a project that says nothing of its ports has the usual range.
pub(crate) fn created(row: &Resource) -> Result<Outcome> {
    let says_nothing = |fields: &Fields| fields.get("servicesPortRange").is_none_or(|range| range == "null");
    if !is_project(row) || !says_nothing(&Fields::parse(&row.fields)?) {
        return Ok(Outcome::done());
    }
    let mut patch = Fields::default();
    patch.set(
        "servicesPortRange",
        &json!({"type": "servicesPortRange", "startPort": DEFAULT_PORTS.0, "endPort": DEFAULT_PORTS.1}),
    )?;
    Ok(Outcome::Done(Box::new(Changes {
        patch,
        ..Changes::default()
    })))
}

/// `setmembers`: the list as it is to be from now on.
pub(crate) async fn set_members(core: &Core, scope: &Scope, project: &Resource, input: &Input) -> Result<Answer> {
    let list = input.get("members").and_then(Value::as_array).filter(|m| !m.is_empty());
    let list = list.ok_or_else(|| Error::invalid("MissingRequired", "members"))?;
    core.require(scope, project, SET_MEMBERS)?;
    let wanted = core.read_members(list)?;
    let is_owner = core.role_in(scope, project)? == Some(Role::Owner);
    let owners = core.owners_of(project.id)?;
    let stay: BTreeSet<ResourceId> = wanted.iter().filter(|w| w.role == "owner").map(|w| w.account).collect();
    let ty = core.type_of("projectMember")?.clone();
    let prefix = core.type_of("project")?.prefix.clone();
    let (id, keep) = (project.id, core.keep_removed());
    let owners_after = stay.clone();
    let rows = core.write_for(scope, move |tx| {
        if tx.get(id)?.removed.is_some() {
            return Err(Error::conflict("the resource is removed"));
        }
        let mut rows = Vec::new();
        let mut kept = BTreeSet::new();
        let mut owners_before = BTreeSet::new();
        for row in tx.all("projectMember", Some(id))? {
            let fields = Fields::parse(&row.fields)?;
            let account = fields
                .text("externalId")
                .as_deref()
                .and_then(WireId::parse)
                .map(|w| w.id);
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
        if !is_owner && owners_before != owners_after {
            let refusal = Error::new(ErrorKind::BadRequest)
                .with_code("InvalidFormat")
                .with_field("members");
            return Err(refusal.with_message("only an owner may change who the owners are"));
        }
        for member in wanted.iter().filter(|w| !kept.contains(&w.account)) {
            rows.push(insert_member(tx, &ty, &prefix, id, member)?);
        }
        Ok(rows)
    });
    let rows = rows.await?;
    // A crash before this leaves keys that prove nothing.
    for gone in owners.difference(&stay) {
        core.end_keys(id, *gone).await?;
    }
    Ok(Answer::Rows("projectMember", rows))
}

/// The networks that every project has from the start, by kind; the last is managed networking.
const NETWORKS: [(&str, &str); 5] = [
    ("dockerHost", "Docker Host Network Mode"),
    ("dockerNone", "Docker None Network Mode"),
    ("dockerContainer", "Docker Container Network Mode"),
    ("dockerBridge", "Docker Bridge Network Mode"),
    ("network", "managed"),
];

/// The networks that a project begins with.
pub(crate) fn insert_networks(tx: &mut Tx<'_>, network: &Type, project: ResourceId) -> Result<()> {
    for (kind, name) in NETWORKS {
        let new = new_row(network, Some(project), Fields::default());
        tx.insert(NewResource {
            kind: kind.into(),
            name: name.into(),
            state: State::ACTIVE,
            ..new
        })?;
    }
    Ok(())
}
