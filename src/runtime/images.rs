//! Images as an engine has them, and as a registry has them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{RegistryAuth, Result};

/// An image that an engine has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFound {
    /// The engine's id, with its algorithm: `sha256:…`.
    pub id: String,
    /// The id of the image that it was built on, where the engine knows one; else empty.
    pub parent: String,
    /// What it is called: `busybox:latest`.
    pub tags: Vec<String>,
    /// What registries call it: `busybox@sha256:…`.
    pub digests: Vec<String>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// Bytes.
    pub size: i64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// An image, looked at closely.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageDetails {
    /// The engine's id, with its algorithm.
    pub id: String,
    /// What it is called.
    pub tags: Vec<String>,
    /// What registries call it.
    pub digests: Vec<String>,
    /// What was said when it was made.
    pub comment: String,
    /// Who made it.
    pub author: String,
    /// When it was made, in the engine's words.
    pub created: String,
    /// For which processors it is: `amd64`.
    pub architecture: String,
    /// For which system it is: `linux`.
    pub os: String,
    /// Bytes.
    pub size: i64,
    /// What containers are that are made of it, in the engine's own names: `Env`, `Cmd`.
    pub config: Map<String, Value>,
    /// The digests of its layers.
    pub layers: Vec<String>,
}

/// What a registry says of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryImage {
    /// The digest of its manifest: `sha256:…`.
    pub digest: String,
    /// Of which sort the manifest is.
    pub media_type: String,
    /// Bytes of the manifest.
    pub size: i64,
    /// For which machines there are images.
    pub platforms: Vec<ImagePlatform>,
}

/// A machine that an image is for. What is not said is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImagePlatform {
    /// `amd64`.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// The version of the system.
    pub os_version: String,
    /// The version of the processor: `v7`.
    pub variant: String,
}

/// What came of asking a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedRegistry {
    /// It has the image.
    Found(RegistryImage),
    /// The engine or the registry refused.
    Refused {
        /// The engine's status.
        status: u16,
        /// In its words.
        message: String,
    },
}

/// What an engine, and the registries that it reaches, know of images.
#[async_trait]
pub trait Images {
    /// The images that it has; `with_all` also those that others were built on and that have no name.
    async fn images(&self, with_all: bool) -> Result<Vec<ImageFound>>;
    /// An image that it has, by a name or by its id; `None` if it is not there.
    async fn image(&self, name: &str) -> Result<Option<ImageDetails>>;
    /// What a registry says of an image, which need not be there.
    async fn ask_registry(&self, image: &str, auth: Option<&RegistryAuth>) -> Result<AskedRegistry>;
}

/// Whether this may be the name or the id of an image: what it becomes a part of an address with must not lead anywhere else.
pub fn is_image_name(name: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "._-:/@".contains(c);
    let is_step = |part: &str| part.is_empty() || part.chars().all(|c| c == '.');
    !name.is_empty() && name.len() <= 512 && name.chars().all(is_known) && !name.split('/').any(is_step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_an_image_leads_nowhere_else() {
        for good in [
            "busybox",
            "a/b/c:1.2",
            "host:5000/a@sha256:0f",
            "sha256:0f",
            "0f0f",
            "sim:exit:3:500",
        ] {
            assert!(is_image_name(good), "{good}");
        }
        let long = "a".repeat(513);
        for bad in [
            "", "..", "a/../b", "a/./b", "/a", "a/", "a//b", "a?b", "a#b", "a%2e", "a b", "a\\b", "ä", &long,
        ] {
            assert!(!is_image_name(bad), "{bad}");
        }
    }
}
