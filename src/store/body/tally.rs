//! Lists as numbers: how many rows are alike.

use std::collections::HashMap;

use diesel::prelude::*;

use super::query::resources;
use super::resource::rows::{self as resource, now};
use super::{ListSpec, Store, Tally, failed};
use crate::model::{ResourceId, Result};

type Alike = (String, Option<i64>, Option<i64>, String, String);

impl Store {
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
            .map_err(failed("counting resources"))?;
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
