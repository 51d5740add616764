//! What a caller may do to a row. What runs everything else (hosts, the tokens by which they join, and what is marked as the
//! system's own) not every role may change (cattle: the capability `modifyInfra`).

use crate::engine::core::{Core, Scope, is_project, is_token};
use crate::model::{Error, ErrorKind, Fields, Resource, Result};
use crate::schema::Role;

use super::members::SET_MEMBERS;

/// What a caller may do to a row, whatever its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Everything that its schemas have.
    All,
    /// This action.
    Only(&'static str),
    /// Nothing: it reads.
    Nothing,
}

impl Allowed {
    /// Whether the action is allowed.
    pub fn includes(self, action: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == action,
            Self::Nothing => false,
        }
    }
}

/// What is in the text of every row that is the system's own; of others, too, if it stands deeper.
const IS_SYSTEM: &str = r#""system":true"#;

/// Whether only roles with the capability change a row.
fn is_infrastructure(row: &Resource) -> bool {
    match row.root.as_str() {
        "host" | "physicalHost" => true,
        "credential" => is_token(row),
        "stack" | "service" | "instance" => is_system(row),
        _ => false,
    }
}

/// Whether a stack, a service or a container is the system's own. Asked of every row of a list: few get so far as to be
/// read.
fn is_system(row: &Resource) -> bool {
    row.fields.contains(IS_SYSTEM)
        && Fields::parse(&row.fields)
            .and_then(|fields| fields.read::<bool>("system"))
            .ok()
            .flatten()
            .unwrap_or(false)
}

impl Core {
    /// Whether a role may change what runs everything.
    pub(crate) fn has_infrastructure(&self, role: Role) -> Result<bool> {
        Ok(self.policy()?.infrastructure.iter().any(|name| name == role.as_str()))
    }

    /// 403 unless the caller may change what runs everything.
    pub(crate) fn require_infrastructure(&self, scope: &Scope) -> Result<()> {
        match self.has_infrastructure(scope.role)? {
            true => Ok(()),
            false => {
                Err(Error::new(ErrorKind::Forbidden).with_message("this role may not change what runs everything else"))
            }
        }
    }

    /// 403 for a caller that may not put anything into this stack.
    pub(crate) fn require_stack(&self, scope: &Scope, stack: Option<&Resource>) -> Result<()> {
        if stack.is_some_and(is_system) {
            self.require_infrastructure(scope)
        } else {
            Ok(())
        }
    }

    pub(crate) fn rights<'a>(&'a self, scope: &'a Scope) -> Result<Rights<'a>> {
        Ok(Rights {
            core: self,
            scope,
            has_infrastructure: self.has_infrastructure(scope.role)?,
        })
    }

    fn allowed_to_project(&self, scope: &Scope, project: &Resource) -> Result<Allowed> {
        let role = self.role_in(scope, project)?;
        Ok(match role {
            Some(Role::Owner) => Allowed::All,
            Some(role) if self.may_set_members(role)? => Allowed::Only(SET_MEMBERS),
            _ => Allowed::Nothing,
        })
    }

    /// 403 for who may not do this to the row. Who does not even see it has not come this far.
    pub(crate) fn require(&self, scope: &Scope, row: &Resource, action: &str) -> Result<()> {
        if self.rights(scope)?.to(row)?.includes(action) {
            return Ok(());
        }
        let why = if is_project(row) {
            "only an owner may change a project"
        } else {
            "this role may not change what runs everything else"
        };
        Err(Error::new(ErrorKind::Forbidden).with_message(why))
    }
}

/// What a caller may do, asked of many rows.
pub struct Rights<'a> {
    core: &'a Core,
    scope: &'a Scope,
    has_infrastructure: bool,
}

impl Rights<'_> {
    /// What the caller may do to a row, whatever its state.
    pub fn to(&self, row: &Resource) -> Result<Allowed> {
        if is_project(row) {
            return self.core.allowed_to_project(self.scope, row);
        }
        if self.has_infrastructure || !is_infrastructure(row) {
            return Ok(Allowed::All);
        }
        // What the system's own containers say may be read.
        Ok(if row.root == "instance" {
            Allowed::Only("logs")
        } else {
            Allowed::Nothing
        })
    }
}
