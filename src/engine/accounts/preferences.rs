//! What a person prefers, as clients keep it here: of nobody's concern but that person's.

use serde_json::Value;

use crate::engine::core::{Core, Input, Scope, insert_and_start, row_from_input};
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result};
use crate::schema::TypeView;

/// A new preference of the caller; one of a name.
pub(crate) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    input: Input,
) -> Result<Resource> {
    check_value(input.get("value"))?;
    let new = row_from_input(&ty.def, account, &input)?;
    let machine = ty.def.machine.clone();
    core.write_for(scope, move |tx| {
        if !tx.called("userPreference", account, &new.name)?.is_empty() {
            return Err(Error::invalid("NotUnique", "name"));
        }
        insert_and_start(tx, machine.as_deref(), new)
    })
    .await
}

/// 409 for a preference that is to have no value.
pub(crate) fn check_value(value: Option<&Value>) -> Result<()> {
    match value.is_none_or(Value::is_null) {
        true => Err(Error::new(ErrorKind::Conflict)),
        false => Ok(()),
    }
}
