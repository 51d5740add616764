//! What a new database begins with: the admin, the Default project, its networks.

use crate::model::{Fields, Result};
use crate::schema::Type;
use crate::store::{NewResource, Tx};

use super::core::{ADMIN, Core, DEFAULT_PROJECT, new_row};

/// The kinds of network that every project has from the start, and managed networking.
const NETWORKS: [&str; 5] = ["dockerHost", "dockerNone", "dockerBridge", "dockerContainer", "network"];

impl Core {
    /// Makes what is missing. Run at each start: twice equals once.
    pub(crate) async fn seed(&self) -> Result<()> {
        let account = self.type_of("account")?.clone();
        let project = self.type_of("project")?.clone();
        let network = self.type_of("network")?.clone();
        self.write(move |tx| {
            if tx.find(ADMIN)?.is_none() {
                let new = NewResource { id: Some(ADMIN), uuid: Some("admin".into()), name: "admin".into(), ..active(&account)? };
                tx.insert(NewResource { kind: "admin".into(), ..new })?;
            }
            if tx.find(DEFAULT_PROJECT)?.is_none() {
                let new = NewResource { id: Some(DEFAULT_PROJECT), name: "Default".into(), ..active(&project)? };
                tx.insert(new)?;
                for kind in NETWORKS {
                    insert_network(tx, &network, kind)?;
                }
            }
            tx.adopt_processes()?;
            Ok(())
        })
        .await
    }
}

fn active(ty: &Type) -> Result<NewResource> {
    Ok(NewResource { state: "active".into(), health: "healthy".into(), ..new_row(ty, None, Fields::default()) })
}

fn insert_network(tx: &mut Tx<'_>, network: &Type, kind: &str) -> Result<()> {
    let new = new_row(network, Some(DEFAULT_PROJECT), Fields::default());
    let name = if kind == "network" { "managed" } else { kind };
    tx.insert(NewResource { kind: kind.into(), name: name.into(), state: "active".into(), ..new })?;
    Ok(())
}
