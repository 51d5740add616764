//! Services: listed, made, read, changed, removed.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use super::caller::{Caller, Deed, Named, fields, named, object};
use super::check;
use super::keys::canonical;
use super::neighbours;
use super::networks;
use super::pace::strategy;
use super::project::{NAMESPACE, Native, name_in_stack, project};
use super::query::Query;
use super::record::{DEFAULT_STACK, FIELD, Kept, Rollout, Service, written};
use super::references;
use super::refusal::{Outcome, Refusal};
use super::spec::{Mode, ServiceSpec, UpdateConfig};
use super::stacks;
use super::synth::Published;
use super::tasks;
use crate::dialects::carried::carry;
use crate::engine::{Deploy, FASTER, Filter, Input, ListQuery};
use crate::model::id::random_uuid;
use crate::model::{Error, ErrorKind, Fields, Resource, ResourceId, Timestamp};
use crate::schema::validate::Purpose;

/// The first version of Docker's interface in whose lists services say how many tasks run.
const WITH_STATUS: (u32, u32) = (1, 41);

/// `GET /services`.
pub async fn list(caller: &Caller, query: &Query) -> Outcome<Value> {
    caller.may("service", Deed::Read)?;
    let known = ["id", "name", "label", "mode", "runtime"];
    let filters = query.filters_or(&known, StatusCode::BAD_REQUEST)?;
    let wants_status = query.truth("status")? && caller.version.is_none_or(|version| version >= WITH_STATUS);
    let mut all = all(caller).await?;
    all.retain(|service| {
        filters.fits("id", |id| caller.ids.of(service.row.id).starts_with(id))
            && filters.fits("name", |name| service.spec.name.starts_with(name))
            && filters.fits("mode", |mode| service.mode() == mode)
            && filters.fits("runtime", |runtime| runtime == "container")
            && filters.labels("label", &service.spec.labels)
    });
    all.sort_by_cached_key(|service| caller.ids.of(service.row.id));
    let tally = match wants_status {
        true => tasks::tally(caller).await?,
        false => tasks::Tallies::default(),
    };
    let mut out = Vec::with_capacity(all.len());
    for service in &all {
        let mut one = whole(caller, service, false).await?;
        if wants_status {
            one.insert("ServiceStatus".into(), tally.of(service));
        }
        out.push(Value::Object(one));
    }
    Ok(Value::Array(out))
}

/// `GET /services/{id}`.
pub async fn inspect(caller: &Caller, id: &str, query: &Query) -> Outcome<Value> {
    caller.may("service", Deed::Read)?;
    let with_defaults = query.truth("insertDefaults")?;
    let service = find(caller, id).await?;
    Ok(Value::Object(whole(caller, &service, with_defaults).await?))
}

async fn whole(caller: &Caller, service: &Service, with_defaults: bool) -> Outcome<Map<String, Value>> {
    let mut out = service.to_json(caller, with_defaults)?;
    out.extend(service.job_status().map(|status| ("JobStatus".to_owned(), status)));
    let is_updated = service.kept.as_ref().is_some_and(|kept| kept.rollout.is_some()) && !service.is_job();
    if is_updated {
        let status = service.update_status(None);
        let is_over = status
            .as_ref()
            .and_then(|s| s["State"].as_str())
            .is_some_and(|s| s.ends_with("completed"));
        let status = match is_over {
            true => service.update_status(ended(caller, &service.row).await?),
            false => status,
        };
        out.extend(status.map(|status| ("UpdateStatus".to_owned(), status)));
    }
    Ok(out)
}

