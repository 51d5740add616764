//! Agents: one row for each program that speaks for hosts, with an account and a key of its own.
//!
//! Drover drives engines itself, so the only agents that answer here are the simulated ones, whose address is
//! `sim://<name>`: each brings up hosts of its own on a simulated engine. An agent with any other address waits in
//! `activating`, and says why.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::model::launch::parse_reference;
use crate::model::{Error, Fields, Resource, ResourceId, Result, Timestamp};
use crate::runtime::Runtime;
use crate::schema::{Machine, Type, TypeView};
use crate::secret;
use crate::store::{Changes, CredentialSecret, NewResource, Process, Tx, Wake};

use super::commands::{insert_and_start, row_from_input};
use super::core::{Core, new_row, notes, write_notes};
use super::credentials::check_name_free;
use super::door::{Input, Scope};
use super::handlers::retire;
use super::hosts::{HostNotes, SIM_RUNTIME};
use super::process::{Outcome, chain, request};
use super::queue::Key;

/// The time between two pings (cattle: `task.agent.ping.schedule`).
const PING_EVERY: Duration = Duration::from_secs(5);
/// An agent that was silent for so long is disconnected (cattle: `agent.ping.disconnect.after.count`, 36 pings).
const SILENCE: Duration = Duration::from_secs(180);
/// How long a process that waits for an answer waits before it looks again; the answer itself wakes it.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// The same for an agent that cannot answer at all.
const NEVER_WAIT: Duration = Duration::from_secs(60);
/// What the secret of an agent's key is sealed for.
pub(crate) const KEY_CONTEXT: &str = "agentApiKey.secretValue";
/// The kind of an agent's key.
pub(crate) const KEY_KIND: &str = "agentApiKey";
/// The address of every simulated host (cattle: `SimulatorPingProcessor`).
const SIM_ADDRESS: &str = "192.168.0.21";
/// So many hosts of one agent at most: the number comes from a client.
const MAX_HOSTS: i64 = 100;
/// The kinds of agent: made by hand, and by a registration.
const KINDS: [&str; 2] = ["agent", "registeredAgent"];
/// The states of an agent that its hosts show in place of their own.
pub(crate) const SHOWN_BY_HOSTS: [&str; 5] = ["reconnecting", "reconnected", "finishing-reconnect", "disconnecting", "disconnected"];

/// What the engine notes of an agent.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
struct AgentNotes {
    /// By what its hosts are told apart, in their order: chosen before the first of them is made.
    hosts: Vec<String>,
}

/// What a simulated agent is told to report (cattle: `SimulatorPingProcessor`, the keys of the agent's `data`).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AgentData {
    agent_resources_account_id: Option<i64>,
    hosts: Option<i64>,
    storage_pools_per_host: Option<i64>,
    add_physical_host: Option<bool>,
    memory: Option<i64>,
    milli_cpu: Option<i64>,
    local_storage_mb: Option<i64>,
    external_id: Option<String>,
}

/// When agents last answered. In memory: a server that starts gives everyone the whole time.
#[derive(Default)]
pub(crate) struct Pings {
    state: Mutex<PingState>,
}

#[derive(Default)]
struct PingState {
    last_round: Option<Timestamp>,
    heard: HashMap<ResourceId, Timestamp>,
    sims: HashMap<ResourceId, (String, Arc<dyn Runtime>)>,
}

impl Pings {
    fn lock(&self) -> MutexGuard<'_, PingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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

/// A new key: what is public, and the other half sealed.
pub(crate) struct NewKey {
    public: String,
    sealed: String,
}

impl Core {
    pub(crate) fn agent_types(&self) -> Result<AgentTypes> {
        Ok(AgentTypes {
            agent: self.type_of("agent")?.clone(),
            account: self.type_of("account")?.clone(),
            credential: self.type_of("credential")?.clone(),
        })
    }

    /// Draws a key whose secret can be read again.
    pub(crate) fn new_key(&self, context: &str) -> Result<NewKey> {
        self.key_of(context, None, None)
    }

