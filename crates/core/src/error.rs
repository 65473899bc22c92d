use std::fmt;

/// Why a call failed, as one word that every border understands.
///
/// Deliberately exhaustive: a new code must be given its row in every table before anything compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The caller's input is wrong.
    InvalidRequest,
    /// The input is valid but this engine, model or build cannot do it.
    Unsupported,
    /// The prompt does not fit the context.
    ContextExceeded,
    /// No key, or a wrong one.
    Unauthorized,
    /// The key does not permit this.
    Forbidden,
    /// No such model.
    ModelNotFound,
    /// No such route, response or other thing.
    NotFound,
    /// The input is larger than a limit.
    PayloadTooLarge,
    /// The model file is corrupt, truncated, or made for something else.
    ModelInvalid,
    /// The model or its cache does not fit the memory.
    InsufficientMemory,
    /// The queue is full.
    Overloaded,
    /// Too many requests in a period.
    RateLimited,
    /// A budget is spent.
    QuotaExceeded,
    /// Not finished, or not read, in time.
    DeadlineExceeded,
    /// The vendor's runtime library is missing or of a wrong version.
    LibraryUnavailable,
    /// No such device, or somebody else holds it.
    DeviceUnavailable,
    /// Loading or draining; it will be back.
    Unavailable,
    /// The model was closed.
    Closed,
    /// The engine reported a failure.
    EngineFailed,
    /// A defect of this library.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the published table.
    pub const ALL: [Self; 20] = [
        Self::InvalidRequest,
        Self::Unsupported,
        Self::ContextExceeded,
        Self::Unauthorized,
        Self::Forbidden,
        Self::ModelNotFound,
        Self::NotFound,
        Self::PayloadTooLarge,
        Self::ModelInvalid,
        Self::InsufficientMemory,
        Self::Overloaded,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::DeadlineExceeded,
        Self::LibraryUnavailable,
        Self::DeviceUnavailable,
        Self::Unavailable,
        Self::Closed,
        Self::EngineFailed,
        Self::Internal,
    ];

    /// The row of this code: name, HTTP status, exit code, worth retrying unchanged.
    const fn row(self) -> (&'static str, u16, u8, bool) {
        match self {
            Self::InvalidRequest => ("invalid-request", 400, 2, false),
            Self::Unsupported => ("unsupported", 400, 2, false),
            Self::ContextExceeded => ("context-exceeded", 400, 2, false),
            Self::Unauthorized => ("unauthorized", 401, 2, false),
            Self::Forbidden => ("forbidden", 403, 2, false),
            Self::ModelNotFound => ("model-not-found", 404, 3, false),
            Self::NotFound => ("not-found", 404, 3, false),
            Self::PayloadTooLarge => ("payload-too-large", 413, 2, false),
            Self::ModelInvalid => ("model-invalid", 422, 3, false),
            Self::InsufficientMemory => ("insufficient-memory", 422, 3, false),
            Self::Overloaded => ("overloaded", 429, 4, true),
            Self::RateLimited => ("rate-limited", 429, 4, true),
            Self::QuotaExceeded => ("quota-exceeded", 429, 4, false),
            Self::DeadlineExceeded => ("deadline-exceeded", 504, 4, true),
            Self::LibraryUnavailable => ("library-unavailable", 503, 5, false),
            Self::DeviceUnavailable => ("device-unavailable", 503, 5, true),
            Self::Unavailable => ("unavailable", 503, 5, true),
            Self::Closed => ("closed", 503, 5, false),
            Self::EngineFailed => ("engine-failed", 500, 6, true),
            Self::Internal => ("internal", 500, 70, false),
        }
    }

    /// The published name, such as `context-exceeded`.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status a server answers with.
    pub const fn http_status(self) -> u16 {
        self.row().1
    }

    /// The exit code of a command that ends with it.
    pub const fn exit_code(self) -> u8 {
        self.row().2
    }

    /// Whether the same call may succeed later.
    pub const fn is_retryable(self) -> bool {
        self.row().3
    }
}

/// A fact that belongs to an error, for code that acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// A count or a number of bytes.
    Number(u64),
    /// A name or a path.
    Text(String),
    /// Several of them.
    List(Vec<String>),
}

/// A failure with its code, a message for people and facts for code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What kind of failure.
    pub code: ErrorCode,
    /// The option at fault, in `snake_case`; a border writes it in its own case.
    pub option: Option<&'static str>,
    /// One sentence without a full stop; it continues the option's name where there is one.
    pub message: String,
    /// Named facts, such as `prompt_tokens`, in `snake_case`.
    pub details: Vec<(&'static str, Detail)>,
}

impl Error {
    /// An error without an option or details.
    #[cold]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, option: None, message: message.into(), details: Vec::new() }
    }

    /// A wrong value of `option`; `message` continues its name: `must be at most 2, got 5`.
    #[cold]
    pub fn option(option: &'static str, message: impl Into<String>) -> Self {
        Self { option: Some(option), ..Self::new(ErrorCode::InvalidRequest, message) }
    }

    /// An option the engine, the model or this build cannot honour.
    #[cold]
    pub fn unsupported(option: &'static str, message: impl Into<String>) -> Self {
        Self { option: Some(option), ..Self::new(ErrorCode::Unsupported, message) }
    }

    /// A prompt that leaves no room for an answer.
    #[cold]
    pub fn context_exceeded(prompt_tokens: usize, context_size: u32) -> Self {
        let message = format!(
            "the prompt has {prompt_tokens} tokens and the context holds {context_size}, prompt and answer \
             together; shorten it or load the model with a larger context size"
        );
        Self::new(ErrorCode::ContextExceeded, message)
            .with("prompt_tokens", Detail::Number(prompt_tokens as u64))
            .with("context_size", Detail::Number(u64::from(context_size)))
    }

    /// The same error with one more fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, detail: Detail) -> Self {
        self.details.push((name, detail));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.option {
            Some(option) => write!(f, "{option} {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn the_table_of_codes_is_the_published_one() {
        let rows: Vec<String> = ErrorCode::ALL
            .iter()
            .map(|c| format!("{} {} {} {}", c.as_str(), c.http_status(), c.exit_code(), c.is_retryable()))
            .collect();
        assert_eq!(rows.join("\n"), include_str!("error_codes.txt").trim_end());
    }
}
