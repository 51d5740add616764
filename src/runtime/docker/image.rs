//! Images: references, and pulling with progress.

mod listed;

use std::collections::HashMap;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::{Inner, SHORT, failure};
use crate::model::launch::image_reference;
use crate::runtime::{Error, PullPolicy, RegistryAuth, Result};

/// A pull that says nothing for so long is given up: a stopped engine never says anything again, and unpacking one big
/// layer on a slow disk takes minutes.
const SILENCE: Duration = Duration::from_secs(300);

/// The reference to give to the engine: without our prefix, and always with a tag, because a pull without one fetches
/// every tag of the repository.
pub(super) fn reference(image_uuid: &str) -> String {
    let plain = image_reference(image_uuid.trim());
    let last = plain.rsplit('/').next().unwrap_or(plain);
    if plain.contains('@') || last.contains(':') {
        plain.to_owned()
    } else {
        format!("{plain}:latest")
    }
}

/// Makes an image present.
pub(super) async fn pull(
    docker: &Inner,
    image: &str,
    policy: PullPolicy,
    auth: Option<&RegistryAuth>,
    progress: &(dyn Fn(String) + Send + Sync),
) -> Result<()> {
    let reference = reference(image);
    let api = docker.api()?;
    if policy != PullPolicy::Always {
        let is_there = match docker.call(SHORT, api.inspect_image(&reference)).await {
            Ok(_) => true,
            Err(Error::Gone(_)) => false,
            Err(other) => return Err(other),
        };
        if is_there == (policy == PullPolicy::IfAbsent) {
            return Ok(());
        }
    }
    let options = CreateImageOptionsBuilder::default().from_image(&reference).build();
    let credentials = auth.map(|a| DockerCredentials {
        username: Some(a.username.clone()),
        password: Some(a.password.clone()),
        serveraddress: Some(a.server.clone()),
        ..DockerCredentials::default()
    });
    let mut items = Box::pin(api.create_image(Some(options), None, credentials));
    let mut layers = Layers::default();
    progress(format!("Pulling {reference}"));
    loop {
        let Ok(item) = tokio::time::timeout(SILENCE, items.next()).await else {
            return Err(Error::Unreachable(format!(
                "the pull of {reference} said nothing for {} s",
                SILENCE.as_secs()
            )));
        };
        match item {
            None => return Ok(()),
            // Whatever its status, a refusal here is about the registry: the user needs the engine's words.
            Some(Err(e)) => return Err(as_failed(failure(&e))),
            Some(Ok(info)) => {
                if let Some(message) = info.error_detail.as_ref().and_then(|e| e.message.clone()) {
                    return Err(Error::Failed(message));
                }
                if layers.note(&info) {
                    progress(format!("Pulling {reference} ({}/{})", layers.done(), layers.all()));
                }
            }
        }
    }
}

pub(super) fn as_failed(error: Error) -> Error {
    match error {
        Error::Gone(m) | Error::NetworkGone(m) | Error::NameTaken(m) | Error::PortTaken(m) | Error::AddressTaken(m) => {
            Error::Failed(m)
        }
        Error::Unreachable(_) | Error::Failed(_) => error,
    }
}

/// Which layers are there already.
#[derive(Default)]
struct Layers(HashMap<String, bool>);

impl Layers {
    /// Takes in one line of the engine's; true if the numbers changed.
    fn note(&mut self, info: &CreateImageInfo) -> bool {
        let (Some(id), Some(status)) = (&info.id, &info.status) else {
            return false;
        };
        match status.as_str() {
            "Pulling fs layer" => self.0.insert(id.clone(), false).is_none(),
            "Pull complete" | "Already exists" => self.0.insert(id.clone(), true) != Some(true),
            _ => false,
        }
    }

    fn done(&self) -> usize {
        self.0.values().filter(|done| **done).count()
    }

    fn all(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_always_name_a_tag_or_a_digest() {
        for (given, expected) in [
            ("nginx", "nginx:latest"),
            ("docker:nginx:1.9", "nginx:1.9"),
            ("docker:library/nginx", "library/nginx:latest"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("localhost:5000/a/b:2", "localhost:5000/a/b:2"),
            ("nginx@sha256:abc", "nginx@sha256:abc"),
        ] {
            assert_eq!(reference(given), expected);
        }
    }

    #[test]
    fn progress_counts_layers_once() {
        let mut layers = Layers::default();
        let line = |id: &str, status: &str| CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            ..Default::default()
        };
        for (info, changed, done, all) in [
            (line("latest", "Pulling from library/nginx"), false, 0, 0),
            (line("a", "Pulling fs layer"), true, 0, 1),
            (line("b", "Already exists"), true, 1, 2),
            (line("a", "Downloading"), false, 1, 2),
            (line("a", "Pull complete"), true, 2, 2),
            (line("a", "Pull complete"), false, 2, 2),
        ] {
            assert_eq!(layers.note(&info), changed);
            assert_eq!((layers.done(), layers.all()), (done, all));
        }
    }
}