    /// The same of halves that are given; those that are not are drawn.
    fn key_of(&self, context: &str, public: Option<&str>, plain: Option<&str>) -> Result<NewKey> {
        let public = public.map_or_else(secret::access_key, |given| Ok(given.to_owned()))?;
        let plain = plain.map_or_else(secret::secret_key, |given| Ok(given.to_owned()))?;
        Ok(NewKey { public, sealed: self.config.secrets.seal(context, &plain)? })
    }
}

impl NewKey {
    /// Makes the row of a credential with this key. One that is active already has no process to wait for.
    pub(crate) fn insert(self, tx: &mut Tx<'_>, ty: &Type, kind: &str, new: NewResource) -> Result<Resource> {
        let mut fields = new.fields.clone();
        fields.set("publicValue", &self.public)?;
        let machine = ty.machine.as_deref().filter(|_| new.state.is_empty());
        let row = insert_and_start(tx, machine, NewResource { kind: kind.to_owned(), fields, ..new })?;
        tx.set_credential(&CredentialSecret { id: row.id, kind: kind.to_owned(), public_value: self.public, secret: self.sealed })?;
        Ok(row)
    }
}

/// Makes an agent with its account and its key (cattle: `AgentCreate`), and asks for its first process.
pub(crate) fn insert_agent(tx: &mut Tx<'_>, types: &AgentTypes, new: NewAgent, key: NewKey) -> Result<Resource> {
    let uri = new.fields.text("uri").unwrap_or_default();
    check_uri(tx, &uri, None)?;
    check_name_free(tx, KEY_KIND, &key.public, None)?;
    let base = new_row(&types.agent, None, new.fields);
    let base = NewResource { kind: new.kind.into(), name: new.name, uuid: new.uuid, ..base };
    let agent = insert_and_start(tx, types.agent.machine.as_deref(), base)?;
    let account = tx.insert(NewResource {
        kind: "agent".into(),
        uuid: Some(format!("agentAccount{}", agent.id)),
        state: "active".into(),
        ..new_row(&types.account, None, Fields::default())
    })?;
    // Usable at once: whoever sees the registration active logs in with the key that it shows.
    let credential = new_row(&types.credential, Some(account.id), Fields::default());
    key.insert(tx, &types.credential, KEY_KIND, NewResource { state: "active".into(), ..credential })?;
    tx.update_if(&agent, &Changes { account_id: Some(Some(account.id)), ..Changes::default() })
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
    let client = scope.attempt.as_ref().map(|a| a.client_ip()).filter(|ip| !ip.is_empty()).unwrap_or("localhost");
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
        Some(kind) => KINDS.into_iter().find(|known| *known == kind).ok_or_else(|| Error::invalid("InvalidOption", "kind"))?,
    };
    // The secret is kept sealed, with its key, and shown in this one answer.
    fields.0.remove("secretValue");
    let (types, key) = (core.agent_types()?, core.key_of(KEY_CONTEXT, text("publicValue"), text("secretValue"))?);
    let new = NewAgent { kind, name: new.name, uuid: new.uuid, fields };
    let row = core.write_for(scope, move |tx| insert_agent(tx, &types, new, key)).await?;
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
const OWN: [&str; 8] =
    ["created", "id", "removed", "removeTime", "state", "transitioning", "transitioningMessage", "transitioningProgress"];

/// An agent has an account of its own, with its own rights.
fn check_create(input: &Input) -> Result<()> {
    let is_given = |field: &str| input.get(field).is_some_and(|v| !v.is_null() && v.as_array().is_none_or(|a| !a.is_empty()));
    if is_given("accountId") {
        return refuse("accountId", "an agent gets an account of its own");
    }
    if is_given("authorizedRoleAccountIds") {
        return refuse("authorizedRoleAccountIds", "agents have the rights of their own account only");
    }
    match OWN.into_iter().find(|field| is_given(field)) {
        Some(field) => refuse(field, "the server itself says this of an agent"),
        None => Ok(()),
    }
}

/// What a PUT may not change: an agent keeps its key, its account, and whose its hosts are.
pub(crate) fn check_update(row: &Resource, input: &Input) -> Result<()> {
    let fields = Fields::parse(&row.fields)?;
    for field in ["accountId", "authorizedRoleAccountIds", "agentResourcesAccountId", "publicValue", "secretValue", "activateOnCreate"] {
        let Some(new) = input.get(field) else { continue };
        let old: Value = fields.read(field)?.unwrap_or_default();
        let own_account = || new.as_str().and_then(parse_reference) == row.account_id;
        let is_same = *new == old || field == "accountId" && own_account() || field == "activateOnCreate" && *new == json!(false);
        if !is_same {
            return refuse(field, "an agent keeps its key, its account, and the account of its hosts");
        }
    }
    Ok(())
}

/// The name in `sim://<name>`.
fn sim_name(agent: &Resource) -> Option<String> {
    let uri = Fields::parse(&agent.fields).ok()?.text("uri")?;
    uri.strip_prefix("sim://").map(str::to_owned)
}

fn data_of(agent: &Resource) -> Result<AgentData> {
    let data: Option<Value> = Fields::parse(&agent.fields)?.read("data")?;
    // A client may have written anything there: what cannot be read says nothing.
    Ok(data.and_then(|d| serde_json::from_value(d).ok()).unwrap_or_default())
}

impl Core {
    /// `agent.activate`: it answers, and what it speaks for has rows.
    pub(crate) async fn activate_agent(&self, agent: &Resource) -> Result<Outcome> {
        self.call(agent);
        self.await_answer(agent).await
    }

