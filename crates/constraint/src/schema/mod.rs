//! A JSON Schema as `llguidance` gets it: nothing in it that would be ignored.

mod format;
mod joined;
mod keyword;
mod number;
mod reference;
mod walk;

use rkllmjs_core::{Detail, Error, ErrorCode};
use serde_json::{Map, Value, json};

/// Deepest nesting of a schema; what reads it recurses.
const DEPTH_MAX: usize = 64;
/// Most values in a schema, of whatever kind.
const VALUES_MAX: usize = 10_000;

/// What may stand between two parts of a JSON text: nothing, a space, or a new line with its indentation. More
/// would let a model go on with blanks for ever.
const BLANK: &str = r"\x20|\n\x20{0,32}";
/// How characters may be escaped in a JSON text. Not by number, which would be a second spelling of every name.
const ESCAPES: &str = "nrbtf\\\"";

/// What is wrong with a schema.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    code: ErrorCode,
    message: String,
    keyword: Option<String>,
    place: String,
}

impl Fault {
    /// It is no schema, or too much of one.
    pub(crate) fn invalid(place: &str, message: impl Into<String>) -> Self {
        Self {
            code: ErrorCode::InvalidRequest,
            message: message.into(),
            keyword: None,
            place: place.to_owned(),
        }
    }

    /// It is a schema that asks for what cannot be enforced.
    pub(crate) fn unsupported(place: &str, keyword: &str, message: impl Into<String>) -> Self {
        Self {
            code: ErrorCode::Unsupported,
            message: message.into(),
            keyword: Some(keyword.to_owned()),
            place: place.to_owned(),
        }
    }

    /// The error of the option that brought the schema.
    pub(crate) fn of(self, option: &'static str) -> Error {
        let at = if self.place.is_empty() { String::new() } else { format!(" at {}", self.place) };
        let message = match &self.keyword {
            Some(keyword) => format!("has {keyword:?}{at}, which {}", self.message),
            None => format!("is no schema that can be used{at}: {}", self.message),
        };
        let error = Error { code: self.code, ..Error::option(option, message) };
        let error = if self.place.is_empty() { error } else { error.with("place", Detail::Text(self.place)) };
        match self.keyword {
            Some(keyword) => error.with("keyword", Detail::Text(keyword)),
            None => error,
        }
    }
}

/// The schema in `text`, without annotations, for the engine.
pub(crate) fn read(text: &str) -> Result<Value, Fault> {
    let schema: Value =
        serde_json::from_str(text).map_err(|error| Fault::invalid("", format!("it is no JSON: {error}")))?;
    let (depth, values) = size(&schema, 1);
    if depth > DEPTH_MAX {
        return Err(Fault::invalid("", format!("it nests {depth} deep, at most {DEPTH_MAX} are allowed")));
    }
    if values > VALUES_MAX {
        return Err(Fault::invalid("", format!("it has {values} values, at most {VALUES_MAX} are allowed")));
    }
    let cleaned = walk::cleaned(&schema)?;
    joined::check(&cleaned)?;
    let mut schema = match cleaned {
        Value::Object(fields) => fields,
        Value::Bool(false) => return Err(Fault::invalid("", "nothing fits it")),
        _ => Map::new(),
    };
    let form = json!({ "whitespace_pattern": BLANK, "json_allowed_escapes": ESCAPES });
    schema.insert("x-guidance".to_owned(), form);
    Ok(Value::Object(schema))
}

/// How deep a value nests and how many it holds. Parsing has bounded the depth.
fn size(value: &Value, depth: usize) -> (usize, usize) {
    let inner: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => return (depth, 1),
    };
    inner
        .into_iter()
        .map(|value| size(value, depth + 1))
        .fold((depth, 1), |(deepest, sum), (depth, count)| (deepest.max(depth), sum + count))
}

#[cfg(test)]
mod tests;
