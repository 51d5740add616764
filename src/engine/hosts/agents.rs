//! Agents: one row for each program that speaks for hosts, with an account and a key of its own.
//!
//! Drover drives engines itself, so the only agents that answer here are the simulated ones, whose address is
//! `sim://<name>`: each brings up hosts of its own on a simulated engine. An agent with any other address waits in
//! `activating`, and says why.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::engine::access::{NewKey, check_name_free};
use crate::engine::core::{Core, Input, Scope, insert_and_start, new_row, request, row_from_input};
use crate::model::launch::parse_reference;
use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
use crate::schema::{Machine, Type, TypeView};
use crate::store::{Changes, NewResource, Tx};

use super::host;

/// What the secret of an agent's key is sealed for.
pub(crate) const KEY_CONTEXT: &str = "agentApiKey.secretValue";

/// The kind of an agent's key.
pub(crate) const KEY_KIND: &str = "agentApiKey";

/// The kinds of agent: made by hand, and by a registration.
const KINDS: [&str; 2] = ["agent", "registeredAgent"];

/// The states of an agent that its hosts show in place of their own.
pub(crate) const SHOWN_BY_HOSTS: [State; 5] = [
    State::RECONNECTING,
    State::RECONNECTED,
    State::FINISHING_RECONNECT,
    State::DISCONNECTING,
    State::DISCONNECTED,
];

/// An agent to be made.
pub(crate) struct NewAgent {
    /// `agent`, or `registeredAgent` if by a registration.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// Drawn if none.
    pub(crate) uuid: Option<String>,
    pub(crate) fields: Fields,
}

/// The types of an agent's rows.
#[derive(Clone)]
pub(crate) struct AgentTypes {
    agent: Arc<Type>,
    account: Arc<Type>,
    credential: Arc<Type>,
}

impl Core {
    pub(crate) fn agent_types(&self) -> Result<AgentTypes> {
        Ok(AgentTypes {
            agent: self.type_of("agent")?.clone(),
            account: self.type_of("account")?.clone(),
            credential: self.type_of("credential")?.clone(),
        })
    }
}

/// Makes an agent with its account and its key (cattle: `AgentCreate`), and asks for its first process.
pub(crate) fn insert_agent(tx: &mut Tx<'_>, types: &AgentTypes, new: NewAgent, key: NewKey) -> Result<Resource> {
    let uri = new.fields.text("uri").unwrap_or_default();
    check_uri(tx, &uri, None)?;
    check_name_free(tx, KEY_KIND, &key.public, None)?;
    let base = new_row(&types.agent, None, new.fields);
    let base = NewResource {
        kind: new.kind.into(),
        name: new.name,
        uuid: new.uuid,
        ..base
    };
    let agent = insert_and_start(tx, types.agent.machine.as_deref(), base)?;
    let account = tx.insert(NewResource {
        kind: "agent".into(),
        uuid: Some(format!("agentAccount{}", agent.id)),
        state: State::ACTIVE,
        ..new_row(&types.account, None, Fields::default())
    })?;
    // Usable at once: whoever sees the registration active logs in with the key that it shows.
    let credential = new_row(&types.credential, Some(account.id), Fields::default());
    key.insert(
        tx,
        &types.credential,
        KEY_KIND,
        NewResource {
            state: State::ACTIVE,
            ..credential
        },
    )?;
    tx.update_if(
        &agent,
        &Changes {
            account_id: Some(Some(account.id)),
            ..Changes::default()
        },
    )
}

/// No two agents have one address.
pub(crate) fn check_uri(tx: &mut Tx<'_>, uri: &str, except: Option<ResourceId>) -> Result<()> {
    for other in tx.all("agent", None)? {
        if Some(other.id) != except && Fields::parse(&other.fields)?.text("uri").as_deref() == Some(uri) {
            return Err(Error::invalid("NotUnique", "uri"));
        }
    }
    Ok(())
}

