//! Tasks: what the server does by itself every so often, for admins to have done at once.

use crate::engine::core::{Answer, Core, new_row, sweep_once};
use crate::model::{Error, Fields, Resource, Result};
use crate::schema::Type;
use crate::store::{NewResource, Tx};

/// Pings every agent.
const PING: &str = "agent.ping";

/// Deletes what was removed long enough ago, and what is only kept for a while.
const PURGE: &str = "purge.resources";

/// All of them, in the words of the original.
const TASKS: [&str; 2] = [PING, PURGE];

/// Makes the rows of the tasks; twice equals once.
pub(crate) fn seed_tasks(tx: &mut Tx<'_>, task: &Type) -> Result<()> {
    let known = tx.all("task", None)?;
    for name in TASKS
        .into_iter()
        .filter(|name| !known.iter().any(|row| row.name == *name))
    {
        tx.insert(NewResource {
            name: name.into(),
            ..new_row(task, None, Fields::default())
        })?;
    }
    Ok(())
}

/// Does it once, and answers when it is done.
pub(crate) async fn execute(core: &Core, row: &Resource) -> Result<Answer> {
    match row.name.as_str() {
        PING => core.ping_agents().await?,
        PURGE => drop(sweep_once(core).await?),
        _ => return Err(Error::not_implemented("this build has no such task")),
    }
    Ok(Answer::Done(Box::new(row.clone())))
}