    /// A simulated agent that a container told to be silent answers again when it is asked for by name.
    fn call(&self, agent: &Resource) {
        if let Some(runtime) = self.simulated(agent) {
            runtime.pick_up();
        }
    }

    /// `agent.reconnect`: it answers again.
    pub(crate) async fn reconnect_agent(&self, agent: &Resource) -> Result<Outcome> {
        self.call(agent);
        self.sync_hosts(agent).await?;
        self.await_answer(agent).await
    }

    /// `agent.finishreconnect`: its hosts are compared with their rows.
    pub(crate) async fn finish_reconnect(&self, agent: &Resource) -> Result<Outcome> {
        for host in self.hosts_of(agent)? {
            if let Some(runtime) = self.runtime(host.id) {
                self.resync(host.id, &*runtime).await?;
            }
        }
        Ok(Outcome::done())
    }

    async fn await_answer(&self, agent: &Resource) -> Result<Outcome> {
        let Some(runtime) = self.simulated(agent) else {
            let uri = Fields::parse(&agent.fields)?.text("uri").unwrap_or_default();
            let message = format!(
                "Waiting for an agent at {uri}: this server drives Docker Engines itself (--docker), and only agents at sim:// answer it"
            );
            return Ok(Outcome::Again(NEVER_WAIT, message));
        };
        if let Err(error) = runtime.ping().await {
            return Ok(Outcome::Again(ANSWER_WAIT, format!("Waiting for the agent to answer: {error}")));
        }
        self.pings.lock().heard.insert(agent.id, self.now());
        self.report(agent, runtime).await?;
        Ok(Outcome::done())
    }

    /// `agent.deactivate`; a removal may follow it.
    pub(crate) fn deactivate_agent(&self, process: &Process) -> Outcome {
        if process.data == super::hosts::REMOVE { Outcome::Then(Box::default(), "remove", "{}".into()) } else { Outcome::done() }
    }

    /// `agent.remove`: its account, its keys, its registration and its hosts go with it.
    pub(crate) async fn remove_agent(&self, agent: &Resource) -> Result<Outcome> {
        let hosts = self.hosts_of(agent)?;
        let (id, keep) = (agent.id, self.keep_removed());
        let machine = self.machine_of("host")?.clone();
        self.write(move |tx| {
            let Some(agent) = tx.find(id)? else { return Ok(()) };
            for host in &hosts {
                if let Some(host) = tx.find(host.id)? {
                    super::hosts::ask_to_remove(tx, &machine, &host)?;
                }
            }
            let register = Fields::parse(&agent.fields)?.text("registerId").and_then(|wire| parse_reference(&wire));
            if let Some(register) = register.map(|id| tx.find(id)).transpose()?.flatten().filter(|r| r.removed.is_none()) {
                retire(tx, &register, keep)?;
            }
            let Some(account) = agent.account_id.map(|id| tx.find(id)).transpose()?.flatten() else { return Ok(()) };
            for key in tx.all("credential", Some(account.id))? {
                tx.delete_credential(key.id)?;
                retire(tx, &key, keep)?;
            }
            if account.removed.is_none() && account.kind == "agent" {
                retire(tx, &account, keep)?;
            }
            Ok(())
        })
        .await?;
        let mut state = self.pings.lock();
        state.sims.remove(&id);
        state.heard.remove(&id);
        Ok(Outcome::done())
    }

    /// The live hosts that an agent speaks for.
    pub(crate) fn hosts_of(&self, agent: &Resource) -> Result<Vec<Resource>> {
        let rows = self.store.many(&self.store.referrers(agent.id, "agentId")?)?;
        Ok(rows.into_iter().filter(|row| row.root == "host" && row.removed.is_none()).collect())
    }

