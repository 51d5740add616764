//! `instance.stop`, `instance.restart` and `instance.remove`, and how they are asked for.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::engine::core::{Core, Input, Outcome, fenced, is_node, notes, request, retire, write_notes};
use crate::model::launch::LaunchConfig;
use crate::model::{Error, Resource, ResourceId, Result, State};
use crate::schema::Machine;
use crate::store::{Changes, Process, Tx};

use super::container_rows::{InstanceNotes, launch_of};
use super::dispatch::KeepAddress;
use super::failing::engine_failed;
use super::health_rows::HEALTH_MAP;
use super::making::ENGINE_WAIT;
use super::own_key::end_own_key;
use super::volumes;

/// What `docker stop` waits by default.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// So many parts of a container may go in one write.
const MANY: usize = 40;

impl Core {
    pub(crate) async fn restart_instance(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let Some(runtime) = row.host_id.and_then(|h| self.runtime(h)) else {
            return Ok(Outcome::Again(ENGINE_WAIT, "Waiting for the host".into()));
        };
        if let Some(wait) = self.leave_balancers(process, row, &*runtime) {
            return Ok(wait);
        }
        let grace = grace(process, &launch_of(row)?);
        if let Err(error) = runtime.stop(&row.uuid, grace).await {
            return Ok(engine_failed(error));
        }
        self.balancers.forget_released(&row.uuid);
        self.start_instance(process, row).await
    }

    pub(crate) async fn stop_instance(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let launch = launch_of(row)?;
        let data: StopData = serde_json::from_str(&process.data).unwrap_or_default();
        self.monitor.forget(row.id);
        match row.host_id.and_then(|h| self.runtime(h)) {
            _ if data.leave => {}
            Some(runtime) => {
                if !data.by_itself
                    && let Some(wait) = self.leave_balancers(process, row, &*runtime)
                {
                    return Ok(wait);
                }
                if let Err(error) = runtime.stop(&row.uuid, grace(process, &launch)).await {
                    return Ok(engine_failed(error));
                }
                if let Err(error) = self.withdraw_secrets(row, &launch, &*runtime).await {
                    return Ok(engine_failed(error));
                }
            }
            None if row.host_id.is_some() && self.host_is_there(row.host_id)? => {
                return Ok(Outcome::Again(ENGINE_WAIT, "Waiting for the host".into()));
            }
            None => {}
        }
        self.balancers.forget_released(&row.uuid);
        self.note_ports_down(row).await?;
        let removes = data.remove
            || launch.instance_triggered_stop.as_deref() == Some("remove") && row.parent_id.is_none() && data.by_itself;
        let failed = data.error.clone();
        Ok(match (removes, failed) {
            (true, _) => Outcome::Then(Box::default(), "remove", remove_data(data.leave)?),
            (false, Some(message)) => {
                self.to_error(process, row, message).await?;
                Outcome::Left
            }
            (false, None) => Outcome::Done(Box::new(Changes {
                message: data.because,
                ..Changes::default()
            })),
        })
    }

    /// Removes it there, with its secrets; what is to come of the process where that cannot be done yet.
    async fn remove_from_engine(&self, row: &Resource) -> Result<Option<Outcome>> {
        let Some(runtime) = row.host_id.and_then(|h| self.runtime(h)) else {
            // A host that is only away will have to be told later; one that was removed never will be.
            let waits = row.host_id.is_some() && self.host_is_there(row.host_id)?;
            return Ok(waits.then(|| Outcome::Again(ENGINE_WAIT, "Waiting for the host".into())));
        };
        let removed = match runtime.remove(&row.uuid).await {
            Ok(()) => self.withdraw_secrets(row, &launch_of(row)?, &*runtime).await,
            error => error,
        };
        Ok(removed.err().map(engine_failed))
    }