/// When the last update of a service ended, by its log.
async fn ended(caller: &Caller, row: &Resource) -> Outcome<Option<Timestamp>> {
    let Some(ty) = caller.view.find_by_kind("serviceLog").cloned() else {
        return Ok(None);
    };
    let filter = |field: &str, value: String| Filter {
        field: field.to_owned(),
        modifier: "eq".to_owned(),
        value,
    };
    let asked = ListQuery {
        filters: vec![
            filter("serviceId", caller.engine.wire_id(row)),
            filter("eventType", "service.upgrade".to_owned()),
        ],
        sort: Some("id".to_owned()),
        descending: true,
        limit: 1,
        ..ListQuery::default()
    };
    let (engine, scope) = (caller.engine.clone(), caller.scope.clone());
    let page = tokio::task::spawn_blocking(move || engine.list(&scope, &ty, &asked))
        .await
        .map_err(|e| Error::internal("waiting for a blocking thread", e))??;
    let last = page.rows.first().map(|row| fields(row)).transpose()?;
    Ok(last
        .and_then(|last| last.text("endTime"))
        .and_then(|text| Timestamp::parse(&text)))
}

/// All services that Docker's clients see: no balancers, no services without containers, nothing of the system's.
pub async fn all(caller: &Caller) -> Outcome<Vec<Service>> {
    let stacks = caller.stacks().await?;
    let rows = caller.lasting("service").await?;
    let mut services = Vec::with_capacity(rows.len());
    for row in rows {
        let own = fields(&row)?;
        if is_shown(&row, &own)? {
            services.push(Service::of(row, &own, &stacks)?);
        }
    }
    Ok(services)
}

/// Whether Docker's clients see a service.
pub fn is_shown(row: &Resource, own: &Fields) -> Outcome<bool> {
    let is_system: bool = own.read("system")?.unwrap_or(false);
    Ok(row.kind == "service" && !is_system && own.get("launchConfig").is_some_and(|text| text != "null"))
}

/// The service of a path: by its id, which needs no look at the others, by its name, or by how its id begins.
pub async fn find(caller: &Caller, wanted: &str) -> Outcome<Service> {
    let missing = || Refusal::missing("service", wanted);
    if let Some(id) = caller.ids.row(wanted)
        && let Some(row) = caller.engine.row(&caller.scope, "service", id)?
        && is_shown(&row, &fields(&row)?)?
        && row.state != crate::model::State::REMOVING
    {
        let stack = row
            .parent_id
            .map(|id| caller.engine.row(&caller.scope, "stack", id))
            .transpose()?
            .flatten();
        let stacks: HashMap<ResourceId, String> = stack.into_iter().map(|stack| (stack.id, stack.name)).collect();
        return Ok(Service::read(row, &stacks)?);
    }
    let mut services = maybe(caller, wanted).await?;
    let names: HashMap<ResourceId, String> = services.iter().map(|s| (s.row.id, s.spec.name.clone())).collect();
    let rows: Vec<Resource> = services.iter().map(|service| service.row.clone()).collect();
    let found = caller.pick(&rows, "service", wanted, |row| {
        names.get(&row.id).cloned().unwrap_or_default()
    })?;
    let at = services.iter().position(|service| service.row.id == found.id);
    at.map(|at| services.swap_remove(at)).ok_or_else(missing)
}

/// Those that may be meant by a word: whose id begins so, or that may be called so. What is kept of a service has its name in it.
async fn maybe(caller: &Caller, wanted: &str) -> Outcome<Vec<Service>> {
    let stacks = caller.stacks().await?;
    let mut services = Vec::new();
    for row in caller.lasting("service").await? {
        let is_called = wanted.ends_with(row.name.as_str()) || row.fields.contains(wanted);
        if is_called || caller.ids.of(row.id).starts_with(wanted) || caller.engine.wire_id(&row) == wanted {
            let own = fields(&row)?;
            if is_shown(&row, &own)? {
                services.push(Service::of(row, &own, &stacks)?);
            }
        }
    }
    Ok(services)
}

