//! What credentials are proved by, found by their public half.

use diesel::prelude::*;

use super::statement::Fragment;
use super::{CredentialSecret, Scalar, Store, Tx, Wake, dialect, failed};
use crate::model::{ResourceId, Result};
use crate::store::tables::credential;

type Columns = (i64, String, String, String);
const ALL: (
    credential::resource_id,
    credential::kind,
    credential::public_value,
    credential::secret,
) = (
    credential::resource_id,
    credential::kind,
    credential::public_value,
    credential::secret,
);

fn credential((id, kind, public_value, secret): Columns) -> CredentialSecret {
    CredentialSecret {
        id: ResourceId(id),
        kind,
        public_value,
        secret,
    }
}

/// That a public half is this one, in whatever case it is written.
fn is_public_half(value: &str) -> Fragment {
    let text = dialect::is_text_in_any_case("public_value");
    Fragment::new(text, vec![Scalar::Text(value.to_owned())]).common()
}

impl Store {
    pub fn credentials(&self, public_value: &str) -> Result<Vec<CredentialSecret>> {
        let query = credential::table
            .filter(is_public_half(public_value))
            .order(credential::resource_id)
            .select(ALL);
        let rows: Vec<Columns> = query
            .load(&mut *self.reader()?)
            .map_err(failed("reading credentials"))?;
        Ok(rows.into_iter().map(credential).collect())
    }

    pub fn credential(&self, id: ResourceId) -> Result<Option<CredentialSecret>> {
        let row: Option<Columns> = credential::table
            .find(id.0)
            .select(ALL)
            .get_result(&mut *self.reader()?)
            .optional()
            .map_err(failed("reading a credential"))?;
        Ok(row.map(credential))
    }
}

impl Tx {
    pub fn credentials(&mut self, public_value: &str) -> Result<Vec<CredentialSecret>> {
        let query = credential::table
            .filter(is_public_half(public_value))
            .order(credential::resource_id)
            .select(ALL);
        let rows: Vec<Columns> = query.load(self.line.conn()).map_err(failed("reading credentials"))?;
        Ok(rows.into_iter().map(credential).collect())
    }

    pub fn credentials_of(&mut self, id: ResourceId) -> Result<Option<CredentialSecret>> {
        let row: Option<Columns> = credential::table
            .find(id.0)
            .select(ALL)
            .get_result(self.line.conn())
            .optional()
            .map_err(failed("reading a credential"))?;
        Ok(row.map(credential))
    }

    pub fn set_credential(&mut self, credential: &CredentialSecret) -> Result<()> {
        let kept = (
            credential::kind.eq(&credential.kind),
            credential::public_value.eq(&credential.public_value),
            credential::secret.eq(&credential.secret),
        );
        diesel::insert_into(credential::table)
            .values((credential::resource_id.eq(credential.id.0), kept))
            .on_conflict(credential::resource_id)
            .do_update()
            .set(kept)
            .execute(self.line.conn())
            .map_err(failed("keeping a credential"))?;
        self.wake(Wake::Access);
        Ok(())
    }

    pub fn delete_credential(&mut self, id: ResourceId) -> Result<()> {
        diesel::delete(credential::table.find(id.0))
            .execute(self.line.conn())
            .map_err(failed("forgetting a credential"))?;
        self.wake(Wake::Access);
        Ok(())
    }
}
