//! Services: listed, made, read, changed, removed.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::body::Body;
use super::caller::{Caller, Deed, fields, named, object};
use super::fips;
use super::native::{self, STACK};
use super::query::Query;
use super::refusal::{Outcome, Refusal};
use super::shown::{Around, FIELD, Kept, Service, all, made};
use super::spec::{ENDS_TLS, Pem, Spec, check_image, replicas};
use crate::engine::{Deploy, FASTER, Fronted};
use crate::model::Error;
use crate::model::id::random_uuid;
use crate::schema::TypeView;
use crate::schema::validate::Purpose;

/// So often a change is tried again when somebody else was faster.
const TRIES: usize = 3;

/// `GET /services`.
pub async fn list(caller: &Caller, query: &Query) -> Outcome<Value> {
    caller.may("service", Deed::Read)?;
    let filters = query.filters(&["name", "label", "status", "image"])?;
    let mut services = all(caller).await?;
    services.sort_by(|one, other| one.row.name.cmp(&other.row.name));
    let around = Around::read(caller, &services).await?;
    let mut out = Vec::new();
    for service in &services {
        let spec = around.spec(service)?;
        let (status, _) = around.status(caller, service, &spec)?;
        let is_asked = filters.fits("name", |name| name == spec.name)
            && filters.fits("image", |image| image == spec.image)
            && filters.fits("status", |word| word.eq_ignore_ascii_case(status))
            && filters.labels(&spec.labels.clone().unwrap_or_default());
        if is_asked {
            out.push(around.to_json(caller, service)?);
        }
    }
    Ok(Value::Array(out))
}

/// `GET /services/{name}`.
pub async fn inspect(caller: &Caller, name: &str) -> Outcome<Value> {
    caller.may("service", Deed::Read)?;
    let service = find(caller, name).await?;
    shown(caller, service).await
}

async fn shown(caller: &Caller, service: Service) -> Outcome<Value> {
    let services = [service];
    let around = Around::read(caller, &services).await?;
    let [service] = &services;
    Ok(around.to_json(caller, service)?)
}

/// The service of this name.
pub async fn find(caller: &Caller, name: &str) -> Outcome<Service> {
    let services = all(caller).await?;
    let found = services
        .into_iter()
        .find(|service| service.row.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| Refusal::no_service(name))
}

/// `POST /services/create`.
pub async fn create(caller: &mut Caller, sent: &[u8]) -> Outcome<Value> {
    let ty = caller.may("service", Deed::Create)?;
    let balancer_type = caller.may("loadBalancerService", Deed::Create)?;
    let body = Body::parse(sent)?;
    let mut spec = Spec::read(&body)?;
    if spec.name.is_empty() {
        let digits = random_uuid().simple().to_string();
        spec.name = format!("service-{}", digits.get(20..).unwrap_or(&digits));
    }
    caller.note(&ty.def, None, "create", &named(&spec.name));
    let certificate = body.text("SSLCert")?.unwrap_or_default();
    let pem = pem_of(&spec, &certificate)?;
    if !caller.lasting("stack").await?.iter().any(|stack| stack.name == STACK) {
        caller.may("stack", Deed::Create)?;
    }
    if all(caller)
        .await?
        .iter()
        .any(|other| other.row.name.eq_ignore_ascii_case(&spec.name))
    {
        return Err(Refusal::taken(&spec.name));
    }
    let simulates = simulates(caller).await?;
    let service = native::service(&spec, simulates);
    let mut service = caller.validated(&ty, service, Purpose::Create, None).await?;
    caller.note(&ty.def, None, "create", &service);
    let kept = Kept {
        spec: spec.clone(),
        was_rolled: false,
    };
    service.insert(FIELD.into(), json!(kept));
    let balancer = native::balancer(&spec, simulates);
    let balancer = caller
        .validated(&balancer_type, balancer, Purpose::Create, None)
        .await?;
    let pem = match pem {
        None => None,
        Some(pem) => {
            let ty = caller.may("certificate", Deed::Create)?;
            let mut body = json!({"name": format!("{STACK}-{}", spec.name), "cert": pem.cert, "key": pem.key});
            if let (false, Some(body)) = (pem.chain.is_empty(), body.as_object_mut()) {
                body.insert("certChain".into(), json!(pem.chain));
            }
            let checked = caller.validated(&ty, body, Purpose::Create, None).await;
            Some(checked.map_err(|error| of_certificate(error.into()))?)
        }
    };
    let fronted = Fronted {
        stack: STACK.to_owned(),
        service,
        balancer,
        certificate: pem,
    };
    let row = caller.engine.create_fronted(&caller.scope, fronted).await;
    let row = row.map_err(|error| refused_create(error, &spec.name))?;
    Ok(made(caller, &row, &spec, &certificate))
}

/// Fields of a certificate are all one to a client of Hyper's.
fn of_certificate(refusal: Refusal) -> Refusal {
    Refusal::new(refusal.status, format!("SSLCert: {}", refusal.message))
}

fn refused_create(error: Error, name: &str) -> Refusal {
    let is_of = |fields: &[&str]| error.field.as_deref().is_some_and(|field| fields.contains(&field));
    if error.code.as_deref() == Some("NotUnique") && is_of(&["name"]) {
        return Refusal::taken(name);
    }
    match is_of(&["cert", "certChain", "key"]) {
        true => of_certificate(error.into()),
        false => error.into(),
    }
}

