//! What a new database begins with: the accounts, the Default project, the public template.

use std::sync::Arc;

use crate::engine::core::{
    ADMIN, Core, DEFAULT_PROJECT, INSTALL_UUID, REGISTER, SERVICE, SUPERADMIN, SYSTEM, TOKEN, new_row,
};
use crate::model::id::random_uuid;
use crate::model::{Fields, ResourceId, Result, State};
use crate::schema::Type;
use crate::store::{Changes, NewResource, Tx};

use super::projects;

/// The accounts that every database has, called after their kinds. Databases of earlier versions get them when they are opened.
pub(crate) const ACCOUNTS: [(ResourceId, &str); 6] = [
    (ADMIN, "admin"),
    (SYSTEM, "system"),
    (SUPERADMIN, "superadmin"),
    (TOKEN, "token"),
    (SERVICE, "service"),
    (REGISTER, "register"),
];

/// The uuid of the Default project in every new database, as clients know it. Databases of earlier versions keep their own.
const DEFAULT_UUID: &str = "adminProject";

/// The types of what a database begins with.
pub(crate) struct Beginnings {
    account: Arc<Type>,
    project: Arc<Type>,
    network: Arc<Type>,
    member: Arc<Type>,
    template: Arc<Type>,
    /// Whether the installation is told apart from others already.
    is_named: bool,
}

impl Beginnings {
    pub(crate) fn of(core: &Core) -> Result<Self> {
        let ty = |kind: &str| core.type_of(kind).cloned();
        Ok(Self {
            account: ty("account")?,
            project: ty("project")?,
            network: ty("network")?,
            member: ty("projectMember")?,
            template: ty("projectTemplate")?,
            is_named: core.store.setting(INSTALL_UUID)?.is_some(),
        })
    }

    /// Makes what is missing: the name of the installation, the accounts, the Default project with its networks and its owner, the public template.
    pub(crate) fn insert(&self, tx: &mut Tx<'_>) -> Result<()> {
        if !self.is_named {
            tx.set_setting(INSTALL_UUID, &random_uuid().to_string())?;
        }
        for (id, kind) in ACCOUNTS {
            if tx.find(id)?.is_none() {
                let new = NewResource {
                    id: Some(id),
                    kind: kind.into(),
                    uuid: Some(kind.into()),
                    name: kind.into(),
                    ..active(&self.account)?
                };
                tx.insert(new)?;
            }
        }
        match tx.find(DEFAULT_PROJECT)? {
            None => {
                let fields = orchestration()?;
                let new = NewResource {
                    id: Some(DEFAULT_PROJECT),
                    uuid: Some(DEFAULT_UUID.into()),
                    name: "Default".into(),
                    fields,
                    ..active(&self.project)?
                };
                tx.insert(new)?;
                projects::insert_networks(tx, &self.network, DEFAULT_PROJECT)?;
            }
            // A database that was made before projects said how they are run.
            Some(row) if Fields::parse(&row.fields)?.text("orchestration").is_none() => {
                tx.update_if(
                    &row,
                    &Changes {
                        patch: orchestration()?,
                        ..Changes::default()
                    },
                )?;
            }
            Some(_) => {}
        }
        projects::give_default_to_admin(tx, &self.member, &self.account.prefix)?;
        seed_template(tx, &self.template)
    }
}

/// The public template of the one way in which projects are run; clients look for it by this name. It brings no stacks.
pub(crate) fn seed_template(tx: &mut Tx<'_>, ty: &Type) -> Result<()> {
    if tx
        .all("projectTemplate", None)?
        .iter()
        .any(|row| row.account_id.is_none())
    {
        return Ok(());
    }
    let mut fields = Fields::default();
    fields.set("stacks", &[(); 0])?;
    tx.insert(NewResource {
        name: "Cattle".into(),
        state: State::ACTIVE,
        ..new_row(ty, None, fields)
    })
    .map(drop)
}

/// How projects are run: there is one way, and clients ask for it by this name.
pub(crate) fn orchestration() -> Result<Fields> {
    let mut fields = Fields::default();
    fields.set("orchestration", "cattle")?;
    Ok(fields)
}

pub(crate) fn active(ty: &Type) -> Result<NewResource> {
    Ok(NewResource {
        state: State::ACTIVE,
        health: "healthy".into(),
        ..new_row(ty, None, Fields::default())
    })
}
