use std::time::Duration;

use crate::{Token, TokenLogprob};

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, or a stop string or stop token was met.
    Stop,
    /// `max_tokens` or the end of the context.
    Length,
    /// Somebody cancelled it.
    Cancelled,
    /// The model called tools.
    ToolCalls,
}

impl FinishReason {
    /// The published name, such as `tool-calls`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Cancelled => "cancelled",
            Self::ToolCalls => "tool-calls",
        }
    }
}

/// What a request cost in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, counted once however many choices were asked for.
    pub prompt_tokens: u64,
    /// Tokens made, over all choices, without the one that ended the answer.
    pub completion_tokens: u64,
    /// Tokens of thoughts among those made, counted in their text; 0 where thoughts do not come apart.
    pub reasoning_tokens: u64,
    /// Tokens of the prompt that were found in the cache instead of being computed.
    pub cached_tokens: u64,
    /// Tokens of prompt and answers that were dropped so that an answer could go on in a full context.
    pub dropped_tokens: u64,
    /// Tokens that were guessed before they were computed.
    pub draft_tokens: u64,
    /// Those of them that were right, and part of the answer.
    pub accepted_tokens: u64,
}

/// Where the time of a request went.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Timings {
    /// From the call to the first place in a batch.
    pub queue: Duration,
    /// From the first place in a batch to the first token.
    pub prefill: Duration,
    /// From the call to the first token.
    pub first_token: Duration,
    /// From the first token to the end.
    pub decode: Duration,
}

/// A piece of a streamed answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// More text of one choice.
    TextDelta {
        /// Which choice, from 0.
        index: u32,
        /// Whole characters; may be empty only when tokens made no text at the end.
        text: String,
        /// The tokens it came from.
        tokens: Vec<Token>,
        /// One per token when they were asked for, else empty.
        logprobs: Vec<TokenLogprob>,
    },
}
