//! Looking at one container: by its uuid, by the engine's id, by a name that was taken, and until it is gone.

use bollard::query_parameters::InspectContainerOptions;

use super::{Inner, LONG, POLL, SHORT, observed};
use crate::runtime::{ContainerSpec, Error, Found, Life, Result};

impl Inner {
    /// The container as the list has it. Should an accident have made two, the running one is meant.
    pub(super) async fn look_up(&self, uuid: &str) -> Result<Option<Found>> {
        let mut all = self.list(Some(uuid)).await?;
        all.sort_by_key(|f| (f.life != Life::Running, f.external_id.clone()));
        Ok(all.into_iter().next())
    }

    pub(super) async fn inspect(&self, id: &str) -> Result<Option<Found>> {
        match self
            .call(
                SHORT,
                self.api()?.inspect_container(id, None::<InspectContainerOptions>),
            )
            .await
        {
            Ok(answer) => Ok(observed::from_inspect(answer, &self.server_uuid)),
            Err(Error::Gone(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// The container that has the name a creation wanted, if it is the same one: another call of ours was faster. The
    /// engine reserves a name before it knows the container, so the holder may not be there to be seen yet.
    pub(super) async fn holder_of_name(&self, spec: &ContainerSpec, refusal: String) -> Result<Found> {
        let look = async {
            loop {
                match self
                    .call(
                        SHORT,
                        self.api()?
                            .inspect_container(&spec.name, None::<InspectContainerOptions>),
                    )
                    .await
                {
                    Ok(holder) => {
                        let holder = observed::from_inspect(holder, &self.server_uuid);
                        return Ok(holder.filter(|f| f.uuid == spec.uuid));
                    }
                    Err(Error::Gone(_)) => crate::runtime::pause(POLL).await,
                    Err(other) => return Err(other),
                }
            }
        };
        let holder = tokio::time::timeout(SHORT, look).await.unwrap_or(Ok(None))?;
        holder.ok_or(Error::NameTaken(refusal))
    }

    /// Waits for the end of a removal that someone else began.
    pub(super) async fn wait_until_gone(&self, id: &str) -> Result<()> {
        let wait = async {
            while self.inspect(id).await?.is_some() {
                crate::runtime::pause(POLL).await;
            }
            Ok(())
        };
        let late = || {
            Error::Failed(format!(
                "removal of container {id} is still in progress after {} s",
                LONG.as_secs()
            ))
        };
        tokio::time::timeout(LONG, wait).await.unwrap_or_else(|_| Err(late()))
    }
}
