use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Token;

/// Something only engines that keep caches and templates of their own can do, between two steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum NativeCall {
    /// Loads a saved prompt cache, whose prefix later prompts then need not compute.
    LoadPromptCache(PathBuf),
    /// Forgets the loaded prompt cache.
    ReleasePromptCache,
    /// Clears the cache of the conversation.
    ClearCache(ClearCache),
    /// Replaces the engine's own chat template by what stands before the conversation, before and after the
    /// user's text; three empty texts are no template.
    SetChatTemplate([String; 3]),
    /// Tells the engine's own chat template about functions: the system prompt, the functions as JSON, and
    /// the tag around their results.
    SetFunctionTools([String; 3]),
    /// The last hidden layer after each of these tokens.
    HiddenStates(Vec<Token>),
    /// The logits after each of these tokens.
    Logits(Vec<Token>),
    /// How many positions the cache holds.
    CacheSize,
}

/// Which part of an engine's cache to clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClearCache {
    /// Everything.
    All,
    /// Everything after the system prompt.
    AllButSystemPrompt,
    /// The positions from `start` up to `end`, not included.
    Range {
        /// The first position.
        start: u32,
        /// The position after the last one.
        end: u32,
    },
}

/// What a [`NativeCall`] gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum NativeReply {
    /// It is done.
    Done,
    /// Rows of `row` numbers, one after the other.
    Rows {
        /// All numbers.
        values: Vec<f32>,
        /// Numbers of a row.
        row: usize,
    },
    /// A number of positions.
    Count(u32),
}
