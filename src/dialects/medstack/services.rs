//! Services: listed, made, read, replaced, changed, removed, and made anew from a newer image.

use serde_json::{Map, Value, json};

use super::MedStackApi;
use super::caller::{Caller, Deed, list as listed, named};
use super::project::{Native, project};
use super::record::{FIELD, Kept, Service, seen};
use super::references::{Named, check_may_name};
use super::refusal::{Form, Outcome, Refusal};
use super::rollout::strategy;
use super::routing;
use super::spec::{self, Spec};
use crate::dialects::carried::carry;
use crate::engine::{Deploy, Input};
use crate::model::{Error, Resource, ResourceId, State};
use crate::schema::TypeView;
use crate::schema::validate::Purpose;

/// The stack of services that are made here.
const STACK: &str = "medstack";
/// How the engine calls what a service has.
const NAMES: [(&str, &str); 8] = [
    ("name", "name"),
    ("scale", "replicas"),
    ("imageUuid", "image"),
    ("environment", "environment_variables"),
    ("dataVolumes", "mounts"),
    ("secretId", "secrets"),
    ("launchConfig.labels", "placement_constraints"),
    ("hostname", "hosts"),
];

fn about(error: Error) -> Refusal {
    Refusal::about(Form::Prefixed, error, &NAMES)
}

/// All services that can be told here, and the rows that they name.
pub async fn all(caller: &Caller) -> Outcome<(Vec<Service>, Named)> {
    let named = Named::read(caller).await?;
    let mut services = Vec::new();
    for row in caller.lasting("service").await? {
        services.extend(Service::read(row, &named)?);
    }
    Ok((services, named))
}

/// The service of a path.
pub async fn find(caller: &Caller, id: &str) -> Outcome<(Service, Named)> {
    let id = caller.ids.row("service", id).ok_or_else(Refusal::nowhere)?;
    let row = caller.engine.row(&caller.scope, "service", id)?;
    let row = row
        .filter(|row| row.state != State::REMOVING)
        .ok_or_else(Refusal::nowhere)?;
    let named = Named::read(caller).await?;
    let service = Service::read(row, &named)?.ok_or_else(Refusal::nowhere)?;
    Ok((service, named))
}

/// `GET …/services`.
pub async fn list(caller: &Caller) -> Outcome<Value> {
    caller.may("service", Deed::Read)?;
    let (services, named) = all(caller).await?;
    let shown = services.iter().map(|service| service.to_json(caller, &named));
    Ok(listed(shown.collect()))
}

/// `GET …/services/{service_id}`.
pub async fn show(caller: &Caller, id: &str) -> Outcome<Value> {
    caller.may("service", Deed::Read)?;
    let (service, named) = find(caller, id).await?;
    Ok(service.to_json(caller, &named))
}

/// Whether a service names secrets or configs.
fn names_any(spec: &Spec) -> bool {
    !spec.secrets.is_empty() || !spec.configs.is_empty()
}

/// `POST …/services`.
pub async fn create(state: &MedStackApi, caller: &mut Caller, body: Value) -> Outcome<Value> {
    let ty = caller.may("service", Deed::Create)?;
    caller.note(&ty.def, None, "create", &Input::new());
    let spec = spec::read(body, Spec::default(), true)?;
    caller.note(&ty.def, None, "create", &named(&spec.name));
    let (others, rows) = all(caller).await?;
    let is_taken = |other: &Service| other.spec.name.eq_ignore_ascii_case(&spec.name);
    if others.iter().any(is_taken) {
        return Err(Refusal::field(Form::Prefixed, "name", "must be unique"));
    }
    check_may_name(caller, names_any(&spec))?;
    let native = project(&spec, &rows)?;
    routing::check(state, caller, &spec.hosts, None, &others).await?;
    if !spec.hosts.is_empty() {
        routing::ensure(caller, super::project::Others::simulates(&rows)).await?;
    }
    let stack = stack(caller, STACK).await?;
    let name = free_name(caller, &spec.name, stack.id).await?;
    let sent = json!({
        "name": name, "stackId": caller.engine.wire_id(&stack), "startOnCreate": true, "launchConfig": native.launch,
        "scale": spec.replicas, "lbConfig": native.routes,
    });
    let mut input = caller
        .validated(&ty, sent, (Purpose::Create, None), (Form::Prefixed, &NAMES))
        .await?;
    caller.note(&ty.def, None, "create", &input);
    let kept = Kept {
        spec,
        native_name: name,
    };
    input.insert(FIELD.into(), written(&kept)?);
    let made = caller.engine.create(&caller.scope, &ty, input).await.map_err(about)?;
    let made = made.into_iter().next();
    let row = made.ok_or_else(|| Error::bug("a service was made, and is not there"))?;
    answer(caller, row).await
}

