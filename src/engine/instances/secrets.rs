//! Secrets of containers: opened when a container is about to start, handed to its engine, and taken back when it has stopped.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::engine::access::SECRET_VALUE;
use crate::engine::core::Core;
use crate::model::launch::{LaunchConfig, parse_reference};
use crate::model::{Error, Resource, ResourceId, Result, SecretReference, State};
use crate::runtime::{self, Runtime, SecretFile};

use super::container_rows::launch_of;

/// What is in the fields of a container that has secrets.
const SIGN: &str = r#""secretId""#;

/// Checks what a client sent.
pub(super) fn check(launch: &LaunchConfig) -> Result<()> {
    let mut names = HashSet::new();
    for reference in launch.secrets.iter().flatten() {
        reference.check()?;
        if let Some(name) = reference.name.as_deref().filter(|name| !name.is_empty())
            && !names.insert(name)
        {
            return Err(Error::invalid("NotUnique", "name").with_message(two_named(name)));
        }
    }
    Ok(())
}

fn two_named(name: &str) -> String {
    format!("two secrets are to be called {name}")
}

/// Whether a container is to have any.
pub(super) fn wants(launch: &LaunchConfig) -> bool {
    launch.secrets.as_ref().is_some_and(|all| !all.is_empty())
}

impl Core {
    /// Fills the folder of a container that is about to start, if it has one.
    pub(super) async fn deliver_secrets(
        &self,
        row: &Resource,
        launch: &LaunchConfig,
        runtime: &dyn Runtime,
    ) -> runtime::Result<()> {
        let references = launch.secrets.as_deref().unwrap_or_default();
        if references.is_empty() {
            return Ok(());
        }
        let files = references
            .iter()
            .map(|reference| self.secret_file(row.account_id, reference));
        let files = files
            .collect::<Result<Vec<_>>>()
            .map_err(|e| runtime::Error::Failed(e.to_string()))?;
        // Those without a name of their own have that of their secret, which is known only now.
        let mut names = HashSet::new();
        if let Some(twice) = files.iter().find(|file| !names.insert(&file.name)) {
            return Err(runtime::Error::Failed(two_named(&twice.name)));
        }
        runtime.deliver_secrets(&row.uuid, &files).await
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
            name: reference.file_name(&row.name)?.to_owned(),
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
        let holds = |row: &&Resource| row.fields.contains(SIGN);
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