    pub(crate) async fn remove_instance(
        &self,
        process: &Process,
        row: &Resource,
        keep_address: KeepAddress,
    ) -> Result<Outcome> {
        self.monitor.forget(row.id);
        let leave = serde_json::from_str::<StopData>(&process.data).is_ok_and(|data| data.leave);
        if !leave && let Some(wait) = self.remove_from_engine(row).await? {
            return Ok(wait);
        }
        self.let_go_of_many(process, row).await?;
        let keep = self.keep_removed();
        let row_id = row.id;
        let dependants = self.store.referrers(row.id, "networkContainerId")?;
        let process_id = process.id;
        let machine = self.machine_of(&row.kind)?.clone();
        let volumes = self.machine_of("volume")?.clone();
        let cleanup = volumes::Cleanup::of(&launch_of(row)?);
        let is_kept = self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(true);
            };
            volumes::release_volumes(tx, &volumes, &row, cleanup)?;
            for root in ["port", "mount", "nic", "ipAddress", "label", "instanceLink", HEALTH_MAP] {
                for part in tx.children(row.id, root)? {
                    retire(tx, &part, keep)?;
                }
            }
            for map in tx.referrers(row.id, "instanceId")? {
                if let Some(map) = tx
                    .find(map)?
                    .filter(|m| m.root == "serviceExposeMap" && m.removed.is_none())
                {
                    retire(tx, &map, keep)?;
                    tx.delete_refs(map.id, "serviceId")?;
                    tx.delete_refs(map.id, "instanceId")?;
                }
            }
            // Given back with the row's knowledge: a second run of this handler must not give it back from a new owner.
            let note = InstanceNotes {
                ip: None,
                ..notes(&row)
            };
            end_own_key(tx, &note, keep)?;
            tx.update_if(
                &row,
                &Changes {
                    internal: Some(write_notes(&note)?),
                    ..Changes::default()
                },
            )?;
            // Who lived in its namespace cannot go on: containers of no service stop, the others are the planner's.
            for id in dependants {
                if let Some(dependant) = tx
                    .find(id)?
                    .filter(|d| d.parent_id.is_none() && d.state == State::RUNNING)
                {
                    request(tx, &machine, &dependant, "stop", "{}", Changes::default())?;
                }
            }
            keep_address(tx, &row)
        });
        let is_kept = is_kept.await?;
        let note: InstanceNotes = notes(row);
        if let (Some(project), Some(ip), false) = (row.account_id, &note.ip, is_kept) {
            self.addresses.release(project, ip);
        }
        Ok(Outcome::done())
    }

    /// Lets go of the mounts and ports of a container that has very many of them, in portions; of all others with the last write.
    async fn let_go_of_many(&self, process: &Process, row: &Resource) -> Result<()> {
        let mut parts = self.store.children(row.id, "mount")?;
        parts.extend(self.store.children(row.id, "port")?);
        if parts.len() <= MANY {
            return Ok(());
        }
        let (process_id, row_id, keep) = (process.id, row.id, self.keep_removed());
        let volumes = self.machine_of("volume")?.clone();
        let cleanup = volumes::Cleanup::of(&launch_of(row)?);
        self.write(move |tx| match fenced(tx, process_id, row_id)? {
            Some(row) => volumes::release_volumes(tx, &volumes, &row, cleanup),
            None => Ok(()),
        })
        .await?;
        self.write_each(parts, move |tx, part| {
            if fenced(tx, process_id, row_id)?.is_none() {
                return Ok(());
            }
            match tx.find(part.id)?.filter(|part| part.removed.is_none()) {
                Some(part) => retire(tx, &part, keep).map(drop),
                None => Ok(()),
            }
        })
        .await
    }

    fn host_is_there(&self, host: Option<ResourceId>) -> Result<bool> {
        let host = host.map(|h| self.store.find(h)).transpose()?.flatten();
        // On a node, too, that is being removed: others reach its containers, and nobody else may have their addresses.
        Ok(host.is_some_and(|h| h.removed.is_none() && (h.state != State::REMOVING || is_node(&h))))
    }
}

/// What a stop is asked with.
#[derive(Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct StopData {
    /// Remove it afterwards.
    pub(crate) remove: bool,
    /// Seconds.
    pub(crate) timeout: Option<u64>,
    /// It stopped by itself: only the row follows.
    pub(crate) by_itself: bool,
    /// The engine is not asked for anything: only the row goes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) leave: bool,
    /// Why it is stopped, if it had to be: kept as the message.
    pub(crate) because: Option<String>,
    /// End in `error` with this message.
    pub(crate) error: Option<String>,
}

