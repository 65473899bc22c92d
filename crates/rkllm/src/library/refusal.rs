use super::version::Version;

/// Why one file is not the library to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Continues the path: `is empty`.
    pub(super) reason: String,
    /// The version it has, where that is known.
    pub(super) found: Option<Version>,
}

const MISSING: &str = "does not exist";

impl Refusal {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), found: None }
    }

    pub(super) fn missing() -> Self {
        Self::new(MISSING)
    }

    /// There is no such file, which says nothing against looking elsewhere.
    pub(super) fn is_missing(&self) -> bool {
        self.reason == MISSING
    }

    pub(super) fn of(self, version: Option<Version>) -> Self {
        Self { found: version, ..self }
    }
}
