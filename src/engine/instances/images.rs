//! Images that the hosts of a project have, and what registries say of others.
//!
//! An engine is asked, and nothing is kept: what is there now is what counts. Who may start containers as they like sees all of an
//! engine's images; where a host policy holds, a project sees those that its containers and services name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use crate::engine::core::{Core, Scope};
use crate::model::launch::image_reference;
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State};
use crate::runtime::images::is_image_name;
use crate::runtime::{self, AskedRegistry, ImageDetails, ImageFound, RegistryAuth, Runtime};

/// How long an engine may take to say what it has.
const PATIENCE: Duration = Duration::from_secs(10);

/// What stands before the names of Docker's own registry, if anything does.
const USUAL: [&str; 4] = ["docker.io/", "index.docker.io/", "library/", "sim:"];

/// A name as engines show it: without Docker's own registry, and with its tag or, where it names one, only its digest.
fn plain(name: &str) -> String {
    let mut name = name;
    for usual in USUAL {
        name = name.strip_prefix(usual).unwrap_or(name);
    }
    let (rest, digest) = name
        .split_once('@')
        .map_or((name, None), |(rest, digest)| (rest, Some(digest)));
    let is_tagged = rest.rsplit('/').next().unwrap_or_default().contains(':');
    let untagged = || match is_tagged {
        true => rest.rsplit_once(':').map_or(rest, |(name, _)| name),
        false => rest,
    };
    match digest {
        Some(digest) => format!("{}@{digest}", untagged()),
        None if is_tagged => rest.to_owned(),
        None => format!("{rest}:latest"),
    }
}

/// Which images a caller sees.
enum Sight {
    All,
    /// Those of these names.
    Named(BTreeSet<String>),
}

impl Sight {
    fn has(&self, tags: &[String], digests: &[String]) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => tags.iter().chain(digests).any(|name| names.contains(&plain(name))),
        }
    }
}

/// What an engine says, if it does so in time.
async fn in_time<T>(asking: impl Future<Output = runtime::Result<T>>) -> runtime::Result<T> {
    let late = |_| runtime::Error::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, asking).await.map_err(late)?
}

fn away() -> Error {
    Error::new(ErrorKind::Unavailable).with_message("no host of this project answers")
}

impl Core {
    /// The engines of a project's hosts, those first that take containers and are not known to be away.
    fn engines_of(&self, project: ResourceId) -> Result<Vec<Arc<dyn Runtime>>> {
        let mut hosts = self.store.all("host", Some(project))?;
        hosts.retain(|host| !matches!(host.state, State::REMOVING | State::REMOVED | State::PURGED));
        hosts.sort_by_key(|host| (host.state != State::ACTIVE || is_away(host), host.id));
        Ok(hosts.iter().filter_map(|host| self.runtime(host.id)).collect())
    }

    fn sight_of_images(&self, scope: &Scope) -> Result<Sight> {
        let project = scope.effective.id;
        if self.check_engine_use(Some(project), &scope.user.kind).is_ok() && self.makes_containers(scope) {
            return Ok(Sight::All);
        }
        let mut names = BTreeSet::new();
        for root in ["service", "instance"] {
            for row in self.store.all(root, Some(project))? {
                names.extend(images_of(&row)?.iter().map(|image| plain(image_reference(image))));
            }
        }
        Ok(Sight::Named(names))
    }

    fn makes_containers(&self, scope: &Scope) -> bool {
        let view = self.registry.view(scope.version, scope.role);
        let ty = view.find_by_kind("container");
        ty.is_some_and(|ty| ty.collection_methods.iter().any(|method| method == "POST"))
    }

