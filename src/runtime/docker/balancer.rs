//! The way to a balancer: our own program, put into its container beside HAProxy and run there by the engine's exec. It brings
//! what loads it and its libraries, so whatever image the balancer is of will do.

use async_trait::async_trait;
use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use futures_util::{StreamExt, TryStreamExt};

use super::name_image::{self, Image};
use super::tape::{self, Access, Member};
use super::way::{self, Way};
use super::{Inner, LONG, SHORT, check_lease, gone};
use crate::model::Lease;
use crate::model::balancer_table::{Answer, Feed};
use crate::runtime::{BalancerFeed, ContainerSpec, Error, FileSpec, Result};

/// Where our program is, under a folder that is called by its digest.
const FOLDER: &str = "drover-program";

/// The program itself. It is not called as the server is.
const PROGRAM: &str = "drover-balancer";

/// What loads it.
const LOADER: &str = "loader";

/// Put there last: then everything is there.
const WHOLE: &str = "whole";

/// Puts files into a container that was never started.
pub(super) async fn put_files(docker: &Inner, id: &str, spec: &ContainerSpec) -> Result<()> {
    for file in &spec.files {
        let archive = archive_of(file)?;
        let options = UploadToContainerOptionsBuilder::default().path("/").build();
        let uploading = docker
            .api()?
            .upload_to_container(id, Some(options), bollard::body_full(archive.into()));
        docker.call(LONG, uploading).await?;
    }
    Ok(())
}

fn archive_of(file: &FileSpec) -> Result<Vec<u8>> {
    let path = file.path.trim_start_matches('/');
    let access = |mode| Access {
        owner: file.owner,
        group: file.owner,
        mode,
    };
    let mut archive = Vec::new();
    if let Some((folder, _)) = path.rsplit_once('/') {
        archive.extend(tape::header(&format!("{folder}/"), Member::Folder, access(0o700))?);
    }
    archive.extend(tape::of_file(path, access(0o600), file.text.as_bytes())?);
    Ok(archive)
}

/// Opens a way to a balancer that runs.
pub(super) async fn open(docker: &Inner, uuid: &str) -> Result<Box<dyn BalancerFeed>> {
    let there = docker.look_up(uuid).await?.ok_or_else(|| gone(uuid))?;
    let image = name_image::program(docker).await?;
    let folder = format!("/{FOLDER}/{}", image.tag());
    if !has(docker, &there.external_id, &format!("{folder}/{WHOLE}")).await? {
        put_program(docker, &there.external_id, image).await?;
    }
    let program = format!("{folder}/{PROGRAM}");
    let mut words = Vec::new();
    if image.has_loader() {
        let loader = format!("{folder}/{LOADER}");
        words.extend([loader, "--library-path".to_owned(), folder]);
    }
    words.extend([program, "balancer".to_owned(), "feed".to_owned()]);
    let way = way::attach(docker, &there.external_id, words).await?;
    Ok(Box::new(BalancerWay {
        way,
        lease: docker.lease.clone(),
    }))
}

/// Whether a container has a file.
async fn has(docker: &Inner, id: &str, path: &str) -> Result<bool> {
    let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
    let mut pieces = Box::pin(docker.api()?.download_from_container(id, Some(options)));
    let first = async { pieces.next().await.transpose() };
    match docker.call(SHORT, first).await {
        Ok(piece) => Ok(piece.is_some()),
        Err(Error::Gone(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

async fn put_program(docker: &Inner, id: &str, image: &Image) -> Result<()> {
    log::debug!("putting this program into the balancer {id}");
    let folder = format!("{FOLDER}/{}", image.tag());
    let everybody = Access {
        owner: 0,
        group: 0,
        mode: 0o755,
    };
    let mut before = tape::header(&format!("{FOLDER}/"), Member::Folder, everybody)?;
    before.extend(tape::header(&format!("{folder}/"), Member::Folder, everybody)?);
    let mut after = tape::header(&format!("{folder}/{WHOLE}"), Member::File(0), everybody)?;
    after.extend(tape::end());
    let files = image.files_as(|part| format!("{folder}/{}", part.choose(PROGRAM, LOADER)));
    let pieces = name_image::archive(before, files, after);
    let options = UploadToContainerOptionsBuilder::default().path("/").build();
    let body = bollard::body_try_stream(pieces.map_ok(Into::into));
    docker
        .call(LONG, docker.api()?.upload_to_container(id, Some(options), body))
        .await
}

struct BalancerWay {
    way: Way,
    lease: Lease,
}

#[async_trait]
impl BalancerFeed for BalancerWay {
    async fn send(&mut self, news: &Feed) -> Result<Answer> {
        check_lease(&self.lease)?;
        let line = serde_json::to_vec(news).map_err(|e| Error::Failed(format!("writing the table: {e}")))?;
        let answer = self.way.exchange(line, LONG).await?;
        serde_json::from_slice(&answer).map_err(|e| way::broken(&format!("an answer that is none: {e}")))
    }
}
