//! Containers of no service: checking and creating them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::engine::core::{Core, Input, Scope, insert_and_start, row_from_input, write_notes};
use crate::engine::labels;
use crate::model::id::new_uuid;
use crate::model::launch::{
    LaunchConfig, image_reference, is_dockerfile, is_none_image, is_remote, is_sim_image, texts,
};
use crate::model::own_labels::{
    RestartRule, check_aliases, check_health_command, check_surroundings, check_templates, refuse_templates,
};
use crate::model::port::PortSpec;
use crate::model::{Error, ErrorKind, Resource, ResourceId, Result};
use crate::schema::{Type, TypeView};
use crate::store::Tx;

use super::container_rows::{
    DISPLAY_NAME, InstanceNotes, InstanceTypes, host_name_of, insert_links, insert_ports, unique_name,
};
use super::own_key::check_own_key;
use super::secrets;

/// More containers than this in one request are a mistake.
const MAX_COUNT: i64 = 100;

/// Rows that such a request may make in all: each container, its process, its ports, and its ties to labels.
const MAX_ROWS: usize = 290;

/// Containers that a client makes: `count` of them, all alike.
pub(crate) async fn create(
    core: &Core,
    scope: &Scope,
    ty: &TypeView,
    account: ResourceId,
    mut input: Input,
) -> Result<Vec<Resource>> {
    core.apply_image_rules(&mut input)?;
    core.check_host_use(Some(account), &input)?;
    check_own_key(scope, &input)?;
    let new = NewContainers::check(&ty.def, account, input)?;
    let types = core.instance_types()?;
    core.write_for(scope, move |tx| new.insert(tx, &types)).await
}

/// Containers that are to be made, and in which nothing is wrong that can be seen without their neighbours.
pub(crate) struct NewContainers {
    def: Arc<Type>,
    account: ResourceId,
    input: Input,
    count: i64,
}

impl NewContainers {
    /// Checks what containers are to be; `input` has passed its schema.
    pub(crate) fn check(def: &Arc<Type>, account: ResourceId, mut input: Input) -> Result<Self> {
        let image = input.get("imageUuid").and_then(Value::as_str);
        if image.is_none_or(is_none_image) {
            return Err(
                Error::invalid("MissingRequired", "imageUuid").with_message("image is required, but not specified")
            );
        }
        check_launch(&mut input)?;
        if let Some(labels) = texts(input.get("labels").cloned().unwrap_or_default()).ok().flatten() {
            refuse_templates(&labels)?;
        }
        let count = input.get("count").and_then(Value::as_i64).unwrap_or(1);
        if count < 1 {
            return Err(Error::invalid("MinLimitExceeded", "count"));
        }
        let listed = |field: &str| match input.get(field) {
            Some(Value::Array(list)) => list.len(),
            Some(Value::Object(map)) => map.len(),
            _ => 0,
        };
        let rows = (2 + listed("ports") + listed("labels") + listed("instanceLinks"))
            .saturating_mul(usize::try_from(count).unwrap_or(usize::MAX));
        if count > MAX_COUNT || rows > MAX_ROWS {
            return Err(Error::invalid("MaxLimitExceeded", "count"));
        }
        Ok(Self {
            def: def.clone(),
            account,
            input,
            count,
        })
    }

    /// Inserts them with their ports and labels, and asks for their create processes.
    pub(crate) fn insert(self, tx: &mut Tx<'_>, types: &InstanceTypes) -> Result<Vec<Resource>> {
        let listed = |field: &str| self.input.get(field).cloned().unwrap_or_default();
        let ports: Vec<String> = serde_json::from_value(listed("ports")).unwrap_or_default();
        let labels = texts(listed("labels")).ok().flatten().unwrap_or_default();
        let links: BTreeMap<String, String> = serde_json::from_value(listed("instanceLinks")).unwrap_or_default();
        let mut rows = Vec::new();
        for n in 1..=self.count {
            let mut new = row_from_input(&self.def, self.account, &self.input)?;
            if let Some(name) = labels.get(DISPLAY_NAME) {
                new.name.clone_from(name);
            }
            let uuid = new_uuid().to_string();
            let docker_name = match (new.name.is_empty(), n) {
                (true, _) => unique_name("drover", &uuid),
                (false, 1) => engine_name(&new.name),
                (false, n) => format!("{}-{n}", engine_name(&new.name)),
            };
            if let Some(name) = host_name_of(&new.name, &labels, new.fields.text("domainName").as_deref()) {
                new.fields.set("hostname", &name)?;
            }
            new.fields.set("startCount", &0)?;
            new.fields.set("version", "0")?;
            new.internal = write_notes(&InstanceNotes {
                docker_name,
                ..InstanceNotes::default()
            })?;
            new.uuid = Some(uuid);
            let row = insert_and_start(tx, self.def.machine.as_deref(), new)?;
            labels::tie(tx, &types.label, &row, &labels)?;
            insert_ports(tx, types, &row, &ports)?;
            insert_links(tx, types, &row, &links)?;
            rows.push(row);
        }
        Ok(rows)
    }
}

