//! The names of fields as Docker writes them. Go reads them in any case, and its clients rely on it.

use serde_json::{Map, Value};

/// Objects whose keys are a client's own.
const FREE: [&str; 4] = ["Labels", "Options", "Sysctls", "DriverOpts"];

/// All names of fields that are read.
const KNOWN: &[&str] = &[
    "Name",
    "Labels",
    "TaskTemplate",
    "Mode",
    "UpdateConfig",
    "RollbackConfig",
    "Networks",
    "EndpointSpec",
    "PluginSpec",
    "ContainerSpec",
    "Resources",
    "RestartPolicy",
    "Placement",
    "LogDriver",
    "ForceUpdate",
    "Runtime",
    "Image",
    "Command",
    "Args",
    "Hostname",
    "Env",
    "Dir",
    "User",
    "Groups",
    "Privileges",
    "CredentialSpec",
    "SELinuxContext",
    "Disable",
    "Role",
    "Type",
    "Level",
    "Init",
    "StopSignal",
    "TTY",
    "OpenStdin",
    "ReadOnly",
    "Mounts",
    "StopGracePeriod",
    "Healthcheck",
    "Hosts",
    "DNSConfig",
    "Secrets",
    "Configs",
    "Isolation",
    "Sysctls",
    "CapabilityAdd",
    "CapabilityDrop",
    "Ulimits",
    "Source",
    "Target",
    "Consistency",
    "BindOptions",
    "Propagation",
    "NonRecursive",
    "VolumeOptions",
    "NoCopy",
    "DriverConfig",
    "Options",
    "TmpfsOptions",
    "SizeBytes",
    "Test",
    "Interval",
    "Timeout",
    "StartPeriod",
    "Retries",
    "Nameservers",
    "Search",
    "File",
    "UID",
    "GID",
    "SecretID",
    "SecretName",
    "ConfigID",
    "ConfigName",
    "Hard",
    "Soft",
    "Limits",
    "Reservations",
    "NanoCPUs",
    "MemoryBytes",
    "Pids",
    "GenericResources",
    "NamedResourceSpec",
    "DiscreteResourceSpec",
    "Kind",
    "Value",
    "Condition",
    "Delay",
    "MaxAttempts",
    "Window",
    "Constraints",
    "Preferences",
    "Spread",
    "SpreadDescriptor",
    "MaxReplicas",
    "Platforms",
    "Architecture",
    "OS",
    "Aliases",
    "DriverOpts",
    "Replicated",
    "Replicas",
    "Global",
    "ReplicatedJob",
    "MaxConcurrent",
    "TotalCompletions",
    "GlobalJob",
    "Parallelism",
    "FailureAction",
    "Monitor",
    "MaxFailureRatio",
    "Order",
    "Ports",
    "Protocol",
    "TargetPort",
    "PublishedPort",
    "PublishMode",
    "Data",
    "Driver",
    "Templating",
    "Availability",
    "CheckDuplicate",
    "Internal",
    "Attachable",
    "Ingress",
    "Scope",
    "EnableIPv6",
    "IPAM",
    "Config",
    "Subnet",
    "Gateway",
    "IPRange",
    "ConfigOnly",
    "ConfigFrom",
    "Network",
    "Container",
    "EndpointConfig",
    "ClusterVolumeSpec",
    "Spec",
    "Orchestration",
    "TaskHistoryRetentionLimit",
    "Raft",
    "SnapshotInterval",
    "KeepOldSnapshots",
    "LogEntriesForSlowFollowers",
    "ElectionTick",
    "HeartbeatTick",
    "Dispatcher",
    "HeartbeatPeriod",
    "CAConfig",
    "NodeCertExpiry",
    "ExternalCAs",
    "SigningCACert",
    "SigningCAKey",
    "ForceRotate",
    "TaskDefaults",
    "EncryptionConfig",
    "AutoLockManagers",
    "ForceNewCluster",
    "DefaultAddrPool",
    "SubnetSize",
    "DataPathPort",
    "Force",
    "Cmd",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Privileged",
    "WorkingDir",
    "DetachKeys",
    "Detach",
];

/// The same with the names as Docker writes them, without what is null, and without what Docker does not know.
pub fn canonical(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter_map(|(key, value)| field(&key, value))
                .collect(),
        ),
        Value::Array(all) => Value::Array(all.into_iter().filter(|one| !one.is_null()).map(canonical).collect()),
        plain => plain,
    }
}

fn field(key: &str, value: Value) -> Option<(String, Value)> {
    // Most are written as they are.
    let exact = KNOWN.iter().find(|known| **known == key);
    let name = exact.or_else(|| KNOWN.iter().find(|known| known.eq_ignore_ascii_case(key)))?;
    let value = match value {
        Value::Null => return None,
        Value::Object(own) if FREE.contains(name) => Value::Object(texts(own)),
        value => canonical(value),
    };
    Some(((*name).to_owned(), value))
}

fn texts(own: Map<String, Value>) -> Map<String, Value> {
    let text = |value: Value| {
        if value.is_null() {
            Value::String(String::new())
        } else {
            value
        }
    };
    own.into_iter().map(|(key, value)| (key, text(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_nothing_is_the_same_as_null() {
        let sent = json!({
            "name": "web", "TASKTEMPLATE": {"containerspec": {"image": "i", "Args": null, "HealthCheck": {"test": ["NONE"]}}},
            "Mode": {"replicated": {"Replicas": 5}}, "labels": {"Name": "kept", "empty": null}, "bogus": 1,
        });
        let read = json!({
            "Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "i", "Healthcheck": {"Test": ["NONE"]}}},
            "Mode": {"Replicated": {"Replicas": 5}}, "Labels": {"Name": "kept", "empty": ""},
        });
        assert_eq!(canonical(sent), read);
    }
}