    /// The images of the project's hosts that the caller may see, each once.
    ///
    /// # Errors
    /// 503 if there are hosts and none of them answers.
    pub(crate) async fn images(&self, scope: &Scope, with_all: bool) -> Result<Vec<ImageFound>> {
        let (engines, sight) = (self.engines_of(scope.effective.id)?, self.sight_of_images(scope)?);
        let answers = join_all(engines.iter().map(|engine| in_time(engine.images(with_all)))).await;
        if !answers.is_empty() && answers.iter().all(std::result::Result::is_err) {
            return Err(away());
        }
        let mut all: BTreeMap<String, ImageFound> = BTreeMap::new();
        for image in answers.into_iter().flatten().flatten() {
            if !sight.has(&image.tags, &image.digests) {
                continue;
            }
            match all.get_mut(&image.id) {
                None => drop(all.insert(image.id.clone(), image)),
                Some(known) => {
                    add(&mut known.tags, image.tags);
                    add(&mut known.digests, image.digests);
                }
            }
        }
        Ok(all.into_values().collect())
    }

    /// An image that a host of the project has, if the caller may see it.
    ///
    /// # Errors
    /// 503 if it was not found and a host did not answer.
    pub(crate) async fn image(&self, scope: &Scope, name: &str) -> Result<Option<ImageDetails>> {
        if !is_image_name(name) {
            return Ok(None);
        }
        let (engines, sight) = (self.engines_of(scope.effective.id)?, self.sight_of_images(scope)?);
        let mut is_sure = true;
        for engine in engines {
            match in_time(engine.image(name)).await {
                Ok(Some(image)) if sight.has(&image.tags, &image.digests) => return Ok(Some(image)),
                Ok(_) => {}
                Err(runtime::Error::Unreachable(why)) => {
                    log::debug!("looking for the image {name}: {why}");
                    is_sure = false;
                }
                Err(refused) => log::debug!("looking for the image {name}: {refused}"),
            }
        }
        if is_sure { Ok(None) } else { Err(away()) }
    }

    /// What a registry says of an image, asked by the first host that answers. With `auth`, else with what the project has for that
    /// registry.
    ///
    /// # Errors
    /// 422 for an image that may not be pulled from where it is, 503 if no host answers.
    pub(crate) async fn ask_registry(
        &self,
        scope: &Scope,
        image: &str,
        auth: Option<RegistryAuth>,
    ) -> Result<AskedRegistry> {
        let named = match image.starts_with("sim:") {
            true => image.to_owned(),
            false => self.image_to_pull(&format!("docker:{image}"), "image")?,
        };
        let reference = image_reference(&named).to_owned();
        let auth = match auth {
            Some(auth) => Some(auth),
            None => self.registry_auth_of(scope.effective.id, &reference)?,
        };
        for engine in self.engines_of(scope.effective.id)? {
            match engine.ask_registry(&reference, auth.as_ref()).await {
                Ok(said) => return Ok(said),
                Err(runtime::Error::Unreachable(why)) => log::debug!("asking a registry for {reference}: {why}"),
                Err(other) => return Err(Error::conflict(other.to_string())),
            }
        }
        Err(away())
    }
}

/// Whether a host is known not to answer.
fn is_away(host: &Resource) -> bool {
    let state = Fields::parse(&host.fields)
        .ok()
        .and_then(|fields| fields.text("agentState"));
    state.is_some_and(|state| !matches!(state.as_str(), "" | "active"))
}

fn add(known: &mut Vec<String>, more: Vec<String>) {
    for name in more {
        if !known.contains(&name) {
            known.push(name);
        }
    }
}

/// The images that a service or a container names.
fn images_of(row: &Resource) -> Result<Vec<String>> {
    let fields = Fields::parse(&row.fields)?;
    let mut images: Vec<String> = fields.text("imageUuid").into_iter().collect();
    let primary: Option<Value> = fields.read("launchConfig")?;
    let sidekicks: Option<Vec<Value>> = fields.read("secondaryLaunchConfigs")?;
    let launches = primary.into_iter().chain(sidekicks.into_iter().flatten());
    images.extend(launches.filter_map(|launch| launch.get("imageUuid")?.as_str().map(str::to_owned)));
    Ok(images)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_engines_show_them() {
        for (name, expected) in [
            ("busybox", "busybox:latest"),
            ("docker.io/library/busybox:1", "busybox:1"),
            ("host:5000/a", "host:5000/a:latest"),
            ("host:5000/a:2@sha256:0f", "host:5000/a@sha256:0f"),
            ("sim:web", "web:latest"),
        ] {
            assert_eq!(plain(name), expected);
        }
    }
}