/// An agent that a client makes by itself. One without an address is at the client's own.
pub(crate) async fn create(core: &Core, scope: &Scope, ty: &TypeView, input: &Input) -> Result<Resource> {
    check_create(input)?;
    let text = |name: &str| input.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
    let new = row_from_input(&ty.def, ResourceId(0), input)?;
    let mut fields = new.fields;
    let client = scope
        .attempt
        .as_ref()
        .map(|a| a.client_ip())
        .filter(|ip| !ip.is_empty())
        .unwrap_or("localhost");
    if text("uri").is_none() {
        fields.set("uri", &format!("ssh://{}@{client}:22", text("user").unwrap_or("root")))?;
    }
    if let Some(account) = text("agentResourcesAccountId").and_then(parse_reference) {
        let mut data: Map<String, Value> = fields.read("data")?.unwrap_or_default();
        data.insert("agentResourcesAccountId".into(), account.0.into());
        fields.set("data", &data)?;
    }
    let kind = match text("kind") {
        None => KINDS[0],
        Some(kind) => KINDS
            .into_iter()
            .find(|known| *known == kind)
            .ok_or_else(|| Error::invalid("InvalidOption", "kind"))?,
    };
    // The secret is kept sealed, with its key, and shown in this one answer.
    fields.0.remove("secretValue");
    let (types, key) = (
        core.agent_types()?,
        core.key_of(KEY_CONTEXT, text("publicValue"), text("secretValue"))?,
    );
    let new = NewAgent {
        kind,
        name: new.name,
        uuid: new.uuid,
        fields,
    };
    let row = core
        .write_for(scope, move |tx| insert_agent(tx, &types, new, key))
        .await?;
    match text("secretValue") {
        Some(plain) => Core::with_secret(&ty.def, row, plain),
        None => Ok(row),
    }
}

/// 501 for what somebody may write and would mean nothing here.
fn refuse(field: &str, why: &str) -> Result<()> {
    Err(Error::not_implemented(why.to_owned()).with_field(field))
}

/// What the server says of an agent, and nobody else (the superadmin's view lets it be written).
const OWN: [&str; 8] = [
    "created",
    "id",
    "removed",
    "removeTime",
    "state",
    "transitioning",
    "transitioningMessage",
    "transitioningProgress",
];

/// An agent has an account of its own, with its own rights.
fn check_create(input: &Input) -> Result<()> {
    let is_given = |field: &str| {
        input
            .get(field)
            .is_some_and(|v| !v.is_null() && v.as_array().is_none_or(|a| !a.is_empty()))
    };
    if is_given("accountId") {
        return refuse("accountId", "an agent gets an account of its own");
    }
    if is_given("authorizedRoleAccountIds") {
        return refuse(
            "authorizedRoleAccountIds",
            "agents have the rights of their own account only",
        );
    }
    match OWN.into_iter().find(|field| is_given(field)) {
        Some(field) => refuse(field, "the server itself says this of an agent"),
        None => Ok(()),
    }
}

/// What a PUT may not change: an agent keeps its key, its account, and whose its hosts are.
pub(crate) fn check_update(row: &Resource, input: &Input) -> Result<()> {
    let fields = Fields::parse(&row.fields)?;
    for field in [
        "accountId",
        "authorizedRoleAccountIds",
        "agentResourcesAccountId",
        "publicValue",
        "secretValue",
        "activateOnCreate",
    ] {
        let Some(new) = input.get(field) else { continue };
        let old: Value = fields.read(field)?.unwrap_or_default();
        let own_account = || new.as_str().and_then(parse_reference) == row.account_id;
        let is_same =
            *new == old || field == "accountId" && own_account() || field == "activateOnCreate" && *new == json!(false);
        if !is_same {
            return refuse(
                field,
                "an agent keeps its key, its account, and the account of its hosts",
            );
        }
    }
    Ok(())
}

/// The fields of an agent as a registration makes it.
pub(crate) fn registered_fields(uri: &str, key: &str, account: Option<ResourceId>, register: &str) -> Result<Fields> {
    let mut data = Map::new();
    data.insert("registrationKey".into(), json!(key));
    data.insert("agentResourcesAccountId".into(), json!(account.map(|a| a.0)));
    let mut fields = Fields::default();
    fields.set("uri", uri)?;
    fields.set("managedConfig", &true)?;
    fields.set("data", &data)?;
    fields.set("registerId", register)?;
    Ok(fields)
}

/// Asks an agent to go, whatever it does now.
pub(crate) fn ask_to_remove(tx: &mut Tx<'_>, machine: &Machine, agent: &Resource) -> Result<()> {
    if machine.start("remove", agent.state).is_some() {
        request(tx, machine, agent, "remove", "{}", Changes::default())?;
    } else if machine.start("deactivate", agent.state).is_some() {
        request(tx, machine, agent, "deactivate", host::REMOVE, Changes::default())?;
    } else if agent.state == State::DEACTIVATING {
        for open in tx.open_processes_of(agent.id)? {
            tx.set_process_data(open.id, host::REMOVE)?;
        }
        tx.wake_processes_of(agent)?;
    }
    Ok(())
}
