//! The processes of agents: they answer, fall silent, come back, and go.

use std::time::Duration;

use crate::engine::core::{Core, Outcome, is_sim, retire};
use crate::model::launch::parse_reference;
use crate::model::{ErrorKind, Fields, Resource, Result};
use crate::store::{Changes, Process};

use super::agents::SHOWN_BY_HOSTS;
use super::host;

/// How long a process that waits for an answer waits before it looks again; the answer itself wakes it.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// The same for an agent that cannot answer at all.
const NEVER_WAIT: Duration = Duration::from_secs(60);

impl Core {
    /// `agent.activate`: it answers, and what it speaks for has rows.
    pub(crate) async fn activate_agent(&self, agent: &Resource) -> Result<Outcome> {
        self.call_agent(agent);
        self.await_answer(agent).await
    }

    /// A simulated agent that a container told to be silent answers again when it is asked for by name.
    fn call_agent(&self, agent: &Resource) {
        if let Some(runtime) = self.simulated(agent) {
            runtime.pick_up();
        }
    }

    /// `agent.reconnect`: it answers again.
    pub(crate) async fn reconnect_agent(&self, agent: &Resource) -> Result<Outcome> {
        self.call_agent(agent);
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
        let Some(runtime) = self.engine_of(agent) else {
            let uri = Fields::parse(&agent.fields)?.text("uri").unwrap_or_default();
            let message = format!(
                "Waiting for an agent at {uri}: this server drives Docker Engines itself (--docker, drover agent), and only agents at sim:// and tunnel:// answer it"
            );
            return Ok(Outcome::Again(NEVER_WAIT, message));
        };
        if let Err(error) = runtime.ping().await {
            return Ok(Outcome::Again(
                ANSWER_WAIT,
                format!("Waiting for the agent to answer: {error}"),
            ));
        }
        self.pings.lock().heard.insert(agent.id, self.now());
        match self.simulated(agent) {
            Some(_) => self.report(agent, runtime).await?,
            None => match self.report_tunnel(agent, runtime).await {
                // Another host has its engine, which would have to go first; or it is a node of the swarm, and cannot be its host now.
                Err(error) if error.kind == ErrorKind::Conflict => {
                    let why = error.external.unwrap_or_default();
                    return Ok(Outcome::Again(NEVER_WAIT, format!("Waiting for its host: {why}")));
                }
                reported => reported?,
            },
        }
        Ok(Outcome::done())
    }

    /// `agent.deactivate`; a removal may follow it.
    pub(crate) fn deactivate_agent(&self, process: &Process, agent: &Resource) -> Outcome {
        self.close_tunnel(agent);
        if process.data == host::REMOVE {
            Outcome::Then(Box::default(), "remove", "{}".into())
        } else {
            Outcome::done()
        }
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
                    host::ask_to_remove(tx, &machine, &host)?;
                }
            }
            let register = Fields::parse(&agent.fields)?
                .text("registerId")
                .and_then(|wire| parse_reference(&wire));
            if let Some(register) = register
                .map(|id| tx.find(id))
                .transpose()?
                .flatten()
                .filter(|r| r.removed.is_none())
            {
                retire(tx, &register, keep)?;
            }
            let Some(account) = agent.account_id.map(|id| tx.find(id)).transpose()?.flatten() else {
                return Ok(());
            };
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
        self.forget_tunnel(agent);
        let mut state = self.pings.lock();
        state.sims.remove(&id);
        state.heard.remove(&id);
        Ok(Outcome::done())
    }

    /// The live hosts that an agent speaks for.
    pub(crate) fn hosts_of(&self, agent: &Resource) -> Result<Vec<Resource>> {
        let rows = self.store.many(&self.store.referrers(agent.id, "agentId")?)?;
        Ok(rows
            .into_iter()
            .filter(|row| row.root == "host" && row.removed.is_none())
            .collect())
    }

    /// Hosts show how their agent is.
    pub(crate) async fn sync_hosts(&self, agent: &Resource) -> Result<()> {
        let shown = Some(agent.state)
            .filter(|state| SHOWN_BY_HOSTS.contains(state))
            .map(|state| state.as_str().to_owned());
        if agent.state != crate::model::State::DISCONNECTED {
            self.keep_hosts(agent).await?;
        }
        // One of an engine that was brought along shows whether that answers.
        for host in self.hosts_of(agent)?.into_iter().filter(is_sim) {
            if Fields::parse(&host.fields)?.text("agentState") == shown {
                continue;
            }
            let (shown, telling) = (shown.clone(), self.telling()?);
            self.write(move |tx| {
                let Some(host) = tx.find(host.id)?.filter(|h| h.removed.is_none()) else {
                    return Ok(());
                };
                let mut patch = Fields::default();
                patch.set("agentState", &shown)?;
                let was = host::agent_state(&host);
                let changes = Changes {
                    patch,
                    ..Changes::default()
                };
                let host = tx.update_if(&host, &changes)?;
                host::tell_state(tx, &telling, &host, was)
            })
            .await?;
            self.look(host.id);
        }
        Ok(())
    }
}
