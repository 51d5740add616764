//! Who may do what: what proves an account, what it is for a project, what it may do to a row, what a project may do to its hosts; and the rows that hold secrets
//! (keys, passwords, registries). Nothing here knows what the rows that are protected are for, or makes an account: people,
//! logins and projects are the accounts' room.

mod certificates;
mod credentials;
mod dispatch;
mod host_policy;
mod keys;
mod makers;
mod members;
mod new_key;
mod pem;
mod policy;
mod registries;
mod rights;
mod standing;
mod stream_tokens;

pub(crate) use certificates::{NewCertificate, certificate_key};
pub(crate) use credentials::{SECRET_VALUE, check_name_free, restrict_list};
pub(crate) use dispatch::{Owner, act, create, handle, remove, update};
pub(crate) use host_policy::HOST_POLICY_FIELD;
pub(crate) use keys::{API_KEY_SECRET, is_secret_of_key};
pub use keys::{Candidate, KeptKey, KeyProof, SigningKey};
pub(crate) use makers::{is_of_bootstrap, notes_of_bootstrap_key};
pub(crate) use members::{MEMBER, MemberNotes, SET_MEMBERS};
pub(crate) use new_key::NewKey;
pub(crate) use pem::check_tls;
pub(crate) use registries::CREDENTIAL_FIELD;
pub use rights::{Allowed, Rights};
pub(crate) use standing::unauthorized;
pub(crate) use stream_tokens::{StatsOf, Stream, Ticket};