    /// Hosts show how their agent is.
    pub(crate) async fn sync_hosts(&self, agent: &Resource) -> Result<()> {
        let shown = Some(agent.state.as_str()).filter(|s| SHOWN_BY_HOSTS.contains(s)).map(str::to_owned);
        for host in self.hosts_of(agent)? {
            if Fields::parse(&host.fields)?.text("agentState") == shown {
                continue;
            }
            let shown = shown.clone();
            self.write(move |tx| {
                let Some(host) = tx.find(host.id)?.filter(|h| h.removed.is_none()) else { return Ok(()) };
                let mut patch = Fields::default();
                patch.set("agentState", &shown)?;
                tx.update_if(&host, &Changes { patch, ..Changes::default() }).map(drop)
            })
            .await?;
            self.look(host.id);
        }
        Ok(())
    }
}

impl Core {
    /// Pings every agent if it is time to.
    pub(crate) async fn ping_due(&self) -> Result<()> {
        let now = self.now();
        {
            let mut state = self.pings.lock();
            if state.last_round.is_some_and(|last| now < last.plus(PING_EVERY)) {
                return Ok(());
            }
            state.last_round = Some(now);
        }
        self.ping_agents().await
    }

    /// Pings every agent: the task `agent.ping`.
    pub(crate) async fn ping_agents(&self) -> Result<()> {
        for agent in self.store.all("agent", None)? {
            if let Err(error) = self.ping(&agent).await {
                log::warn!("pinging agent {}: {}", agent.id, chain(&error));
            }
        }
        Ok(())
    }

    async fn ping(&self, agent: &Resource) -> Result<()> {
        let answered = match self.simulated(agent) {
            Some(runtime) => runtime.ping().await.is_ok(),
            None => false,
        };
        let now = self.now();
        let heard = {
            let mut state = self.pings.lock();
            let heard = state.heard.entry(agent.id).or_insert(now);
            if answered {
                *heard = now;
            }
            *heard
        };
        match (answered, agent.state.as_str()) {
            // Its process waits for just this.
            (true, "activating" | "reconnecting") => {
                for process in self.store.open_processes_of(agent.id)? {
                    self.queue.push(Key::Process(process.id), now);
                }
                Ok(())
            }
            (true, "disconnected") => self.ask(agent, "reconnect").await,
            (false, "active" | "reconnecting" | "reconnected" | "finishing-reconnect") if now.since(heard) >= SILENCE => {
                log::warn!("agent {} has not answered for {} s", agent.id, SILENCE.as_secs());
                self.ask(agent, "disconnect").await
            }
            _ => Ok(()),
        }
    }

    /// Asks for a process of an agent, if it is as it was and the process is possible.
    async fn ask(&self, agent: &Resource, process: &'static str) -> Result<()> {
        let machine = self.machine_of_row(agent)?.clone();
        let (id, version) = (agent.id, agent.version);
        self.write(move |tx| {
            if let Some(agent) = tx.find(id)?.filter(|a| a.version == version && machine.start(process, &a.state).is_some()) {
                request(tx, &machine, &agent, process, "{}", Changes::default())?;
            }
            Ok(())
        })
        .await
    }

    /// The engine of a simulated agent. It remembers what the rows of its hosts say.
    fn simulated(&self, agent: &Resource) -> Option<Arc<dyn Runtime>> {
        let name = sim_name(agent)?;
        let simulators = self.config.simulators.as_ref()?;
        if let Some((_, known)) = self.pings.lock().sims.get(&agent.id).filter(|(known, _)| *known == name) {
            return Some(known.clone());
        }
        let hosts = self.hosts_of(agent).unwrap_or_default();
        let found = self.simulated_on(&hosts).unwrap_or_else(|error| {
            log::error!("reading the containers of agent {}: {}", agent.id, chain(&error));
            Vec::new()
        });
        let made = (simulators.0)(&name, found);
        // Two at once: the first one stays.
        let mut state = self.pings.lock();
        match state.sims.get(&agent.id).filter(|(known, _)| *known == name) {
            Some((_, known)) => Some(known.clone()),
            None => {
                state.sims.insert(agent.id, (name, made.clone()));
                Some(made)
            }
        }
    }

    /// Ties the hosts of simulated agents to their engines; once, at start.
    pub(crate) fn attach_agents(&self) -> Result<()> {
        for agent in self.store.all("agent", None)? {
            let hosts = self.hosts_of(&agent)?;
            if let Some(runtime) = self.simulated(&agent) {
                hosts.iter().for_each(|host| self.add_runtime(host.id, runtime.clone()));
            }
        }
        Ok(())
    }

