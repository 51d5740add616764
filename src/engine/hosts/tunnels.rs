//! Agents that dial in and bring the engine of their machine along: `tunnel://<uuid>`. How they join, and the host of each.
//!
//! What goes through a tunnel, and where its other end is, is for whoever made [`Tunnels`]; here it is an engine like others.

use std::sync::Arc;

use serde_json::Value;

use crate::engine::core::{Core, Key, Proof, Scope, insert_and_start, is_node, new_row, notes};
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State};
use crate::runtime::{Runtime, Tunnels};
use crate::store::Changes;

use super::agent_pings::resources_account;
use super::agents::KEY_KIND;
use super::attaching::{HostNotes, Tied};

/// How the address of an agent begins that dials in.
pub(super) const SCHEME: &str = "tunnel://";

/// The same with the place of what tells them apart, for a registration.
const URI_FORMAT: &str = "tunnel://%s";

/// So many labels of so many letters an agent may bring for its host.
const LABELS: usize = 100;
const LETTERS: usize = 1_024;

/// The states in which an agent may have a tunnel: all in which it is wanted.
const WANTED: [State; 9] = [
    State::REQUESTED,
    State::REGISTERING,
    State::ACTIVATING,
    State::ACTIVE,
    State::DISCONNECTING,
    State::DISCONNECTED,
    State::RECONNECTING,
    State::RECONNECTED,
    State::FINISHING_RECONNECT,
];

fn dials_in(agent: &Resource) -> bool {
    let uri = Fields::parse(&agent.fields).ok().and_then(|fields| fields.text("uri"));
    uri.is_some_and(|uri| uri.starts_with(SCHEME))
}

impl Core {
    pub(super) fn tunnels(&self) -> Option<&dyn Tunnels> {
        self.config.tunnels.as_ref().map(|tunnels| &*tunnels.0)
    }

    /// By what the tunnel of an agent is known.
    pub(super) fn tunnel_name(&self, agent: ResourceId) -> String {
        self.wire_id("agent", agent)
    }

    /// The engine that an agent brings along, or the one that is simulated for it.
    pub(super) fn engine_of(&self, agent: &Resource) -> Option<Arc<dyn Runtime>> {
        self.simulated(agent).or_else(|| self.tunnelled(agent))
    }

    pub(super) fn tunnelled(&self, agent: &Resource) -> Option<Arc<dyn Runtime>> {
        let tunnels = self.tunnels().filter(|_| dials_in(agent))?;
        let known = self.pings.lock().tunnelled.get(&agent.id).cloned();
        if known.is_some() {
            return known;
        }
        let made = tunnels.engine(self.store.server_uuid(), &self.tunnel_name(agent.id));
        let made = made
            .map_err(|error| log::error!("the tunnel of agent {}: {error}", agent.id))
            .ok()?;
        // Two at once: the first one stays.
        Some(self.pings.lock().tunnelled.entry(agent.id).or_insert(made).clone())
    }

    /// Nothing goes to an agent any more for now.
    pub(super) fn close_tunnel(&self, agent: &Resource) {
        if let Some(tunnels) = self.tunnels().filter(|_| dials_in(agent)) {
            tunnels.close(&self.tunnel_name(agent.id));
        }
    }

    /// An agent is gone for ever.
    pub(super) fn forget_tunnel(&self, agent: &Resource) {
        self.pings.lock().tunnelled.remove(&agent.id);
        if let Some(tunnels) = self.tunnels().filter(|_| dials_in(agent)) {
            tunnels.forget(&self.tunnel_name(agent.id));
        }
    }

