use std::sync::Arc;

use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;
use rkllmjs_core::{Error, Special, Thoughts, Token, Tokenizer};

use crate::gate::{Gate, Way};
use crate::numbers::Numbers;
use crate::vocabulary::Vocabulary;

/// How much of what the constraint allows is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// What keeps the numbers of JSON short besides.
    Short,
    /// All that it allows.
    Bare,
}

/// Follows one answer and tells which tokens may come next.
pub struct Follower {
    matcher: Matcher,
    vocabulary: Arc<Vocabulary>,
    option: &'static str,
    gate: Gate,
    /// Present for JSON.
    numbers: Option<Numbers>,
    /// The tokens that may come next, once that was asked.
    mask: Option<SimpleVob>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follower")
            .field("option", &self.option)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}

impl Follower {
    pub(crate) fn new(
        matcher: Matcher,
        vocabulary: Arc<Vocabulary>,
        option: &'static str,
        thoughts: Option<&Thoughts>,
    ) -> Self {
        let numbers = (option != "regex").then(Numbers::default);
        Self { matcher, vocabulary, option, gate: Gate::new(thoughts), numbers, mask: None }
    }

    /// Finds out what may come next: to be called before [`permits`](Self::permits).
    ///
    /// # Errors
    ///
    /// `invalid-request` naming the option, if that would take too long.
    pub fn look(&mut self) -> Result<(), Error> {
        if self.mask.is_none() && self.gate.way() != Way::Gate {
            let mask =
                self.matcher.compute_mask_or_eos().map_err(|error| too_complex(self.option, &error))?;
            self.mask = Some(mask);
        }
        Ok(())
    }

    /// The option that the constraint comes from.
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// Whether `token` may come next. `tokenizer` is that of the model.
    pub fn permits(&self, token: Token, strictness: Strictness, tokenizer: &dyn Tokenizer) -> bool {
        match self.gate.way() {
            Way::Answer => self.answers(token, strictness),
            Way::Either => self.answers(token, strictness) || self.thinks(token, tokenizer),
            Way::Gate => self.thinks(token, tokenizer),
        }
    }

    /// Goes on past a token, which must be one that is permitted.
    ///
    /// # Errors
    ///
    /// As [`look`](Self::look).
    pub fn accept(&mut self, token: Token, tokenizer: &dyn Tokenizer) -> Result<(), Error> {
        let is_of_gate = match self.gate.way() {
            Way::Answer => false,
            Way::Either => !self.answers(token, Strictness::Bare),
            Way::Gate => true,
        };
        if is_of_gate {
            self.gate.pass(&spelled(token, tokenizer));
            return Ok(());
        }
        self.mask = None;
        if self.vocabulary.is_end(token) {
            return Ok(());
        }
        self.gate.begin();
        if let Some(numbers) = &mut self.numbers {
            numbers.advance(self.vocabulary.factory.tok_env().tok_trie().token(token));
        }
        self.matcher.consume_token(token).map_err(|error| too_complex(self.option, &error))
    }

    /// Whether `token` is one that the answer may go on with, or end.
    fn answers(&self, token: Token, strictness: Strictness) -> bool {
        let Some(mask) = &self.mask else { return false };
        if (token as usize) >= mask.len() || !mask.is_allowed(token) {
            return false;
        }
        let Some(numbers) = self.numbers.filter(|_| strictness == Strictness::Short) else { return true };
        numbers.permit(self.vocabulary.factory.tok_env().tok_trie().token(token))
    }

    fn thinks(&self, token: Token, tokenizer: &dyn Tokenizer) -> bool {
        !self.vocabulary.is_end(token) && self.gate.lets_pass(&spelled(token, tokenizer))
    }
}

/// The bytes of a token in a text that shows control tokens.
fn spelled(token: Token, tokenizer: &dyn Tokenizer) -> Vec<u8> {
    tokenizer.piece(token, Special { add: false, parse: true })
}

fn too_complex(option: &'static str, error: &dyn std::fmt::Display) -> Error {
    Error::option(option, format!("is too complex to be followed: {}", first_line(&error.to_string())))
}

/// Errors of the engine go on with its state.
pub(crate) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}
