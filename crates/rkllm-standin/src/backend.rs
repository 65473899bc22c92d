use std::sync::Arc;

use rkllmjs_core::{Token, Tokenizer};

use crate::model_file::{Contents, Header};
use crate::{Failure, SamplingConfig};

/// One position of an input: a token, or a vector in its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Token(Token),
    Vector(Arc<[f32]>),
}

impl Item {
    pub(crate) fn token(&self) -> Option<Token> {
        match self {
            Self::Token(token) => Some(*token),
            Self::Vector(_) => None,
        }
    }
}

/// A position to compute.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) lane: usize,
    pub(crate) position: usize,
    pub(crate) item: &'a Item,
    pub(crate) output: bool,
}

/// What a computation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Logits,
    Hidden,
}

/// What computes. A lane is the cache of one input of the batch.
pub(crate) trait Backend: Send {
    fn tokenizer(&self) -> &dyn Tokenizer;

    /// The chat template of the model's file.
    fn chat_template(&self) -> Option<&str>;

    /// Numbers of an embedding, and of a hidden state.
    fn embedding_size(&self) -> usize;

    /// Most rows of one computation.
    fn rows_max(&self) -> usize;

    /// Prepares to choose tokens for a lane, whose input is `prompt`.
    fn begin(&mut self, lane: usize, sampling: &SamplingConfig, prompt: &[Token]) -> Result<(), Failure>;

    /// Computes rows of one kind, all tokens or all vectors.
    fn compute(&mut self, rows: &[Row<'_>], purpose: Purpose) -> Result<(), Failure>;

    /// Chooses the token that follows row `row` of the last computation.
    fn sample(&mut self, lane: usize, row: usize) -> Result<Token, Failure>;

    /// The logits, or the hidden state, after row `row` of the last computation.
    fn output(&mut self, row: usize, purpose: Purpose) -> Result<&[f32], Failure>;

    /// Forgets a lane from a position on. False if it can only forget all, which it then has.
    fn truncate(&mut self, lane: usize, from: usize) -> bool;

    /// Forgets some positions and moves what follows down. False if it cannot.
    fn cut(&mut self, lane: usize, from: usize, to: usize) -> bool;

    /// A lane as bytes.
    fn save(&mut self, lane: usize) -> Vec<u8>;

    /// Makes a lane what the bytes say. False if they do not fit.
    fn restore(&mut self, lane: usize, bytes: &[u8]) -> bool;

    fn load_adapter(
        &mut self,
        name: &str,
        header: &Header,
        contents: Contents,
        scale: f32,
    ) -> Result<(), Failure>;

    fn use_adapter(&mut self, name: Option<&str>) -> Result<(), Failure>;
}
