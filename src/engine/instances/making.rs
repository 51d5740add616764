//! `instance.create`: a container is placed, its image pulled, its network and volumes made present, and it is made.

use std::time::Duration;

use crate::engine::access::CREDENTIAL_FIELD;
use crate::engine::core::{Core, Outcome, Served, fenced, notes, request, write_notes};
use crate::model::launch::{LABEL_REQUESTED_IP, LaunchConfig, image_reference};
use crate::model::{Fields, Resource, Result, State};
use crate::runtime::{self, Found};
use crate::store::{Changes, Process, exit};

use super::container_rows::{InstanceNotes, launch_of};
use super::failing::{Hindrance, Step};
use super::naming::{NamesBy, asks_on_host};
use super::spec::SpecError;
use super::{container_rows, volumes};

/// How long a container waits for another one before it looks again.
pub(super) const SIBLING_WAIT: Duration = Duration::from_millis(100);

/// How long work waits for an engine that does not answer before it asks again.
pub(super) const ENGINE_WAIT: Duration = Duration::from_secs(2);

impl Core {
    pub(crate) async fn create_instance(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let launch = launch_of(row)?;
        if row.state == State::CREATING && launch.start_on_create == Some(false) {
            return self.grant_before_start(process, row, &launch).await;
        }
        let row = match row.host_id {
            Some(_) => row.clone(),
            None => match self.place(process, row, &launch).await {
                Ok(row) => row,
                Err(why) => return self.hindered(process, row, why).await,
            },
        };
        let Some(host) = row.host_id else {
            return Ok(Outcome::Failed("Waiting for a host".into()));
        };
        let Some(runtime) = self.runtime(host) else {
            return Ok(Outcome::Again(ENGINE_WAIT, "Waiting for the host".into()));
        };
        if let Err(error) = self.pull(process, &row, &launch, &*runtime).await {
            return self.start_failed(process, &row, error).await;
        }
        if let Err(why) = self.prepare_volumes(&row, &launch, &*runtime).await {
            return self.hindered(process, &row, why).await;
        }
        let (row, network) = match self.network_of(process, &row, &launch).await {
            Ok(found) => found,
            Err(why) => return self.hindered(process, &row, why).await,
        };
        let (row, told) = match self.own_key(process, &row, &launch).await? {
            Ok(told) => (self.store.find(row.id)?.unwrap_or(row), told),
            Err(outcome) => return Ok(outcome),
        };
        let spec = match self.container_spec(&row, network) {
            Ok(mut spec) => {
                let own = told.into_iter().flatten().map(|(name, value)| (name.to_owned(), value));
                spec.launch.environment.get_or_insert_default().extend(own);
                spec
            }
            Err(SpecError::NotYet(message)) => return Ok(Outcome::Again(SIBLING_WAIT, message)),
            Err(SpecError::Impossible(message)) if row.parent_id.is_none() => {
                // Trying again would change nothing.
                self.to_error(process, &row, message).await?;
                return Ok(Outcome::Left);
            }
            Err(SpecError::Impossible(message)) => return self.start_failed(process, &row, message).await,
            Err(SpecError::Internal(error)) => return Err(error),
        };
        // Files outside of the folder of secrets are mounted one by one: the engine asks for them as soon as it makes it.
        if !spec.placed.is_empty()
            && let Err(error) = self.deliver_secrets(&row, &launch, &*runtime).await
        {
            return self.start_failed(process, &row, error).await;
        }
        let found = match runtime.create(&spec).await {
            Ok(found) => found,
            Err(runtime::Error::NameTaken(_)) => return self.rename(process, &row).await,
            Err(error @ (runtime::Error::Gone(_) | runtime::Error::NetworkGone(_))) => {
                self.forget_network_of(&row);
                return self.start_failed(process, &row, error).await;
            }
            Err(error) => return self.start_failed(process, &row, error).await,
        };
        self.note_creation(process, &row, found, &launch).await
    }