/// A service as it was written.
async fn answer(caller: &Caller, row: Resource) -> Outcome<Value> {
    let named = Named::read(caller).await?;
    let service = Service::read(row, &named)?;
    let service = service.ok_or_else(|| Error::bug("a service was written, and cannot be read"))?;
    Ok(service.to_json(caller, &named))
}

/// `PUT …/services/{service_id}`: what is not said is as in a new service.
pub async fn replace(state: &MedStackApi, caller: &mut Caller, id: &str, body: Value) -> Outcome<Value> {
    write(state, caller, id, body, |spec| Spec {
        name: spec.name.clone(),
        ..Spec::default()
    })
    .await
}

/// `PATCH …/services/{service_id}`: what is not said stays.
pub async fn change(state: &MedStackApi, caller: &mut Caller, id: &str, body: Value) -> Outcome<Value> {
    write(state, caller, id, body, Spec::clone).await
}

async fn write(
    state: &MedStackApi,
    caller: &mut Caller,
    id: &str,
    body: Value,
    over: impl Fn(&Spec) -> Spec,
) -> Outcome<Value> {
    let ty = caller.may("service", Deed::Update)?;
    let (service, rows) = find(caller, id).await?;
    caller.note(&ty.def, Some(&service.row), "update", &named(&service.spec.name));
    let spec = spec::read(body, over(&service.spec), false)?;
    check_may_name(caller, names_any(&spec))?;
    let native = project(&spec, &rows)?;
    let (others, _) = all(caller).await?;
    routing::check(state, caller, &spec.hosts, Some(service.row.id), &others).await?;
    if !spec.hosts.is_empty() {
        routing::ensure(caller, super::project::Others::simulates(&rows)).await?;
    }
    let before = project(&service.spec, &rows).ok();
    let is_anew = before.as_ref().is_none_or(|before| before.launch != native.launch);
    deploy(caller, &ty, service, (before, spec, native), (is_anew, false)).await
}

/// `POST …/services/{service_id}/refresh_image`: all containers are made anew, from the image as its registry has it now.
pub async fn refresh(caller: &mut Caller, id: &str) -> Outcome<Value> {
    let ty = caller.may("service", Deed::Update)?;
    let (service, rows) = find(caller, id).await?;
    caller.note(&ty.def, Some(&service.row), "upgrade", &named(&service.spec.name));
    let spec = service.spec.clone();
    let native = project(&spec, &rows)?;
    deploy(caller, &ty, service, (Some(native.clone()), spec, native), (true, true)).await
}