/// A name as an engine takes it: other characters become dashes.
fn engine_name(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "_.-".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    let name = name.trim_start_matches(['-', '.', '_']);
    if name.len() < 2 {
        format!("c-{name}")
    } else {
        name.to_owned()
    }
}

/// 422 for a host port that is wanted twice by what runs on one host.
pub(crate) fn check_ports(ports: &[PortSpec]) -> Result<()> {
    match PortSpec::first_clash(ports) {
        Some(port) => {
            Err(Error::invalid("NotUnique", "ports").with_message(format!("{port} is published more than once")))
        }
        None => Ok(()),
    }
}

/// Checks a launch configuration beyond its schema, and writes its ports in their canonical form.
/// What a Docker Engine cannot do here is refused, never kept without effect; simulated containers keep everything.
pub(crate) fn check_launch(config: &mut Input) -> Result<()> {
    if let Some(ports) = config.get("ports").filter(|p| !p.is_null()) {
        let specs: Vec<Value> = ports.as_array().cloned().unwrap_or_default();
        let mut canonical = Vec::with_capacity(specs.len());
        for spec in &specs {
            let text = spec
                .as_str()
                .ok_or_else(|| Error::invalid("MissingRequired", "ports"))?;
            canonical.push(PortSpec::parse(text)?);
        }
        check_ports(&canonical)?;
        let texts: Vec<String> = canonical.iter().map(PortSpec::to_string).collect();
        config.insert("ports".into(), json!(texts));
    }
    let launch: LaunchConfig = serde_json::from_value(Value::Object(config.clone()))
        .map_err(|e| Error::invalid("InvalidFormat", "launchConfig").with_message(e.to_string()))?;
    check_health_command(&launch)?;
    if let Some(labels) = &launch.labels {
        RestartRule::of(labels)?;
        check_aliases(labels)?;
        check_surroundings(labels)?;
    }
    check_templates(&launch)?;
    let image = launch.image_uuid.as_deref();
    if image.is_some_and(|image| !is_none_image(image) && !image.starts_with("docker:") && !is_sim_image(image)) {
        return Err(Error::invalid("InvalidReference", "imageUuid"));
    }
    if let Some(strategy) = launch.label("io.rancher.container.volume_cleanup_strategy")
        && !matches!(strategy, "none" | "unnamed" | "all")
    {
        return Err(Error {
            kind: ErrorKind::BadRequest,
            ..Error::invalid("InvalidOption", "labels")
        });
    }
    if launch.network_mode.as_deref() == Some("container")
        && launch.network_container_id.is_none()
        && launch.network_launch_config.is_none()
    {
        return Err(Error::invalid("MissingRequired", "networkContainerId")
            .with_message("networkMode container needs a container to join"));
    }
    for path in launch.data_volumes.iter().flatten() {
        if path.trim().is_empty() {
            return Err(Error::invalid("InvalidFormat", "dataVolumes"));
        }
    }
    secrets::check(&launch)?;
    if is_sim_image(launch.image_uuid.as_deref().unwrap_or_default()) {
        return Ok(());
    }
    let refuse =
        |field: &str| Err(Error::not_implemented(format!("{field} is not part of this build")).with_field(field));
    check_build(&launch)?;
    if launch.network_ids.as_ref().is_some_and(|n| !n.is_empty()) {
        return refuse("networkIds");
    }
    if launch.disk_quota.is_some() {
        return refuse("diskQuota");
    }
    if launch.kernel_memory.is_some() {
        return refuse("kernelMemory");
    }
    // All but the first are of machines, which there are none of.
    for field in ["lxcConf", "disks", "userdata", "memoryMb", "vcpu", "kind"] {
        let is_given = config.get(field).is_some_and(|v| match v {
            Value::Null => false,
            Value::Object(map) => !map.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::Number(_) if field == "vcpu" => *v != json!(1),
            Value::String(kind) if field == "kind" => kind == "virtualMachine",
            _ => true,
        });
        if is_given {
            return refuse(field);
        }
    }
    Ok(())
}