    /// One that is not to start yet is told already what it will have.
    async fn grant_before_start(&self, process: &Process, row: &Resource, launch: &LaunchConfig) -> Result<Outcome> {
        let granted = self.granted(row, launch)?;
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(());
            };
            let mut fields = Fields::parse(&row.fields)?;
            granted.write(tx, &row, &mut fields)?;
            let changes = Changes {
                fields: Some(fields),
                ..Changes::default()
            };
            tx.update_if(&row, &changes).map(drop)
        })
        .await?;
        Ok(Outcome::done())
    }

    /// Writes what the engine made, and goes straight on to the start.
    async fn note_creation(
        &self,
        process: &Process,
        row: &Resource,
        found: Found,
        launch: &LaunchConfig,
    ) -> Result<Outcome> {
        // One that is made anew on its way up only goes on: it is its start that noticed.
        let goes_on = row.state != State::CREATING;
        let machine = self.machine_of(&row.kind)?.clone();
        let (process_id, row_id) = (process.id, row.id);
        let external_id = found.external_id.clone();
        let types = self.instance_types()?;
        let image = self.type_of("image")?.clone();
        let granted = self.granted(row, launch)?;
        let (volume, mount) = (self.type_of("volume")?.clone(), self.type_of("mount")?.clone());
        let pulled_with =
            self.registry_credential(row, image_reference(launch.image_uuid.as_deref().unwrap_or_default()))?;
        let pulled_with =
            pulled_with.map(|(credential, _)| (credential.id, self.wire_id("registryCredential", credential.id)));
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(());
            };
            let mut fields = Fields::parse(&row.fields)?;
            fields.set("externalId", &external_id)?;
            if let Some((credential, wire)) = pulled_with {
                fields.set(CREDENTIAL_FIELD, &wire)?;
                tx.insert_ref(row.id, CREDENTIAL_FIELD, credential)?;
            }
            granted.write(tx, &row, &mut fields)?;
            let note = InstanceNotes {
                is_made: true,
                docker_name: found.name.clone(),
                ..notes(&row)
            };
            volumes::note_mounts(tx, &types, &volume, &mount, &row, &found)?;
            volumes::note_image(tx, &image, &row)?;
            let changes = Changes {
                fields: Some(fields),
                internal: Some(write_notes(&note)?),
                ..Changes::default()
            };
            if goes_on {
                tx.update_if(&row, &changes)?;
            } else {
                tx.end_process(process_id, exit::CHAIN)?;
                request(tx, &machine, &row, "start", "{}", changes)?;
            }
            Ok(())
        })
        .await?;
        Ok(if goes_on {
            Outcome::Again(Duration::ZERO, row.message.clone())
        } else {
            Outcome::Left
        })
    }

    /// The name is taken by a stranger: the intent is written with a name that cannot be, and tried again.
    async fn rename(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let name = container_rows::unique_name(&row.name, &row.uuid);
        self.change_notes(process, row, move |note| note.docker_name = name)
            .await?;
        Ok(Outcome::Again(Duration::ZERO, String::new()))
    }

    /// The network and address of a container in managed networking, decided and written before it is made.
    async fn network_of(
        &self,
        process: &Process,
        row: &Resource,
        launch: &LaunchConfig,
    ) -> Step<(Resource, Option<(String, String)>)> {
        let is_managed = launch.network_mode.as_deref() == Some("managed");
        let (true, Some(project), Some(host)) = (is_managed || asks_on_host(launch), row.account_id, row.host_id)
        else {
            return Ok((row.clone(), None));
        };
        let Some(project) = self.store.find(project)? else {
            return Err(Hindrance::refused("the project is gone"));
        };
        let network = self.managed_network(&project, host).await?;
        let note: InstanceNotes = notes(row);
        let held = note.ip.filter(|ip| network.has(ip));
        let names = match note.names.filter(|_| held.is_some() || !is_managed) {
            Some(decided) => Some(decided),
            None => self.names_by(Served {
                project: project.id,
                host,
            })?,
        };
        if !is_managed {
            return Ok((self.note_names(process, row, names).await?, None));
        }
        if let Some(ip) = held {
            let row = self.note_names(process, row, names).await?;
            return Ok((row, Some((network.id().to_owned(), ip))));
        }
        let preferred = launch.label(LABEL_REQUESTED_IP).unwrap_or_default();
        let wanted: Vec<String> = launch
            .requested_ip_address
            .iter()
            .chain(&launch.ip)
            .map(String::as_str)
            .chain(preferred.split(','))
            .map(|w| w.trim().to_owned())
            .collect();
        let ip = self.allocate_address(project.id, &network, &wanted)?;
        let (process_id, row_id, held) = (process.id, row.id, ip.clone());
        let written = self
            .write(move |tx| {
                let Some(row) = fenced(tx, process_id, row_id)? else {
                    return Ok(None);
                };
                let note = InstanceNotes {
                    ip: Some(held),
                    names,
                    ..notes(&row)
                };
                tx.update_if(
                    &row,
                    &Changes {
                        internal: Some(write_notes(&note)?),
                        ..Changes::default()
                    },
                )
                .map(Some)
            })
            .await;
        match written {
            Ok(Some(row)) => Ok((row, Some((network.id().to_owned(), ip)))),
            other => {
                self.addresses.release(project.id, &ip);
                other?;
                Err(Hindrance::refused("the container moved on"))
            }
        }
    }

    /// Notes by what a container is found that has its address already.
    async fn note_names(&self, process: &Process, row: &Resource, names: Option<NamesBy>) -> Step<Resource> {
        if notes::<InstanceNotes>(row).names == names {
            return Ok(row.clone());
        }
        self.change_notes(process, row, move |note| note.names = names).await?;
        let row = self.store.find(row.id)?;
        row.ok_or_else(|| Hindrance::refused("the container moved on"))
    }

    pub(super) async fn change_notes(
        &self,
        process: &Process,
        row: &Resource,
        change: impl FnOnce(&mut InstanceNotes) + Send + 'static,
    ) -> Result<()> {
        let (process_id, row_id) = (process.id, row.id);
        self.write(move |tx| {
            let Some(row) = fenced(tx, process_id, row_id)? else {
                return Ok(());
            };
            let mut note: InstanceNotes = notes(&row);
            change(&mut note);
            tx.update_if(
                &row,
                &Changes {
                    internal: Some(write_notes(&note)?),
                    ..Changes::default()
                },
            )?;
            Ok(())
        })
        .await
    }
}
