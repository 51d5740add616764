//! Bodies: JSON objects, their members by type, and what is wrong with them in the form of the object that is asked for.

use actix_web::http::Method;
use serde_json::{Map, Value};

use super::refusal::{Form, Outcome, Refusal};
use super::route::{Below, Inside, Route};

/// Whether a request has a body that counts.
pub fn has_body(method: &Method, route: &Route<'_>) -> bool {
    let is_action = matches!(
        route,
        Route::Of(_, Below::Test(_)) | Route::In(_, _, Inside::Reboot(_) | Inside::Refresh(_))
    );
    matches!(method.as_str(), "POST" | "PUT" | "PATCH") && !is_action
}

/// What was sent, an object.
///
/// # Errors
/// 400 for what is none.
pub fn body(sent: &[u8]) -> Outcome<Value> {
    match serde_json::from_slice(sent) {
        Ok(body @ Value::Object(_)) => Ok(body),
        Ok(_) | Err(_) => Err(Refusal::field(Form::Plain, "body", "must be an object of JSON")),
    }
}

/// The members of an object, taken out one by one: what is left at the end is unknown.
pub struct Members {
    form: Form,
    all: Map<String, Value>,
}

impl Members {
    /// Of a body.
    pub fn new(form: Form, body: Value) -> Self {
        let all = match body {
            Value::Object(all) => all,
            _ => Map::new(),
        };
        Self { form, all }
    }

    /// 400 for a member.
    pub fn wrong<T>(&self, field: &str, why: &str) -> Outcome<T> {
        Err(Refusal::field(self.form, field, why))
    }

    /// Whether a member is there, be it null.
    pub fn has(&self, field: &str) -> bool {
        self.all.contains_key(field)
    }

    /// Takes a member out; null is as good as none.
    pub fn take(&mut self, field: &str) -> Option<Value> {
        self.all.shift_remove(field).filter(|value| !value.is_null())
    }

    /// Takes a text out.
    pub fn text(&mut self, field: &str) -> Outcome<Option<String>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => self.wrong(field, "must be a string"),
        }
    }

    /// Takes a text out that has to be there.
    pub fn needed(&mut self, field: &str) -> Outcome<String> {
        match self.text(field)? {
            Some(text) => Ok(text),
            None => self.wrong(field, "must be a string"),
        }
    }

    /// Takes a whole number out, of at least `least` and at most `most`.
    pub fn number(&mut self, field: &str, least: i64, most: i64) -> Outcome<Option<i64>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        // A number that JSON writes with a point may be whole all the same.
        let whole = |number: f64| {
            let is_whole = number.fract() == 0.0 && number.abs() <= 9.0e15;
            is_whole.then(|| format!("{number:.0}").parse().ok()).flatten()
        };
        let number: Option<i64> = value.as_i64().or_else(|| value.as_f64().and_then(whole));
        match number {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            Some(number) if number < least => self.wrong(field, &format!("must be at least {least}")),
            Some(_) => self.wrong(field, &format!("must be at most {most}")),
            None => self.wrong(field, "must be an integer"),
        }
    }

    /// Takes a list out; none is null, or not there.
    pub fn list(&mut self, field: &str, most: usize) -> Outcome<Option<Vec<Value>>> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Array(list)) if list.len() <= most => Ok(Some(list)),
            Some(Value::Array(_)) => self.wrong(field, &format!("must have at most {most} entries")),
            Some(_) => self.wrong(field, "must be an array"),
        }
    }

    /// 400 for the first member that nobody took.
    pub fn end(self) -> Outcome<()> {
        match self.all.keys().next() {
            None => Ok(()),
            Some(field) => Err(Refusal::field(self.form, field, "is not known")),
        }
    }
}
