//! The interfaces of other servers beside Rancher's: made, and given a socket of their own where that is asked for.

use std::any::Any;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use actix_web::dev::{Extensions, ServerHandle};
use actix_web::{App, HttpServer, web};
use tokio::task::JoinSet;

use crate::api::{self, ApiState};
use crate::cli::{Dialect, Serve};
use crate::dialects::bridgeport::{self, BridgeportApi};
use crate::dialects::docker::{self, DockerApi};
use crate::dialects::entry::Entry;
use crate::dialects::hyper::{HyperApi, configure as configure_hyper};
use crate::dialects::medstack::{self, MedStackApi};
use crate::engine::Engine;
use crate::failure::{Failure, Status};
use crate::members::Entrance;

use super::listening::Open;

/// Who may use the socket: its owner and its group.
const SOCKET_MODE: u32 = 0o660;

/// How requests enter the others, who share with Rancher's who is let in and how much is taken in.
pub fn entry(engine: &Arc<Engine>, api: &ApiState) -> Entry {
    let shared = api.shared();
    Entry {
        engine: engine.clone(),
        gate: shared.gate,
        guard: shared.guard,
        trusted_proxies: shared.trusted_proxies,
        body_patience: shared.body_patience,
        intake: shared.intake,
        sockets: shared.sockets,
    }
}

/// Docker's, which can be served in several places.
pub fn dockers(entry: &Entry) -> web::Data<DockerApi> {
    web::Data::new(DockerApi::new(entry.clone()))
}

/// All interfaces of the main address: the others under their mounts, if they are wanted, and Rancher's.
pub fn beside_rancher(
    serve: &Serve,
    entry: &Entry,
    docker: web::Data<DockerApi>,
    api: web::Data<ApiState>,
) -> impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static {
    let is_wanted = |dialect: Dialect| serve.dialects.contains(&dialect);
    let docker = is_wanted(Dialect::Docker).then_some(docker);
    let hyper = is_wanted(Dialect::Hyper).then(|| web::Data::new(HyperApi::new(entry.clone())));
    // These are made though they are not mounted: messages to who subscribed to events are in their words.
    let bridgeport = web::Data::new(BridgeportApi::new(entry.clone()));
    let bridgeport = is_wanted(Dialect::Bridgeport).then_some(bridgeport);
    let medstack = web::Data::new(MedStackApi::new(entry.clone()));
    let medstack = is_wanted(Dialect::MedStack).then_some(medstack);
    move |config| {
        if let Some(bridgeport) = &bridgeport {
            bridgeport::configure(config, bridgeport.clone());
        }
        if let Some(docker) = &docker {
            docker::configure(config, docker.clone());
        }
        if let Some(hyper) = &hyper {
            configure_hyper(config, hyper.clone());
        }
        if let Some(medstack) = &medstack {
            medstack::configure(config, medstack.clone());
        }
        api::configure(config, api.clone());
    }
}

/// What is done with each connection to the main address.
pub fn on_connect(serve: &Serve) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + 'static {
    let is_wanted = serve.dialects.contains(&Dialect::Docker);
    move |connection, beside| {
        if is_wanted {
            docker::keep_spare(connection, beside);
        }
    }
}

/// Serves Docker's where it is alone: at a socket, and at an address of its own, each if that is asked for, among what is done
/// `aside`; what stops them.
pub fn serve_apart(
    serve: &Serve,
    open: Option<Open>,
    state: &web::Data<DockerApi>,
    entrance: &Entrance,
    aside: &mut JoinSet<()>,
) -> Result<Vec<ServerHandle>, Failure> {
    let mut handles = Vec::new();
    if let Some(path) = &serve.docker_api_socket {
        let (listener, state) = (socket(path, serve.docker_api_socket_group.as_deref())?, state.clone());
        let server = HttpServer::new(move || App::new().configure(|c| docker::configure_alone(c, state.clone())))
            .workers(1)
            .on_connect(docker::keep_spare)
            .disable_signals()
            .listen_uds(listener)
            .map_err(|e| Failure::new(Status::Port, format!("cannot listen on {}: {e}", path.display())))?
            .run();
        handles.push(server.handle());
        aside.spawn(async move { drop(server.await) });
    }
    if let Some(open) = open {
        let (state, entrance) = (state.clone(), entrance.clone());
        let app = move || {
            let app = App::new().wrap(entrance.clone());
            app.configure(|c| docker::configure_at_root(c, state.clone()))
        };
        let server = HttpServer::new(app)
            .workers(1)
            .on_connect(docker::keep_spare)
            .disable_signals();
        let unheard = open.unheard();
        let server = match open.tls {
            None => server.listen(open.listener),
            Some(tls) => server.listen_rustls_0_23(open.listener, tls),
        };
        let server = server.map_err(unheard)?.run();
        handles.push(server.handle());
        aside.spawn(async move { drop(server.await) });
    }
    Ok(handles)
}

/// A socket at this path, of this group; one that is left over from a server that is gone is taken away.
fn socket(path: &Path, group: Option<&str>) -> Result<UnixListener, Failure> {
    let cannot =
        |error: std::io::Error| Failure::new(Status::Port, format!("cannot listen on {}: {error}", path.display()));
    let group = group.map(group_number).transpose()?;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path).map_err(cannot)?;
    }
    let listener = UnixListener::bind(path).map_err(cannot)?;
    if group.is_some() {
        std::os::unix::fs::chown(path, None, group).map_err(cannot)?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE)).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    Ok(listener)
}

/// The number of a group that is named, or numbered.
fn group_number(text: &str) -> Result<u32, Failure> {
    let flag = "--docker-api-socket-group";
    match nix::unistd::Group::from_name(text) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => text
            .parse()
            .map_err(|_| Failure::config(format!("{flag}: there is no group {text:?}"))),
        Err(e) => Err(Failure::config(format!("{flag} {text:?}: {e}"))),
    }
}
