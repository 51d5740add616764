//! The first person of a server: an admin with a name to log in by, made by whoever comes first, while nobody else could.

use crate::engine::access::check_name_free;
use crate::engine::core::{Core, Scope, new_row};
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Result, State};
use crate::secret;
use crate::store::{NewResource, Priority, Tx};

use super::logins::{PASSWORD, SECURITY, insert_active};

/// Somebody who wants to be the first.
pub struct FirstAdmin {
    /// The name to log in by.
    pub login: String,
    /// What to log in with.
    pub password: String,
    /// What the account is called.
    pub name: String,
}

impl std::fmt::Debug for FirstAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FirstAdmin({})", self.login)
    }
}

/// 403 if there is anybody with a password, or if callers have to prove who they are and there is an admin.
fn check_is_first(tx: &mut Tx<'_>) -> Result<()> {
    let has_password = tx.all("credential", None)?.iter().any(|row| row.kind == PASSWORD);
    let is_on = tx.setting(SECURITY)?.is_some_and(|on| on.eq_ignore_ascii_case("true"));
    let has_admin = tx
        .all("account", None)?
        .iter()
        .any(|row| row.kind == "admin" && row.state == State::ACTIVE);
    match has_password || is_on && has_admin {
        true => Err(Error::new(ErrorKind::Forbidden).with_message("there is somebody already")),
        false => Ok(()),
    }
}

impl Core {
    /// Makes the first person; access stays as it is, open or not.
    ///
    /// # Errors
    /// 403 unless it is the first, 422 for a name that a key has.
    pub(crate) async fn register_first(&self, scope: &Scope, first: FirstAdmin) -> Result<Resource> {
        // Before anything that takes long.
        self.store.write(Priority::Request, check_is_first).await?;
        let (account, credential) = (self.type_of("account")?.clone(), self.type_of(PASSWORD)?.clone());
        let plain = first.password.clone();
        let hashed = tokio::task::spawn_blocking(move || secret::hash_password(&plain));
        let kept = hashed.await.map_err(|e| Error::internal("hashing a password", e))??;
        self.write_for(scope, move |tx| {
            check_is_first(tx)?;
            check_name_free(tx, PASSWORD, &first.login, None)?;
            let new = NewResource {
                kind: "admin".to_owned(),
                name: first.name,
                state: State::ACTIVE,
                ..new_row(&account, None, Fields::default())
            };
            let row = tx.insert(new)?;
            insert_active(tx, &credential, row.id, &first.login, &kept, String::new())?;
            Ok(row)
        })
        .await
    }

    /// The name that an account logs in by, if it has a password.
    pub(crate) fn login_of(&self, account: ResourceId) -> Result<Option<String>> {
        let credentials = self.store.all("credential", Some(account))?;
        let password = credentials.iter().find(|row| row.kind == PASSWORD);
        let fields = password.map(|row| Fields::parse(&row.fields)).transpose()?;
        Ok(fields.and_then(|fields| fields.text("publicValue")))
    }
}
