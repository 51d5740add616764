//! Hosts whose engine is named by the API while the server runs: `POST hosts {dockerUrl …}`. What proves who asks the engine is
//! sealed beside the row; from there on it is an engine like others.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;

use crate::engine::access::check_tls;
use crate::engine::core::{
    Core, DEFAULT_PROJECT, Input, Outcome, Scope, Update, apply_update, insert_and_start, is_project, live, notes,
    row_from_input, write_notes,
};
use crate::engine::{drivers, labels};
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State};
use crate::runtime::{EngineAddress, Runtime, TlsTexts};
use crate::schema::{Type, TypeView};
use crate::store::{Changes, CredentialSecret, Tx};

use super::attaching::{HostNotes, Tied, host_kind};
use super::host::parts;

/// The field that names the engine.
const URL: &str = "dockerUrl";

/// The fields of which a connection with TLS needs all.
const TLS: [&str; 3] = ["tlsCaCert", "tlsCert", "tlsKey"];

/// How the address of a simulated engine begins.
pub(super) const SIMULATED: &str = "sim://";

/// What they are sealed for.
const SEALED: &str = "host.tls";

/// So many hosts are tied to their engines side by side at a start.
const AT_ONCE: usize = 64;

/// Between two looks at a new host's engine that does not answer yet.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// The fields of a host that nothing here follows from.
const UNUSED: [&str; 3] = ["hostTemplateId", "stackId", "localStorageMb"];

/// Makes a host. Its engine is asked by its first process, as often as it takes.
pub(super) async fn create(
    core: &Core,
    scope: &Scope,
    def: &Arc<Type>,
    account: ResourceId,
    mut input: Input,
) -> Result<Resource> {
    if let Some(field) = UNUSED.into_iter().find(|name| is_said(&input, name)) {
        return Err(Error::not_implemented(format!("{field} is not part of this build")).with_field(field));
    }
    let url = text(&input, URL).ok_or_else(|| Error::invalid("MissingRequired", URL))?;
    let project = core
        .store
        .find(account)?
        .filter(|row| row.removed.is_none() && is_project(row));
    if project.is_none() {
        return Err(Error::invalid("InvalidReference", "accountId").with_message("a host is a project's"));
    }
    let tls = take_tls(&mut input, None)?;
    let sealed = tls.as_ref().map(|tls| seal(core, tls)).transpose()?;
    let runtime = connect(core, &EngineAddress { url, tls }, None)?;
    let (def, label, kind) = (def.clone(), core.type_of("label")?.clone(), runtime.kind());
    let mut new = row_from_input(&def, account, &input)?;
    new.kind = host_kind(kind);
    if new.name.is_empty() {
        new.name = text(&input, "hostname").unwrap_or_default();
    }
    core.write_for(scope, move |tx| {
        let row = insert_and_start(tx, def.machine.as_deref(), new)?;
        keep(tx, &row, sealed)?;
        labels::tie_host(tx, &label, &row)?;
        let note = HostNotes {
            runtime: kind.to_owned(),
            name: Some(format!("host {}", row.uuid)),
            ..HostNotes::default()
        };
        let changes = Changes {
            internal: Some(write_notes(&note)?),
            ..Changes::default()
        };
        tx.update_if(&row, &changes)
    })
    .await
}

/// A PUT that says where the engine is, or for whom it runs containers; none if it says nothing new of either.
pub(super) async fn update(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    row: &Resource,
    input: &mut Input,
) -> Result<Option<Resource>> {
    let known = url_of(row);
    let moved_to = project_of(core, row, input)?;
    let url = input.get(URL).map(|url| url.as_str().map(str::to_owned));
    let is_moved = url.as_ref().is_some_and(|url| *url != known) || TLS.iter().any(|name| input.contains_key(*name));
    if !is_moved && moved_to.is_none() {
        return Ok(None);
    }
    let Some(known) = known else {
        let field = if is_moved { URL } else { "accountId" };
        return Err(Error::invalid("InvalidOption", field)
            .with_message("this host's engine is named where the server is started, or by its agent"));
    };
    let Some(url) = url.unwrap_or(Some(known)) else {
        return Err(Error::invalid("NotNullable", URL));
    };
    let tls = take_tls(input, core.tls_of(row)?)?;
    let sealed = tls.as_ref().map(|tls| seal(core, tls)).transpose()?;
    let runtime = connect(core, &EngineAddress { url, tls }, Some(row))?;
    core.check_reached(row, &runtime).await?;
    if moved_to.is_some() {
        core.empty_of(row).await?;
    }
    let (id, update, input, label) = (row.id, Update::of(ty), input.clone(), core.type_of("label")?.clone());
    let wire = core.wire_id("host", id);
    let written = core.write_for(scope, move |tx| {
        let mut row = live(tx, id)?;
        keep(tx, &row, sealed)?;
        row = apply_update(tx, &update, &row, &input)?;
        if let Some(project) = moved_to {
            row = give(tx, &row, &wire, project)?;
        }
        labels::tie_host(tx, &label, &row)?;
        Ok(row)
    });
    let written = written.await?;
    core.remove_runtime(id);
    // One that is still being made is tied by its process.
    if is_tied(&written) {
        core.tie(tied(&written, runtime)).await?;
    }
    core.look_at_all(row.account_id)?;
    core.look_at_all(written.account_id)?;
    Ok(Some(written))
}

