//! Commands in containers: made, looked at, and their windows. How one is started and carried is in `exec_run`.
//!
//! What Docker keeps of a command between these requests is kept in memory: after a restart of the server none of them is known.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use super::DockerApi;
use super::caller::{Caller, Deed, fields};
use super::containers;
use super::frames::Outputs;
use super::keys::canonical;
use super::query::Query;
use super::refusal::{Outcome, Refusal};
use crate::engine::{Answer, Input, Terminal};
use crate::model::ResourceId;
use crate::model::id::random_uuid;

/// Commands of a project that are remembered; those that were made first are forgotten first.
const MOST: usize = 200;
/// The longest command, with its variables, in bytes.
const LONGEST: usize = 128 * 1024;

/// The commands that are known.
#[derive(Default)]
pub struct Execs(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    last: u64,
    by_number: BTreeMap<u64, Arc<Exec>>,
}

/// A command.
pub struct Exec {
    id: String,
    project: ResourceId,
    container: String,
    /// The body by which it was made.
    asked: Value,
    /// What opens it, once.
    token: Mutex<Option<(&'static str, String)>>,
    /// Its terminal and its end, once it has begun.
    begun: Mutex<Option<Arc<dyn Terminal>>>,
}

impl Execs {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, exec: Exec) {
        let mut kept = self.lock();
        kept.last += 1;
        let (number, project) = (kept.last, exec.project);
        kept.by_number.insert(number, Arc::new(exec));
        let own = kept.by_number.iter().filter(|(_, other)| other.project == project);
        let (first, count) = own.fold((None, 0), |(first, count), (number, _)| {
            (first.or(Some(*number)), count + 1)
        });
        if count > MOST
            && let Some(first) = first
        {
            kept.by_number.remove(&first);
        }
    }

    /// The command of this id, if it is in the caller's project and the caller may run commands.
    ///
    /// # Errors
    /// 404 if it is not known, 403 if the caller may not.
    pub fn find(&self, caller: &Caller, id: &str) -> Outcome<Arc<Exec>> {
        let ty = caller.may("container", Deed::Read)?;
        caller.may_act(&ty, "execute")?;
        let kept = self.lock();
        let is_it = |exec: &&Arc<Exec>| exec.id == id && exec.project == caller.scope.effective.id;
        let missing = || Refusal::new(StatusCode::NOT_FOUND, format!("No such exec instance: {id}"));
        kept.by_number.values().find(is_it).cloned().ok_or_else(missing)
    }
}

impl Exec {
    /// Whether it was made with this.
    pub fn has(&self, name: &str) -> bool {
        is_on(&self.asked, name)
    }

    /// What of its output is wanted.
    pub fn outputs(&self) -> Outputs {
        let (out, err) = (self.has("AttachStdout"), self.has("AttachStderr"));
        // A terminal has one output.
        let out = out || (err && self.has("TTY"));
        Outputs { out, err }
    }

    /// What opens it, for whoever asks first.
    ///
    /// # Errors
    /// 409 if it was asked for before.
    pub fn token(&self) -> Outcome<(&'static str, String)> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).take();
        let words = || format!("Error: Exec command {} has already run", self.id);
        token.ok_or_else(|| Refusal::new(StatusCode::CONFLICT, words()))
    }

    /// Its terminal and its end; none before it has begun.
    pub fn terminal(&self) -> Option<Arc<dyn Terminal>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It begins.
    pub fn begin(&self, terminal: Box<dyn Terminal>) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        *begun = Some(Arc::from(terminal));
    }
}

