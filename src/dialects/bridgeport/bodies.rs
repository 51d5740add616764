//! What bodies hold, route by route; and what they must not hold, as it says how something is.

use super::fields::{Field, Kind, LONG, MAYBE, MILLIS, NAME, TEXT, may, need};

const PASSWORD: Kind = Kind::Text(8, 1024);
const ENV_NAME: Kind = Kind::Text(1, 50);
const KEY: Kind = Kind::Text(1, 255);
const STRATEGY: Kind = Kind::Word(&["sequential", "parallel"]);
const RETRIES: Kind = Kind::Int(1, 1_000);
const ROLE: Kind = Kind::Word(&["admin", "operator", "viewer"]);

/// See the table of routes.
pub const REGISTER: &[Field] = &[
    need("email", Kind::Text(3, 255)),
    need("password", PASSWORD),
    may("name", Kind::Text(1, 255)),
];
/// See the table of routes.
pub const LOGIN: &[Field] = &[need("email", NAME), need("password", Kind::Text(1, 1024))];
/// See the table of routes.
pub const TOKEN: &[Field] = &[
    need("name", Kind::Text(1, 100)),
    may("ownerUserId", MAYBE),
    may("ownerServiceAccountId", MAYBE),
    may("role", ROLE),
    may("allEnvironments", Kind::Flag),
    may("environmentIds", Kind::Texts),
    may("expiresInDays", Kind::Int(1, 365)),
];
/// See the table of routes.
pub const ENVIRONMENT: &[Field] = &[need("name", ENV_NAME)];
/// See the table of routes.
pub const SERVER: &[Field] = &[
    need("name", NAME),
    need("hostname", NAME),
    may("publicIp", MAYBE),
    may("tags", Kind::Texts),
];
/// See the table of routes.
pub const SERVER_PATCH: &[Field] = &[
    may("name", NAME),
    may("hostname", NAME),
    may("publicIp", MAYBE),
    may("tags", Kind::Texts),
];
/// See the table of routes.
pub const SERVER_READ_ONLY: &[&str] = &[
    "id",
    "createdAt",
    "updatedAt",
    "environmentId",
    "status",
    "lastCheckedAt",
    "agentStatus",
    "agentVersion",
    "lastAgentPushAt",
];
/// See the table of routes.
pub const IMAGE: &[Field] = &[
    need("name", NAME),
    need("imageName", NAME),
    may("tagFilter", NAME),
    may("registryConnectionId", MAYBE),
    may("autoUpdate", Kind::Flag),
];
/// See the table of routes.
pub const IMAGE_PATCH: &[Field] = &[
    may("name", NAME),
    may("tagFilter", NAME),
    may("registryConnectionId", MAYBE),
    may("autoUpdate", Kind::Flag),
];
/// See the table of routes.
pub const IMAGE_READ_ONLY: &[&str] = &[
    "id",
    "createdAt",
    "updatedAt",
    "environmentId",
    "currentTag",
    "bestTag",
    "latestTag",
    "latestDigest",
    "updateAvailable",
    "lastCheckedAt",
    "lastUpdatedAt",
];
/// See the table of routes.
pub const REGISTRY: &[Field] = &[
    need("name", NAME),
    need("type", NAME),
    need("registryUrl", NAME),
    may("repositoryPrefix", MAYBE),
    may("token", MAYBE),
    may("username", MAYBE),
    may("password", MAYBE),
    may("isDefault", Kind::Flag),
    may("refreshIntervalMinutes", Kind::Int(5, 1_440)),
    may("autoLinkPattern", MAYBE),
];
/// See the table of routes.
pub const REGISTRY_PATCH: &[Field] = &[
    may("name", NAME),
    may("type", NAME),
    may("registryUrl", NAME),
    may("repositoryPrefix", MAYBE),
    may("token", MAYBE),
    may("username", MAYBE),
    may("password", MAYBE),
    may("isDefault", Kind::Flag),
    may("refreshIntervalMinutes", Kind::Int(5, 1_440)),
    may("autoLinkPattern", MAYBE),
];
/// See the table of routes.
pub const SECRET: &[Field] = &[
    need("key", KEY),
    need("value", Kind::Text(1, 256 * 1024)),
    may("description", MAYBE),
    may("neverReveal", Kind::Flag),
];
/// See the table of routes.
pub const SECRET_PATCH: &[Field] = &[
    may("value", Kind::Text(1, 256 * 1024)),
    may("description", MAYBE),
    may("neverReveal", Kind::Flag),
];
/// See the table of routes.
pub const VAR: &[Field] = &[need("key", KEY), need("value", TEXT), may("description", MAYBE)];
/// See the table of routes.
pub const VAR_PATCH: &[Field] = &[may("key", KEY), may("value", TEXT), may("description", MAYBE)];
/// See the table of routes.
pub const FRAGMENT: &[Field] = &[need("name", NAME), need("content", LONG), may("description", MAYBE)];
/// See the table of routes.
pub const FRAGMENT_PATCH: &[Field] = &[may("name", NAME), may("content", LONG), may("description", MAYBE)];
/// See the table of routes.
pub const FILE: &[Field] = &[
    need("name", NAME),
    need("filename", NAME),
    need("content", LONG),
    may("description", MAYBE),
    may("language", MAYBE),
    may("autoResync", Kind::Flag),
    may("fragmentIds", Kind::Texts),
];
/// See the table of routes.
pub const FILE_PATCH: &[Field] = &[
    may("name", NAME),
    may("filename", NAME),
    may("content", LONG),
    may("description", MAYBE),
    may("language", MAYBE),
    may("autoResync", Kind::Flag),
    may("fragmentIds", Kind::Texts),
];
/// See the table of routes.
pub const SERVICE_TYPE: &[Field] = &[need("name", Kind::Text(1, 50)), need("displayName", Kind::Text(1, 100))];
/// See the table of routes.
pub const SERVICE_TYPE_PATCH: &[Field] = &[may("name", Kind::Text(1, 50)), may("displayName", Kind::Text(1, 100))];
/// See the table of routes.
pub const SERVICE: &[Field] = &[
    need("name", NAME),
    need("containerImageId", NAME),
    may("imageTag", NAME),
    may("composeTemplate", Kind::MaybeText(512 * 1024)),
    may("healthCheckUrl", MAYBE),
    may("baseEnv", Kind::Pairs),
    may("deployStrategy", STRATEGY),
    may("serviceTypeId", MAYBE),
    may("healthWaitMs", MILLIS),
    may("healthRetries", RETRIES),
    may("healthIntervalMs", MILLIS),
];
/// See the table of routes.
pub const SERVICE_PATCH: &[Field] = &[
    may("name", NAME),
    may("containerImageId", NAME),
    may("imageTag", NAME),
    may("composeTemplate", Kind::MaybeText(512 * 1024)),
    may("healthCheckUrl", MAYBE),
    may("baseEnv", Kind::Pairs),
    may("deployStrategy", STRATEGY),
    may("serviceTypeId", MAYBE),
    may("healthWaitMs", MILLIS),
    may("healthRetries", RETRIES),
    may("healthIntervalMs", MILLIS),
];
/// What a PATCH of a template must not hold.
pub const SERVICE_READ_ONLY: &[&str] = &[
    "id",
    "createdAt",
    "updatedAt",
    "environmentId",
    "status",
    "containerStatus",
    "healthStatus",
    "discoveryStatus",
    "exposedPorts",
    "lastCheckedAt",
    "lastDiscoveredAt",
    "lastDeployedAt",
    "lastHealthCheckAt",
    "lastHealthCheckStatus",
    "lastHealthCheckType",
    "lastHealthCheckDurationMs",
    "lastHealthCheckError",
    "agentHealthSuccess",
    "agentHealthStatusCode",
    "agentHealthDurationMs",
    "agentHealthCheckedAt",
    "agentTcpCheckResults",
    "agentTcpCheckedAt",
    "agentCertCheckResults",
    "agentCertCheckedAt",
    "envOverrides",
    "imageDigestId",
];
/// See the table of routes.
pub const ON_SERVER: &[Field] = &[
    need("name", NAME),
    need("containerImageId", NAME),
    may("containerName", NAME),
    may("imageTag", NAME),
    may("composePath", MAYBE),
    may("composeTemplate", Kind::MaybeText(512 * 1024)),
    may("healthCheckUrl", MAYBE),
    may("baseEnv", Kind::Pairs),
    may("envOverrides", Kind::Pairs),
];
/// See the table of routes.
pub const PLACEMENT: &[Field] = &[
    need("serverId", NAME),
    need("containerName", NAME),
    may("composePath", MAYBE),
    may("envOverrides", Kind::Pairs),
];
/// See the table of routes.
pub const PLACEMENT_PATCH: &[Field] = &[
    may("containerName", NAME),
    may("composePath", MAYBE),
    may("envOverrides", Kind::Pairs),
];
/// See the table of routes.
pub const PLACEMENT_READ_ONLY: &[&str] = &[
    "id",
    "createdAt",
    "updatedAt",
    "serviceId",
    "serverId",
    "status",
    "containerStatus",
    "healthStatus",
    "discoveryStatus",
    "exposedPorts",
    "lastCheckedAt",
    "lastDiscoveredAt",
    "lastDeployedAt",
    "imageDigestId",
];
/// See the table of routes.
pub const DEPLOY: &[Field] = &[
    may("imageTag", NAME),
    may("generateArtifacts", Kind::Flag),
    may("pullImage", Kind::Flag),
    may("strategy", STRATEGY),
];
/// See the table of routes.
pub const DEPLOY_BY_NAME: &[Field] = &[
    need("service", NAME),
    need("environment", NAME),
    may("imageTag", NAME),
    may("generateArtifacts", Kind::Flag),
];
/// See the table of routes.
pub const TEMPLATE: &[Field] = &[need("composeTemplate", Kind::Text(1, 512 * 1024))];
/// See the table of routes.
pub const WEBHOOK: &[Field] = &[
    need("url", Kind::Text(1, 2_048)),
    may("secret", Kind::Text(1, 255)),
    need("events", Kind::Texts),
    may("enabled", Kind::Flag),
];
/// See the table of routes.
pub const WEBHOOK_PATCH: &[Field] = &[
    may("url", Kind::Text(1, 2_048)),
    may("secret", Kind::MaybeText(255)),
    may("events", Kind::Texts),
    may("enabled", Kind::Flag),
];
