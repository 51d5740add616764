//! Pinging agents, and what a simulated one brings up.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::engine::core::{Core, Key, SIM_RUNTIME, insert_and_start, is_node, new_row, notes, request, write_notes};
use crate::engine::{drivers, labels};
use crate::model::id::new_uuid;
use crate::model::{Fields, Resource, ResourceId, Result, State};
use crate::runtime::Runtime;
use crate::schema::Type;
use crate::schema::render::wire_id;
use crate::store::{Changes, NewResource, Tx};

use super::attaching::HostNotes;
use super::host;

/// The time between two pings (cattle: `task.agent.ping.schedule`).
const PING_EVERY: Duration = Duration::from_secs(5);

/// An agent that was silent for so long is disconnected (cattle: `agent.ping.disconnect.after.count`, 36 pings).
const SILENCE: Duration = Duration::from_secs(180);

/// The address of every simulated host (cattle: `SimulatorPingProcessor`).
const SIM_ADDRESS: &str = "192.168.0.21";

/// So many hosts of one agent at most: the number comes from a client.
const MAX_HOSTS: i64 = 100;

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

/// Whose the hosts of an agent are, if that was said.
pub(super) fn resources_account(agent: &Resource) -> Result<Option<ResourceId>> {
    Ok(data_of(agent)?.agent_resources_account_id.map(ResourceId))
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
            state.first_round.get_or_insert(now);
        }
        self.ping_agents().await
    }

    /// Pings every agent: the task `agent.ping`.
    pub(crate) async fn ping_agents(&self) -> Result<()> {
        for agent in self.store.all("agent", None)? {
            if let Err(error) = self.ping_agent(&agent).await {
                log::warn!("pinging agent {}: {}", agent.id, error.chain());
            }
        }
        Ok(())
    }

    async fn ping_agent(&self, agent: &Resource) -> Result<()> {
        let answered = match self.engine_of(agent) {
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
        match (answered, agent.state) {
            // Its process waits for just this.
            (true, State::ACTIVATING | State::RECONNECTING) => {
                for process in self.store.open_processes_of(agent.id)? {
                    self.queue.push(Key::Process(process.id), now);
                }
                Ok(())
            }
            (true, State::DISCONNECTED) => self.ask_agent(agent, "reconnect").await,
            (false, State::DISCONNECTED) => self.remove_late_hosts(agent).await,
            (false, State::ACTIVE | State::RECONNECTING | State::RECONNECTED | State::FINISHING_RECONNECT)
                if now.since(heard) >= SILENCE =>
            {
                log::warn!("agent {} has not answered for {} s", agent.id, SILENCE.as_secs());
                self.ask_agent(agent, "disconnect").await
            }
            _ => Ok(()),
        }
    }

    /// Asks for a process of an agent, if it is as it was and the process is possible.
    async fn ask_agent(&self, agent: &Resource, process: &'static str) -> Result<()> {
        let machine = self.machine_of_row(agent)?.clone();
        let (id, version) = (agent.id, agent.version);
        self.write(move |tx| {
            if let Some(agent) = tx
                .find(id)?
                .filter(|a| a.version == version && machine.start(process, a.state).is_some())
            {
                request(tx, &machine, &agent, process, "{}", Changes::default())?;
            }
            Ok(())
        })
        .await
    }

    /// The engine of a simulated agent. It remembers what the rows of its hosts say.
    pub(super) fn simulated(&self, agent: &Resource) -> Option<Arc<dyn Runtime>> {
        let name = sim_name(agent)?;
        let simulators = self.config.simulators.as_ref()?;
        if let Some((_, known)) = self
            .pings
            .lock()
            .sims
            .get(&agent.id)
            .filter(|(known, _)| *known == name)
        {
            return Some(known.clone());
        }
        let hosts = self.hosts_of(agent).unwrap_or_default();
        let found = self.simulated_on(&hosts).unwrap_or_else(|error| {
            log::error!("reading the containers of agent {}: {}", agent.id, error.chain());
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

    /// Ties the hosts of agents to their engines; once, at start.
    pub(crate) fn attach_agents(&self) -> Result<()> {
        for agent in self.store.all("agent", None)? {
            let hosts = self.hosts_of(&agent)?;
            if let Some(runtime) = self.engine_of(&agent) {
                // Those of nodes are tied when the cluster is followed.
                let own = hosts.iter().filter(|host| !is_node(host));
                own.for_each(|host| self.add_runtime(host.id, runtime.clone()));
            }
        }
        Ok(())
    }

    /// Makes the rows of what a simulated agent speaks for, where they are missing, and ties the hosts to its engine.
    pub(super) async fn report(&self, agent: &Resource, runtime: Arc<dyn Runtime>) -> Result<()> {
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
                if agent.removed.is_some() || agent.state == State::REMOVING {
                    // It went while it was asked: its hosts go with it.
                    return Ok(Vec::new());
                }
                let mut note: AgentNotes = notes(&agent);
                let count = usize::try_from(data.hosts.unwrap_or(1).clamp(0, MAX_HOSTS)).unwrap_or(1);
                if note.hosts.len() < count {
                    note.hosts.resize_with(count, || new_uuid().to_string());
                    tx.update_if(
                        &agent,
                        &Changes {
                            internal: Some(write_notes(&note)?),
                            ..Changes::default()
                        },
                    )?;
                }
                let known = tx.referrers(agent.id, "agentId")?;
                let known = tx.many(&known)?;
                let mut hosts = Vec::new();
                for reported in &note.hosts {
                    let is_it = |host: &&Resource| {
                        host.removed.is_none() && reported_uuid(host).as_deref() == Some(reported.as_str())
                    };
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
fn insert_host(
    tx: &mut Tx<'_>,
    types: &ReportTypes,
    agent: &Resource,
    data: &AgentData,
    reported: &str,
) -> Result<ResourceId> {
    let account = data.agent_resources_account_id.map(ResourceId).or(agent.account_id);
    let name = format!("testhost-{reported}");
    let agent_id = format!("{}{}", types.agent_prefix, agent.id);
    let mut fields = Fields::default();
    if data.add_physical_host.unwrap_or(true) {
        let mut own = Fields::default();
        own.set("externalId", &data.external_id.as_deref().unwrap_or(reported))?;
        let physical = new_row(&types.physical, account, own);
        let physical = tx.insert(NewResource {
            name: name.clone(),
            state: State::ACTIVE,
            ..physical
        })?;
        fields.set("physicalHostId", &format!("{}{}", types.physical.prefix, physical.id))?;
    }
    fields.set("agentId", &agent_id)?;
    fields.set("reportedUuid", reported)?;
    fields.set("hostname", &name)?;
    fields.set("agentIpAddress", SIM_ADDRESS)?;
    fields.set("memory", &data.memory)?;
    fields.set("milliCpu", &data.milli_cpu)?;
    fields.set("localStorageMb", &data.local_storage_mb)?;
    fields.set(
        "labels",
        &Fields::parse(&agent.fields)?.texts("labels").unwrap_or_default(),
    )?;
    fields.set("info", &json!({}))?;
    let note = HostNotes {
        runtime: SIM_RUNTIME.into(),
        name: Some(name.clone()),
        ..HostNotes::default()
    };
    let new = NewResource {
        internal: write_notes(&note)?,
        name: name.clone(),
        kind: "sim".into(),
        ..new_row(&types.host, account, fields)
    };
    let host = insert_and_start(tx, types.host.machine.as_deref(), new)?;
    labels::tie_host(tx, &types.label, &host)?;
    let wire = wire_id(&types.host.prefix, host.id);
    for nth in 0..data.storage_pools_per_host.unwrap_or(1).clamp(0, MAX_HOSTS) {
        let pool = if nth == 0 {
            format!("{name} Storage Pool")
        } else {
            format!("{name} Storage Pool {nth}")
        };
        host::insert_pool(tx, &types.pool, &host, &wire, "sim", &pool)?;
    }
    drivers::join_pools(tx, &host, &wire)?;
    host::insert_address(tx, &types.address, &host, &wire, SIM_ADDRESS)?;
    Ok(host.id)
}
