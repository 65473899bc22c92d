use std::fmt;

/// Why a call failed, in one line. The vendor's interface has only -1 for all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<rkllmjs_core::Error> for Failure {
    fn from(error: rkllmjs_core::Error) -> Self {
        match error.option {
            Some(option) => Self(format!("{option} {}", error.message)),
            None => Self(error.message),
        }
    }
}