/// `POST /services/create`.
pub async fn create(caller: &mut Caller, body: Value) -> Outcome<Value> {
    let ty = caller.may("service", Deed::Create)?;
    let mut spec = parse(body)?;
    caller.note(&ty.def, None, "create", &named(&spec.name));
    if spec.name.is_empty() {
        spec.name = format!("service-{}", short_name());
    }
    let mut spec = check::settled(spec)?;
    let others = neighbours::of(caller, &spec).await?;
    if others
        .iter()
        .any(|other| other.spec.name.eq_ignore_ascii_case(&spec.name))
    {
        return Err(Refusal::taken("service", &spec.name));
    }
    check_ports(caller, &spec, &others, None)?;
    networks::resolve(caller, &mut spec).await?;
    if let Some(container) = &spec.task_template.container_spec {
        references::check(caller, container).await?;
    }
    let native = project(&spec, &Named::read(caller).await?)?;
    let stack = spec
        .labels
        .get(NAMESPACE)
        .map_or(DEFAULT_STACK, String::as_str)
        .to_owned();
    let stack = stacks::of_name(caller, &stack).await?;
    let name = free_name(caller, &spec, stack.id).await?;
    let kept = Kept {
        index: 1,
        updated_at: caller.engine.now().0,
        native_name: name.clone(),
        spec,
        ..Kept::default()
    };
    let mut sent = json!({
        "name": name, "stackId": caller.engine.wire_id(&stack), "startOnCreate": true, "launchConfig": native.launch,
    });
    if let (Some(sent), Some(scale)) = (sent.as_object_mut(), native.scale) {
        sent.insert("scale".into(), json!(scale));
    }
    let mut input = caller.validated(&ty, sent, Purpose::Create, None).await?;
    caller.note(&ty.def, None, "create", &input);
    input.insert(FIELD.into(), written(&kept)?);
    let made = caller.engine.create(&caller.scope, &ty, input).await?;
    let row = made
        .first()
        .ok_or_else(|| Error::bug("a service was made, and is not there"))?;
    Ok(json!({"ID": caller.ids.of(row.id)}))
}

/// `POST /services/{id}/update`.
pub async fn update(caller: &mut Caller, id: &str, query: &Query, body: Value) -> Outcome<Value> {
    let ty = caller.may("service", Deed::Update)?;
    let sent = parse(body)?;
    let index = query.version("service")?;
    let service = find(caller, id).await?;
    caller.note(&ty.def, Some(&service.row), "update", &named(&service.spec.name));
    let is_rollback = options(query)?;
    let mut spec = wanted(caller, &service, sent, is_rollback)?;
    if index != service.index() {
        return Err(Refusal::stale());
    }
    let others = neighbours::of(caller, &spec).await?;
    let is_renamed = spec.name != service.spec.name;
    let is_taken = |other: &Service| other.row.id != service.row.id && other.spec.name.eq_ignore_ascii_case(&spec.name);
    if is_renamed && others.iter().any(is_taken) {
        return Err(Refusal::taken("service", &spec.name));
    }
    check_ports(caller, &spec, &others, Some(service.row.id))?;
    networks::resolve(caller, &mut spec).await?;
    if let Some(container) = &spec.task_template.container_spec {
        references::check(caller, container).await?;
    }
    let native = project(&spec, &Named::read(caller).await?)?;
    let at_once = |spec: &ServiceSpec| spec.mode.as_ref()?.replicated_job.as_ref()?.max_concurrent;
    let is_anew = spec.task_template != service.spec.task_template
        || at_once(&spec) != at_once(&service.spec)
        || spec.endpoint_spec.as_ref().map(|e| &e.ports) != service.spec.endpoint_spec.as_ref().map(|e| &e.ports);
    let policy = match is_rollback {
        true => spec.rollback_config.clone(),
        false => spec.update_config.clone(),
    };
    let policy = match service.is_job() {
        true => Some(of_job(&spec)),
        false => policy,
    };
    let scale = native.scale;
    let strategy = match is_anew {
        true => {
            caller.may_act(&ty, "upgrade")?;
            let policies = [policy.as_ref(), spec.rollback_config.as_ref()];
            Some(strategy_from(caller, &service, &native, policies).await?)
        }
        false => None,
    };
    let mut sent = Map::new();
    sent.extend(scale.map(|scale| ("scale".to_owned(), json!(scale))));
    let mut native_name = service.row.name.clone();
    if let (true, Some(stack)) = (is_renamed, service.row.parent_id) {
        native_name = free_name(caller, &spec, stack).await?;
        sent.insert("name".into(), json!(native_name));
    }
    let kept = after(caller, &service, spec, native_name, (is_anew, is_rollback));
    let mut changed = caller
        .validated(&ty, Value::Object(sent), Purpose::Update, Some(service.row.id))
        .await?;
    let operation = if is_anew { "upgrade" } else { "update" };
    caller.note(&ty.def, Some(&service.row), operation, &changed);
    changed.insert(FIELD.into(), written(&kept)?);
    let deploy = Deploy {
        fields: changed,
        strategy,
        fence: (FIELD, service.stored.clone()),
    };
    match caller.engine.deploy(&caller.scope, &ty, &service.row, deploy).await {
        Ok(_) => Ok(json!({"Warnings": null})),
        Err(error) if error.code.as_deref() == Some(FASTER) => Err(Refusal::stale()),
        Err(error) => Err(error.into()),
    }
}

