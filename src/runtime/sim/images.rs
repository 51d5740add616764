//! The images of a simulated engine: those that it was told to pull. A simulated registry has every image that can be pulled.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, json};

use super::Sim;
use super::knobs::{Knobs, SimStep};
use super::state::hex_id;
use crate::model::Timestamp;
use crate::runtime::{
    AskedRegistry, ImageDetails, ImageFound, ImagePlatform, Images, RegistryAuth, RegistryImage, Result,
};

/// Of each image, in bytes.
const SIZE: i64 = 1 << 20;

/// The images that were pulled, by how the engine calls them, and when that was.
pub(super) type Pulled = BTreeMap<String, Timestamp>;

/// What an image is called, as in launch configurations: `sim:web`.
pub(super) fn name(image: &str) -> String {
    let rest = image.strip_prefix("sim:").unwrap_or(image);
    let named = rest.split('@').next().unwrap_or_default();
    format!("sim:{named}")
}

fn digest(name: &str) -> String {
    format!("sha256:{}", hex_id(name))
}

fn is_it(name: &str, wanted: &str) -> bool {
    let id = hex_id(name);
    let wanted_id = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    name == wanted || (wanted_id.len() > 2 && id.starts_with(wanted_id))
}

#[async_trait]
impl Images for Sim {
    async fn images(&self, _with_all: bool) -> Result<Vec<ImageFound>> {
        let world = self.enter("images", None)?;
        let found = world.state.pulled.iter().map(|(name, at)| ImageFound {
            id: digest(name),
            parent: String::new(),
            tags: vec![name.clone()],
            digests: Vec::new(),
            created: at.0 / 1_000,
            size: SIZE,
            labels: BTreeMap::new(),
        });
        Ok(found.collect())
    }

    async fn image(&self, wanted: &str) -> Result<Option<ImageDetails>> {
        let world = self.enter("image", None)?;
        let found = world.state.pulled.iter().find(|(name, _)| is_it(name, wanted));
        Ok(found.map(|(name, at)| ImageDetails {
            id: digest(name),
            tags: vec![name.clone()],
            digests: Vec::new(),
            comment: String::new(),
            author: String::new(),
            created: at.to_wire(),
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            size: SIZE,
            config: Map::from_iter([("Env".to_owned(), json!(["PATH=/bin"]))]),
            layers: vec![digest(&format!("{name} layer"))],
        }))
    }

    async fn ask_registry(&self, image: &str, auth: Option<&RegistryAuth>) -> Result<AskedRegistry> {
        let name = name(image);
        let plain = name.strip_prefix("sim:").unwrap_or(&name).to_owned();
        let mut world = self.enter("ask_registry", Some(&name))?;
        world
            .state
            .shown_to
            .insert(plain.clone(), auth.map(|auth| auth.server.clone()));
        if Knobs::of_image(&plain).fail.contains(&SimStep::Pull) {
            return Ok(AskedRegistry::Refused {
                status: 404,
                message: format!("manifest unknown: {name}"),
            });
        }
        Ok(AskedRegistry::Found(RegistryImage {
            digest: digest(&name),
            media_type: "application/vnd.docker.distribution.manifest.v2+json".to_owned(),
            size: 1_000,
            platforms: vec![ImagePlatform {
                architecture: "amd64".to_owned(),
                os: "linux".to_owned(),
                ..ImagePlatform::default()
            }],
        }))
    }
}