/// What an engine is to build: of an address that it can read itself, as there are no files here.
fn check_build(launch: &LaunchConfig) -> Result<()> {
    let Some(build) = &launch.build else { return Ok(()) };
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let Some(remote) = said(&build.remote) else {
        let why = "images are built of an address (build.remote) only: the server has no files of yours";
        return Err(Error::not_implemented(why).with_field("build"));
    };
    let invalid = |field: &str, why: &str| Err(Error::invalid("InvalidFormat", field).with_message(why));
    if !is_remote(&remote) {
        return invalid("remote", "an address of a tar file, a Dockerfile or a git repository");
    }
    if said(&build.dockerfile).is_some_and(|file| !is_dockerfile(&file)) {
        return invalid("dockerfile", "a path in what is built");
    }
    let image = image_reference(launch.image_uuid.as_deref().unwrap_or_default());
    if image.is_empty() || image.contains('@') {
        return invalid("imageUuid", "what is built has a name, and no digest yet");
    }
    match said(&build.tag).is_some_and(|tag| tag != image) {
        true => Err(Error::invalid("InvalidOption", "tag").with_message("the name of what is built is imageUuid")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test may panic")]

    use super::*;

    fn checked(config: Value) -> Result<Value, String> {
        let Value::Object(mut map) = config else {
            return Err("not an object".into());
        };
        check_launch(&mut map).map_err(|e| e.to_string())?;
        Ok(Value::Object(map))
    }

    #[test]
    fn ports_become_canonical() {
        let config = checked(json!({"imageUuid": "docker:a", "ports": ["80", "8081:81/udp"]})).expect("legal");
        assert_eq!(config.get("ports"), Some(&json!(["80/tcp", "8081:81/udp"])));
        for (ports, is_legal) in [
            (json!(["80:80", "81:80", "80:80/udp", "80"]), true),
            (json!(["80:80", "80:81"]), false),
            (json!(["1.1.1.1:80:80", "1.1.1.2:80:80"]), true),
            (json!(["1.1.1.1:80:80", "80:80"]), false),
        ] {
            let result = checked(json!({"ports": ports}));
            assert_eq!(result.is_ok(), is_legal, "{ports}: {result:?}");
        }
        assert!(checked(json!({"ports": ["x"]})).is_err_and(|e| e.contains("PortWrongFormat")));
    }

    #[test]
    fn what_docker_cannot_do_here_is_refused_but_kept_for_the_simulator() {
        let build = json!({"context": "x"});
        assert!(checked(json!({"imageUuid": "docker:a", "build": build})).is_err_and(|e| e.contains("NotImplemented")));
        for (build, code) in [
            (json!({"remote": "http://files/a.tar"}), None),
            (
                json!({"remote": "github.com/acme/web#v1:sub", "dockerfile": "docker/File", "tag": "a"}),
                None,
            ),
            (json!({"remote": "/etc"}), Some("InvalidFormat")),
            (json!({"remote": "file:///etc"}), Some("InvalidFormat")),
            (json!({"remote": "http://a b"}), Some("InvalidFormat")),
            (
                json!({"remote": "http://a", "dockerfile": "../File"}),
                Some("InvalidFormat"),
            ),
            (json!({"remote": "http://a", "tag": "b"}), Some("InvalidOption")),
        ] {
            let found = checked(json!({"imageUuid": "docker:a", "build": build})).err();
            let is_it = code.map_or(found.is_none(), |code| found.as_ref().is_some_and(|e| e.contains(code)));
            assert!(is_it, "{build}: {found:?}");
        }
        assert!(checked(json!({"imageUuid": "sim:a", "build": build})).is_ok());
    }

    #[test]
    fn names_are_made_fit_for_the_engine() {
        assert_eq!(["a b/c", "-x", "web-1"].map(engine_name), ["a-b-c", "c-x", "web-1"]);
    }
}
