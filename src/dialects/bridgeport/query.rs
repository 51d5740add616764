//! Parameters of requests.

use url::form_urlencoded;

use super::refusal::{Outcome, Refusal};

/// The parameters of a request, in order.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads them.
    pub fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first one of this name.
    pub fn first(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it says yes.
    pub fn is_on(&self, name: &str) -> bool {
        matches!(self.first(name), Some("true" | "1"))
    }

    /// A whole number from `least` to `most`.
    ///
    /// # Errors
    /// 400 with the parameter for what is none.
    pub fn number(&self, name: &str, default: usize, least: usize, most: usize) -> Outcome<usize> {
        let Some(text) = self.first(name).filter(|text| !text.is_empty()) else {
            return Ok(default);
        };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| Refusal::bad(name, format!("{name} is a whole number from {least} to {most}")))
    }
}
