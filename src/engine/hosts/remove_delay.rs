//! Hosts that stay disconnected for so long that they are removed: those that have an agent and nodes of a cluster, and only where a
//! setting or the project asks for it (cattle: `host.remove.delay.seconds`, a project's `hostRemoveDelaySeconds`).

use std::time::Duration;

use crate::engine::core::{Core, is_node, notes};
use crate::model::{Fields, Resource, Result, State, Timestamp};
use crate::store::Changes;

use super::attaching::HostNotes;
use super::host::{self, agent_state};

/// After how many seconds, unless a project says otherwise; less than 0 is never.
const DELAY: &str = "host.remove.delay.seconds";

/// For so long after its start a server removes none: agents need their time to come back.
const STARTUP: &str = "host.remove.delay.startup.seconds";

/// The field that says when a host is removed.
const REMOVE_AFTER: &str = "removeAfter";

impl Core {
    /// What becomes of the hosts of an agent that is disconnected.
    pub(super) async fn remove_late_hosts(&self, agent: &Resource) -> Result<()> {
        for host in self.hosts_of(agent)?.iter().filter(|host| !is_node(host)) {
            self.note_delay(host).await?;
        }
        Ok(())
    }

    /// What becomes of the host of a node, that answers or not.
    pub(super) async fn remove_if_late(&self, host: &Resource) -> Result<()> {
        if is_away(host) {
            return self.note_delay(host).await;
        }
        match host.state {
            State::ACTIVE | State::INACTIVE => self.keep_host(host).await,
            // It goes already, and what it was removed for is not forgotten.
            _ => Ok(()),
        }
    }

    /// It is written down when a host goes that is disconnected, and then it goes.
    async fn note_delay(&self, host: &Resource) -> Result<()> {
        if !matches!(host.state, State::ACTIVE | State::INACTIVE) {
            return Ok(());
        }
        match (due(host)?, self.remove_delay(host)?) {
            (None, Some(delay)) => self.set_remove_after(host, Some(self.now().plus(delay))).await,
            (Some(_), None) => self.set_remove_after(host, None).await,
            (Some(due), Some(_)) if due <= self.now() && self.is_up_long_enough()? => {
                log::warn!("{} has been disconnected for too long: it is removed", host.name);
                self.ask_host_to_go(host).await
            }
            _ => Ok(()),
        }
    }

    /// An agent that is back takes its hosts' time away.
    pub(super) async fn keep_hosts(&self, agent: &Resource) -> Result<()> {
        for host in self.hosts_of(agent)?.iter().filter(|host| !is_node(host)) {
            self.keep_host(host).await?;
        }
        Ok(())
    }

    async fn keep_host(&self, host: &Resource) -> Result<()> {
        match due(host)? {
            Some(_) => self.set_remove_after(host, None).await,
            None => Ok(()),
        }
    }

    /// Whether a host goes because it stayed away.
    pub(super) fn went_by_itself(&self, host: &Resource) -> Result<bool> {
        Ok(host.state == State::REMOVING && due(host)?.is_some_and(|due| due <= self.now()))
    }

    /// Whether what runs on a host that goes is not asked to stop. On a network that other hosts have, too, it may run on with its
    /// addresses, and is waited for until somebody takes the node out of the cluster: then it is on that network no more.
    pub(super) fn is_given_up(&self, host: &Resource) -> Result<bool> {
        let note: HostNotes = notes(host);
        match (note.node(), self.followed.get()) {
            (None, _) => self.went_by_itself(host),
            (Some(node), Some(followed)) => {
                Ok(host.state == State::REMOVING && is_away(host) && followed.has_left(node))
            }
            (Some(_), None) => Ok(false),
        }
    }

    /// How long a host may be disconnected; `None` for ever.
    fn remove_delay(&self, host: &Resource) -> Result<Option<Duration>> {
        let project = host.account_id.map(|id| self.store.find(id)).transpose()?.flatten();
        let own = project.map(|project| Fields::parse(&project.fields)?.read::<i64>("hostRemoveDelaySeconds"));
        let seconds = match own.transpose()?.flatten() {
            Some(own) => own,
            None => self.setting_seconds(DELAY)?,
        };
        Ok(u64::try_from(seconds).ok().map(Duration::from_secs))
    }

    fn is_up_long_enough(&self) -> Result<bool> {
        let grace = Duration::from_secs(u64::try_from(self.setting_seconds(STARTUP)?).unwrap_or(0));
        let first = self.pings.lock().first_round;
        Ok(first.is_some_and(|first| self.now().since(first) >= grace))
    }

    async fn set_remove_after(&self, host: &Resource, at: Option<Timestamp>) -> Result<()> {
        let (id, at) = (host.id, at.map(Timestamp::to_wire));
        self.write(move |tx| {
            let Some(host) = tx.find(id)?.filter(|host| host.removed.is_none()) else {
                return Ok(());
            };
            let mut patch = Fields::default();
            patch.set(REMOVE_AFTER, &at)?;
            let changes = Changes {
                patch,
                ..Changes::default()
            };
            tx.update_if(&host, &changes).map(drop)
        })
        .await
    }

    async fn ask_host_to_go(&self, host: &Resource) -> Result<()> {
        let (id, machine) = (host.id, self.machine_of_row(host)?.clone());
        self.write(move |tx| match tx.find(id)?.filter(|host| host.removed.is_none()) {
            Some(host) => host::ask_to_remove(tx, &machine, &host),
            None => Ok(()),
        })
        .await
    }
}

/// When a host goes, if that was written down.
fn due(host: &Resource) -> Result<Option<Timestamp>> {
    let due = Fields::parse(&host.fields)?.text(REMOVE_AFTER);
    Ok(due.as_deref().and_then(Timestamp::parse))
}

fn is_away(host: &Resource) -> bool {
    agent_state(host) == Some(State::DISCONNECTED.as_str())
}