/// The certificate of a service where TLS ends with its balancer.
fn pem_of(spec: &Spec, text: &str) -> Outcome<Option<Pem>> {
    match (spec.protocol == ENDS_TLS, text.is_empty()) {
        (true, true) => Err(Refusal::field(
            "SSLCert",
            format!("{ENDS_TLS} needs a certificate with its key"),
        )),
        (true, false) => Pem::read(text).map(Some),
        (false, false) => Err(Refusal::field("SSLCert", format!("only {ENDS_TLS} has a certificate"))),
        (false, true) => Ok(None),
    }
}

/// Whether there are simulated hosts, which images of theirs are for.
async fn simulates(caller: &Caller) -> Outcome<bool> {
    let hosts = caller.lasting("host").await?;
    Ok(hosts.iter().any(|host| caller.engine.is_simulated(host)))
}

/// What an update asks for; what is absent stays.
struct Change {
    replicas: Option<i64>,
    image: Option<String>,
}

/// `POST /services/{name}/update`.
pub async fn update(caller: &mut Caller, name: &str, sent: &[u8]) -> Outcome<Value> {
    let ty = caller.may("service", Deed::Update)?;
    let body = Body::parse(sent)?;
    let address = body.text("FIP")?;
    let change = Change {
        replicas: replicas(&body)?,
        image: body.text("Image")?,
    };
    if let Some(image) = &change.image {
        check_image(image)?;
    }
    let service = find(caller, name).await?;
    caller.note(&ty.def, Some(&service.row), "update", &named(&service.row.name));
    match (address, change.replicas.is_some() || change.image.is_some()) {
        (Some(_), true) => {
            return Err(Refusal::field(
                "FIP",
                "it is changed by itself, without Replicas and Image",
            ));
        }
        (Some(address), false) => fips::lead_to_service(caller, &service, &address).await?,
        (None, false) => {}
        (None, true) => change_service(caller, &ty, name, &change).await?,
    }
    let service = find(caller, name).await?;
    shown(caller, service).await
}

async fn change_service(caller: &mut Caller, ty: &Arc<TypeView>, name: &str, change: &Change) -> Outcome<()> {
    if change.image.is_some() {
        caller.may_act(ty, "upgrade")?;
    }
    for _ in 0..TRIES {
        let service = find(caller, name).await?;
        if try_to_change(caller, ty, service, change).await? {
            return Ok(());
        }
    }
    Err(Error::conflict(format!("the service {name} was changed meanwhile: try again")).into())
}

/// Whether nobody else was faster.
async fn try_to_change(caller: &mut Caller, ty: &Arc<TypeView>, service: Service, change: &Change) -> Outcome<bool> {
    let services = [service];
    let around = Around::read(caller, &services).await?;
    let [service] = &services;
    let mut spec = around.spec(service)?;
    let mut sent = Map::new();
    if let Some(replicas) = change.replicas {
        spec.replicas = replicas;
        sent.insert("scale".into(), json!(replicas));
    }
    let mut strategy = None;
    if let Some(image) = &change.image {
        let mut launch = object(&fields(&service.row)?, "launchConfig")?;
        let image_uuid = native::image_uuid(image, simulates(caller).await?);
        launch.insert("imageUuid".into(), json!(image_uuid));
        spec.image.clone_from(image);
        // One after the other, each when the one before it is well.
        let pace = json!({"launchConfig": launch, "batchSize": 1, "intervalMillis": 100, "startFirst": false});
        strategy = pace.as_object().cloned();
    }
    let own = Some(service.row.id);
    let mut changed = caller.validated(ty, Value::Object(sent), Purpose::Update, own).await?;
    let operation = if strategy.is_some() { "upgrade" } else { "update" };
    caller.note(&ty.def, Some(&service.row), operation, &changed);
    let kept = Kept {
        spec,
        was_rolled: strategy.is_some(),
    };
    changed.insert(FIELD.into(), json!(kept));
    let deploy = Deploy {
        fields: changed,
        strategy,
        fence: (FIELD, service.stored.clone()),
    };
    match caller.engine.deploy(&caller.scope, ty, &service.row, deploy).await {
        Err(error) if error.code.as_deref() == Some(FASTER) => Ok(false),
        deployed => Ok(deployed.map(|_| true)?),
    }
}

/// `DELETE /services/{name}`. With `keep` its containers go on running, as a service of Rancher's without a balancer.
pub async fn remove(caller: &mut Caller, name: &str, query: &Query) -> Outcome<()> {
    let ty = caller.may("service", Deed::Remove)?;
    let service = find(caller, name).await?;
    let keeps = query.is_on("keep");
    let operation = if keeps { "update" } else { "delete" };
    caller.note(&ty.def, Some(&service.row), operation, &named(&service.row.name));
    if !keeps {
        caller.engine.delete(&caller.scope, &ty, service.row.id).await?;
        return Ok(());
    }
    let digits = random_uuid().simple().to_string();
    let stem: String = service.row.name.chars().take(45).collect();
    let other = format!(
        "{}-kept-{}",
        stem.trim_end_matches('-'),
        digits.get(26..).unwrap_or(&digits)
    );
    let changes = json!({"name": other, FIELD: null});
    let changes = changes.as_object().cloned().unwrap_or_default();
    caller.engine.disband(&caller.scope, &ty, &service.row, changes).await?;
    Ok(())
}
