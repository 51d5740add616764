//! Images of the hosts of a project.

use crate::engine::core::Scope;
use crate::model::Result;
use crate::runtime::{AskedRegistry, ImageDetails, ImageFound, RegistryAuth};

use super::Engine;

impl Engine {
    /// The images of the project's hosts that the caller may see, each once; `with_all` also those that others were built on.
    ///
    /// # Errors
    /// 503 if there are hosts and none of them answers.
    pub async fn images(&self, scope: &Scope, with_all: bool) -> Result<Vec<ImageFound>> {
        self.core().images(scope, with_all).await
    }

    /// An image that a host of the project has, by a name or by its id, if the caller may see it.
    ///
    /// # Errors
    /// 503 if it was not found and a host did not answer.
    pub async fn image(&self, scope: &Scope, name: &str) -> Result<Option<ImageDetails>> {
        self.core().image(scope, name).await
    }

    /// What a registry says of an image: asked with `auth`, else with what the project has for that registry.
    ///
    /// # Errors
    /// 422 for an image that may not be pulled from where it is, 503 if no host answers.
    pub async fn ask_registry(&self, scope: &Scope, image: &str, auth: Option<RegistryAuth>) -> Result<AskedRegistry> {
        self.core().ask_registry(scope, image, auth).await
    }
}