/// Another project's, for which it begins anew.
fn give(tx: &mut Tx<'_>, host: &Resource, wire: &str, project: ResourceId) -> Result<Resource> {
    if host.state != State::INACTIVE {
        return Err(busy(host));
    }
    drivers::leave_pools(tx, host, wire)?;
    let given = || Changes {
        account_id: Some(Some(project)),
        ..Changes::default()
    };
    for part in parts(tx, host)? {
        tx.update_if(&part, &given())?;
    }
    let host = tx.update_if(host, &given())?;
    drivers::join_pools(tx, &host, wire)?;
    Ok(host)
}

fn busy(host: &Resource) -> Error {
    Error::conflict(format!(
        "host {} changes its project only while it is inactive and nothing is on it",
        host.name
    ))
}

/// The project that a PUT gives the host to, if that is another one.
fn project_of(core: &Core, row: &Resource, input: &Input) -> Result<Option<ResourceId>> {
    let Some(given) = text(input, "accountId")
        .filter(|wire| Some(wire) != row.account_id.map(|id| core.wire_id("account", id)).as_ref())
    else {
        return Ok(None);
    };
    let id = crate::model::launch::parse_reference(&given);
    let project = id.map(|id| core.store.find(id)).transpose()?.flatten();
    let project = project.filter(|row| row.removed.is_none() && is_project(row));
    let project = project.ok_or_else(|| Error::invalid("InvalidReference", "accountId"))?;
    Ok(Some(project.id).filter(|id| Some(*id) != row.account_id))
}

fn is_said(input: &Input, name: &str) -> bool {
    input.get(name).is_some_and(|value| !value.is_null())
}

fn text(input: &Input, name: &str) -> Option<String> {
    input.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// Takes what is for TLS out of a body, over what is known already: no row has it.
fn take_tls(input: &mut Input, known: Option<TlsTexts>) -> Result<Option<TlsTexts>> {
    let known = match known {
        Some(TlsTexts { ca, cert, key }) => [Some(ca), Some(cert), Some(key)],
        None => Default::default(),
    };
    let mut said = Vec::new();
    for (name, known) in TLS.into_iter().zip(known) {
        let given = input.remove(name);
        let text = match given {
            Some(value) => value.as_str().filter(|text| !text.is_empty()).map(str::to_owned),
            None => known,
        };
        said.push(text);
    }
    let [ca, cert, key] = <[Option<String>; 3]>::try_from(said).unwrap_or_default();
    let (ca, cert, key) = match (ca, cert, key) {
        (None, None, None) => return Ok(None),
        (Some(ca), Some(cert), Some(key)) => (ca, cert, key),
        (ca, cert, _) => {
            let missing = match (ca, cert) {
                (None, _) => "tlsCaCert",
                (_, None) => "tlsCert",
                _ => "tlsKey",
            };
            return Err(Error::invalid("MissingRequired", missing));
        }
    };
    check_tls(("tlsCaCert", &ca), ("tlsCert", &cert), ("tlsKey", &key))?;
    Ok(Some(TlsTexts { ca, cert, key }))
}

fn seal(core: &Core, tls: &TlsTexts) -> Result<String> {
    let text = serde_json::to_string(tls).map_err(|_| Error::bug("certificates that are no JSON"))?;
    core.config.secrets.seal(SEALED, &text)
}

/// Keeps what was sealed beside its row, and nothing of what was there before.
fn keep(tx: &mut Tx<'_>, row: &Resource, sealed: Option<String>) -> Result<()> {
    match sealed {
        Some(secret) => tx.set_credential(&CredentialSecret {
            id: row.id,
            kind: row.kind.clone(),
            public_value: String::new(),
            secret,
        }),
        None => tx.delete_credential(row.id),
    }
}

/// What drives the engine there; nothing is asked of it yet.
///
/// Where the server simulates hosts, `sim://` and a name is one more of them, which remembers what its rows say.
fn connect(core: &Core, address: &EngineAddress, host: Option<&Resource>) -> Result<Arc<dyn Runtime>> {
    if let (Some(name), Some(simulators)) = (address.url.strip_prefix(SIMULATED), &core.config.simulators)
        && (host.is_some() || super::simulates(core)?)
    {
        let known: Vec<Resource> = host.into_iter().cloned().collect();
        return Ok((simulators.0)(name, core.simulated_on(&known)?));
    }
    let Some(connect) = &core.config.connect else {
        return Err(Error::not_implemented("this server is not told how to reach an engine").with_field(URL));
    };
    (connect.0)(address, core.store.server_uuid())
        .map_err(|e| Error::invalid("InvalidFormat", URL).with_message(e.to_string()))
}

pub(super) fn url_of(host: &Resource) -> Option<String> {
    Fields::parse(&host.fields).ok()?.text(URL)
}

/// Whether the first process of the host has done its work.
fn is_tied(host: &Resource) -> bool {
    !matches!(host.state, State::REQUESTED | State::REGISTERING)
}

fn tied(host: &Resource, runtime: Arc<dyn Runtime>) -> Tied {
    Tied {
        host: Some(host.id),
        runtime,
        project: host.account_id.unwrap_or(DEFAULT_PROJECT),
        note: notes(host),
        name: None,
        agent: None,
    }
}

/// What became of a host that was added by the API, at a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TiedHost {
    /// Whether it has its engine; else it is left alone.
    pub is_used: bool,
    /// The same for whoever started the server.
    pub words: String,
}

