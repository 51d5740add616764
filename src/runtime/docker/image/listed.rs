//! The images of an engine, and what registries say of others.

use async_trait::async_trait;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as Bollard;
use bollard::models::{ImageInspect, ImageSummary};
use bollard::query_parameters::ListImagesOptionsBuilder;
use serde_json::Value;

use super::super::{Docker, LONG, SHORT, failure};
use crate::runtime::images::is_image_name;
use crate::runtime::{
    AskedRegistry, Error, ImageDetails, ImageFound, ImagePlatform, Images, RegistryAuth, RegistryImage, Result,
};

/// What an engine writes in the place of a name that is not there.
const NONE: &str = "<none>";

#[async_trait]
impl Images for Docker {
    async fn images(&self, with_all: bool) -> Result<Vec<ImageFound>> {
        let options = ListImagesOptionsBuilder::default().all(with_all).digests(true).build();
        let docker = &self.inner;
        let all = docker.call(SHORT, docker.api()?.list_images(Some(options))).await?;
        Ok(all.into_iter().map(found).collect())
    }

    async fn image(&self, name: &str) -> Result<Option<ImageDetails>> {
        if !is_image_name(name) {
            return Ok(None);
        }
        let docker = &self.inner;
        match docker.call(SHORT, docker.api()?.inspect_image(name)).await {
            Ok(image) => details(image).map(Some),
            Err(Error::Gone(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    async fn ask_registry(&self, image: &str, auth: Option<&RegistryAuth>) -> Result<AskedRegistry> {
        if !is_image_name(image) {
            return Ok(AskedRegistry::Refused {
                status: 400,
                message: "invalid reference format".to_owned(),
            });
        }
        let credentials = auth.map(|auth| DockerCredentials {
            username: Some(auth.username.clone()),
            password: Some(auth.password.clone()),
            serveraddress: Some(auth.server.clone()),
            ..DockerCredentials::default()
        });
        // The status tells a password that is wrong from a registry that is away: here it counts.
        let asking = async {
            match self.inner.api()?.inspect_registry_image(image, credentials).await {
                Err(Bollard::DockerResponseServerError { status_code, message }) => Ok(AskedRegistry::Refused {
                    status: status_code,
                    message: message.trim().to_owned(),
                }),
                Err(other) => Err(failure(&other)),
                Ok(said) => Ok(AskedRegistry::Found(in_registry(said))),
            }
        };
        let late = || Error::Unreachable(format!("no answer within {} s", LONG.as_secs()));
        tokio::time::timeout(LONG, asking).await.unwrap_or_else(|_| Err(late()))
    }
}

fn in_registry(said: bollard::models::DistributionInspect) -> RegistryImage {
    let platforms = said.platforms.into_iter().map(|one| ImagePlatform {
        architecture: one.architecture.unwrap_or_default(),
        os: one.os.unwrap_or_default(),
        os_version: one.os_version.unwrap_or_default(),
        variant: one.variant.unwrap_or_default(),
    });
    RegistryImage {
        digest: said.descriptor.digest.unwrap_or_default(),
        media_type: said.descriptor.media_type.unwrap_or_default(),
        size: said.descriptor.size.unwrap_or_default(),
        platforms: platforms.collect(),
    }
}

fn named(names: Vec<String>) -> Vec<String> {
    names.into_iter().filter(|name| !name.contains(NONE)).collect()
}

fn found(image: ImageSummary) -> ImageFound {
    ImageFound {
        id: image.id,
        parent: image.parent_id,
        tags: named(image.repo_tags),
        digests: named(image.repo_digests),
        created: image.created,
        size: image.size,
        labels: image.labels.into_iter().collect(),
    }
}

fn details(image: ImageInspect) -> Result<ImageDetails> {
    let config = image.config.map(serde_json::to_value).transpose();
    let config = config.map_err(|e| Error::Failed(format!("reading an image: {e}")))?;
    Ok(ImageDetails {
        id: image.id.unwrap_or_default(),
        tags: named(image.repo_tags.unwrap_or_default()),
        digests: named(image.repo_digests.unwrap_or_default()),
        comment: image.comment.unwrap_or_default(),
        author: image.author.unwrap_or_default(),
        created: image.created.unwrap_or_default(),
        architecture: image.architecture.unwrap_or_default(),
        os: image.os.unwrap_or_default(),
        size: image.size.unwrap_or_default(),
        config: match config {
            Some(Value::Object(config)) => config,
            _ => serde_json::Map::new(),
        },
        layers: image.root_fs.and_then(|root| root.layers).unwrap_or_default(),
    })
}
