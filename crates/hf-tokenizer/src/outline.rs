use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use rkllmjs_core::Error;

use crate::added::AddedEntry;
use crate::companion_file::CompanionFile;
use crate::patterns::{check_growth, check_patterns};
use crate::spelling::Spelling;

/// Most bytes of one set of rules; the largest known one is a table for NFKC of 400,000.
const RULES_BYTES_MAX: usize = 4 << 20;

/// What `tokenizer.json` says besides its vocabulary, read before the library sees the file.
#[derive(Debug)]
pub(crate) struct Outline {
    /// The tokens added to the model's vocabulary.
    pub(crate) added: Vec<AddedEntry>,
    /// How tokens spell bytes.
    pub(crate) spelling: Spelling,
    /// The token for what the vocabulary cannot spell.
    pub(crate) unknown: Option<Unknown>,
}

/// How a model names its unknown token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// By its text.
    Text(String),
    /// By its number.
    Number(u32),
}

#[derive(Deserialize)]
#[serde(expecting = "an object with the parts of a tokenizer")]
struct Raw<'a> {
    #[serde(default)]
    added_tokens: Vec<AddedEntry>,
    #[serde(default, borrow)]
    normalizer: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pre_tokenizer: Option<&'a RawValue>,
    #[serde(default, borrow)]
    post_processor: Option<&'a RawValue>,
    #[serde(default, borrow)]
    decoder: Option<&'a RawValue>,
    model: RawModel,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with the model's vocabulary")]
struct RawModel {
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    unk_token: Option<String>,
    unk_id: Option<u32>,
}

impl Outline {
    /// Reads and checks the file.
    ///
    /// # Errors
    ///
    /// `model-invalid` with what is wrong; `unsupported` with what this library cannot do.
    pub(crate) fn read(file: &CompanionFile) -> Result<Self, Error> {
        let raw: Raw = file.json()?;
        let rules = |name: &str, value: Option<&RawValue>| read_rules(file, name, value);
        let normalizer = rules("normalizer", raw.normalizer)?;
        rules("pre_tokenizer", raw.pre_tokenizer)?;
        rules("post_processor", raw.post_processor)?;
        let decoder = rules("decoder", raw.decoder)?;
        check_growth(&normalizer).map_err(|why| file.invalid(format!("`normalizer`: {why}")))?;
        check_model(file, &raw.model)?;
        let spelling = Spelling::read(&decoder).map_err(|why| file.unsupported(why))?;
        let unknown = raw.model.unk_token.map(Unknown::Text);
        let unknown = unknown.or_else(|| raw.model.unk_id.map(Unknown::Number));
        Ok(Self { added: raw.added_tokens, spelling, unknown })
    }
}

fn read_rules(file: &CompanionFile, name: &str, value: Option<&RawValue>) -> Result<Value, Error> {
    let Some(value) = value else { return Ok(Value::Null) };
    if value.get().len() > RULES_BYTES_MAX {
        return Err(file.invalid(format!("`{name}` has more than {RULES_BYTES_MAX} bytes")));
    }
    let rules = serde_json::from_str(value.get()).map_err(|e| file.invalid(format!("`{name}`: {e}")))?;
    check_patterns(&rules).map_err(|why| file.invalid(format!("`{name}`: {why}")))?;
    Ok(rules)
}

fn check_model(file: &CompanionFile, model: &RawModel) -> Result<(), Error> {
    if model.dropout.is_some_and(|dropout| dropout != 0.0) {
        return Err(file.unsupported("`model.dropout` makes tokens a matter of chance; set it to null"));
    }
    // The library cuts it off tokens without looking whether they have it.
    if model.continuing_subword_prefix.as_ref().is_some_and(|prefix| !prefix.is_empty()) {
        return Err(file.unsupported("`model.continuing_subword_prefix` is not supported"));
    }
    Ok(())
}
