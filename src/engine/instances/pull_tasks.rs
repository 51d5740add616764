//! `pullTask`: an image is fetched on the hosts of a project, before anybody needs it there.

use std::collections::BTreeMap;

use futures_util::StreamExt;

use crate::engine::core::{Core, Input, Outcome, Scope, insert_and_start, row_from_input};
use crate::model::launch::{LaunchConfig, image_reference, is_sim_image};
use crate::model::{Fields, Resource, ResourceId, Result};
use crate::plan;
use crate::runtime::PullPolicy;
use crate::schema::TypeView;
use crate::store::{Changes, Process};

/// How many hosts fetch at once.
const AT_ONCE: usize = 16;

/// What clients read of a host that is through.
const DONE: &str = "Done";

/// An image as launch configurations name it.
fn image_uuid(image: &str) -> String {
    match is_sim_image(image) || image.starts_with("docker:") {
        true => image.to_owned(),
        false => format!("docker:{image}"),
    }
}

/// A task that a client makes. 422 for an image that may not be pulled from where it is.
pub(super) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    input: &Input,
) -> Result<Resource> {
    let image = input
        .get("image")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    core.image_to_pull(&image_uuid(image), "image")?;
    let new = row_from_input(&ty.def, account, input)?;
    let machine = ty.def.machine.clone();
    core.write_for(scope, move |tx| insert_and_start(tx, machine.as_deref(), new))
        .await
}

impl Core {
    /// Fetches the image on each host, and says of each how it went. A host that refuses holds nobody up, and is not asked again.
    pub(super) async fn pull_everywhere(&self, process: &Process, row: &Resource) -> Result<Outcome> {
        let fields = Fields::parse(&row.fields)?;
        let image = self.image_to_pull(&image_uuid(&fields.text("image").unwrap_or_default()), "image");
        let image = match image {
            Ok(image) => image,
            // What is allowed changed meanwhile.
            Err(error) => return Ok(Outcome::Failed(error.to_string())),
        };
        let policy = match fields.text("mode").as_deref() {
            Some("cached") => PullPolicy::IfPresent,
            _ => PullPolicy::Always,
        };
        let launch = LaunchConfig {
            image_uuid: Some(image.clone()),
            labels: Some(fields.texts("labels")?),
            ..LaunchConfig::default()
        };
        let reference = image_reference(&image).to_owned();
        log::debug!("{}: {reference}", process.process);
        let auth = self.registry_auth(row, &reference)?;
        let hosts = self.hosts_for_all(row, &launch)?;
        let each = hosts.into_iter().map(|(id, name)| {
            let (reference, auth) = (&reference, auth.as_ref());
            async move {
                let said = match self.runtime(id) {
                    Some(runtime) => match runtime.pull(reference, policy, auth, &|_| ()).await {
                        Ok(()) => DONE.to_owned(),
                        Err(error) => error.to_string(),
                    },
                    None => "the host is not connected".to_owned(),
                };
                (name, said)
            }
        });
        let status: BTreeMap<String, String> = futures_util::stream::iter(each)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut patch = Fields::default();
        patch.set("status", &status)?;
        Ok(Outcome::Done(Box::new(Changes {
            patch,
            ..Changes::default()
        })))
    }

    /// The hosts on which a global service of this configuration would run, with their names.
    fn hosts_for_all(&self, row: &Resource, launch: &LaunchConfig) -> Result<Vec<(ResourceId, String)>> {
        let desired = plan::Desired {
            stack: String::new(),
            service: row.name.clone(),
            goal: plan::Goal::Run,
            scale: plan::Scale::Global,
            configs: vec![self.plan_config(None, launch)],
            health: plan::HealthStrategy::None,
            moves: plan::Moves::Stay,
            divider: '-',
        };
        let observed = plan::Observed {
            hosts: self.plan_hosts(row.account_id, None, &[launch])?,
            ..plan::Observed::default()
        };
        let plan = plan::plan(&desired, &observed, self.now());
        let ids: Vec<ResourceId> = plan
            .steps
            .iter()
            .filter_map(|step| match step {
                plan::Step::Create { host, .. } => Some(*host),
                _ => None,
            })
            .collect();
        let mut names: BTreeMap<String, ResourceId> = BTreeMap::new();
        for host in self.store.many(&ids)? {
            let name = Fields::parse(&host.fields)?
                .text("hostname")
                .filter(|name| !name.is_empty());
            let mut name = name.unwrap_or(host.name);
            if names.contains_key(&name) {
                // Machines may be called alike; each says how it went.
                name = format!("{name} ({})", self.wire_id("host", host.id));
            }
            names.insert(name, host.id);
        }
        Ok(names.into_iter().map(|(name, id)| (id, name)).collect())
    }
}
