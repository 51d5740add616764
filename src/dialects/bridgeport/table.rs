//! The table of routes.

use super::bodies::{
    DEPLOY, DEPLOY_BY_NAME, ENVIRONMENT, FILE, FILE_PATCH, FRAGMENT, FRAGMENT_PATCH, IMAGE, IMAGE_PATCH,
    IMAGE_READ_ONLY, LOGIN, ON_SERVER, PLACEMENT, PLACEMENT_PATCH, PLACEMENT_READ_ONLY, REGISTER, REGISTRY,
    REGISTRY_PATCH, SECRET, SECRET_PATCH, SERVER, SERVER_PATCH, SERVER_READ_ONLY, SERVICE, SERVICE_PATCH,
    SERVICE_READ_ONLY, SERVICE_TYPE, SERVICE_TYPE_PATCH, TEMPLATE, TOKEN, VAR, VAR_PATCH, WEBHOOK, WEBHOOK_PATCH,
};
use super::routes::{Deed, Route, What, Who, route};
use super::things::Thing;
use Deed::{Create, List, Read, Remove, Update};
use What::{Environments, Placements, Registries, Secrets, Servers, Services, Things, Tokens, Unbuilt, Webhooks};

/// Those that are served.
const ROUTES: &[Route] = &[
    route("GET", "/health", What::Health, "Whether the server is there").by(Who::Anybody),
    route("GET", "/openapi.json", What::OpenApi, "This document").by(Who::Anybody),
    route("POST", "/api/auth/register", What::Register, "Register the first user")
        .with(REGISTER)
        .by(Who::Anybody),
    route("POST", "/api/auth/login", What::Login, "Log in")
        .with(LOGIN)
        .by(Who::Anybody),
    route("GET", "/api/auth/me", What::Me, "Who asks").by(Who::Themselves),
    route("GET", "/api/admin/tokens", Tokens(List), "List API tokens").by(Who::Admins),
    route("POST", "/api/admin/tokens", Tokens(Create), "Create an API token")
        .with(TOKEN)
        .by(Who::Admins),
    route(
        "DELETE",
        "/api/admin/tokens/{id}",
        Tokens(Remove),
        "Revoke an API token",
    )
    .by(Who::Admins),
    route("GET", "/api/environments", Environments(List), "List environments").by(Who::Themselves),
    route(
        "POST",
        "/api/environments",
        Environments(Create),
        "Create an environment",
    )
    .with(ENVIRONMENT)
    .by(Who::Admins),
    route(
        "GET",
        "/api/environments/{envId}",
        Environments(Read),
        "Read an environment",
    ),
    route(
        "DELETE",
        "/api/environments/{envId}",
        Environments(Remove),
        "Delete an environment",
    )
    .by(Who::Admins),
    route(
        "GET",
        "/api/environments/{envId}/servers",
        Servers(List),
        "List servers",
    ),
    route(
        "POST",
        "/api/environments/{envId}/servers",
        Servers(Create),
        "Create a server",
    )
    .with(SERVER),
    route("GET", "/api/servers/{id}", Servers(Read), "Read a server"),
    route("PATCH", "/api/servers/{id}", Servers(Update), "Update a server")
        .with(SERVER_PATCH)
        .but(SERVER_READ_ONLY),
    route("DELETE", "/api/servers/{id}", Servers(Remove), "Delete a server"),
    route(
        "GET",
        "/api/environments/{envId}/container-images",
        Things(Thing::Image, List),
        "List container images",
    ),
    route(
        "POST",
        "/api/environments/{envId}/container-images",
        Things(Thing::Image, Create),
        "Create a container image",
    )
    .with(IMAGE),
    route(
        "GET",
        "/api/container-images/{id}",
        Things(Thing::Image, Read),
        "Read a container image",
    ),
    route(
        "PATCH",
        "/api/container-images/{id}",
        Things(Thing::Image, Update),
        "Update a container image",
    )
    .with(IMAGE_PATCH)
    .but(IMAGE_READ_ONLY),
    route(
        "DELETE",
        "/api/container-images/{id}",
        Things(Thing::Image, Remove),
        "Delete a container image",
    ),
    route(
        "GET",
        "/api/environments/{envId}/registries",
        Registries(List),
        "List registries",
    ),
    route(
        "POST",
        "/api/environments/{envId}/registries",
        Registries(Create),
        "Create a registry",
    )
    .with(REGISTRY),
    route("GET", "/api/registries/{id}", Registries(Read), "Read a registry"),
    route("PATCH", "/api/registries/{id}", Registries(Update), "Update a registry").with(REGISTRY_PATCH),
    route(
        "DELETE",
        "/api/registries/{id}",
        Registries(Remove),
        "Delete a registry",
    ),
    route(
        "GET",
        "/api/environments/{envId}/secrets",
        Secrets(List),
        "List secrets",
    ),
    route(
        "POST",
        "/api/environments/{envId}/secrets",
        Secrets(Create),
        "Create a secret",
    )
    .with(SECRET),
    route("GET", "/api/secrets/{id}", Secrets(Read), "Read a secret"),
    route("PATCH", "/api/secrets/{id}", Secrets(Update), "Update a secret").with(SECRET_PATCH),
    route("DELETE", "/api/secrets/{id}", Secrets(Remove), "Delete a secret"),
    route(
        "GET",
        "/api/environments/{envId}/vars",
        Things(Thing::Var, List),
        "List variables",
    ),
    route(
        "POST",
        "/api/environments/{envId}/vars",
        Things(Thing::Var, Create),
        "Create a variable",
    )
    .with(VAR),
    route("GET", "/api/vars/{id}", Things(Thing::Var, Read), "Read a variable"),
    route(
        "PATCH",
        "/api/vars/{id}",
        Things(Thing::Var, Update),
        "Update a variable",
    )
    .with(VAR_PATCH),
    route(
        "DELETE",
        "/api/vars/{id}",
        Things(Thing::Var, Remove),
        "Delete a variable",
    ),
    route(
        "GET",
        "/api/environments/{envId}/config-fragments",
        Things(Thing::Fragment, List),
        "List config fragments",
    ),
    route(
        "POST",
        "/api/environments/{envId}/config-fragments",
        Things(Thing::Fragment, Create),
        "Create a config fragment",
    )
    .with(FRAGMENT),
    route(
        "GET",
        "/api/config-fragments/{id}",
        Things(Thing::Fragment, Read),
        "Read a config fragment",
    ),
    route(
        "PATCH",
        "/api/config-fragments/{id}",
        Things(Thing::Fragment, Update),
        "Update a config fragment",
    )
    .with(FRAGMENT_PATCH),
    route(
        "DELETE",
        "/api/config-fragments/{id}",
        Things(Thing::Fragment, Remove),
        "Delete a config fragment",
    ),
    route(
        "GET",
        "/api/environments/{envId}/config-files",
        Things(Thing::File, List),
        "List config files",
    ),
    route(
        "POST",
        "/api/environments/{envId}/config-files",
        Things(Thing::File, Create),
        "Create a config file",
    )
    .with(FILE),
    route(
        "GET",
        "/api/config-files/{id}",
        Things(Thing::File, Read),
        "Read a config file",
    ),
    route(
        "PATCH",
        "/api/config-files/{id}",
        Things(Thing::File, Update),
        "Update a config file",
    )
    .with(FILE_PATCH),
    route(
        "DELETE",
        "/api/config-files/{id}",
        Things(Thing::File, Remove),
        "Delete a config file",
    ),
    route(
        "GET",
        "/api/settings/service-types",
        Things(Thing::ServiceType, List),
        "List service types",
    ),
    route(
        "POST",
        "/api/settings/service-types",
        Things(Thing::ServiceType, Create),
        "Create a service type",
    )
    .with(SERVICE_TYPE)
    .by(Who::Admins),
    route(
        "GET",
        "/api/settings/service-types/{id}",
        Things(Thing::ServiceType, Read),
        "Read a service type",
    ),
    route(
        "PATCH",
        "/api/settings/service-types/{id}",
        Things(Thing::ServiceType, Update),
        "Update a service type",
    )
    .with(SERVICE_TYPE_PATCH)
    .by(Who::Admins),
    route(
        "DELETE",
        "/api/settings/service-types/{id}",
        Things(Thing::ServiceType, Remove),
        "Delete a service type",
    )
    .by(Who::Admins),
    route(
        "GET",
        "/api/environments/{envId}/services/type-counts",
        What::TypeCounts,
        "Count services by type",
    ),
    route(
        "GET",
        "/api/environments/{envId}/services",
        Services(List),
        "List service templates",
    ),
    route(
        "POST",
        "/api/environments/{envId}/services",
        Services(Create),
        "Create a service template",
    )
    .with(SERVICE),
    route("GET", "/api/services/{id}", Services(Read), "Read a service template"),
    route(
        "PATCH",
        "/api/services/{id}",
        Services(Update),
        "Update a service template",
    )
    .with(SERVICE_PATCH)
    .but(SERVICE_READ_ONLY),
    route(
        "DELETE",
        "/api/services/{id}",
        Services(Remove),
        "Delete a service template",
    ),
    route(
        "GET",
        "/api/servers/{serverId}/services",
        What::OnServer(List),
        "List what runs on a server",
    ),
    route(
        "POST",
        "/api/servers/{serverId}/services",
        What::OnServer(Create),
        "Create a service template and its deployment on a server",
    )
    .with(ON_SERVER),
    route(
        "POST",
        "/api/services/{id}/deployments",
        Placements(Create),
        "Place a service on a server",
    )
    .with(PLACEMENT),
    route(
        "PATCH",
        "/api/services/{id}/deployments/{depId}",
        Placements(Update),
        "Update a deployment of a service",
    )
    .with(PLACEMENT_PATCH)
    .but(PLACEMENT_READ_ONLY),
    route(
        "DELETE",
        "/api/services/{id}/deployments/{depId}",
        Placements(Remove),
        "Remove a deployment of a service",
    ),
    route(
        "POST",
        "/api/services/{id}/deploy",
        What::Deploy,
        "Deploy a service to all of its servers",
    )
    .with(DEPLOY),
    route(
        "POST",
        "/api/services/{id}/deployments/{depId}/deploy",
        What::DeployOne,
        "Deploy a service to one server",
    )
    .with(DEPLOY),
    route(
        "POST",
        "/api/services/{id}/deployments/{depId}/restart",
        What::Restart,
        "Restart a container",
    ),
    route(
        "POST",
        "/api/services/{id}/deployments/{depId}/health",
        What::CheckHealth,
        "Check a container",
    ),
    route(
        "GET",
        "/api/services/{id}/deployments/{depId}/logs",
        What::Logs,
        "Read what a container wrote",
    ),
    route(
        "GET",
        "/api/services/{id}/deployments-history",
        What::History,
        "List past deployments",
    ),
    route(
        "GET",
        "/api/deployments/{id}",
        What::Deployment,
        "Read a past deployment",
    ),
    route(
        "GET",
        "/api/deployments/{id}/artifacts",
        What::Artifacts,
        "Read the files of a past deployment",
    ),
    route(
        "GET",
        "/api/services/{id}/compose/template",
        What::Template(Read),
        "Read the compose template",
    ),
    route(
        "PUT",
        "/api/services/{id}/compose/template",
        What::Template(Update),
        "Set the compose template",
    )
    .with(TEMPLATE),
    route(
        "DELETE",
        "/api/services/{id}/compose/template",
        What::Template(Remove),
        "Take the compose template away",
    ),
    route(
        "GET",
        "/api/services/{id}/compose/preview",
        What::Preview,
        "See what would be deployed",
    ),
    route(
        "POST",
        "/api/webhooks/deploy",
        What::DeployByName,
        "Deploy a service by its name",
    )
    .with(DEPLOY_BY_NAME),
    route(
        "GET",
        "/api/environments/{envId}/webhooks",
        Webhooks(List),
        "List webhooks",
    ),
    route(
        "POST",
        "/api/environments/{envId}/webhooks",
        Webhooks(Create),
        "Create a webhook",
    )
    .with(WEBHOOK)
    .answers(201),
    route(
        "GET",
        "/api/environments/{envId}/webhooks/{id}",
        Webhooks(Read),
        "Read a webhook",
    ),
    route(
        "PATCH",
        "/api/environments/{envId}/webhooks/{id}",
        Webhooks(Update),
        "Update a webhook",
    )
    .with(WEBHOOK_PATCH),
    route(
        "DELETE",
        "/api/environments/{envId}/webhooks/{id}",
        Webhooks(Remove),
        "Delete a webhook",
    ),
    route(
        "GET",
        "/api/environments/{envId}/webhooks/{id}/deliveries",
        What::Deliveries,
        "List what was sent to a webhook",
    ),
];

