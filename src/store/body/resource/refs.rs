//! The references between rows that are not columns.

use diesel::prelude::*;

use super::super::dialect::Conn;
use super::super::one_of::OneOf;
use super::super::statement::{Bound, fixed};
use super::super::{Direction, Store, Tx};
use super::failed;
use crate::model::{ResourceId, Result};
use crate::store::known::known;
use crate::store::tables::resource_ref;

fn referrers_on(conn: &mut Conn, to: ResourceId, field: &str) -> Result<Vec<ResourceId>> {
    let ids: Vec<i64> = resource_ref::table
        .filter(resource_ref::to_id.eq(to.0))
        .filter(resource_ref::field.eq(field))
        .order(resource_ref::from_id)
        .select(resource_ref::from_id)
        .load(conn)
        .map_err(failed("reading references"))?;
    Ok(ids.into_iter().map(ResourceId).collect())
}

fn referenced_on(conn: &mut Conn, from: ResourceId, field: &str) -> Result<Vec<ResourceId>> {
    let ids: Vec<i64> = resource_ref::table
        .filter(resource_ref::from_id.eq(from.0))
        .filter(resource_ref::field.eq(field))
        .order(resource_ref::to_id)
        .select(resource_ref::to_id)
        .load(conn)
        .map_err(failed("reading references"))?;
    Ok(ids.into_iter().map(ResourceId).collect())
}

impl Store {
    pub fn referrers(&self, to: ResourceId, field: &str) -> Result<Vec<ResourceId>> {
        referrers_on(&mut *self.reader()?, to, field)
    }

    pub fn references(
        &self,
        field: &str,
        ids: &[ResourceId],
        direction: Direction,
    ) -> Result<Vec<(ResourceId, ResourceId)>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut conn = self.reader()?;
        if let [only] = ids {
            let found = match direction {
                Direction::From => referenced_on(&mut conn, *only, field)?
                    .into_iter()
                    .map(|to| (*only, to))
                    .collect(),
                Direction::To => referrers_on(&mut conn, *only, field)?
                    .into_iter()
                    .map(|from| (from, *only))
                    .collect(),
            };
            return Ok(found);
        }
        let all = resource_ref::table
            .filter(resource_ref::field.eq(field))
            .select((resource_ref::from_id, resource_ref::to_id))
            .order((resource_ref::from_id, resource_ref::to_id));
        let pairs: QueryResult<Vec<(i64, i64)>> = match direction {
            Direction::From => all.filter(OneOf::new(resource_ref::from_id, ids)).load(&mut conn),
            Direction::To => all.filter(OneOf::new(resource_ref::to_id, ids)).load(&mut conn),
        };
        let pairs = pairs.map_err(failed("reading references"))?;
        Ok(pairs.into_iter().map(|(a, b)| (ResourceId(a), ResourceId(b))).collect())
    }
}

impl Tx {
    pub fn referrers(&mut self, to: ResourceId, field: &str) -> Result<Vec<ResourceId>> {
        referrers_on(self.line.conn(), to, field)
    }

    pub fn referenced(&mut self, from: ResourceId, field: &str) -> Result<Vec<ResourceId>> {
        referenced_on(self.line.conn(), from, field)
    }

    pub fn insert_ref(&mut self, from: ResourceId, field: &str, to: ResourceId) -> Result<()> {
        known!(Refer = "INSERT INTO resource_ref (from_id, field, to_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
        let values = [Bound::Int(from.0), Bound::Text(field), Bound::Int(to.0)];
        self.line
            .put(fixed(Refer, values))
            .map_err(failed("noting a reference"))
    }

    pub fn delete_refs(&mut self, from: ResourceId, field: &str) -> Result<()> {
        diesel::delete(
            resource_ref::table
                .filter(resource_ref::from_id.eq(from.0))
                .filter(resource_ref::field.eq(field)),
        )
        .execute(self.line.conn())
        .map_err(failed("forgetting references"))?;
        Ok(())
    }

    /// Forgets all references from and to rows.
    pub(super) fn delete_refs_of(&mut self, ids: &[i64]) -> Result<()> {
        diesel::delete(
            resource_ref::table.filter(resource_ref::from_id.eq_any(ids).or(resource_ref::to_id.eq_any(ids))),
        )
        .execute(self.line.conn())
        .map_err(failed("forgetting the references of rows"))?;
        Ok(())
    }
}