fn is_on(body: &Value, name: &str) -> bool {
    body.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// `POST /containers/{id}/exec`.
pub async fn create(state: &DockerApi, caller: &mut Caller, wanted: &str, body: Value) -> Outcome<Value> {
    let ty = caller.may("container", Deed::Read)?;
    let row = containers::find(caller, wanted).await?;
    let body = canonical(body);
    let input = input(&body)?;
    let mut noted = input.clone();
    // Values of variables are nothing for a log.
    noted.shift_remove("environment");
    caller.note(&ty.def, Some(&row), "execute", &noted);
    caller.may_act(&ty, "execute")?;
    let container = fields(&row)?.text("externalId").unwrap_or_default();
    if !caller.engine.offers(caller.scope.version, &ty, &row, "execute") {
        let words = format!("Container {container} is not running");
        return Err(Refusal::new(StatusCode::CONFLICT, words));
    }
    let acted = caller.engine.act(&caller.scope, &ty, row.id, "execute", input).await?;
    let Answer::Access { path, token, .. } = acted else {
        return Err(Refusal::nowhere());
    };
    let id = format!("{}{}", random_uuid().simple(), random_uuid().simple());
    state.execs.add(Exec {
        id: id.clone(),
        project: caller.scope.effective.id,
        container,
        asked: body,
        token: Mutex::new(Some((path, token))),
        begun: Mutex::default(),
    });
    Ok(json!({"Id": id}))
}

/// What is asked for, in Rancher's words and some more.
fn input(body: &Value) -> Outcome<Input> {
    let texts = |name: &str| -> Outcome<Vec<String>> {
        let given = body.get(name).cloned().unwrap_or_default();
        let given: Option<Vec<String>> =
            serde_json::from_value(given).map_err(|e| Refusal::bad(format!("invalid JSON: {name}: {e}")))?;
        let given = given.unwrap_or_default();
        match given.iter().any(|text| text.contains('\0')) {
            true => Err(Refusal::bad(format!("{name}: a text has no NUL"))),
            false => Ok(given),
        }
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let (command, environment) = (texts("Cmd")?, texts("Env")?);
    if command.first().is_none_or(String::is_empty) {
        return Err(Refusal::bad("No exec command specified"));
    }
    let all = command.iter().chain(&environment).map(String::len).sum::<usize>();
    if all > LONGEST {
        return Err(Refusal::bad(format!("Cmd, Env: longer than {LONGEST} bytes")));
    }
    if is_on(body, "Privileged") {
        return Err(Refusal::not_built(
            "Privileged: a command has no more rights than its container in this build",
        ));
    }
    if !text("DetachKeys").is_empty() {
        return Err(Refusal::not_built("DetachKeys are not part of this build"));
    }
    let output = is_on(body, "AttachStdout") || is_on(body, "AttachStderr");
    let input = json!({
        "command": command, "environment": environment, "tty": is_on(body, "TTY"), "attachStdin": is_on(body, "AttachStdin"),
        "attachStdout": output, "user": text("User"), "workingDir": text("WorkingDir"),
    });
    match input {
        Value::Object(input) => Ok(input),
        _ => Ok(Input::new()),
    }
}

/// `GET /exec/{id}/json`.
pub async fn inspect(state: &DockerApi, caller: &Caller, id: &str) -> Outcome<Value> {
    let exec = state.execs.find(caller, id)?;
    let (running, code) = match exec.terminal() {
        None => (false, None),
        Some(terminal) => match terminal.exit_code().await {
            Ok(code) => (code.is_none(), code),
            Err(error) => {
                // It went with its container, or its engine is away.
                log::debug!("how a command ended: {error}");
                (false, None)
            }
        },
    };
    let asked = &exec.asked;
    let command = asked.get("Cmd").and_then(Value::as_array).cloned().unwrap_or_default();
    let (first, rest) = command
        .split_first()
        .map_or((Value::Null, &[][..]), |(first, rest)| (first.clone(), rest));
    let (out, err) = (exec.has("AttachStdout"), exec.has("AttachStderr"));
    let mut process = Map::new();
    process.insert("tty".into(), json!(exec.has("TTY")));
    process.insert("entrypoint".into(), first);
    process.insert("arguments".into(), json!(rest));
    process.insert("privileged".into(), json!(false));
    if let Some(user) = asked.get("User").filter(|user| **user != json!("")) {
        process.insert("user".into(), user.clone());
    }
    Ok(json!({
        "ID": exec.id, "Running": running, "ExitCode": code, "ProcessConfig": process, "OpenStdin": exec.has("AttachStdin"),
        "OpenStderr": err, "OpenStdout": out, "CanRemove": false, "ContainerID": exec.container,
        "DetachKeys": "", "Pid": 0,
    }))
}

/// `POST /exec/{id}/resize`.
pub async fn resize(state: &DockerApi, caller: &Caller, id: &str, query: &Query) -> Outcome<()> {
    let exec = state.execs.find(caller, id)?;
    let side = |name: &str| -> Outcome<u16> {
        let text = query.first(name).unwrap_or_default();
        let wrong = |_| Refusal::bad(format!("strconv.Atoi: parsing {text:?}: invalid syntax"));
        text.parse().map_err(wrong)
    };
    let (rows, columns) = (side("h")?, side("w")?);
    let words = || format!("exec {id} is not running");
    let terminal = exec
        .terminal()
        .ok_or_else(|| Refusal::new(StatusCode::CONFLICT, words()))?;
    let resized = terminal.resize(columns, rows).await;
    resized.map_err(|error| Refusal::new(StatusCode::CONFLICT, error.to_string()))
}
