//! Whether an engine is the one that its host had, and nobody else's: containers are known by their engine.

use crate::engine::core::{Core, notes};
use crate::model::{Error, Fields, Resource, ResourceId, Result};
use crate::runtime::EngineInfo;

use super::attaching::HostNotes;

impl Core {
    /// Whether an engine that answers (again) is still the one of its host.
    ///
    /// # Errors
    /// 409 if it is not: nothing is asked of it from now on.
    pub(super) fn check_engine(&self, host: ResourceId, info: &EngineInfo) -> Result<()> {
        let checked = self.check_identity_of(host, info);
        if let Err(error) = &checked {
            log::error!("host {host} is left alone: {}", error.chain());
            self.remove_runtime(host);
        }
        checked
    }

    /// The same, with nothing done about it.
    ///
    /// Other hosts are read only if it says something new: once for each engine, and not each time that one of many is asked.
    pub(super) fn check_identity_of(&self, host: ResourceId, info: &EngineInfo) -> Result<()> {
        if info.id.is_empty() {
            return Ok(());
        }
        let own = self.store.shared(host)?.filter(|row| row.removed.is_none());
        if own.is_some_and(|row| was_said(&row, info)) {
            return Ok(());
        }
        let hosts = self.store.all("host", None)?;
        check_identity(&hosts, hosts.iter().find(|h| h.id == host), info)
    }
}

/// Whether a host has this engine already, under the same name: that it is nobody else's was looked at when it was written.
fn was_said(host: &Resource, info: &EngineInfo) -> bool {
    notes::<HostNotes>(host).engine.as_ref() == Some(&info.id)
        && Fields::parse(&host.fields).is_ok_and(|fields| fields.text("hostname").as_ref() == Some(&info.name))
}

/// An engine is one host's, and a host's engine is always the same: containers are known by their engine.
pub(super) fn check_identity(hosts: &[Resource], host: Option<&Resource>, info: &EngineInfo) -> Result<()> {
    if info.id.is_empty() {
        return Ok(());
    }
    let engine_of = |row: &Resource| notes::<HostNotes>(row).engine;
    if let Some(host) = host
        && engine_of(host).is_some_and(|engine| engine != info.id)
    {
        return Err(Error::conflict(format!(
            "the engine {} is not the one that host {} had: bring that one back, or remove the host and start the server again",
            info.id, host.name
        )));
    }
    // Machines that are copies of one have engines of one id, but names of their own.
    let is_same = |row: &&Resource| {
        engine_of(row).as_ref() == Some(&info.id)
            && Fields::parse(&row.fields).is_ok_and(|fields| fields.text("hostname").as_ref() == Some(&info.name))
    };
    let mut others = hosts.iter().filter(|row| host.is_none_or(|host| host.id != row.id));
    match others.find(is_same) {
        None => Ok(()),
        Some(other) => Err(Error::conflict(format!(
            "the engine {} is that of host {} already",
            info.id, other.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::super::testkit::host;
    use super::*;
    use crate::engine::core::{testkit, write_notes};

    fn engine(id: &str) -> EngineInfo {
        EngineInfo {
            id: id.into(),
            name: "one".into(),
            ..EngineInfo::default()
        }
    }

    #[tokio::test]
    async fn an_engine_is_one_hosts_and_always_the_same() {
        let (_folder, core) = testkit::empty();
        let hosts = [host(&core, Some("A")).await, host(&core, None).await];
        let check = |host: Option<usize>, id: &str| {
            let host = host.map(|nth| hosts.get(nth).unwrap());
            check_identity(&hosts, host, &engine(id)).is_ok()
        };
        assert!(check(Some(0), "A"), "its own");
        assert!(!check(Some(0), "B"), "another one in its place");
        assert!(!check(Some(1), "A"), "another host's");
        assert!(!check(None, "A"), "a new host's that is another's");
        assert!(check(Some(1), "B") && check(None, "B"), "a new one");
        assert!(check(Some(0), ""), "one that does not say which it is");
        let copy = EngineInfo {
            name: "two".into(),
            ..engine("A")
        };
        assert!(check_identity(&hosts, None, &copy).is_ok(), "a copy of a machine");
    }

    #[tokio::test]
    async fn an_engine_that_says_nothing_new_is_known_without_looking_at_other_hosts() {
        let (_folder, core) = testkit::empty();
        let [own, other] = [host(&core, Some("A")).await, host(&core, Some("A")).await].map(|row| row.id);
        for (id, text) in [(own, "one"), (other, "two")] {
            let note = HostNotes {
                engine: Some("A".into()),
                ..HostNotes::default()
            };
            let mut patch = Fields::default();
            patch.set("hostname", text).unwrap();
            let changing = core.write(move |tx| {
                let changes = crate::store::Changes {
                    internal: Some(write_notes(&note)?),
                    patch,
                    ..Default::default()
                };
                let row = tx.get(id)?;
                tx.update_if(&row, &changes).map(drop)
            });
            changing.await.unwrap();
        }
        let named = |id: &str, name: &str| EngineInfo {
            name: name.into(),
            ..engine(id)
        };
        let check = |info: EngineInfo| core.check_identity_of(own, &info).is_ok();
        assert!(check(named("A", "one")), "as it was written");
        assert!(check(named("", "one")), "one that does not say which it is");
        assert!(check(named("A", "three")), "another name, which is nobody's");
        assert!(!check(named("A", "two")), "another host's name");
        assert!(!check(named("B", "one")), "another engine in its place");
    }
}
