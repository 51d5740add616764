//! A stack as compose files: links whose far end is no JSON.

use std::sync::Arc;

use crate::api::wire::call::{Call, Reply, block};
use crate::api::wire::zip;
use crate::engine::StackFiles;
use crate::model::Result;
use crate::schema::TypeView;

/// What is asked for: both files, or one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A zip of both.
    Both,
    /// `docker-compose.yml`
    Docker,
    /// `rancher-compose.yml`
    Rancher,
}

/// What a link of a stack asks for, if it is one of these.
pub fn wanted(ty: &TypeView, link: &str) -> Option<Wanted> {
    // Who may not export a stack may not see what its services are told.
    if ty.def.root != "stack" || !ty.actions.contains_key("exportconfig") {
        return None;
    }
    let known = [
        ("composeConfig", Wanted::Both),
        ("dockerComposeConfig", Wanted::Docker),
        ("rancherComposeConfig", Wanted::Rancher),
    ];
    known
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(link))
        .map(|(_, wanted)| wanted)
}

/// The files of a stack.
pub async fn answer(call: &Call<'_>, ty: &Arc<TypeView>, id: &str, wanted: Wanted) -> Result<Reply> {
    let row = call.get(ty, id)?;
    let engine = call.engine.clone();
    let files = block(move || engine.stack_files(&row)).await?;
    let StackFiles { docker, rancher } = files;
    let yaml = "text/plain; charset=utf-8";
    Ok(match wanted {
        Wanted::Docker => Reply::file(yaml, docker.into_bytes()),
        Wanted::Rancher => Reply::file(yaml, rancher.into_bytes()),
        Wanted::Both => {
            let both = [
                ("docker-compose.yml", docker.as_bytes()),
                ("rancher-compose.yml", rancher.as_bytes()),
            ];
            Reply::file("application/zip", zip::pack(&both))
        }
    })
}
