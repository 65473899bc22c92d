use std::collections::HashMap;

use rkllmjs_core::Error;
use serde_json::{Map, Value};

use crate::added::AddedEntry;
use crate::companion_file::CompanionFile;

/// What `tokenizer_config.json` and `special_tokens_map.json` say about tokens.
#[derive(Debug, Default)]
pub(crate) struct TokenizerConfig {
    /// Added tokens, by id.
    pub(crate) added: Vec<AddedEntry>,
    /// Whether a text begins with the start token; `None` leaves it to the post-processor.
    pub(crate) add_start: Option<bool>,
    /// Whether a text ends with the end token.
    pub(crate) add_end: Option<bool>,
    /// The start token's text.
    pub(crate) start: Named,
    /// The end token's text.
    pub(crate) end: Named,
    /// Other tokens that the files call special.
    special: Vec<String>,
}

/// A token that a file may name, name as none, or not mention.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// Not mentioned.
    #[default]
    Absent,
    /// Said to be none.
    None,
    /// Its text.
    Text(String),
}

impl Named {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::None => None,
        }
    }
}

impl TokenizerConfig {
    /// Reads both files; what the second says counts where the first is silent.
    pub(crate) fn read(config: Option<&CompanionFile>, map: Option<&CompanionFile>) -> Result<Self, Error> {
        let mut this = Self::default();
        for file in [config, map].into_iter().flatten() {
            let fields = file.fields()?;
            if this.start == Named::Absent {
                this.start = named(file, &fields, "bos_token")?;
            }
            if this.end == Named::Absent {
                this.end = named(file, &fields, "eos_token")?;
            }
            for list in ["additional_special_tokens", "extra_special_tokens"] {
                this.special.extend(special_tokens(file, &fields, list)?);
            }
            this.add_start = this.add_start.or(flag(file, &fields, "add_bos_token")?);
            this.add_end = this.add_end.or(flag(file, &fields, "add_eos_token")?);
            if this.added.is_empty() {
                this.added = added_tokens(file, &fields)?;
            }
        }
        Ok(this)
    }

    /// The tokens that the files name as special.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        let start_and_end = self.start.text().into_iter().chain(self.end.text());
        start_and_end.chain(self.special.iter().map(String::as_str))
    }

    /// Whether a token is one of them.
    pub(crate) fn names(&self, content: &str) -> bool {
        self.named().any(|name| name == content)
    }
}

fn flag(file: &CompanionFile, fields: &Map<String, Value>, name: &str) -> Result<Option<bool>, Error> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(file.invalid(format!("`{name}` must be true or false"))),
    }
}

fn named(file: &CompanionFile, fields: &Map<String, Value>, name: &str) -> Result<Named, Error> {
    match fields.get(name) {
        None => Ok(Named::Absent),
        Some(Value::Null) => Ok(Named::None),
        Some(token) => match token_text(token) {
            Some(text) => Ok(Named::Text(text.to_owned())),
            None => Err(file.invalid(format!("`{name}` must be a text, an object with `content`, or null"))),
        },
    }
}

fn token_text(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content").and_then(Value::as_str))
}

/// A list of tokens, or an object whose values are tokens.
fn special_tokens(
    file: &CompanionFile,
    fields: &Map<String, Value>,
    name: &str,
) -> Result<Vec<String>, Error> {
    let tokens: Vec<&Value> = match fields.get(name) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(tokens)) => tokens.iter().collect(),
        Some(Value::Object(tokens)) => tokens.values().collect(),
        Some(_) => return Err(file.invalid(format!("`{name}` must be a list of tokens"))),
    };
    let texts = tokens.into_iter().map(|token| token_text(token).map(str::to_owned));
    texts.collect::<Option<_>>().ok_or_else(|| file.invalid(format!("`{name}` must hold tokens only")))
}

fn added_tokens(file: &CompanionFile, fields: &Map<String, Value>) -> Result<Vec<AddedEntry>, Error> {
    let name = "added_tokens_decoder";
    let entries: HashMap<u32, AddedEntry> = match fields.get(name) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(value) => {
            serde::Deserialize::deserialize(value).map_err(|e| file.invalid(format!("`{name}`: {e}")))?
        }
    };
    let mut added: Vec<AddedEntry> = entries.into_iter().map(|(id, entry)| entry.with_id(id)).collect();
    added.sort_unstable_by_key(|entry| entry.id);
    Ok(added)
}
