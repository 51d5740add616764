//! `instance.start`, and all that changes with a start.

use std::time::Duration;

use crate::engine::core::{Core, Outcome, fenced, notes, request, write_notes};
use crate::model::launch::{LABEL_PULL_IMAGE, LaunchConfig, parse_reference};
use crate::model::own_labels::RestartRule;
use crate::model::{Fields, Resource, Result, State};
use crate::runtime::{self, Found, Life, Runtime};
use crate::store::{Changes, Process};

use super::container_rows::{InstanceNotes, launch_of};
use super::failing::engine_failed;
use super::making::{ENGINE_WAIT, SIBLING_WAIT};
use super::stopping::{BY_ITSELF, LEAVE};

/// How long a container waits for its address before it asks again.
const ADDRESS_WAIT: Duration = Duration::from_secs(1);

impl Core {
    pub(crate) async fn start_instance(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let note: InstanceNotes = notes(row);
        self.balancers.forget_released(&row.uuid);
        if !note.is_made {
            // Stopped before the engine ever had it: make it now.
            return self.create_instance(process, row).await;
        }
        let launch = launch_of(row)?;
        if let Some(message) = self.waits_for(&launch)? {
            return Ok(Outcome::Again(SIBLING_WAIT, message));
        }
        let Some(runtime) = row.host_id.and_then(|h| self.runtime(h)) else {
            return Ok(Outcome::Again(ENGINE_WAIT, "Waiting for the host".into()));
        };
        if launch.label(LABEL_PULL_IMAGE) == Some("always")
            && let Err(error) = self.pull(process, row, &launch, &*runtime).await
        {
            return self.start_failed(process, row, error).await;
        }
        if note.is_native {
            return self.start_native(process, row, &launch, &*runtime).await;
        }
        let started = match self.deliver_secrets(row, &launch, &*runtime).await {
            Ok(()) => runtime.start(&row.uuid).await,
            Err(error) => Err(error),
        };
        match started {
            Ok(found) => self.started(process, row, &launch, found).await,
            Err(runtime::Error::Gone(_)) => self.make_again(process, row).await,
            Err(runtime::Error::NetworkGone(message)) => self.new_network(process, row, message).await,
            // Whoever had an address gets it back: the other one who has it is on its way down, or will be told of.
            Err(runtime::Error::AddressTaken(message)) if note.ran || note.keeps_ip => {
                log::info!("{} waits for its address: {message}", row.name);
                Ok(Outcome::Again(ADDRESS_WAIT, message))
            }
            Err(runtime::Error::AddressTaken(message)) => {
                log::info!("{}: {message}", row.name);
                self.new_address(process, row).await
            }
            Err(error) => self.start_failed(process, row, error).await,
        }
    }

    /// A container that somebody else made is started only for who asks by the API, and never made anew.
    async fn start_native(
        &self,
        process: &Process,
        row: &Resource,
        launch: &LaunchConfig,
        runtime: &dyn Runtime,
    ) -> Result<Outcome> {
        let follows = process.data == BY_ITSELF;
        let found = if follows {
            runtime.find(&row.uuid).await
        } else {
            runtime.start(&row.uuid).await.map(Some)
        };
        match found {
            Ok(Some(found)) if found.life == Life::Running => self.started(process, row, launch, found).await,
            // It has ended again, or is gone; the watch tells which as soon as the row rests.
            Ok(_) | Err(runtime::Error::Gone(_)) => {
                let machine = self.machine_of(&row.kind)?.clone();
                let (process_id, row_id) = (process.id, row.id);
                self.write(move |tx| {
                    if let Some(row) = fenced(tx, process_id, row_id)? {
                        request(tx, &machine, &row, "stop", LEAVE, Changes::default())?;
                    }
                    Ok(())
                })
                .await?;
                Ok(Outcome::Left)
            }
            Err(error) => self.start_failed(process, row, error).await,
        }
    }

