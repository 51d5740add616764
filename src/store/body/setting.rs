//! Settings that were changed: what is not here is as its default says.

use diesel::prelude::*;

use super::{Store, Tx, Wake, failed};
use crate::model::Result;
use crate::store::characters::check_text;
use crate::store::tables::setting;

impl Store {
    pub fn setting(&self, name: &str) -> Result<Option<String>> {
        let mut conn = self.reader()?;
        setting::table
            .find(name)
            .select(setting::value)
            .first(&mut conn)
            .optional()
            .map_err(failed("reading a setting"))
    }

    pub fn settings(&self) -> Result<Vec<(String, String)>> {
        let mut conn = self.reader()?;
        let all = setting::table
            .order(setting::name)
            .select((setting::name, setting::value))
            .load(&mut conn);
        all.map_err(failed("reading settings"))
    }
}

impl Tx {
    pub fn setting(&mut self, name: &str) -> Result<Option<String>> {
        setting::table
            .find(name)
            .select(setting::value)
            .first(self.line.conn())
            .optional()
            .map_err(failed("reading a setting"))
    }

    pub fn set_setting(&mut self, name: &str, value: &str) -> Result<()> {
        check_text("name", name)?;
        check_text("value", value)?;
        diesel::insert_into(setting::table)
            .values((setting::name.eq(name), setting::value.eq(value)))
            .on_conflict(setting::name)
            .do_update()
            .set(setting::value.eq(value))
            .execute(self.line.conn())
            .map_err(failed("writing a setting"))?;
        self.wake(Wake::Access);
        Ok(())
    }

    pub fn delete_setting(&mut self, name: &str) -> Result<()> {
        diesel::delete(setting::table.find(name))
            .execute(self.line.conn())
            .map_err(failed("forgetting a setting"))?;
        self.wake(Wake::Access);
        Ok(())
    }
}
