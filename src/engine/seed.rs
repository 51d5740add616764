//! What a new database begins with: the admin, the Default project, its networks.

use crate::model::{Fields, ResourceId, Result};
use crate::schema::Type;
use crate::store::{NewResource, Tx};

use super::core::{ADMIN, Core, DEFAULT_PROJECT, REGISTER, SERVICE, SUPERADMIN, SYSTEM, TOKEN, new_row};

/// The accounts that every database has, called after their kinds. Databases of earlier versions get them when they are opened.
const ACCOUNTS: [(ResourceId, &str); 6] =
    [(ADMIN, "admin"), (SYSTEM, "system"), (SUPERADMIN, "superadmin"), (TOKEN, "token"), (SERVICE, "service"), (REGISTER, "register")];

/// The kinds of network that every project has from the start, and managed networking.
const NETWORKS: [&str; 5] = ["dockerHost", "dockerNone", "dockerBridge", "dockerContainer", "network"];

impl Core {
    /// Makes what is missing. Run at each start: twice equals once.
    pub(crate) async fn seed(&self) -> Result<()> {
        let account = self.type_of("account")?.clone();
        let project = self.type_of("project")?.clone();
        let network = self.type_of("network")?.clone();
        let task = self.type_of("task")?.clone();
        self.write(move |tx| {
            for (id, kind) in ACCOUNTS {
                if tx.find(id)?.is_none() {
                    let new =
                        NewResource { id: Some(id), kind: kind.into(), uuid: Some(kind.into()), name: kind.into(), ..active(&account)? };
                    tx.insert(new)?;
                }
            }
            if tx.find(DEFAULT_PROJECT)?.is_none() {
                let new = NewResource { id: Some(DEFAULT_PROJECT), name: "Default".into(), ..active(&project)? };
                tx.insert(new)?;
                insert_networks(tx, &network, DEFAULT_PROJECT)?;
            }
            super::tasks::seed(tx, &task)?;
            tx.adopt_processes()?;
            Ok(())
        })
        .await
    }
}

fn active(ty: &Type) -> Result<NewResource> {
    Ok(NewResource { state: "active".into(), health: "healthy".into(), ..new_row(ty, None, Fields::default()) })
}

/// The networks that a project begins with.
pub(crate) fn insert_networks(tx: &mut Tx<'_>, network: &Type, project: ResourceId) -> Result<()> {
    for kind in NETWORKS {
        let name = if kind == "network" { "managed" } else { kind };
        let new = new_row(network, Some(project), Fields::default());
        tx.insert(NewResource { kind: kind.into(), name: name.into(), state: "active".into(), ..new })?;
    }
    Ok(())
}