    /// Makes the rows of what a simulated agent speaks for, where they are missing, and ties the hosts to its engine.
    async fn report(&self, agent: &Resource, runtime: Arc<dyn Runtime>) -> Result<()> {
        let data = data_of(agent)?;
        let types = ReportTypes {
            host: self.type_of("host")?.clone(),
            physical: self.type_of("physicalHost")?.clone(),
            pool: self.type_of("storagePool")?.clone(),
            address: self.type_of("ipAddress")?.clone(),
            label: self.type_of("label")?.clone(),
            agent_prefix: self.type_of("agent")?.prefix.clone(),
        };
        let id = agent.id;
        let hosts = self
            .write(move |tx| {
                let agent = tx.get(id)?;
                let mut note: AgentNotes = notes(&agent);
                let count = usize::try_from(data.hosts.unwrap_or(1).clamp(0, MAX_HOSTS)).unwrap_or(1);
                if note.hosts.len() < count {
                    note.hosts.resize_with(count, || crate::model::id::new_uuid().to_string());
                    tx.update_if(&agent, &Changes { internal: Some(write_notes(&note)?), ..Changes::default() })?;
                }
                let known = tx.referrers(agent.id, "agentId")?;
                let known = tx.many(&known)?;
                let mut hosts = Vec::new();
                for reported in &note.hosts {
                    let is_it = |host: &&Resource| host.removed.is_none() && reported_uuid(host).as_deref() == Some(reported.as_str());
                    match known.iter().find(is_it) {
                        Some(host) => hosts.push(host.id),
                        None => hosts.push(insert_host(tx, &types, &agent, &data, reported)?),
                    }
                }
                Ok(hosts)
            })
            .await?;
        for host in hosts {
            self.add_runtime(host, runtime.clone());
            self.look(host);
        }
        Ok(())
    }
}

fn reported_uuid(host: &Resource) -> Option<String> {
    Fields::parse(&host.fields).ok()?.text("reportedUuid")
}

struct ReportTypes {
    host: Arc<Type>,
    physical: Arc<Type>,
    pool: Arc<Type>,
    address: Arc<Type>,
    label: Arc<Type>,
    agent_prefix: String,
}

/// A simulated host with its machine, its pools and its address.
fn insert_host(tx: &mut Tx<'_>, types: &ReportTypes, agent: &Resource, data: &AgentData, reported: &str) -> Result<ResourceId> {
    let account = data.agent_resources_account_id.map(ResourceId).or(agent.account_id);
    let name = format!("testhost-{reported}");
    let agent_id = format!("{}{}", types.agent_prefix, agent.id);
    let mut fields = Fields::default();
    if data.add_physical_host.unwrap_or(true) {
        let mut own = Fields::default();
        own.set("externalId", &data.external_id.as_deref().unwrap_or(reported))?;
        let physical = new_row(&types.physical, account, own);
        let physical = tx.insert(NewResource { name: name.clone(), state: "active".into(), ..physical })?;
        fields.set("physicalHostId", &format!("{}{}", types.physical.prefix, physical.id))?;
    }
    fields.set("agentId", &agent_id)?;
    fields.set("reportedUuid", reported)?;
    fields.set("hostname", &name)?;
    fields.set("agentIpAddress", SIM_ADDRESS)?;
    fields.set("memory", &data.memory)?;
    fields.set("milliCpu", &data.milli_cpu)?;
    fields.set("localStorageMb", &data.local_storage_mb)?;
    let labels: Option<BTreeMap<String, String>> = Fields::parse(&agent.fields)?.read("labels").unwrap_or_default();
    fields.set("labels", &labels.unwrap_or_default())?;
    fields.set("info", &json!({}))?;
    let note = HostNotes { runtime: SIM_RUNTIME.into(), name: Some(name.clone()) };
    let new =
        NewResource { internal: write_notes(&note)?, name: name.clone(), kind: "sim".into(), ..new_row(&types.host, account, fields) };
    let host = insert_and_start(tx, types.host.machine.as_deref(), new)?;
    super::labels::tie_host(tx, &types.label, &host)?;
    for nth in 0..data.storage_pools_per_host.unwrap_or(1).clamp(0, MAX_HOSTS) {
        let pool = if nth == 0 { format!("{name} Storage Pool") } else { format!("{name} Storage Pool {nth}") };
        super::hosts::insert_pool(tx, &types.pool, &host, "sim", &pool)?;
    }
    super::drivers::join_pools(tx, &host, &format!("1h{}", host.id))?;
    super::hosts::insert_address(tx, &types.address, &host, SIM_ADDRESS)?;
    Ok(host.id)
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
    if machine.start("remove", &agent.state).is_some() {
        request(tx, machine, agent, "remove", "{}", Changes::default())?;
    } else if machine.start("deactivate", &agent.state).is_some() {
        request(tx, machine, agent, "deactivate", super::hosts::REMOVE, Changes::default())?;
    } else if agent.state == "deactivating" {
        for open in tx.open_processes_of(agent.id)? {
            tx.set_process_data(open.id, super::hosts::REMOVE)?;
            let at = tx.now();
            tx.wake(Wake::Process { id: open.id, at });
        }
    }
    Ok(())
}