    /// The key of a new agent that shows a registration token and a text of its own, once it has one. The registration is made
    /// when the text is seen for the first time.
    ///
    /// # Errors
    /// 403 for who shows something else; 422 for a text that nobody could not guess.
    pub(crate) async fn join_by_tunnel(
        &self,
        scope: &Scope,
        key: &str,
        name: &str,
    ) -> Result<Option<(String, String)>> {
        if !matches!(scope.proof, Proof::Registration(_)) || self.tunnels().is_none() {
            return Err(Error::new(ErrorKind::Forbidden));
        }
        if key.len() < 32 || key.len() > 255 || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(Error::invalid("InvalidFormat", "key"));
        }
        let account = scope.effective.id;
        let name: String = name.chars().filter(|c| !c.is_control()).take(255).collect();
        let own = |row: &Resource| {
            let said = Fields::parse(&row.fields).ok().and_then(|fields| fields.text("key"));
            row.kind == "register" && said.as_deref() == Some(key)
        };
        let known = self.store.all("genericObject", Some(account))?;
        if let Some(row) = known.iter().find(|row| own(row)) {
            return self.key_of_registration(row);
        }
        let ty = self.type_of("register")?.clone();
        let mut fields = Fields::default();
        fields.set("key", key)?;
        fields.set("agentUriFormat", URI_FORMAT)?;
        let mut new = new_row(&ty, Some(account), fields);
        new.kind = "register".into();
        new.name = name;
        self.write(move |tx| insert_and_start(tx, ty.machine.as_deref(), new).map(drop))
            .await?;
        Ok(None)
    }

    /// The agent that shows its own key to open a tunnel.
    ///
    /// # Errors
    /// 403 for who is no agent that dials in, 409 for one that is not wanted now.
    pub(crate) fn agent_that_dials(&self, scope: &Scope) -> Result<Resource> {
        let is_key = matches!(scope.proof, Proof::Key(_)) && scope.user.kind == "agent";
        let refused = || Error::new(ErrorKind::Forbidden);
        let agents = self.store.all("agent", Some(scope.user.id))?;
        let mut agents = agents.into_iter().filter(|agent| is_key && dials_in(agent));
        let agent = agents.next().filter(|_| self.tunnels().is_some()).ok_or_else(refused)?;
        if WANTED.contains(&agent.state) {
            Ok(agent)
        } else {
            Err(Error::conflict(format!("the agent is {}", agent.state)))
        }
    }

    /// By what the tunnel of an agent is known, whose labels and whose machine's name are noted.
    pub(crate) async fn tunnel_of(
        &self,
        agent: &Resource,
        mut labels: std::collections::BTreeMap<String, String>,
    ) -> Result<String> {
        let fits = |text: &String| text.len() <= LETTERS && !text.contains(char::is_control);
        labels.retain(|key, value| !key.is_empty() && fits(key) && fits(value));
        while labels.len() > LABELS {
            labels.pop_last();
        }
        let id = agent.id;
        // Those of nodes have the node's labels, too: all of them are written where nodes are looked at.
        let hosts = self.hosts_of(agent)?.into_iter();
        for host in hosts.filter(|host| !is_node(host)) {
            let note = HostNotes {
                labels: labels.clone(),
                ..notes(&host)
            };
            self.note_labels(&host, &note).await?;
        }
        self.write(move |tx| {
            let Some(row) = tx.find(id)?.filter(|row| row.removed.is_none()) else {
                return Ok(());
            };
            if Fields::parse(&row.fields)?.texts("labels").unwrap_or_default() == labels {
                return Ok(());
            }
            let mut patch = Fields::default();
            patch.set("labels", &labels)?;
            let changes = Changes {
                patch,
                ..Changes::default()
            };
            tx.update_if(&row, &changes).map(drop)
        })
        .await?;
        Ok(self.tunnel_name(id))
    }

    /// The tunnel of an agent is open: whatever waits for it goes on.
    pub(crate) fn tunnel_opened(&self, agent: ResourceId) -> Result<()> {
        for process in self.store.open_processes_of(agent)? {
            self.queue.push(Key::Process(process.id), self.now());
        }
        self.pings.lock().last_round = None;
        Ok(())
    }

    /// Ties the engine that an agent brings along to its host, which is made at the first time.
    pub(super) async fn report_tunnel(&self, agent: &Resource, runtime: Arc<dyn Runtime>) -> Result<()> {
        let fields = Fields::parse(&agent.fields)?;
        let project = resources_account(agent)?
            .or(agent.account_id)
            .ok_or_else(Error::not_found)?;
        if self.report_node(agent, project, &*runtime).await? {
            return Ok(());
        }
        let note = HostNotes {
            runtime: runtime.kind().to_owned(),
            name: Some(format!("agent {}", agent.uuid)),
            labels: fields.texts("labels").unwrap_or_default(),
            ..HostNotes::default()
        };
        let tied = Tied {
            host: None,
            runtime,
            project,
            note,
            name: None,
            agent: Some(self.wire_id("agent", agent.id)),
        };
        self.tie(tied).await.map(drop)
    }

    /// The key of the agent that a registration made.
    pub(super) fn key_of_registration(&self, row: &Resource) -> Result<Option<(String, String)>> {
        let Some(agent) = self.store.referrers(row.id, "registerId")?.first().copied() else {
            return Ok(None);
        };
        let Some(account) = self.store.find(agent)?.and_then(|a| a.account_id) else {
            return Ok(None);
        };
        let keys = self.store.all("credential", Some(account))?;
        let Some(key) = keys.iter().find(|k| k.kind == KEY_KIND && k.state == State::ACTIVE) else {
            return Ok(None);
        };
        let Some(kept) = self.store.credential(key.id)? else {
            return Ok(None);
        };
        let secret = self.config.secrets.unseal(super::agents::KEY_CONTEXT, &kept.secret);
        Ok(secret.map(|secret| (kept.public_value, secret)))
    }
}

impl Core {
    /// What a registration shows to who knows its text.
    pub(super) fn shown_key(&self, row: &Resource) -> Result<Option<[(&'static str, String); 2]>> {
        let key = self.key_of_registration(row)?;
        Ok(key.map(|(access, secret)| {
            [
                ("accessKey", Value::from(access).to_string()),
                ("secretKey", Value::from(secret).to_string()),
            ]
        }))
    }
}