/// Writes what a service is to be, and asks for what follows from it. `before` is what its words became until now.
async fn deploy(
    caller: &mut Caller,
    ty: &std::sync::Arc<TypeView>,
    service: Service,
    (before, spec, native): (Option<Native>, Spec, Native),
    (is_anew, pulls): (bool, bool),
) -> Outcome<Value> {
    let upgrade = match is_anew {
        true => {
            caller.may_act(ty, "upgrade")?;
            let wanted = strategy(native.launch.clone(), &spec, pulls);
            let mut checked = validated_strategy(caller, wanted).await?;
            let now = seen(&super::caller::fields(&service.row)?)?.launch;
            if let (Some(then), Some(Value::Object(into))) = (before, checked.get_mut("launchConfig")) {
                carry(&now, &then.launch, &native.launch, into);
            }
            Some(checked)
        }
        false => None,
    };
    let mut sent = Map::new();
    let before = seen(&super::caller::fields(&service.row)?)?;
    if before.scale != spec.replicas {
        sent.insert("scale".into(), json!(spec.replicas));
    }
    if service.spec.hosts != spec.hosts || service.spec.port != spec.port {
        sent.insert("lbConfig".into(), native.routes);
    }
    let purpose = (Purpose::Update, Some(service.row.id));
    let names = (Form::Prefixed, &NAMES[..]);
    let mut changed = caller.validated(ty, Value::Object(sent), purpose, names).await?;
    let operation = if is_anew { "upgrade" } else { "update" };
    caller.note(&ty.def, Some(&service.row), operation, &changed);
    let kept = Kept {
        spec,
        native_name: service.row.name.clone(),
    };
    changed.insert(FIELD.into(), written(&kept)?);
    let deploy = Deploy {
        fields: changed,
        strategy: upgrade,
        fence: (FIELD, service.stored),
    };
    let row = caller
        .engine
        .deploy(&caller.scope, ty, &service.row, deploy)
        .await
        .map_err(about)?;
    answer(caller, row).await
}

async fn validated_strategy(caller: &Caller, strategy: Map<String, Value>) -> Outcome<Map<String, Value>> {
    let ty = caller.view.find_by_kind("serviceUpgrade").cloned();
    let ty = ty.ok_or_else(|| Refusal::forbidden("The role of this access token may not upgrade a service"))?;
    let sent = json!({"inServiceStrategy": strategy});
    let input = caller
        .validated(&ty, sent, (Purpose::Create, None), (Form::Prefixed, &NAMES))
        .await?;
    let strategy = input.get("inServiceStrategy").and_then(Value::as_object).cloned();
    strategy.ok_or_else(|| Error::bug("an upgrade without its strategy").into())
}

/// `DELETE …/services/{service_id}`.
pub async fn remove(caller: &mut Caller, id: &str) -> Outcome<()> {
    let ty = caller.may("service", Deed::Remove)?;
    let (service, _) = find(caller, id).await?;
    caller.note(&ty.def, Some(&service.row), "delete", &Input::new());
    caller.engine.delete(&caller.scope, &ty, service.row.id).await?;
    Ok(())
}

/// The stack of this name, made if there is none.
pub async fn stack(caller: &Caller, name: &str) -> Outcome<Resource> {
    let named = |stacks: Vec<Resource>| stacks.into_iter().find(|stack| stack.name == name);
    if let Some(stack) = named(caller.lasting("stack").await?) {
        return Ok(stack);
    }
    let ty = caller.may("stack", Deed::Create)?;
    let sent = json!({"name": name});
    let input = caller
        .validated(&ty, sent, (Purpose::Create, None), (Form::Prefixed, &[]))
        .await;
    let made = match input {
        Ok(input) => caller
            .engine
            .create(&caller.scope, &ty, input)
            .await
            .map_err(Refusal::from),
        Err(refusal) => Err(refusal),
    };
    match made.map(|made| made.into_iter().next()) {
        Ok(Some(stack)) => Ok(stack),
        Ok(None) => Err(Error::bug("a stack was made, and is not there").into()),
        // Somebody else was faster.
        Err(refusal) => named(caller.lasting("stack").await?).ok_or(refusal),
    }
}

/// What the engine calls a service: its name without what names of the engine's cannot have. What is on its way out has a name, too.
async fn free_name(caller: &Caller, name: &str, stack: ResourceId) -> Outcome<String> {
    let rows = caller.rows("service").await?;
    let base = name.replace(['_', '.'], "-");
    let in_stack = rows.iter().filter(|row| row.parent_id == Some(stack));
    let is_taken = |name: &str| in_stack.clone().any(|row| row.name.eq_ignore_ascii_case(name));
    let more = (2..).map(|n| format!("{}-{n}", base.get(..base.len().min(55)).unwrap_or(&base)));
    let free = std::iter::once(base.clone()).chain(more).find(|name| !is_taken(name));
    Ok(free.unwrap_or(base))
}

fn written(kept: &Kept) -> Outcome<Value> {
    serde_json::to_value(kept).map_err(|e| Error::internal("writing JSON", e).into())
}
