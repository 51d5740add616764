//! Stacks, which Docker knows by a label of services alone: one that was made for such a service goes with the last of them.

use serde_json::json;

use super::caller::{Caller, Deed, fields};
use super::record::DEFAULT_STACK;
use super::refusal::Outcome;
use crate::engine::Input;
use crate::model::{Error, Resource};
use crate::schema::validate::Purpose;

/// The field of a stack that says what becomes of it when nothing is in it. Only stacks that are made here have it.
const WHEN_EMPTY: &str = "whenEmpty";
/// It is made, and what it is made for comes.
const STAY: &str = "stay";
/// What it was made for is gone.
const GO: &str = "go";

/// The stack of this name, made if there is none.
pub async fn of_name(caller: &Caller, name: &str) -> Outcome<Resource> {
    let named = |stacks: Vec<Resource>| stacks.into_iter().find(|stack| stack.name == name);
    if let Some(stack) = named(caller.lasting("stack").await?) {
        if fields(&stack)?.text(WHEN_EMPTY).as_deref() == Some(GO) {
            write(caller, &stack, STAY).await?;
        }
        return Ok(stack);
    }
    let ty = caller.may("stack", Deed::Create)?;
    let input = caller
        .validated(&ty, json!({"name": name}), Purpose::Create, None)
        .await;
    let made = match input {
        Ok(mut input) => {
            input.insert(WHEN_EMPTY.into(), json!(STAY));
            caller.engine.create(&caller.scope, &ty, input).await
        }
        Err(error) => Err(error),
    };
    match made {
        Ok(made) => made
            .into_iter()
            .next()
            .ok_or_else(|| Error::bug("a stack was made, and is not there").into()),
        // Somebody else was faster.
        Err(error) => named(caller.lasting("stack").await?).ok_or_else(|| error.into()),
    }
}

/// What becomes of the stack of a service that was asked to go: where no other is left the engine removes it once it is empty.
pub async fn left(caller: &Caller, service: &Resource) -> Outcome<()> {
    let Some(id) = service.parent_id else {
        return Ok(());
    };
    let Some(stack) = caller.engine.row(&caller.scope, "stack", id)? else {
        return Ok(());
    };
    let is_ours = fields(&stack)?.text(WHEN_EMPTY).as_deref() == Some(STAY);
    if !is_ours || stack.name == DEFAULT_STACK {
        return Ok(());
    }
    let services = caller.lasting("service").await?;
    let stays = |other: &Resource| other.parent_id == Some(id) && !caller.engine.is_part(other);
    match services.iter().any(stays) {
        true => Ok(()),
        false => write(caller, &stack, GO).await,
    }
}

async fn write(caller: &Caller, stack: &Resource, word: &str) -> Outcome<()> {
    let input = Input::from_iter([(WHEN_EMPTY.to_owned(), json!(word))]);
    caller.engine.write_row(&caller.scope, stack, input).await?;
    Ok(())
}
