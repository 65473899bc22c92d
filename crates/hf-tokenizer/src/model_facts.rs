use rkllmjs_core::{Error, Token};
use serde_json::{Map, Value};

use crate::companion_file::CompanionFile;

/// Most end tokens that a file may list.
const END_TOKENS_MAX: usize = 1024;

/// What `config.json` says about the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// The kind of model, such as `qwen3`.
    pub architecture: Option<String>,
    /// How many tokens the model tells apart; vocabularies are often a little smaller.
    pub vocabulary_size: Option<u32>,
    /// Most tokens that the model was made for.
    pub context_size: Option<u32>,
    /// Values of one embedding vector.
    pub embedding_size: Option<u32>,
}

/// The numbers of a model's own tokens, from `config.json` or `generation_config.json`.
#[derive(Debug, Default)]
pub(crate) struct TokenNumbers {
    pub(crate) start: Option<Token>,
    pub(crate) ends: Vec<Token>,
}

/// Where models of text and images keep what concerns text.
const NESTED: [&str; 3] = ["text_config", "llm_config", "language_config"];

impl ModelFacts {
    pub(crate) fn read(file: &CompanionFile) -> Result<(Self, TokenNumbers), Error> {
        let fields = file.fields()?;
        let nested = NESTED.iter().filter_map(|name| fields.get(*name).and_then(Value::as_object));
        let places: Vec<&Map<String, Value>> = nested.chain([&fields]).collect();
        let number = |name: &str| first(&places, |fields| read_number(file, fields, name));
        let facts = Self {
            architecture: fields.get("model_type").and_then(Value::as_str).map(str::to_owned),
            vocabulary_size: number("vocab_size")?,
            context_size: number("max_position_embeddings")?,
            embedding_size: number("hidden_size")?,
        };
        let mut numbers = TokenNumbers::default();
        for fields in places {
            let here = TokenNumbers::from_fields(file, fields)?;
            numbers.start = numbers.start.or(here.start);
            numbers.ends.extend(here.ends);
        }
        Ok((facts, numbers))
    }
}

impl TokenNumbers {
    pub(crate) fn read(file: &CompanionFile) -> Result<Self, Error> {
        Self::from_fields(file, &file.fields()?)
    }

    fn from_fields(file: &CompanionFile, fields: &Map<String, Value>) -> Result<Self, Error> {
        let start = tokens(file, fields, "bos_token_id")?.first().copied();
        Ok(Self { start, ends: tokens(file, fields, "eos_token_id")? })
    }
}

fn first<T>(
    places: &[&Map<String, Value>],
    read: impl Fn(&Map<String, Value>) -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    places.iter().find_map(|fields| read(fields).transpose()).transpose()
}

fn read_number(file: &CompanionFile, fields: &Map<String, Value>, name: &str) -> Result<Option<u32>, Error> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            match number(value) {
                Some(number @ 1..) => Ok(Some(number)),
                _ => Err(file
                    .invalid(format!("`{name}` must be a whole number from 1 to 2147483647, got {value}"))),
            }
        }
    }
}

/// One id or a list of them; a negative one is none.
fn tokens(file: &CompanionFile, fields: &Map<String, Value>, name: &str) -> Result<Vec<Token>, Error> {
    let values = match fields.get(name) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(values)) => values.as_slice(),
        Some(value) => std::slice::from_ref(value),
    };
    if values.len() > END_TOKENS_MAX {
        return Err(file.invalid(format!("`{name}` lists more than {END_TOKENS_MAX} tokens")));
    }
    let given = values.iter().filter(|value| !value.as_i64().is_some_and(i64::is_negative));
    let read = given.map(|value| {
        number(value).ok_or_else(|| file.invalid(format!("`{name}` must hold token ids, got {value}")))
    });
    read.collect()
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|&number| number <= 0x7FFF_FFFF)
}
