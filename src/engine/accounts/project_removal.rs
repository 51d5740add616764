//! How a project goes: first what runs in it, then what that ran on, then everything that is only a row.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::access::MemberNotes;
use crate::engine::core::{Core, Outcome, is_project, request, retire_part, write_notes};
use crate::engine::instances::dismiss;
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result};
use crate::store::{Changes, Process, Tx};

/// How long a project that goes waits before it looks again.
const WAIT: Duration = Duration::from_millis(500);

/// What a deactivation is to be followed by.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct Leaving {
    remove: bool,
}

/// DELETE of a project: an active one is deactivated on the way.
pub(crate) fn remove(tx: &mut Tx<'_>, machine: &crate::schema::Machine, row: &Resource) -> Result<Resource> {
    if row.removed.is_some() {
        return Err(Error::not_found());
    }
    if machine.running("remove", row.state).is_some() {
        return Ok(row.clone());
    }
    if machine.start("remove", row.state).is_some() {
        return request(tx, machine, row, "remove", "{}", Changes::default());
    }
    if machine.start("deactivate", row.state).is_none() {
        return Err(Error::new(ErrorKind::MethodNotAllowed));
    }
    let data = serde_json::to_string(&Leaving { remove: true }).map_err(|e| Error::internal("writing a removal", e))?;
    request(tx, machine, row, "deactivate", &data, Changes::default())
}

impl Core {
    /// The process `account.deactivate`.
    pub(crate) async fn deactivate_account(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        if !is_project(row) {
            let id = row.id;
            self.write(move |tx| tx.delete_sessions(id, None)).await?;
        }
        let leaving: Leaving = serde_json::from_str(&process.data).unwrap_or_default();
        Ok(match leaving.remove {
            true => Outcome::Then(Box::default(), "remove", "{}".into()),
            false => Outcome::done(),
        })
    }

    /// The process `account.remove`. Each run asks for what can go now, and waits for it; so it may be cut short anywhere.
    pub(crate) async fn remove_account_or_project(&self, row: &Resource) -> Result<Outcome> {
        if row.kind != "project" {
            self.remove_account(row).await?;
            return Ok(Outcome::done());
        }
        // What runs first, then what it ran on.
        for roots in [&["stack", "service", "instance"][..], &["volume"], &["host"]] {
            let mut waiting = Vec::new();
            for root in roots {
                waiting.extend(self.store.all(root, Some(row.id))?);
            }
            if !waiting.is_empty() {
                let message = format!(
                    "Waiting for {} to be removed",
                    waiting.first().map_or("", |w| w.root.as_str())
                );
                self.ask_to_go(&waiting).await?;
                return Ok(Outcome::Again(WAIT, message));
            }
        }
        self.retire_rest(row.id).await?;
        Ok(Outcome::done())
    }

    async fn ask_to_go(&self, rows: &[Resource]) -> Result<()> {
        let mut asked = Vec::with_capacity(rows.len());
        for row in rows {
            asked.push((row.id, self.machine_of_row(row)?.clone()));
        }
        self.write_each(asked, |tx, (id, machine)| {
            let Some(row) = tx.find(id)?.filter(|row| row.removed.is_none()) else {
                return Ok(());
            };
            if row.root == "instance" {
                dismiss(tx, &machine, &row)?;
            } else if machine.start("remove", row.state).is_some() {
                request(tx, &machine, &row, "remove", "{}", Changes::default())?;
            } else if row.root != "stack" && machine.start("deactivate", row.state).is_some() {
                request(tx, &machine, &row, "deactivate", "{}", Changes::default())?;
            }
            Ok(())
        })
        .await
    }

    /// Everything that is only a row: networks, keys, registries, members. The audit log stays.
    async fn retire_rest(&self, project: ResourceId) -> Result<()> {
        let keep = self.keep_removed();
        let roots: BTreeSet<&str> = self.registry.types.values().map(|ty| ty.root.as_str()).collect();
        for root in roots
            .into_iter()
            .filter(|root| !matches!(*root, "auditLog" | "account" | "projectMember"))
        {
            let rows = self.store.all(root, Some(project))?;
            self.write_each(rows, move |tx, row| retire_part(tx, row.id, keep))
                .await?;
        }
        let left = write_notes(&MemberNotes {
            left_with_project: true,
        })?;
        let members = self.store.all("projectMember", Some(project))?;
        self.write_each(members, move |tx, member| {
            let Some(member) = tx.find(member.id)?.filter(|m| m.removed.is_none()) else {
                return Ok(());
            };
            tx.update_if(
                &member,
                &Changes {
                    internal: Some(left.clone()),
                    ..Changes::default()
                },
            )?;
            retire_part(tx, member.id, keep)
        })
        .await
    }
}