fn grace(process: &Process, launch: &LaunchConfig) -> Duration {
    let data: StopData = serde_json::from_str(&process.data).unwrap_or_default();
    let configured = launch.stop_timeout.and_then(|s| u64::try_from(s).ok());
    data.timeout
        .or(configured)
        .map_or(STOP_GRACE, |s| Duration::from_secs(s.min(3_600)))
}

/// The data of a start that has happened: only the row follows.
pub(crate) const BY_ITSELF: &str = r#"{"byItself":true}"#;

/// The data of a stop that has happened, of a container that is left alone.
pub(super) const LEAVE: &str = r#"{"byItself":true,"leave":true}"#;

/// The data of a removal; `leave` if only the row is to go.
pub(crate) fn remove_data(leave: bool) -> Result<String> {
    if !leave {
        return Ok("{}".to_owned());
    }
    write_data(&StopData {
        leave,
        ..StopData::default()
    })
}

fn write_data(data: &StopData) -> Result<String> {
    serde_json::to_string(data).map_err(|e| Error::internal("writing a stop request", e))
}

/// The data of a stop that only the row hears of, and that a removal follows.
fn leaving_data() -> Result<String> {
    write_data(&StopData {
        remove: true,
        leave: true,
        ..StopData::default()
    })
}

/// A container that somebody else made goes with the host or the project that it was in: its row goes, and nothing happens
/// to it.
fn let_go(tx: &mut Tx<'_>, machine: &Arc<Machine>, row: &Resource) -> Result<()> {
    if machine.start("remove", row.state).is_some() {
        request(tx, machine, row, "remove", &remove_data(true)?, Changes::default())?;
    } else if machine.start("stop", row.state).is_some() {
        request(tx, machine, row, "stop", &leaving_data()?, Changes::default())?;
    }
    Ok(())
}

/// A container goes with the host or the project that it was in: removed, or only let go if somebody else made it.
pub(crate) fn dismiss(tx: &mut Tx<'_>, machine: &Arc<Machine>, row: &Resource) -> Result<()> {
    if notes::<InstanceNotes>(row).is_native {
        return let_go(tx, machine, row);
    }
    remove_container(tx, machine, row).map(drop)
}

/// A container goes whose host is given up: its row alone, whatever it waits for.
pub(crate) fn abandon(tx: &mut Tx<'_>, machine: &Arc<Machine>, row: &Resource) -> Result<()> {
    if !matches!(row.state, State::STOPPING | State::REMOVING) {
        return let_go(tx, machine, row);
    }
    let data = leaving_data()?;
    for open in tx.open_processes_of(row.id)? {
        tx.set_process_data(open.id, &data)?;
    }
    Ok(())
}

/// Removes a container: at once where that is legal, else by stopping it first.
pub(crate) fn remove_container(tx: &mut Tx<'_>, machine: &Arc<Machine>, row: &Resource) -> Result<Resource> {
    if machine.start("remove", row.state).is_some() {
        return request(tx, machine, row, "remove", "{}", Changes::default());
    }
    let data = serde_json::to_string(&StopData {
        remove: true,
        ..StopData::default()
    })
    .map_err(|e| Error::internal("writing a stop request", e))?;
    if machine.start("stop", row.state).is_some() {
        return request(tx, machine, row, "stop", &data, Changes::default());
    }
    if row.state == State::STOPPING {
        for open in tx.open_processes_of(row.id)? {
            tx.set_process_data(open.id, &data)?;
        }
    }
    Ok(row.clone())
}

/// Whether a container is being removed, or stopped in order to be removed.
pub(crate) fn is_leaving(tx: &mut Tx<'_>, row: &Resource) -> Result<bool> {
    let removes = |data: &str| serde_json::from_str::<StopData>(data).is_ok_and(|d| d.remove);
    Ok(match row.state {
        State::REMOVING => true,
        State::STOPPING => tx.open_processes_of(row.id)?.iter().any(|p| removes(&p.data)),
        _ => false,
    })
}

pub(crate) fn stop_data(input: &Input) -> Result<String> {
    let data = StopData {
        remove: input.get("remove").and_then(Value::as_bool).unwrap_or(false),
        timeout: input.get("timeout").and_then(Value::as_u64),
        ..StopData::default()
    };
    serde_json::to_string(&data).map_err(|e| Error::internal("writing a stop request", e))
}
