//! What credentials are proved by, found by their public half.

use diesel::prelude::*;

use super::tables::credential;
use super::{Store, Tx, Wake};
use crate::model::{Error, ResourceId, Result};

/// What is kept of one credential beside its row.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialSecret {
    /// The row.
    pub id: ResourceId,
    /// The kind of the row: `apiKey`, `password`, `agentApiKey` …
    pub kind: String,
    /// The public half, as it was given.
    pub public_value: String,
    /// A digest, a slow hash or a seal of the secret half, by the kind.
    pub secret: String,
}

impl std::fmt::Debug for CredentialSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CredentialSecret({} {} {})", self.id, self.kind, self.public_value)
    }
}

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

impl From<Columns> for CredentialSecret {
    fn from((id, kind, public_value, secret): Columns) -> Self {
        Self {
            id: ResourceId(id),
            kind,
            public_value,
            secret,
        }
    }
}

fn failed(what: &'static str) -> impl Fn(diesel::result::Error) -> Error {
    move |source| Error::internal(what, source)
}

impl Store {
    /// All credentials with this public half, in whatever case it is written, in order of id. Quick: by an index.
    pub fn credentials(&self, public_value: &str) -> Result<Vec<CredentialSecret>> {
        let query = credential::table
            .filter(credential::public_value.eq(public_value))
            .order(credential::resource_id)
            .select(ALL);
        let rows: Vec<Columns> = query
            .load(&mut *self.reader()?)
            .map_err(failed("reading credentials"))?;
        Ok(rows.into_iter().map(CredentialSecret::from).collect())
    }

    /// What is kept of one credential.
    pub fn credential(&self, id: ResourceId) -> Result<Option<CredentialSecret>> {
        let row: Option<Columns> = credential::table
            .find(id.0)
            .select(ALL)
            .get_result(&mut *self.reader()?)
            .optional()
            .map_err(failed("reading a credential"))?;
        Ok(row.map(CredentialSecret::from))
    }
}

impl Tx<'_> {
    /// See [`Store::credentials`].
    pub fn credentials(&mut self, public_value: &str) -> Result<Vec<CredentialSecret>> {
        let query = credential::table
            .filter(credential::public_value.eq(public_value))
            .order(credential::resource_id)
            .select(ALL);
        let rows: Vec<Columns> = query.load(self.conn).map_err(failed("reading credentials"))?;
        Ok(rows.into_iter().map(CredentialSecret::from).collect())
    }

    /// See [`Store::credential`].
    pub fn credentials_of(&mut self, id: ResourceId) -> Result<Option<CredentialSecret>> {
        let row: Option<Columns> = credential::table
            .find(id.0)
            .select(ALL)
            .get_result(self.conn)
            .optional()
            .map_err(failed("reading a credential"))?;
        Ok(row.map(CredentialSecret::from))
    }

    /// Keeps, or replaces, what a credential is proved by.
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
            .execute(self.conn)
            .map_err(failed("keeping a credential"))?;
        self.wake(Wake::Access);
        Ok(())
    }

    /// Forgets what a credential was proved by: from now on it proves nothing.
    pub fn delete_credential(&mut self, id: ResourceId) -> Result<()> {
        diesel::delete(credential::table.find(id.0))
            .execute(self.conn)
            .map_err(failed("forgetting a credential"))?;
        self.wake(Wake::Access);
        Ok(())
    }
}
