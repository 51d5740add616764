//! Images that the engine builds itself, of an address that it reads.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::BuildImageOptionsBuilder;
use bytes::Bytes;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::image::{as_failed, reference};
use super::{Inner, SHORT, failure};
use crate::model::launch::Build;
use crate::runtime::{Error, Result};

/// On an image: what tells of what it was built.
const LABEL_BUILT_OF: &str = "io.drover.built.of";
/// A build that says nothing for so long is given up: a step that compiles something is quiet for minutes.
const SILENCE: Duration = Duration::from_secs(900);
/// The longest line of a build that is told.
const LINE: usize = 200;

/// Builds an image, unless it is there and was built of the same.
pub(super) async fn build(
    docker: &Inner,
    image: &str,
    build: &Build,
    again: bool,
    progress: &(dyn Fn(String) + Send + Sync),
) -> Result<()> {
    let (reference, of) = (reference(image), digest(build));
    let api = docker.api()?;
    if !again {
        let is_same = match docker.call(SHORT, api.inspect_image(&reference)).await {
            Ok(found) => {
                let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
                labels.get(LABEL_BUILT_OF) == Some(&of)
            }
            Err(Error::Gone(_)) => false,
            Err(other) => return Err(other),
        };
        if is_same {
            return Ok(());
        }
    }
    let file = build.dockerfile.as_deref().filter(|file| !file.is_empty());
    let labels = HashMap::from([(LABEL_BUILT_OF.to_owned(), of)]);
    let mut options = BuildImageOptionsBuilder::default()
        .t(&reference)
        .remote(build.remote.as_deref().unwrap_or_default())
        .labels(&labels)
        .nocache(build.nocache.unwrap_or(false))
        .rm(build.rm.unwrap_or(true))
        .forcerm(build.forcerm.unwrap_or(true));
    if let Some(file) = file {
        options = options.dockerfile(file);
    }
    progress(format!("Building {reference}"));
    // The engine fetches the files itself, and gets none from here.
    let no_files = bollard::body_full(Bytes::new());
    let mut items = Box::pin(api.build_image(options.build(), None, Some(no_files)));
    loop {
        let Ok(item) = tokio::time::timeout(SILENCE, items.next()).await else {
            return Err(Error::Unreachable(format!(
                "the build of {reference} said nothing for {} s",
                SILENCE.as_secs()
            )));
        };
        match item {
            None => return Ok(()),
            Some(Err(e)) => return Err(as_failed(failure(&e))),
            Some(Ok(info)) => {
                if let Some(message) = info.error_detail.and_then(|e| e.message) {
                    return Err(Error::Failed(message));
                }
                let line = info.stream.unwrap_or_default();
                if line.starts_with("Step ") {
                    let line: String = line.trim().chars().take(LINE).collect();
                    progress(format!("Building {reference}: {line}"));
                }
            }
        }
    }
}

/// What tells one thing to build from another.
fn digest(build: &Build) -> String {
    let text = serde_json::to_string(&(&build.remote, &build.dockerfile)).unwrap_or_default();
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
