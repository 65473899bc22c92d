use std::sync::Arc;
use std::time::Duration;

use crate::{Medium, NativeInput, Sampling, Speculation, Token};

/// When an answer ends besides the model's own wish.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StopRules {
    /// Texts that end it; they are not shown.
    pub strings: Vec<String>,
    /// Tokens that end it; they are not shown.
    pub tokens: Vec<Token>,
}

/// How the names of control vectors begin among [`Adapters`].
pub const CONTROL_VECTOR_PREFIX: &str = "control-vector:";

/// The adapters (LoRA, and control vectors under [`CONTROL_VECTOR_PREFIX`]) a request runs under: names with their scales, sorted by name.
///
/// Sequences share a batch only when these are equal.
pub type Adapters = Vec<(String, f32)>;

/// What a caller asked for: checked and immutable.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The prompt's tokens; at least one, fewer than the context.
    pub prompt: Vec<Token>,
    /// The media that tokens of the prompt stand for the rows of.
    pub media: Vec<Arc<Medium>>,
    /// What the engine reads in place of these tokens, for engines that read prompts themselves.
    pub native: Option<Arc<NativeInput>>,
    /// How tokens are chosen. Choice `i` uses `seed + i`.
    pub sampling: Sampling,
    /// When the answer ends.
    pub stop: StopRules,
    /// Control tokens that are part of the answer's text, with their spellings.
    pub spelled: Vec<(Token, String)>,
    /// Most tokens of one answer; `None` is up to the end of the context.
    pub max_tokens: Option<u32>,
    /// How many answers.
    pub choices: u32,
    /// `Some(k)`: report each token's log probability and the `k` most likely ones.
    pub logprobs: Option<u32>,
    /// Tokens to weigh against each other instead of answering; empty for an answer. See
    /// [`Opening::candidates`](crate::Opening::candidates).
    pub candidates: Vec<Token>,
    /// Higher runs earlier.
    pub priority: i32,
    /// Ends `deadline-exceeded` this long after the call.
    pub timeout: Option<Duration>,
    /// How long a reader may leave its answer unread while others wait.
    pub reader_timeout: Duration,
    /// The adapters it runs under.
    pub adapters: Adapters,
    /// Whether it may share the cache of others, and others its.
    pub cache_prompt: bool,
    /// Whose it is: nothing is shared between tenants.
    pub tenant: Option<String>,
    /// Where guesses of its tokens come from.
    pub speculation: Speculation,
    /// Tokens at the start of the prompt that stay when an answer drops others to go on.
    pub keep: u32,
}
