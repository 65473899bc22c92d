use std::collections::HashMap;

use rkllmjs_core::Error;
use serde::Deserialize;
use tokenizers::{AddedToken, Tokenizer};

use crate::companion_file::CompanionFile;
use crate::library::{error, guarded};
use crate::tokenizer_config::TokenizerConfig;

/// A token added to a model's vocabulary, as `added_tokens` and `added_tokens_decoder` describe it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(expecting = "an object that describes a token")]
pub(crate) struct AddedEntry {
    #[serde(default)]
    pub(crate) id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    special: bool,
}

impl AddedEntry {
    pub(crate) fn with_id(self, id: u32) -> Self {
        Self { id, ..self }
    }

    fn token(&self, special: bool) -> AddedToken {
        AddedToken::from(self.content.clone(), special)
            .single_word(self.single_word)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .normalized(self.normalized)
    }
}

/// Adds what `tokenizer_config.json` says about tokens to what `tokenizer.json` says, where the two
/// differ, and checks that every added token has the id that was written for it.
///
/// A token that either file calls special stays so: the reference shows neither kind in its answers.
pub(crate) fn merge(
    tokenizer: &mut Tokenizer,
    written: &[AddedEntry],
    config: &TokenizerConfig,
    file: &CompanionFile,
) -> Result<(), Error> {
    let known: HashMap<&str, &AddedEntry> = written.iter().map(|e| (e.content.as_str(), e)).collect();
    let special = |content: &str| known.get(content).is_some_and(|e| e.special) || config.names(content);
    let mut changes: Vec<AddedToken> = Vec::new();
    for entry in &config.added {
        if known.get(entry.content.as_str()) != Some(&entry) {
            changes.push(entry.token(entry.special || special(&entry.content)));
        }
    }
    let overridden = |content: &str| config.added.iter().any(|entry| entry.content == content);
    for name in config.named() {
        if overridden(name) || known.get(name).is_some_and(|e| e.special) {
            continue;
        }
        match known.get(name) {
            Some(entry) => changes.push(entry.token(true)),
            None if tokenizer.token_to_id(name).is_some() => changes.push(AddedToken::from(name, true)),
            None => {}
        }
    }
    if !changes.is_empty() {
        guarded(|| tokenizer.add_tokens(changes)).map_err(|e| error(e, |why| file.invalid(why)))?;
    }
    check_ids(tokenizer, written.iter().chain(&config.added), file)
}

/// The library numbers added tokens itself and ignores what the file says.
fn check_ids<'a>(
    tokenizer: &Tokenizer,
    mut entries: impl Iterator<Item = &'a AddedEntry>,
    file: &CompanionFile,
) -> Result<(), Error> {
    let wrong = entries.find(|e| !e.content.is_empty() && tokenizer.token_to_id(&e.content) != Some(e.id));
    let Some(entry) = wrong else { return Ok(()) };
    let message = match tokenizer.token_to_id(&entry.content) {
        Some(id) => format!("the added token {:?} has id {} and would get {id}", entry.content, entry.id),
        None => format!("the added token {:?} is missing", entry.content),
    };
    Err(file.invalid(message))
}
