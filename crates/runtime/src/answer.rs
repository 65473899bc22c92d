use std::sync::Arc;

use rkllmjs_chat::{AnswerMessage, Delta};
use rkllmjs_core::{FinishReason, Generation, Outcome, Part, Token, TokenLogprob};

use crate::reading::Reading;

/// A request in flight, as whoever asked sees it: text, and where a conversation has tools or the model
/// thinks, thoughts and calls apart from it.
///
/// Dropping it cancels the request.
#[derive(Debug)]
pub struct Answer {
    generation: Arc<Generation>,
    /// Only conversations can have more than text.
    reading: Option<Arc<Reading>>,
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerPart {
    /// Which choice, from 0.
    pub index: u32,
    /// What it says.
    pub delta: Delta,
    /// The tokens it came from; where the parts of an answer share tokens, the first has them.
    pub tokens: Vec<Token>,
    /// One per token when they were asked for, else empty.
    pub logprobs: Vec<TokenLogprob>,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerEnd {
    /// How the request ended.
    pub outcome: Outcome,
    /// All choices.
    pub choices: Vec<AnswerChoice>,
}

/// One choice of an ended answer.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerChoice {
    /// The text, without thoughts and calls where those come apart.
    pub text: String,
    /// All tokens.
    pub tokens: Vec<Token>,
    /// One per token when they were asked for, else empty.
    pub logprobs: Vec<TokenLogprob>,
    /// Why it ended.
    pub finish: FinishReason,
    /// Thoughts and calls, where they come apart.
    pub message: Option<AnswerMessage>,
}

impl From<Part> for AnswerPart {
    fn from(part: Part) -> Self {
        let Part::TextDelta { index, text, tokens, logprobs } = part;
        Self { index, delta: Delta::Text(text), tokens, logprobs }
    }
}

impl Answer {
    pub(crate) fn new(generation: Arc<Generation>, reading: Option<Arc<Reading>>) -> Self {
        Self { generation, reading }
    }

    /// The reading, where the answer is more than text. Decided before its first token.
    fn reading(&self) -> Option<&Reading> {
        self.reading.as_deref().filter(|reading| reading.is_on())
    }

    /// Frees its place within one step; it ends `cancelled`. Does nothing once it has ended.
    pub fn cancel(&self) {
        self.generation.cancel();
    }

    /// Every part is queued from now on, the text so far first.
    pub fn listen(&self) {
        self.generation.listen();
    }

    /// Begins to read parts, the text so far first. Few parts wait unread from now on.
    pub fn stream(&self) {
        self.generation.stream();
    }

    /// Says that parts of `tokens` among those taken were read.
    pub fn acknowledge(&self, tokens: usize) {
        self.generation.acknowledge(tokens);
    }

    /// The text of one choice so far, without thoughts and calls where those come apart.
    pub fn text(&self, index: usize) -> String {
        let text = self.generation.text(index);
        self.reading().map_or(text.clone(), |reading| reading.content(&text))
    }

    /// Moves the parts that are ready into `parts`. The end, once nothing comes before it.
    pub fn take(&self, parts: &mut Vec<AnswerPart>) -> Option<AnswerEnd> {
        if let Some(reading) = self.reading() {
            return reading.take(parts);
        }
        let mut plain = Vec::new();
        let outcome = self.generation.take(&mut plain);
        parts.extend(plain.into_iter().map(AnswerPart::from));
        outcome.map(|outcome| {
            let choices = (0..self.generation.choices()).map(|i| AnswerChoice::plain(&self.generation, i));
            AnswerEnd { outcome, choices: choices.collect() }
        })
    }

    /// Blocks until the engine is done with it.
    pub fn wait(&self) -> Outcome {
        self.generation.wait()
    }
}

impl AnswerChoice {
    /// A choice as the engine made it.
    pub(crate) fn plain(generation: &Generation, index: usize) -> Self {
        Self {
            text: generation.text(index),
            tokens: generation.tokens(index),
            logprobs: generation.logprobs(index),
            finish: generation.finish_reason(index).unwrap_or(FinishReason::Cancelled),
            message: None,
        }
    }
}
