//! Keys that the engine draws by itself, and whose secret half can be read again.

use crate::engine::core::{Core, insert_and_start};
use crate::model::{Resource, Result};
use crate::schema::Type;
use crate::secret;
use crate::store::{CredentialSecret, NewResource, Tx};

/// A new key: what is public, and the other half sealed.
pub(crate) struct NewKey {
    pub(crate) public: String,
    sealed: String,
}

impl NewKey {
    /// Makes the row of a credential with this key. One that is active already has no process to wait for.
    pub(crate) fn insert(self, tx: &mut Tx<'_>, ty: &Type, kind: &str, new: NewResource) -> Result<Resource> {
        let mut fields = new.fields.clone();
        fields.set("publicValue", &self.public)?;
        let machine = ty.machine.as_deref().filter(|_| new.state.is_none());
        let row = insert_and_start(
            tx,
            machine,
            NewResource {
                kind: kind.to_owned(),
                fields,
                ..new
            },
        )?;
        tx.set_credential(&CredentialSecret {
            id: row.id,
            kind: kind.to_owned(),
            public_value: self.public,
            secret: self.sealed,
        })?;
        Ok(row)
    }
}

impl Core {
    /// Draws a key whose secret can be read again.
    pub(crate) fn new_key(&self, context: &str) -> Result<NewKey> {
        self.key_of(context, None, None)
    }

    /// The same of halves that are given; those that are not are drawn.
    pub(crate) fn key_of(&self, context: &str, public: Option<&str>, plain: Option<&str>) -> Result<NewKey> {
        let public = public.map_or_else(secret::access_key, |given| Ok(given.to_owned()))?;
        let plain = plain.map_or_else(secret::secret_key, |given| Ok(given.to_owned()))?;
        Ok(NewKey {
            public,
            sealed: self.config.secrets.seal(context, &plain)?,
        })
    }
}
