//! Fields that are found in other rows: a constant number of queries for a whole page. The nouns say which.

use std::collections::HashMap;

use serde_json::json;

use crate::model::{Resource, ResourceId};

use super::request::Derived;
use super::state::Core;

/// The ids of the rows of a root.
pub(crate) fn of_root(rows: &[&Resource], root: &str) -> Vec<ResourceId> {
    rows.iter().filter(|r| r.root == root).map(|r| r.id).collect()
}

impl Core {
    /// `(owner, id)` as owner → list of wire ids.
    pub(crate) fn grouped(&self, pairs: Vec<(ResourceId, ResourceId)>, kind: &str) -> HashMap<ResourceId, Vec<String>> {
        let mut groups: HashMap<ResourceId, Vec<String>> = HashMap::new();
        for (owner, id) in pairs {
            groups.entry(owner).or_default().push(self.wire_id(kind, id));
        }
        groups
    }
}

/// Adds a list of ids to each owner, an empty one too.
pub(crate) fn add_ids(
    derived: &mut Derived,
    field: &'static str,
    owners: &[ResourceId],
    mut groups: HashMap<ResourceId, Vec<String>>,
) {
    for owner in owners {
        let ids = groups.remove(owner).unwrap_or_default();
        derived.entry(*owner).or_default().push((field, json!(ids).to_string()));
    }
}
