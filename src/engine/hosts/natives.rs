//! Containers that were made by hand, or by another program: they get rows, which follow them. No state of a row is a reason
//! to start, stop or remove one of them; only who asks for it by the API is heard.

use crate::engine::core::{Core, NONRANCHER, new_row, write_notes};
use crate::engine::instances::{InstanceNotes, insert_found_ports};
use crate::engine::labels;
use crate::model::{Fields, ResourceId, Result, State};
use crate::runtime::{Found, Life, Native};
use crate::store::{NewResource, Wake};

/// On the containers of a server's own machinery.
const SYSTEM_LABEL: &str = "io.rancher.container.system";

/// What another name is shown for it by.
const NAME_LABEL: &str = "io.rancher.container.display_name";

/// The images of Rancher's own machinery.
const SYSTEM_IMAGES: [&str; 2] = ["docker:rancher/agent", "docker:rancher/server"];

/// Whether it belongs to the machinery of another server.
fn is_system(native: &Native) -> bool {
    let is_of = |image: &&str| {
        native
            .image
            .strip_prefix(*image)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@', '-']))
    };
    native.labels.contains_key(SYSTEM_LABEL) || SYSTEM_IMAGES.iter().any(is_of)
}

impl Core {
    /// Makes the row of a container that somebody else made (cattle: `PingInstancesMonitorImpl`, `importInstance`).
    pub(super) async fn import(&self, host: ResourceId, found: &Found, native: &Native) -> Result<()> {
        let manages = self.setting(NONRANCHER)?.and_then(|setting| setting.active_value);
        if manages.as_deref() != Some("true") || is_system(native) {
            return Ok(());
        }
        let types = self.instance_types()?;
        let mut fields = Fields::default();
        fields.set("imageUuid", &native.image)?;
        fields.set("externalId", &found.external_id)?;
        fields.set("nativeContainer", &true)?;
        fields.set("startCount", &1)?;
        fields.set("firstRunning", &self.now().to_wire())?;
        if !native.labels.is_empty() {
            fields.set("labels", &native.labels)?;
        }
        if !found.ports.is_empty() {
            let ports = found
                .ports
                .iter()
                .map(|p| format!("{}:{}/{}", p.public, p.private, p.protocol));
            fields.set("ports", &ports.collect::<Vec<_>>())?;
        }
        if let Some(ip) = &found.ip {
            fields.set("primaryIpAddress", ip)?;
        }
        let note = InstanceNotes {
            docker_name: found.name.clone(),
            started_at: found.started_at.clone(),
            ran: true,
            is_made: true,
            is_native: true,
            ..InstanceNotes::default()
        };
        let runs = found.life == Life::Running;
        let new = NewResource {
            uuid: Some(found.uuid.clone()),
            name: native.labels.get(NAME_LABEL).unwrap_or(&found.name).clone(),
            state: if runs { State::RUNNING } else { State::STOPPED },
            internal: write_notes(&note)?,
            ..new_row(&types.container, None, fields)
        };
        let (ports, labels) = (found.ports.clone(), native.labels.clone());
        self.write(move |tx| {
            // Hosts that share an engine all see it: the first one has it.
            let Some(host) = tx.find(host)?.filter(|host| host.removed.is_none()) else {
                return Ok(());
            };
            if new
                .uuid
                .as_deref()
                .map(|uuid| tx.find_by_uuid(uuid))
                .transpose()?
                .flatten()
                .is_some()
            {
                return Ok(());
            }
            let row = tx.insert(NewResource {
                host_id: Some(host.id),
                account_id: host.account_id,
                ..new
            })?;
            labels::tie(tx, &types.label, &row, &labels)?;
            insert_found_ports(tx, &types, &row, &ports)?;
            // For the services that select it.
            tx.wake(Wake::Resource(row.id));
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machinery_of_servers_is_known_by_label_and_image() {
        let native = |image: &str, label: Option<&str>| Native {
            image: image.into(),
            labels: label.into_iter().map(|l| (l.to_owned(), "x".to_owned())).collect(),
        };
        for (container, expected) in [
            (native("docker:nginx:1", None), false),
            (native("docker:nginx:1", Some(SYSTEM_LABEL)), true),
            (native("docker:rancher/agent:v1.2.11", None), true),
            (native("docker:rancher/agents", None), false),
            (native("docker:rancher/server", None), true),
        ] {
            assert_eq!(is_system(&container), expected, "{container:?}");
        }
    }
}