impl Core {
    fn tls_of(&self, host: &Resource) -> Result<Option<TlsTexts>> {
        let kept = self.store.credential(host.id)?;
        let text = kept.and_then(|kept| self.config.secrets.unseal(SEALED, &kept.secret));
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// What drives the engine of a host that was added; none if its engine is named elsewhere.
    fn added(&self, host: &Resource) -> Result<Option<Arc<dyn Runtime>>> {
        let Some(url) = url_of(host) else { return Ok(None) };
        let tls = self.tls_of(host)?;
        connect(self, &EngineAddress { url, tls }, Some(host)).map(Some)
    }

    /// `host.create`: a host is active as soon as its engine has answered, and is no other host's.
    pub(super) async fn create_host(&self, row: &Resource) -> Result<Outcome> {
        let activate = || Outcome::Then(Box::default(), "activate", "{}".into());
        let Some(runtime) = self.added(row)? else {
            return Ok(activate());
        };
        if let Err(error) = runtime.ping().await {
            return Ok(Outcome::Again(LOOK_AGAIN, format!("Waiting for the engine: {error}")));
        }
        match self.tie(tied(row, runtime)).await {
            Ok(_) => Ok(activate()),
            Err(error) if error.kind == ErrorKind::Conflict => Ok(Outcome::Failed(error.external.unwrap_or_default())),
            Err(error) => Err(error),
        }
    }

    /// Ties the engines of all hosts that were added to them, after a start: a line for each.
    pub(crate) async fn attach_added(&self) -> Result<Vec<TiedHost>> {
        let mut hosts = self.store.all("host", None)?;
        hosts.retain(|host| host.removed.is_none() && is_tied(host) && url_of(host).is_some());
        let tying = hosts.into_iter().map(|host| async move {
            let url = url_of(&host).unwrap_or_default();
            let tying = async {
                match self.added(&host)? {
                    Some(runtime) => self.tie(tied(&host, runtime)).await.map(drop),
                    None => Ok(()),
                }
            };
            match tying.await {
                Ok(()) => TiedHost {
                    is_used: true,
                    words: format!("{}: Docker Engine at {url}, added by the API", host.name),
                },
                Err(error) => {
                    let why = error.external.clone().unwrap_or_else(|| error.chain());
                    log::error!("the engine at {url} is left alone: {why}");
                    TiedHost {
                        is_used: false,
                        words: format!("{}: NOT USED, Docker Engine at {url}: {why}", host.name),
                    }
                }
            }
        });
        Ok(stream::iter(tying).buffered(AT_ONCE).collect().await)
    }

    /// An engine that answers elsewhere has to be the one that the host had. One that does not answer is waited for.
    async fn check_reached(&self, host: &Resource, runtime: &Arc<dyn Runtime>) -> Result<()> {
        if runtime.ping().await.is_err() {
            return Ok(());
        }
        match runtime.describe().await {
            Ok(info) => self.check_identity_of(host.id, &info),
            Err(_) => Ok(()),
        }
    }

    /// Nothing may be on a host that is given away; what its project had there goes.
    async fn empty_of(&self, host: &Resource) -> Result<()> {
        if host.state != State::INACTIVE || !self.store.on_hosts(&[host.id], "instance")?.is_empty() {
            return Err(busy(host));
        }
        self.remove_name_server(host).await?;
        let project = host.account_id.map(|id| self.store.find(id)).transpose()?.flatten();
        let (Some(runtime), Some(project)) = (self.runtime(host.id), project) else {
            return Ok(());
        };
        if let Err(error) = runtime.remove_network(&project.uuid).await {
            log::warn!(
                "the network of project {} stays on host {}: {error}",
                project.name,
                host.id
            );
        }
        self.forget_network(project.id, host.id);
        Ok(())
    }
}
