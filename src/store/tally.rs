//! Lists as numbers: how many rows are alike.

use std::collections::HashMap;

use diesel::prelude::*;

use super::query::resources;
use super::resource::rows::{self as resource, now};
use super::{ListSpec, Store};
use crate::model::{Error, ResourceId, Result};

/// How many rows of a list have these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The type.
    pub kind: String,
    /// What they belong to.
    pub parent: Option<ResourceId>,
    /// Where they are.
    pub host: Option<ResourceId>,
    /// The state, as it is kept.
    pub state: String,
    /// The health; empty for none.
    pub health: String,
    /// So many.
    pub count: u64,
}

type Alike = (String, Option<i64>, Option<i64>, String, String);

impl Store {
    /// The rows of a list counted, however many pages it has; in no order.
    pub fn tally(&self, spec: &ListSpec) -> Result<Vec<Tally>> {
        let all = ListSpec {
            limit: i64::MAX,
            marker: None,
            ..spec.clone()
        };
        let rows: Vec<Alike> = resources(&all)
            .select((
                resource::kind,
                resource::parent_id,
                resource::host_id,
                now::state,
                now::health,
            ))
            .load(&mut *self.reader()?)
            .map_err(|e| Error::internal("counting resources", e))?;
        let mut counts: HashMap<Alike, u64> = HashMap::new();
        for row in rows {
            *counts.entry(row).or_default() += 1;
        }
        let tally = |((kind, parent, host, state, health), count): (Alike, u64)| Tally {
            kind,
            parent: parent.map(ResourceId),
            host: host.map(ResourceId),
            state,
            health,
            count,
        };
        Ok(counts.into_iter().map(tally).collect())
    }
}
