use std::collections::HashSet;

use rkllmjs_core::{Error, ErrorCode, Token};
use tokenizers::{
    AddedVocabulary, Model as _, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer as _,
    Tokenizer,
};

use crate::library::{Failure, error, guarded};
use crate::vocabulary::Vocabulary;

/// Text to ids.
///
/// The library's pipeline (added tokens, normalizer, pre-tokenizer, model), run step by step for the sake
/// of one promise that the library does not make: an id of a control token comes from its exact spelling
/// in the text, and only where spellings are read at all. Left alone, a vocabulary that holds `</s>` as
/// an ordinary entry would match it as one, and a normalizer could make it out of other characters.
pub(crate) struct Encoder {
    library: Tokenizer,
    /// The library's added tokens, with control tokens left as text.
    plain: AddedVocabulary,
    /// What the model must not produce by itself.
    control: HashSet<Token>,
    /// Spellings of control tokens that are looked for after normalizing.
    normalized_control: Vec<(Token, String)>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("control", &self.control.len()).finish_non_exhaustive()
    }
}

impl Encoder {
    /// `unknown` is the model's token for what it cannot spell: the one control token that it may produce.
    pub(crate) fn new(library: Tokenizer, vocabulary: &Vocabulary, unknown: Option<Token>) -> Self {
        let added = library.get_added_vocabulary();
        let mut plain = added.clone();
        plain.set_encode_special_tokens(true);
        let normalized_control = added
            .get_added_tokens_decoder()
            .iter()
            .filter(|(_, token)| token.special && token.normalized)
            .map(|(id, token)| (*id, token.content.clone()))
            .collect();
        let control = vocabulary.control().iter().map(|special| special.token);
        let control = control.filter(|&token| Some(token) != unknown).collect();
        Self { plain, control, normalized_control, library }
    }

    /// The ids of `text`, with spellings of control tokens read or left as text.
    pub(crate) fn encode(&self, text: &str, spellings: Spellings) -> Result<Vec<Token>, Error> {
        guarded(|| self.run(text, spellings)).map_err(|failure| {
            error(failure, |why| {
                Error::new(ErrorCode::EngineFailed, format!("the text cannot be tokenized: {why}"))
            })
        })
    }

    fn run(&self, text: &str, spellings: Spellings) -> Result<Vec<Token>, Failure> {
        let added = match spellings {
            Spellings::Read => self.library.get_added_vocabulary(),
            Spellings::Text => &self.plain,
        };
        let mut parts = added.extract_and_normalize(self.library.get_normalizer(), text);
        self.check_normalized(text, &parts)?;
        if let Some(pre_tokenizer) = self.library.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut parts)?;
        }
        parts.tokenize(|part| self.model_tokens(part.get()))?;
        let parts = parts.get_splits(OffsetReferential::Normalized, OffsetType::None);
        Ok(parts.iter().flat_map(|(_, _, tokens)| tokens.iter().flatten().map(|token| token.id)).collect())
    }

    /// Refuses a control token that only the normalizer made.
    fn check_normalized(&self, text: &str, parts: &PreTokenizedString) -> Result<(), Failure> {
        if self.normalized_control.is_empty() {
            return Ok(());
        }
        for (_, (start, end), tokens) in parts.get_splits(OffsetReferential::Original, OffsetType::Byte) {
            for token in tokens.iter().flatten() {
                let control = self.normalized_control.iter().find(|(id, _)| *id == token.id);
                let Some((_, spelling)) = control else { continue };
                if !text.get(start..end).is_some_and(|written| written.contains(spelling.as_str())) {
                    return Err(forged(spelling).into());
                }
            }
        }
        Ok(())
    }

    /// The model's tokens of `text`. Where it makes a control token out of some characters, they are cut
    /// after the first and both sides tokenized by themselves.
    fn model_tokens(&self, text: &str) -> Result<Vec<tokenizers::Token>, Failure> {
        let model = self.library.get_model();
        let tokens = model.tokenize(text)?;
        if !tokens.iter().any(|token| self.control.contains(&token.id)) {
            return Ok(tokens);
        }
        let mut pieces = vec![text];
        let mut whole = Vec::new();
        while let Some(piece) = pieces.pop() {
            let tokens = model.tokenize(piece)?;
            let mut cuts = Vec::new();
            for token in tokens.iter().filter(|token| self.control.contains(&token.id)) {
                let (start, end) = token.offsets;
                let first = piece.get(start..end).and_then(|made_of| made_of.chars().next());
                match first {
                    Some(first) if start + first.len_utf8() < end => cuts.push(start + first.len_utf8()),
                    _ => return Err(forged(&token.value).into()),
                }
            }
            if cuts.is_empty() {
                whole.extend(tokens);
                continue;
            }
            let mut end = piece.len();
            for cut in cuts.into_iter().rev().chain([0]) {
                pieces.extend(piece.get(cut..end));
                end = cut;
            }
        }
        Ok(whole)
    }
}

/// What spellings of control tokens are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spellings {
    /// The control tokens.
    Read,
    /// Ordinary text.
    Text,
}

fn forged(spelling: &str) -> Error {
    let message = format!(
        "the text has characters that this vocabulary can only read as its control token {spelling:?}; leave them out"
    );
    Error::new(ErrorCode::InvalidRequest, message)
}