    /// Everything that changes with a start, in one go.
    async fn started(&self, process: &Process, row: &Resource, launch: &LaunchConfig, found: Found) -> Result<Outcome> {
        let fields = Fields::parse(&row.fields)?;
        let mut patch = Fields::default();
        let count: i64 = fields.read("startCount")?.unwrap_or(0);
        patch.set("startCount", &(count + 1))?;
        if fields.text("firstRunning").is_none() {
            patch.set("firstRunning", &self.now().to_wire())?;
        }
        let note: InstanceNotes = notes(row);
        // One in another's namespace has none of its own, and shows none.
        let address = found.ip.clone().or_else(|| note.ip.clone());
        patch.set("primaryIpAddress", &address)?;
        let restarted = note.ran;
        let health = launch.check().map(|_| {
            if row.health == "healthy" || row.health == "unhealthy" || row.health == "reinitializing" {
                "reinitializing"
            } else {
                "initializing"
            }
        });
        let mut note = InstanceNotes {
            ran: true,
            mac: found.mac.clone(),
            started_at: found.started_at.clone(),
            failures: 0,
            failed_at: None,
            ..note
        };
        note.note_start(&RestartRule::checked(launch.labels.as_ref()), self.now());
        let changes = Changes {
            patch,
            internal: Some(write_notes(&note)?),
            health: health.map(str::to_owned),
            ..Changes::default()
        };
        self.note_ports_and_address(process, row, &found, address).await?;
        if let Some(health) = health {
            self.note_checker(process, row, health).await?;
        }
        // Probed from the commit on that makes it running: whoever looks before finds a container that does not run.
        self.monitor.forget(row.id);
        if restarted {
            self.restart_dependants(row).await?;
        }
        Ok(Outcome::Done(Box::new(changes)))
    }

    /// Containers that share this one's network namespace hold a dead one after its restart: they start again too.
    async fn restart_dependants(&self, row: &Resource) -> Result<()> {
        let dependants = self.store.referrers(row.id, "networkContainerId")?;
        if dependants.is_empty() {
            return Ok(());
        }
        let machine = self.machine_of(&row.kind)?.clone();
        self.write(move |tx| {
            for id in dependants {
                if let Some(dependant) = tx.find(id)?
                    && dependant.state == State::RUNNING
                {
                    request(tx, &machine, &dependant, "restart", "{}", Changes::default())?;
                }
            }
            Ok(())
        })
        .await
    }

    /// The engine lost the network that the container was made for: it is made anew on the one that is there now.
    async fn new_network(&self, process: &Process, row: &Resource, message: String) -> Result<Outcome> {
        log::warn!("{}: {message}", row.name);
        self.forget_network_of(row);
        if let Some(runtime) = row.host_id.and_then(|h| self.runtime(h))
            && let Err(error) = runtime.remove(&row.uuid).await
        {
            return Ok(engine_failed(error));
        }
        self.change_notes(process, row, forget_making).await?;
        self.start_failed(process, row, message).await
    }

    /// Forgets what is known of the network that a container is on: it is looked up again.
    pub(super) fn forget_network_of(&self, row: &Resource) {
        if let (Some(project), Some(host)) = (row.account_id, row.host_id) {
            self.forget_network(project, host);
        }
    }

    /// Somebody has the address: another one is taken, and the container made anew with it.
    async fn new_address(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        if let Some(runtime) = row.host_id.and_then(|h| self.runtime(h))
            && let Err(error) = runtime.remove(&row.uuid).await
        {
            return Ok(engine_failed(error));
        }
        // The old address stays reserved: whoever has it is not ours.
        self.change_notes(process, row, |note| {
            note.ip = None;
            forget_making(note);
        })
        .await?;
        Ok(Outcome::Again(Duration::ZERO, String::new()))
    }

    /// The engine no longer has it: it is made again as it was.
    async fn make_again(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        self.forget_network_of(row);
        self.change_notes(process, row, forget_making).await?;
        Ok(Outcome::Again(Duration::ZERO, String::new()))
    }

    /// What has to run before this container may start.
    fn waits_for(&self, launch: &LaunchConfig) -> Result<Option<String>> {
        let Some(provider) = launch
            .network_container_id
            .as_deref()
            .filter(|_| launch.network_mode.as_deref() == Some("container"))
        else {
            return Ok(None);
        };
        let row = parse_reference(provider)
            .map(|id| self.store.find(id))
            .transpose()?
            .flatten();
        Ok(row
            .filter(|r| r.state != State::RUNNING && r.removed.is_none())
            .map(|r| format!("Waiting for {} to start", r.name)))
    }
}

/// The engine does not have it any more: what was decided for the one that it had is decided anew.
fn forget_making(note: &mut InstanceNotes) {
    note.is_made = false;
    note.names = None;
}
