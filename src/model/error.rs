//! The one error that crosses layers: what a client may see, and what only the log sees.

use std::borrow::Cow;

/// The result of everything that can be refused or can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is; `api::error` turns it into a status and a default code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 400: the request cannot be read.
    BadRequest,
    /// 401: nobody has proved who asks.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404: no such type, row or link, or not visible.
    NotFound,
    /// 405: the method is not in the schema, or not legal in this state.
    MethodNotAllowed,
    /// 408: the body did not come in time.
    Timeout,
    /// 409: the state changed meanwhile, or something else holds the resource.
    Conflict,
    /// 413.
    TooLarge,
    /// 422: a field is wrong; has a code and usually a field.
    Invalid,
    /// 429: too many attempts; try again after so many seconds.
    TooMany(u32),
    /// 500: our fault.
    Internal,
    /// 501: part of the API that this build does not have.
    NotImplemented,
    /// 503: try again later.
    Unavailable,
}

/// A refusal or a failure.
#[derive(Debug)]
pub struct Error {
    /// What sort of failure.
    pub kind: ErrorKind,
    /// The wire code (`MissingRequired`); none means the default of the kind.
    pub code: Option<Cow<'static, str>>,
    /// The wire `fieldName`.
    pub field: Option<String>,
    /// A sentence a client may see. Never holds SQL, paths or secrets.
    pub external: Option<String>,
    /// The wire `detail`.
    pub detail: Option<String>,
    /// What only the log sees.
    pub cause: Option<Box<Cause>>,
}

/// Why it failed, for the log. Boxed, as most errors are refusals and have none.
#[derive(Debug)]
pub struct Cause {
    /// What was being done.
    pub context: Cow<'static, str>,
    /// What came in the way.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A failure of this kind with nothing more to say.
    pub fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            code: None,
            field: None,
            external: None,
            detail: None,
            cause: None,
        }
    }

    /// 422 with a code and the field it is about.
    pub fn invalid(code: &'static str, field: impl Into<String>) -> Self {
        Self {
            code: Some(Cow::Borrowed(code)),
            field: Some(field.into()),
            ..Self::new(ErrorKind::Invalid)
        }
    }

    /// 404.
    pub fn not_found() -> Self {
        Self::new(ErrorKind::NotFound)
    }

    /// 409 with a sentence.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict).with_message(message)
    }

    /// 500; `what` names what was being done, the source is logged.
    pub fn internal(
        what: impl Into<Cow<'static, str>>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        let cause = Cause {
            context: what.into(),
            source: Some(Box::new(source)),
        };
        Self {
            cause: Some(Box::new(cause)),
            ..Self::new(ErrorKind::Internal)
        }
    }

    /// 500 without a source.
    pub fn bug(what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            cause: Some(Box::new(Cause {
                context: what.into(),
                source: None,
            })),
            ..Self::new(ErrorKind::Internal)
        }
    }

    /// 501 for a part of the API that is not built; `what` names it.
    pub fn not_implemented(what: impl Into<String>) -> Self {
        Self {
            code: Some(Cow::Borrowed("NotImplemented")),
            ..Self::new(ErrorKind::NotImplemented)
        }
        .with_message(what)
    }

    /// The same with a sentence for the client.
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.external = Some(message.into());
        self
    }

    /// The same about a field.
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The same with another code.
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(Cow::Borrowed(code));
        self
    }
}

impl Error {
    /// What was being done when it failed, for the log.
    pub fn context(&self) -> Option<&str> {
        self.cause.as_ref().map(|cause| cause.context.as_ref())
    }

    /// The error and its causes, outermost first: for the log.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.kind)?;
        for part in [
            self.code.as_deref(),
            self.field.as_deref(),
            self.context(),
            self.external.as_deref(),
        ]
        .into_iter()
        .flatten()
        {
            write!(f, ": {part}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref()?.source.as_deref().map(|s| s as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_being_done_is_for_the_log_and_no_field() {
        let error = Error::internal("reading a row", std::io::Error::other("the disk is gone"));
        assert_eq!((error.field.as_deref(), error.context()), (None, Some("reading a row")));
        assert_eq!(error.chain(), "Internal: reading a row: the disk is gone");
        let refused = Error::invalid("MissingRequired", "name");
        assert_eq!(
            (refused.context(), refused.chain()),
            (None, "Invalid: MissingRequired: name".to_owned())
        );
    }
}