/// Whether an update leads back, by the parameters.
fn options(query: &Query) -> Outcome<bool> {
    let wrong = |words: String| Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, words));
    if !matches!(
        query.first("registryAuthFrom").unwrap_or_default(),
        "" | "spec" | "previous-spec"
    ) {
        return wrong("unsupported registryAuthFrom value".to_owned());
    }
    match query.first("rollback").unwrap_or_default() {
        "" => Ok(false),
        "previous" => Ok(true),
        other => wrong(format!("unrecognized rollback option {other}")),
    }
}

/// What a service is to be: what was sent, or what it was before.
fn wanted(caller: &Caller, service: &Service, mut sent: ServiceSpec, is_rollback: bool) -> Outcome<ServiceSpec> {
    if is_rollback {
        check::settled(sent)?;
        let previous = service.kept.as_ref().and_then(|kept| kept.previous.clone());
        return previous.ok_or_else(|| {
            let id = caller.ids.of(service.row.id);
            let words =
                format!("rpc error: code = FailedPrecondition desc = service {id} does not have a previous spec");
            Refusal::bad(words)
        });
    }
    let unimplemented = |what: &str| Refusal::not_built(format!("rpc error: code = Unimplemented desc = {what}"));
    let has_no_name = sent.name.is_empty();
    if has_no_name {
        sent.name = service.spec.name.clone();
    }
    let spec = check::settled(sent)?;
    // Swarm renames nothing; what its clients' documents show as an example, a new name, works here.
    if has_no_name {
        return Err(unimplemented("renaming services is not supported"));
    }
    let kind = |spec: &ServiceSpec| spec.mode.as_ref().map_or("replicated", Mode::name);
    match kind(&spec) == kind(&service.spec) {
        true => Ok(spec),
        false => Err(unimplemented("service mode change is not allowed")),
    }
}

/// How a job begins again: as many at once as may be, whatever becomes of them.
fn of_job(spec: &ServiceSpec) -> UpdateConfig {
    let job = spec.mode.as_ref().and_then(|mode| mode.replicated_job.as_ref());
    UpdateConfig {
        parallelism: job.and_then(|job| job.max_concurrent).unwrap_or(0),
        failure_action: "continue".to_owned(),
        ..UpdateConfig::default()
    }
}

/// What is kept once a service is changed.
fn after(
    caller: &Caller,
    service: &Service,
    spec: ServiceSpec,
    native_name: String,
    (is_anew, is_rollback): (bool, bool),
) -> Kept {
    let now = caller.engine.now().0;
    // Where nothing runs, nothing is made anew.
    let runs = |spec: &ServiceSpec| spec.mode.as_ref().and_then(Mode::replicas) != Some(0);
    let is_running = runs(&spec) && runs(&service.spec);
    let rollout = Rollout {
        began_at: now,
        is_rollback,
    };
    Kept {
        spec,
        previous: Some(service.spec.clone()),
        index: service.index() + 1,
        updated_at: now,
        rollout: (is_rollback || is_anew && is_running).then_some(rollout),
        native_name,
        iteration: service.kept.as_ref().map_or(0, |kept| kept.iteration) + u64::from(is_anew && service.is_job()),
    }
}

