//! Hosts that stay disconnected for so long that they are removed: only those that have an agent, and only where a setting or the
//! project asks for it (cattle: `host.remove.delay.seconds`, a project's `hostRemoveDelaySeconds`).

use std::time::Duration;

use crate::engine::core::Core;
use crate::model::{Fields, Resource, Result, State, Timestamp};
use crate::store::Changes;

use super::host;

/// After how many seconds, unless a project says otherwise; less than 0 is never.
const DELAY: &str = "host.remove.delay.seconds";

/// For so long after its start a server removes none: agents need their time to come back.
const STARTUP: &str = "host.remove.delay.startup.seconds";

/// The field that says when a host is removed.
const REMOVE_AFTER: &str = "removeAfter";

impl Core {
    /// What becomes of the hosts of an agent that is disconnected: it is written down when they go, and then they go.
    pub(super) async fn remove_late_hosts(&self, agent: &Resource) -> Result<()> {
        for host in self.hosts_of(agent)? {
            if !matches!(host.state, State::ACTIVE | State::INACTIVE) {
                continue;
            }
            let fields = Fields::parse(&host.fields)?;
            let due = fields.text(REMOVE_AFTER).as_deref().and_then(Timestamp::parse);
            match (due, self.remove_delay(&host)?) {
                (None, Some(delay)) => self.set_remove_after(&host, Some(self.now().plus(delay))).await?,
                (Some(_), None) => self.set_remove_after(&host, None).await?,
                (Some(due), Some(_)) if due <= self.now() && self.is_up_long_enough()? => {
                    log::warn!("{} has been disconnected for too long: it is removed", host.name);
                    self.ask_host_to_go(&host).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// An agent that is back takes its hosts' time away.
    pub(super) async fn keep_hosts(&self, agent: &Resource) -> Result<()> {
        for host in self.hosts_of(agent)? {
            if Fields::parse(&host.fields)?.text(REMOVE_AFTER).is_some() {
                self.set_remove_after(&host, None).await?;
            }
        }
        Ok(())
    }

    /// Whether a host goes because it stayed away: nobody there can be asked to stop anything.
    pub(super) fn is_given_up(&self, host: &Resource) -> Result<bool> {
        let due = Fields::parse(&host.fields)?.text(REMOVE_AFTER);
        let due = due.as_deref().and_then(Timestamp::parse);
        Ok(host.state == State::REMOVING && due.is_some_and(|due| due <= self.now()))
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
