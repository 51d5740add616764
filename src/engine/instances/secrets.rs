//! Secrets of containers, and configs: opened when a container is about to start, handed to its engine, and taken back when it has stopped.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::engine::access::SECRET_VALUE;
use crate::engine::core::Core;
use crate::model::launch::{LaunchConfig, parse_reference};
use crate::model::own_labels::{self, ConfigFile};
use crate::model::{Error, Fields, Resource, ResourceId, Result, SecretReference, State};
use crate::runtime::{self, Runtime, SecretFile};

use super::container_rows::launch_of;

/// What is in the fields of a container that has secrets, or configs.
const SIGNS: [&str; 2] = [r#""secretId""#, own_labels::CONFIG];
/// The root of configs.
const CONFIG_ROOT: &str = "dockerConfig";

/// Checks what a client sent.
pub(super) fn check(launch: &LaunchConfig) -> Result<()> {
    let mut places = HashSet::new();
    for reference in launch.secrets.iter().flatten() {
        reference.check()?;
        if let Some(name) = reference.name.as_deref().filter(|name| !name.is_empty()) {
            let place = reference.place(name)?;
            if !places.insert(place.clone()) {
                return Err(Error::invalid("NotUnique", "name").with_message(two_named(&place)));
            }
        }
    }
    match configs(launch)?
        .into_iter()
        .find(|file| !places.insert(file.place.clone()))
    {
        None => Ok(()),
        Some(file) => Err(Error::invalid("NotUnique", "launchConfig.labels").with_message(two_named(&file.place))),
    }
}

fn configs(launch: &LaunchConfig) -> Result<Vec<ConfigFile>> {
    launch.labels.as_ref().map_or(Ok(Vec::new()), own_labels::config_files)
}

fn two_named(place: &str) -> String {
    format!("two secrets are to be called {place}")
}

/// Whether a container is to have any.
pub(super) fn wants(launch: &LaunchConfig) -> bool {
    launch.secrets.as_ref().is_some_and(|all| !all.is_empty())
        || launch.labels.as_ref().is_some_and(own_labels::wants_configs)
}

/// Whether any of them is in the folder of secrets, and the paths of those that are elsewhere, in their order.
pub(super) fn places(launch: &LaunchConfig) -> Result<(bool, Vec<String>)> {
    let mut placed = Vec::new();
    let mut has_folder = false;
    for reference in launch.secrets.iter().flatten() {
        // One without a name has its secret's, which is one in the folder.
        match reference.name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => placed.push(reference.place(name)?),
            None => has_folder = true,
        }
    }
    placed.extend(configs(launch)?.into_iter().map(|file| file.place));
    let all = placed.len();
    placed.retain(|place| place.starts_with('/'));
    has_folder |= placed.len() < all;
    Ok((has_folder, placed))
}

impl Core {
    /// Fills the folder of a container that is about to start, if it has one.
    pub(super) async fn deliver_secrets(
        &self,
        row: &Resource,
        launch: &LaunchConfig,
        runtime: &dyn Runtime,
    ) -> runtime::Result<()> {
        if !wants(launch) {
            return Ok(());
        }
        let failed = |error: Error| runtime::Error::Failed(error.to_string());
        let files = self.files_of(row.account_id, launch).map_err(failed)?;
        // Those without a name of their own have that of their secret, which is known only now.
        let mut names = HashSet::new();
        if let Some(twice) = files.iter().find(|file| !names.insert(&file.name)) {
            return Err(runtime::Error::Failed(two_named(&twice.name)));
        }
        runtime.deliver_secrets(&row.uuid, &files).await
    }

    fn files_of(&self, account: Option<ResourceId>, launch: &LaunchConfig) -> Result<Vec<SecretFile>> {
        let secrets = launch.secrets.iter().flatten();
        let secrets = secrets.map(|reference| self.secret_file(account, reference));
        let configs = configs(launch)?;
        let there = match configs.is_empty() {
            true => Vec::new(),
            false => self.store.all(CONFIG_ROOT, account)?,
        };
        let configs = configs.into_iter().map(|file| config_file(&there, file));
        secrets.chain(configs).collect()
    }

    fn secret_file(&self, account: Option<ResourceId>, reference: &SecretReference) -> Result<SecretFile> {
        let wire = reference.secret_id.as_deref().unwrap_or_default();
        let row = parse_reference(wire)
            .map(|id| self.store.find(id))
            .transpose()?
            .flatten();
        let row = row.filter(|row| row.kind == "secret" && row.account_id == account && row.removed.is_none());
        let gone = || Error::not_found().with_message(format!("secret {wire} is gone"));
        let row = row.ok_or_else(gone)?;
        let kept = self.store.credential(row.id)?.ok_or_else(gone)?;
        let value = self
            .config
            .secrets
            .unseal(SECRET_VALUE, &kept.secret)
            .ok_or_else(gone)?;
        let content = STANDARD
            .decode(&value)
            .or_else(|_| STANDARD_NO_PAD.decode(&value))
            .map_err(|_| gone())?;
        Ok(SecretFile {
            name: reference.place(&row.name)?,
            content,
            access: reference.access()?,
        })
    }

    /// Takes them back, after the container has stopped or is gone.
    pub(super) async fn withdraw_secrets(
        &self,
        row: &Resource,
        launch: &LaunchConfig,
        runtime: &dyn Runtime,
    ) -> runtime::Result<()> {
        match wants(launch) {
            true => runtime.withdraw_secrets(&row.uuid).await,
            false => Ok(()),
        }
    }

    /// Brings what an engine holds in line with rows: whoever runs has its secrets (a machine that was started anew has forgotten
    /// them), and nobody else.
    pub(crate) async fn compare_secrets(&self, rows: &[Resource], runtime: &dyn Runtime) -> Result<()> {
        let holds = |row: &&Resource| SIGNS.iter().any(|sign| row.fields.contains(sign));
        let held = match runtime.with_secrets().await {
            Ok(held) => held,
            Err(error) => {
                log::debug!("who has secrets is not known: {error}");
                return Ok(());
            }
        };
        for row in rows.iter().filter(holds).filter(|row| row.state == State::RUNNING) {
            let launch = launch_of(row)?;
            if wants(&launch)
                && !held.contains(&row.uuid)
                && let Err(error) = self.deliver_secrets(row, &launch, runtime).await
            {
                log::warn!("{} has no secrets: {error}", row.name);
            }
        }
        for uuid in &held {
            let row = self.store.find_by_uuid(uuid)?;
            if row.is_none_or(|row| row.removed.is_some())
                && let Err(error) = runtime.withdraw_secrets(uuid).await
            {
                log::warn!("secrets of a container that is gone stay: {error}");
            }
        }
        Ok(())
    }
}

/// A config that a label names, among those of the project.
fn config_file(there: &[Resource], file: ConfigFile) -> Result<SecretFile> {
    let gone = || Error::not_found().with_message(format!("config {} is gone", file.config));
    let row = there
        .iter()
        .find(|row| row.name == file.config && is_there(row))
        .ok_or_else(gone)?;
    let data = Fields::parse(&row.fields)?.text("data").unwrap_or_default();
    Ok(SecretFile {
        content: STANDARD.decode(data).map_err(|_| gone())?,
        name: file.place,
        access: file.access,
    })
}

fn is_there(row: &Resource) -> bool {
    row.removed.is_none() && !matches!(row.state, State::REMOVING | State::REMOVED | State::PURGED)
}