/// `DELETE /services/{id}`.
pub async fn remove(caller: &mut Caller, id: &str) -> Outcome<()> {
    let ty = caller.may("service", Deed::Remove)?;
    let service = find(caller, id).await?;
    caller.note(&ty.def, Some(&service.row), "delete", &Input::new());
    caller.engine.delete(&caller.scope, &ty, service.row.id).await?;
    stacks::left(caller, &service.row).await
}

/// A body as a service.
fn parse(body: Value) -> Outcome<ServiceSpec> {
    serde_json::from_value(canonical(body)).map_err(|e| Refusal::bad(format!("json: cannot unmarshal: {e}")))
}

/// A published port is one service's alone, unless it is published by hosts for both.
fn check_ports(caller: &Caller, spec: &ServiceSpec, others: &[Service], own: Option<ResourceId>) -> Outcome<()> {
    let wanted = spec.endpoint_spec.iter().flat_map(|endpoint| &endpoint.ports);
    for port in wanted.filter(|port| port.published_port != 0) {
        for other in others.iter().filter(|other| Some(other.row.id) != own) {
            let same = |taken: &&Published| taken.published == port.published_port && taken.protocol == port.protocol;
            let Some(taken) = other.ports.iter().find(same) else {
                continue;
            };
            let how = match other.publish_mode(taken) {
                "host" if port.publish_mode == "host" => continue,
                "host" => "a host-published port",
                _ => "an ingress port",
            };
            let (name, id) = (&other.spec.name, caller.ids.of(other.row.id));
            return Err(Refusal::argument(format!(
                "port '{}' is already in use by service '{name}' ({id}) as {how}",
                port.published_port
            )));
        }
    }
    Ok(())
}

/// What nobody gave a name is called.
fn short_name() -> String {
    let uuid = random_uuid().simple().to_string();
    uuid.chars().take(12).collect()
}

/// What the engine calls a service: its name without that of its stack, and without what names of the engine's cannot have. What is
/// on its way out, or no service to Docker, has a name, too.
async fn free_name(caller: &Caller, spec: &ServiceSpec, stack: ResourceId) -> Outcome<String> {
    let rows = caller.rows("service").await?;
    let base = name_in_stack(spec).replace('_', "-");
    let in_stack = rows.iter().filter(|row| row.parent_id == Some(stack));
    let is_taken = |name: &str| in_stack.clone().any(|row| row.name.eq_ignore_ascii_case(name));
    let more = (2..).map(|n| format!("{}-{n}", base.get(..base.len().min(55)).unwrap_or(&base)));
    let free = std::iter::once(base.clone()).chain(more).find(|name| !is_taken(name));
    Ok(free.unwrap_or(base))
}

/// The upgrade of a service to `native`, forth and back by these policies; what Docker's words cannot say of it stays.
async fn strategy_from(
    caller: &Caller,
    service: &Service,
    native: &Native,
    [forth, back]: [Option<&UpdateConfig>; 2],
) -> Outcome<Map<String, Value>> {
    let ty = caller.view.find_by_kind("serviceUpgrade").cloned();
    let ty = ty.ok_or_else(|| Error::new(ErrorKind::Forbidden))?;
    let sent = json!({"inServiceStrategy": strategy(native.launch.clone(), forth, back, native.scale)});
    let input = caller.validated(&ty, sent, Purpose::Create, None).await?;
    let strategy = input.get("inServiceStrategy").and_then(Value::as_object).cloned();
    let mut strategy = strategy.ok_or_else(|| Error::bug("an upgrade without its strategy"))?;
    let now = object(&fields(&service.row)?, "launchConfig")?;
    // Where what it names is gone nobody knows what the words could say of it.
    if let (Ok(then), Some(Value::Object(into))) = (
        project(&service.spec, &Named::read(caller).await?),
        strategy.get_mut("launchConfig"),
    ) {
        carry(&now, &then.launch, &native.launch, into);
    }
    Ok(strategy)
}
