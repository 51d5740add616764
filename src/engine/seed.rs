//! What a new database begins with: the admin, the Default project, its networks.

use crate::model::{Fields, ResourceId, Result};
use crate::schema::Type;
use crate::store::{Changes, NewResource, Tx};

use super::core::{ADMIN, Core, DEFAULT_PROJECT, REGISTER, SERVICE, SUPERADMIN, SYSTEM, TOKEN, new_row};
use super::settings::INSTALL_UUID;

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
        let member = self.type_of("projectMember")?.clone();
        let template = self.type_of("projectTemplate")?.clone();
        let is_named = self.store.setting(INSTALL_UUID)?.is_some();
        self.write(move |tx| {
            if !is_named {
                tx.set_setting(INSTALL_UUID, &uuid::Uuid::new_v4().to_string())?;
            }
            for (id, kind) in ACCOUNTS {
                if tx.find(id)?.is_none() {
                    let new =
                        NewResource { id: Some(id), kind: kind.into(), uuid: Some(kind.into()), name: kind.into(), ..active(&account)? };
                    tx.insert(new)?;
                }
            }
            match tx.find(DEFAULT_PROJECT)? {
                None => {
                    let fields = orchestration()?;
                    let new = NewResource { id: Some(DEFAULT_PROJECT), name: "Default".into(), fields, ..active(&project)? };
                    tx.insert(new)?;
                    insert_networks(tx, &network, DEFAULT_PROJECT)?;
                }
                // A database that was made before projects said how they are run.
                Some(row) if Fields::parse(&row.fields)?.text("orchestration").is_none() => {
                    tx.update_if(&row, &Changes { patch: orchestration()?, ..Changes::default() })?;
                }
                Some(_) => {}
            }
            super::projects::give_default_to_admin(tx, &member, &account.prefix)?;
            super::tasks::seed(tx, &task)?;
            seed_template(tx, &template)?;
            tx.adopt_processes()?;
            Ok(())
        })
        .await
    }
}

/// The public template of the one way in which projects are run; clients look for it by this name. It brings no stacks.
fn seed_template(tx: &mut Tx<'_>, ty: &Type) -> Result<()> {
    if tx.all("projectTemplate", None)?.iter().any(|row| row.account_id.is_none()) {
        return Ok(());
    }
    let mut fields = Fields::default();
    fields.set("stacks", &[(); 0])?;
    tx.insert(NewResource { name: "Cattle".into(), state: "active".into(), ..new_row(ty, None, fields) }).map(drop)
}

/// How projects are run: there is one way, and clients ask for it by this name.
fn orchestration() -> Result<Fields> {
    let mut fields = Fields::default();
    fields.set("orchestration", "cattle")?;
    Ok(fields)
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
