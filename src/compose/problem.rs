//! What is wrong with a file, and what in it has no effect: always with the service and the key.

use std::fmt;

/// What is read, or what is wrong with it.
pub type Read<T> = Result<T, Problem>;

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// From the outside in: `service web`, `ports`.
    place: Vec<String>,
    /// What is wrong there.
    message: String,
}

impl Problem {
    /// Something is wrong; where is said by who knows.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            place: Vec::new(),
            message: message.into(),
        }
    }

    /// The same inside of something.
    pub fn within(mut self, place: impl Into<String>) -> Self {
        self.place.insert(0, place.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// A key that is read and has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The service that has it; none at the top of a file.
    pub service: Option<String>,
    /// The key.
    pub key: String,
    /// Why it has no effect.
    pub reason: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.service {
            Some(service) => write!(f, "service {service}: {}: {}", self.key, self.reason),
            None => write!(f, "{}: {}", self.key, self.reason),
        }
    }
}
