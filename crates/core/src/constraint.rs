use serde::{Deserialize, Serialize};

use crate::{Error, GenerateOptions};

/// Most bytes of a JSON Schema.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// Most bytes of a regular expression.
const REGEX_BYTES_MAX: usize = 16 * 1024;

/// What the text of an answer must be, by the option that says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Constraint {
    /// JSON that fits this JSON Schema.
    JsonSchema(String),
    /// The same, asked for as the format of a message.
    ResponseFormat(String),
    /// Text that this regular expression matches as a whole.
    Regex(String),
}

impl Constraint {
    /// The option it comes from.
    pub const fn option(&self) -> &'static str {
        match self {
            Self::JsonSchema(_) => "json_schema",
            Self::ResponseFormat(_) => "response_format",
            Self::Regex(_) => "regex",
        }
    }

    /// The schema or the expression.
    pub fn text(&self) -> &str {
        match self {
            Self::JsonSchema(text) | Self::ResponseFormat(text) | Self::Regex(text) => text,
        }
    }

    /// The one that `options` ask for. Whether it says something is the engine's to find out.
    pub(crate) fn asked_for(options: &GenerateOptions) -> Result<Option<Self>, Error> {
        let given = [
            options.json_schema.clone().map(Self::JsonSchema),
            options.response_format.clone().map(Self::ResponseFormat),
            options.regex.clone().map(Self::Regex),
        ];
        let mut given = given.into_iter().flatten();
        let Some(first) = given.next() else { return Ok(None) };
        let other = given.next().map(|other| other.option());
        if let Some(other) = other.or(options.grammar.as_ref().map(|_| "grammar")) {
            return Err(Error::option(first.option(), format!("cannot be combined with {other}")));
        }
        first.check_size()?;
        Ok(Some(first))
    }

    fn check_size(&self) -> Result<(), Error> {
        let most = match self {
            Self::JsonSchema(_) | Self::ResponseFormat(_) => SCHEMA_BYTES_MAX,
            Self::Regex(_) => REGEX_BYTES_MAX,
        };
        let size = self.text().len();
        if size > most {
            return Err(Error::option(self.option(), format!("holds at most {most} bytes, got {size}")));
        }
        Ok(())
    }
}

/// Thoughts that may come before an answer: a constraint begins after them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thoughts {
    /// What they begin with; empty where the prompt has begun them.
    pub opens: String,
    /// What ends them: the first of these that comes.
    pub closes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::Constraint;
    use crate::{ErrorCode, GenerateOptions};

    #[test]
    fn one_constraint_is_taken_and_two_are_refused_by_name() {
        let schema = GenerateOptions { json_schema: Some("{}".to_owned()), ..Default::default() };
        assert_eq!(Constraint::asked_for(&schema), Ok(Some(Constraint::JsonSchema("{}".to_owned()))));
        assert_eq!(Constraint::asked_for(&GenerateOptions::default()), Ok(None));
        let both = [
            (GenerateOptions { regex: Some("a".to_owned()), ..schema.clone() }, "regex"),
            (GenerateOptions { response_format: Some("{}".to_owned()), ..schema.clone() }, "response_format"),
            (GenerateOptions { grammar: Some("root ::= \"a\"".to_owned()), ..schema }, "grammar"),
        ];
        for (options, other) in both {
            let error = Constraint::asked_for(&options).expect_err(other);
            assert_eq!((error.code, error.option), (ErrorCode::InvalidRequest, Some("json_schema")));
            assert!(error.message.contains(other), "{error}");
        }
    }

    #[test]
    fn a_constraint_is_of_bounded_size() {
        let long = GenerateOptions { regex: Some("a".repeat(16 * 1024 + 1)), ..Default::default() };
        let error = Constraint::asked_for(&long).expect_err("too long");
        assert_eq!(error.to_string(), "regex holds at most 16384 bytes, got 16385");
    }
}