/// What BRIDGEPORT has and this build does not: methods, paths, and what is missing.
const UNBUILT: &[(&str, &str, &str)] = &[
    (
        "GET",
        "/api/services/{id}/deployments/{depId}/logs/stream",
        "streams of logs",
    ),
    ("GET", "/api/services/{id}/drift", "drift"),
    ("GET", "/api/services/{id}/image-tags", "tags in registries"),
    ("GET", "/api/services/{id}/history", "the history of changes"),
    ("GET", "/api/services/{id}/metrics", "metrics"),
    (
        "GET",
        "/api/services/{id}/dependencies",
        "dependencies between services",
    ),
    (
        "POST",
        "/api/services/{id}/dependencies",
        "dependencies between services",
    ),
    ("GET", "/api/services/{id}/files", "files of services"),
    ("POST", "/api/services/{id}/files", "files of services"),
    ("POST", "/api/services/{id}/sync-files", "files of services"),
    ("POST", "/api/services/{id}/check-updates", "a look for new tags"),
    ("POST", "/api/services/{id}/run-command", "commands of service types"),
    ("GET", "/api/admin/service-accounts", "service accounts"),
    ("POST", "/api/admin/service-accounts", "service accounts"),
];

/// All routes, those of what is missing last.
pub fn all() -> impl Iterator<Item = Route> {
    let unbuilt = UNBUILT.iter();
    let unbuilt = unbuilt.map(|(method, path, what)| route(method, path, Unbuilt(what), "Not part of this build"));
    ROUTES.iter().copied().chain(unbuilt)
}
