//! `/scripts/<name>`: things beside the types: what a container of Docker's is in Rancher's words, and the script by which a
//! host joins, named by its registration token.

use crate::api::resources::{inspect, registration};
use crate::api::wire::call::{Call, Reply, plain_object};
use crate::api::wire::request::Verb;
use crate::engine::{Engine, Input};
use crate::model::{Error, Result};

/// The script that tells a container in the words of Rancher.
pub const TRANSFORM: &str = "transform";

/// `/scripts/<name>`; a name that is none of ours is nobody's.
pub fn answer(call: &Call<'_>, name: &str, body: &Input) -> Result<Reply> {
    match (call.verb, name) {
        (Verb::Post, TRANSFORM) => transform(call, body),
        _ => Err(Error::not_found()),
    }
}

/// The script by which a host joins; whoever has the token may read it.
pub fn joining(engine: &Engine, root: &str, token: &str) -> Result<String> {
    if engine.is_registration(token)? {
        Ok(registration::script(engine, root, token))
    } else {
        Err(Error::not_found())
    }
}

/// A container as the caller's view has it, but for what only rows have: no id, no state, no defaults.
fn transform(call: &Call<'_>, document: &Input) -> Result<Reply> {
    let ty = call.view.find_by_kind("container").ok_or_else(Error::not_found)?;
    let mut fields = inspect::container(document)?;
    fields.retain(|name, _| ty.fields.contains_key(name));
    Ok(Reply::ok(plain_object(&ty.id, &fields, call.actions_key)))
}
