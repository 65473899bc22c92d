use serde_json::{Value, json};

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Something does not run.
    Error,
    /// It runs badly, or may not.
    Warning,
    /// Good to know.
    Note,
}

/// Something that is not as it could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    /// One sentence without a full stop.
    pub(super) message: String,
    /// What a person can do.
    pub(super) fix: Option<String>,
}

impl Problem {
    pub(super) fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), fix: None }
    }

    pub(super) fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    pub(super) fn note(message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(message) }
    }

    pub(super) fn fixed_by(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    pub(super) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

pub(super) fn describe(problems: Vec<Problem>) -> Vec<Value> {
    let described = problems.into_iter().map(|Problem { severity, message, fix }| {
        let severity = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        json!({ "severity": severity, "message": message, "fix": fix })
    });
    described.collect()
}
