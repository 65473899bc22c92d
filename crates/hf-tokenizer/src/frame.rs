use rkllmjs_core::{Error, Token};
use tokenizers::{Encoding, Tokenizer};

use crate::companion_file::CompanionFile;
use crate::library::{Failure, error, guarded};
use crate::tokenizer_config::TokenizerConfig;

/// Most tokens that may be put around a text.
const TOKENS_MAX: usize = 64;

/// What a vocabulary puts before and after a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    before: Vec<Token>,
    after: Vec<Token>,
}

impl Frame {
    /// Asks the post-processor, then lets `add_bos_token` and `add_eos_token` of the configuration have
    /// the last word, as the reference does.
    pub(crate) fn read(
        tokenizer: &Tokenizer,
        config: &TokenizerConfig,
        file: &CompanionFile,
    ) -> Result<Self, Error> {
        let refused = |e: Failure| error(e, |why| file.invalid(format!("`post_processor`: {why}")));
        let ids = guarded(|| {
            let text = tokenizers::Token::new(TEXT, String::new(), (0, 0));
            let framed = tokenizer.post_process(Encoding::from_tokens(vec![text], 0), None, true)?;
            Ok(framed.get_ids().to_vec())
        });
        let ids = ids.map_err(refused)?;
        let (before, after) = match ids.iter().position(|&id| id == TEXT) {
            Some(at) if ids.iter().filter(|&&id| id == TEXT).count() == 1 => {
                (ids.iter().take(at).copied().collect(), ids.iter().skip(at + 1).copied().collect())
            }
            _ => return Err(file.invalid("`post_processor` does not keep the text once")),
        };
        let mut frame = Self { before, after };
        frame.apply(tokenizer, config);
        if frame.before.len() + frame.after.len() > TOKENS_MAX {
            return Err(file.invalid(format!("`post_processor` adds more than {TOKENS_MAX} tokens")));
        }
        Ok(frame)
    }

    fn apply(&mut self, tokenizer: &Tokenizer, config: &TokenizerConfig) {
        let id = |text: Option<&str>| text.and_then(|text| tokenizer.token_to_id(text));
        if let (Some(add), Some(start)) = (config.add_start, id(config.start.text())) {
            let has = self.before.first() == Some(&start);
            match (add, has) {
                (true, false) => self.before.insert(0, start),
                (false, true) => drop(self.before.remove(0)),
                (true, true) | (false, false) => {}
            }
        }
        if let (Some(add), Some(end)) = (config.add_end, id(config.end.text())) {
            let has = self.after.last() == Some(&end);
            match (add, has) {
                (true, false) => self.after.push(end),
                (false, true) => drop(self.after.pop()),
                (true, true) | (false, false) => {}
            }
        }
    }

    /// The tokens of a text with those around it.
    pub(crate) fn around(&self, mut tokens: Vec<Token>) -> Vec<Token> {
        tokens.splice(0..0, self.before.iter().copied());
        tokens.extend(&self.after);
        tokens
    }

    /// The tokens around a text.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> {
        self.before.iter().chain(&self.after).copied()
    }
}

/// Stands for a text's tokens; no vocabulary is as large as this.
const TEXT: u32 = u32::MAX;
