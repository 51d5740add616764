//! Where the tests have their databases, those of the library too: in files, or in the PostgreSQL that `DROVER_TEST_DATABASE` names.

use drover::store;

/// The database of a test that has this file to itself. Where `DROVER_TEST_DATABASE` names a PostgreSQL it is a schema there, to
/// which only this path leads.
pub fn at(file: impl AsRef<std::path::Path>) -> store::StoreConfig {
    #[cfg(feature = "postgres")]
    if let Ok(url) = std::env::var("DROVER_TEST_DATABASE") {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        file.as_ref().hash(&mut hasher);
        let mark = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{mark}options=-csearch_path%3Dt{:x}", hasher.finish());
        return store::StoreConfig::of(store::Database::Postgres(store::PostgresUrl(url)));
    }
    store::StoreConfig::new(file.as_ref())
}

/// Does something with a connection of its own to the database of this file.
#[allow(unused_macros, reason = "for those tests that look into it")]
macro_rules! with_database {
    ($file:expr, |$conn:ident| $done:expr) => {{
        use diesel::prelude::*;
        match $crate::databases::at($file).database {
            drover::store::Database::File(file) => {
                let mut conn =
                    diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("the database opens");
                let $conn = &mut conn;
                $done
            }
            #[cfg(feature = "postgres")]
            drover::store::Database::Postgres(url) => std::thread::scope(|threads| {
                type Conn =
                    diesel_async::async_connection_wrapper::AsyncConnectionWrapper<diesel_async::AsyncPgConnection>;
                let looking = threads.spawn(|| {
                    let mut conn = Conn::establish(&url.0).expect("the database is reached");
                    let $conn = &mut conn;
                    $done
                });
                looking.join().expect("it was read")
            }),
        }
    }};
}
