//! Settings that were changed: what is not here is as its default says.

use diesel::prelude::*;

use super::tables::setting;
use super::{Store, Tx, Wake};
use crate::model::{Error, Result};

fn failed(what: &'static str) -> impl FnOnce(diesel::result::Error) -> Error {
    move |source| Error::internal(what, source)
}

impl Store {
    /// A stored setting.
    pub fn setting(&self, name: &str) -> Result<Option<String>> {
        let mut conn = self.reader()?;
        setting::table
            .find(name)
            .select(setting::value)
            .first(&mut conn)
            .optional()
            .map_err(failed("reading a setting"))
    }

    /// All stored settings, by name.
    pub fn settings(&self) -> Result<Vec<(String, String)>> {
        let mut conn = self.reader()?;
        let all = setting::table
            .order(setting::name)
            .select((setting::name, setting::value))
            .load(&mut conn);
        all.map_err(failed("reading settings"))
    }
}

impl Tx<'_> {
    /// A stored setting.
    pub fn setting(&mut self, name: &str) -> Result<Option<String>> {
        setting::table
            .find(name)
            .select(setting::value)
            .first(self.conn)
            .optional()
            .map_err(failed("reading a setting"))
    }

    /// Writes a setting.
    pub fn set_setting(&mut self, name: &str, value: &str) -> Result<()> {
        diesel::insert_into(setting::table)
            .values((setting::name.eq(name), setting::value.eq(value)))
            .on_conflict(setting::name)
            .do_update()
            .set(setting::value.eq(value))
            .execute(self.conn)
            .map_err(failed("writing a setting"))?;
        self.wake(Wake::Access);
        Ok(())
    }

    /// Forgets a setting: its default is in effect again.
    pub fn delete_setting(&mut self, name: &str) -> Result<()> {
        diesel::delete(setting::table.find(name))
            .execute(self.conn)
            .map_err(failed("forgetting a setting"))?;
        self.wake(Wake::Access);
        Ok(())
    }
}
