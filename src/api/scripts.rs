//! `/scripts/<name>`: things beside the types. Today one: what a container of Docker's is in Rancher's words.

use super::call::{Call, Reply, plain_object};
use super::inspect;
use super::request::Verb;
use crate::engine::Input;
use crate::model::{Error, Result};

/// `/scripts/<name>`; a name that is none of ours is nobody's.
pub fn answer(call: &Call<'_>, name: &str, body: &Input) -> Result<Reply> {
    match (call.verb, name) {
        (Verb::Post, "transform") => transform(call, body),
        _ => Err(Error::not_found()),
    }
}

/// A container as the caller's view has it, but for what only rows have: no id, no state, no defaults.
fn transform(call: &Call<'_>, document: &Input) -> Result<Reply> {
    let ty = call.view.find_by_kind("container").ok_or_else(Error::not_found)?;
    let mut fields = inspect::container(document)?;
    fields.retain(|name, _| ty.fields.contains_key(name));
    Ok(Reply::ok(plain_object(&ty.id, &fields, call.actions_key)))
}
