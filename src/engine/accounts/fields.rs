//! Fields of accounts and projects that are found in other rows.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::engine::access::MemberNotes;
use crate::engine::core::{Core, Derived, is_project, notes};
use crate::model::{Fields, Resource, ResourceId, Result};
use crate::store::Direction;

use super::people::RANCHER_ID;

/// In which form accounts are kept, as clients of 1.6 expect it.
const VERSION: &str = "2";

/// The computed fields of accounts and projects.
pub(crate) fn derive(core: &Core, rows: &[&Resource], derived: &mut Derived) -> Result<()> {
    let accounts = rows.iter().copied().filter(|row| row.root == "account");
    let (projects, people): (Vec<&Resource>, Vec<&Resource>) = accounts.partition(|row| is_project(row));
    for person in &people {
        let of_person = derived.entry(person.id).or_default();
        of_person.push(("identity", json!(identity(person)?).to_string()));
    }
    let ids: Vec<ResourceId> = projects.iter().map(|project| project.id).collect();
    let mut members = if ids.is_empty() {
        HashMap::new()
    } else {
        core.members(&ids)?
    };
    for row in projects.iter().chain(&people) {
        derived
            .entry(row.id)
            .or_default()
            .push(("version", json!(VERSION).to_string()));
    }
    for id in ids {
        let list = Value::Array(members.remove(&id).unwrap_or_default());
        derived.entry(id).or_default().push(("members", list.to_string()));
    }
    Ok(())
}

/// Quirk: the account's own id stands there as a plain number (cattle: `IdentityFormatter`).
fn identity(account: &Resource) -> Result<String> {
    let fields = Fields::parse(&account.fields)?;
    let sort = fields.text("externalIdType").filter(|text| !text.is_empty());
    let outside = fields.text("externalId").filter(|text| !text.is_empty());
    Ok(match (sort, outside) {
        (Some(sort), Some(id)) => format!("1i!{sort}:{id}"),
        _ => format!("1i!{RANCHER_ID}:{}", account.id),
    })
}

impl Core {
    /// Who belongs to projects, as a client names members when it makes one.
    fn members(&self, projects: &[ResourceId]) -> Result<HashMap<ResourceId, Vec<Value>>> {
        let tied = self.store.references("projectId", projects, Direction::To)?;
        let mut rows = self
            .store
            .many(&tied.iter().map(|(member, _)| *member).collect::<Vec<_>>())?;
        // Those of a project that was removed are shown with it as long as it is there to be read.
        let belongs = |row: &Resource| row.removed.is_none() || notes::<MemberNotes>(row).left_with_project;
        rows.retain(|row| row.root == "projectMember" && belongs(row));
        rows.sort_unstable_by_key(|row| row.id);
        let mut members: HashMap<ResourceId, Vec<Value>> = HashMap::new();
        for row in rows {
            let Some(project) = row.account_id else { continue };
            let fields = Fields::parse(&row.fields)?;
            members.entry(project).or_default().push(json!({
                "type": "projectMember",
                "externalId": fields.text("externalId"),
                "externalIdType": fields.text("externalIdType"),
                "role": fields.text("role"),
            }));
        }
        Ok(members)
    }
}
