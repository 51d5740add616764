//! What the server died of: rows that are set aside, so that a start always succeeds.

use diesel::prelude::*;

use super::{Store, Tx, failed};
use crate::model::{ResourceId, Result};
use crate::store::tables::set_aside;

impl Store {
    pub fn deaths(&self) -> Result<Vec<(ResourceId, i32)>> {
        let rows: Vec<(i64, i32)> = set_aside::table
            .order(set_aside::resource_id)
            .load(&mut *self.reader()?)
            .map_err(failed("reading what is set aside"))?;
        Ok(rows.into_iter().map(|(id, deaths)| (ResourceId(id), deaths)).collect())
    }
}

impl Tx {
    pub fn note_death(&mut self, id: ResourceId) -> Result<i32> {
        diesel::insert_into(set_aside::table)
            .values((set_aside::resource_id.eq(id.0), set_aside::deaths.eq(1)))
            .on_conflict(set_aside::resource_id)
            .do_update()
            .set(set_aside::deaths.eq(set_aside::deaths + 1))
            .returning(set_aside::deaths)
            .get_result(self.line.conn())
            .map_err(failed("noting a death"))
    }

    pub fn forget_fewer_deaths(&mut self, than: i32) -> Result<()> {
        diesel::delete(set_aside::table.filter(set_aside::deaths.lt(than)))
            .execute(self.line.conn())
            .map_err(failed("forgetting deaths"))?;
        Ok(())
    }

    pub fn forget_deaths(&mut self, id: ResourceId) -> Result<()> {
        diesel::delete(set_aside::table.find(id.0))
            .execute(self.line.conn())
            .map_err(failed("forgetting deaths"))?;
        Ok(())
    }
}
