//! Labels as rows: each key and value in use once per project, tied to the hosts and containers that carry it.
//!
//! Only labels that people give have rows. Those that the engine writes on each container of a service say nothing about
//! more than that container, and would be most of the table. What a label means (to placement, to a selector) is not known
//! here.

use std::collections::BTreeMap;

use crate::engine::core::new_row;
use crate::model::{Fields, Resource, Result, State};
use crate::schema::Type;
use crate::store::{NewResource, Tx};

/// The references from what carries a label to the label's row; no field of that name is stored or shown.
const FIELD: &str = "labelIds";

/// A row's name has so many characters at most; longer labels are told apart by their fields.
const MAX_NAME: usize = 255;

/// Ties a new host or container to the rows of these labels, which are made where they are missing.
pub(crate) fn tie(tx: &mut Tx<'_>, label: &Type, row: &Resource, labels: &BTreeMap<String, String>) -> Result<()> {
    let Some(account) = row.account_id else { return Ok(()) };
    let mut ids = Vec::with_capacity(labels.len());
    for (key, value) in labels {
        let name: String = format!("{key}={value}").chars().take(MAX_NAME).collect();
        let known = tx.called("label", account, &name)?.into_iter().find(|row| {
            let fields = Fields::parse(&row.fields).unwrap_or_default();
            fields.text("key").as_deref() == Some(key) && fields.text("value").unwrap_or_default() == *value
        });
        let id = match known {
            Some(known) => known.id,
            None => {
                let mut fields = Fields::default();
                fields.set("key", key)?;
                fields.set("value", value)?;
                tx.insert(NewResource {
                    name,
                    state: State::CREATED,
                    ..new_row(label, Some(account), fields)
                })?
                .id
            }
        };
        ids.push(id);
    }
    ids.into_iter().try_for_each(|id| tx.insert_ref(row.id, FIELD, id))
}

/// Ties a host to its labels as they are now.
pub(crate) fn tie_host(tx: &mut Tx<'_>, label: &Type, host: &Resource) -> Result<()> {
    let labels = Fields::parse(&host.fields)?.texts("labels")?;
    tx.delete_refs(host.id, FIELD)?;
    tie(tx, label, host, &labels)
}
