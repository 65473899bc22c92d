use napi::bindgen_prelude::Either;
use napi_derive::napi;
use rkllmjs_core::{Detail, Error, ErrorCode};
use serde_json::{Map, Value};

/// A failure as a value.
#[napi(object)]
#[derive(Debug)]
pub struct NativeError {
    /// Always true: tells this from any result.
    pub native_error: bool,
    /// The published code.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// Facts for code, as a JSON object.
    pub details: String,
}

/// A result that may be a failure.
pub(crate) type NativeResult<T> = Either<NativeError, T>;

impl From<Error> for NativeError {
    fn from(error: Error) -> Self {
        let mut details: Map<String, Value> = error
            .details
            .into_iter()
            .map(|(name, detail)| (camel_case(name), detail_value(detail)))
            .collect();
        let message = match error.option {
            Some(option) => {
                let option = camel_case(option);
                let message = format!("{option} {}", error.message);
                details.insert("option".to_owned(), Value::String(option));
                message
            }
            None => error.message,
        };
        Self {
            native_error: true,
            code: error.code.as_str().to_owned(),
            message: with_camel_case_names(&message),
            retryable: error.code.is_retryable(),
            details: Value::Object(details).to_string(),
        }
    }
}

impl NativeError {
    /// The same as JSON, for places where it travels inside something else.
    pub(crate) fn into_value(self) -> Value {
        serde_json::json!({
            "nativeError": true,
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
            "details": self.details,
        })
    }
}

fn detail_value(detail: Detail) -> Value {
    match detail {
        Detail::Number(number) => Value::from(number),
        Detail::Text(text) => Value::String(text),
        Detail::List(list) => list.into(),
    }
}

/// `result` as JavaScript gets it.
pub(crate) fn as_value<T>(result: Result<T, Error>) -> NativeResult<T> {
    match result {
        Ok(value) => Either::B(value),
        Err(error) => Either::A(error.into()),
    }
}

/// What a defect of ours looks like.
pub(crate) fn internal(message: &str) -> Error {
    Error::new(ErrorCode::Internal, message)
}

/// `max_tokens` as JavaScript writes it.
pub(crate) fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut text, word| {
        let mut letters = word.chars();
        text.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        text.push_str(letters.as_str());
        text
    })
}

/// Writes the names of options inside a message as JavaScript does; parts of longer words stay.
pub(crate) fn with_camel_case_names(message: &str) -> String {
    let facts = rkllmjs_core::OPTIONS.iter().chain(&rkllmjs_runtime::LOAD_OPTIONS);
    let facts = facts.chain(&rkllmjs_runtime::NPU_OPTIONS).chain(&rkllmjs_core::IMAGE_OPTIONS);
    let names = facts.map(|fact| fact.name);
    let samplers = rkllmjs_core::SAMPLER_NAMES.iter().map(|&(name, _)| name);
    let others = [
        "allow_requantize",
        "cache_prompt",
        "context_overflow",
        "draft_model",
        "ignore_eos",
        "kv_cache_type",
        "library_path",
        "prompt_cache",
        "runtime_version",
        "template_args",
        "tool_choice",
        "top_n",
    ];
    let names: Vec<&str> = names.chain(samplers).chain(others).collect();
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let mut text = String::with_capacity(message.len());
    // Words with what separates them at their ends.
    for word in message.split_inclusive(|c| !is_inside(c)) {
        let name = word.trim_end_matches(|c| !is_inside(c) || c == '.');
        if name.contains('_') && names.contains(&name) {
            text.push_str(&camel_case(name));
            text.push_str(word.get(name.len()..).unwrap_or_default());
        } else {
            text.push_str(word);
        }
    }
    text
}
