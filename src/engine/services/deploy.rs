//! A service as other interfaces than Rancher's change it: what it is to become is said all at once, takes effect at once whatever
//! it is doing, and needs nobody to finish it.

use serde_json::Value;

use crate::engine::core::{Core, FASTER, Input, Scope, Update, apply_update, live};
use crate::engine::instances::check_own_key;
use crate::model::{Error, Fields, Resource, Result, State};
use crate::schema::TypeView;

use super::names::check_name_free;
use super::service::check_update;
use super::upgrade::{Config, Upgrade};

/// What a service is to become.
pub struct Deploy {
    /// Fields that are written; `scale` among them, if that changes.
    pub fields: Input,
    /// Of an upgrade in place, if its containers are to be made anew.
    pub strategy: Option<Config>,
    /// A field that has to be as it was when `fields` were made of it: else somebody was faster.
    pub fence: (&'static str, Value),
}

/// Writes it, and asks for what follows from it. An upgrade or a rollback that is on its way, or waits to be finished, ends here.
///
/// # Errors
/// 409 if somebody was faster, or the service is going; 422 for what is wrong with it.
pub(crate) async fn deploy(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    row: &Resource,
    deploy: Deploy,
) -> Result<Resource> {
    let Deploy {
        fields,
        strategy,
        fence,
    } = deploy;
    let fields = check_update(row, fields)?;
    let upgrade = match strategy {
        None => None,
        Some(mut strategy) => {
            core.apply_image_rules(&mut strategy)?;
            core.check_host_use(row.account_id, &strategy)?;
            check_own_key(scope, &strategy)?;
            let upgrade = Upgrade::check(row, strategy)?.finishing();
            Some(upgrade.superseding(fields.clone()))
        }
    };
    let machine = core.machine_of(&row.kind)?.clone();
    let range = core.port_range(row.account_id)?;
    let update = Update::of(ty).named_by(check_name_free);
    let id = row.id;
    core.write_for(scope, move |tx| {
        let row = live(tx, id)?;
        let (field, was) = &fence;
        let is: Option<Value> = Fields::parse(&row.fields)?.read(field)?;
        if is.unwrap_or_default() != *was {
            return Err(Error::conflict("it was changed meanwhile").with_code(FASTER));
        }
        match upgrade {
            Some(upgrade) => upgrade.begin(tx, &machine, &row, range),
            // One that is only about to be made is asked again in a moment.
            None if row.state == State::REGISTERING => {
                apply_update(tx, &update, &row, &fields).map_err(|error| error.with_code(FASTER))
            }
            None => apply_update(tx, &update, &row, &fields),
        }
    })
    .await
}
