//! People, programs and projects: making them, their members and logins, what goes with them, and what a new database begins
//! with. What an account may do is said in `access`; what runs in a project is asked to go by processes of its
//! own, and services and hosts are not called from here.

mod beginnings;
mod dispatch;
mod fields;
mod first_admin;
mod lists;
mod logins;
mod people;
mod preferences;
mod project_fields;
mod project_removal;
mod projects;

pub(crate) use beginnings::Beginnings;
pub(crate) use dispatch::{act, create, handle, remove, update};
pub(crate) use fields::derive;
pub use first_admin::FirstAdmin;
pub(crate) use lists::{is_named_in_any_case, own_condition, restrict_list};
pub use logins::{AccessMode, KEY_CHECK, LOCAL, LocalAuth, opens_check};
pub use people::Identity;
