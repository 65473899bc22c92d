use std::ffi::CString;

use super::HandleSampling;

/// One run of the runtime.
#[derive(Debug, Clone)]
pub(crate) struct RunRequest {
    pub(crate) content: Content,
    /// `user` or `tool`; `None` is the runtime's default.
    pub(crate) role: Option<CString>,
    pub(crate) thinking: bool,
    pub(crate) mode: Mode,
    /// The adapter to run under.
    pub(crate) adapter: Option<CString>,
    /// Where to save the cache of the prompt.
    pub(crate) save_cache: Option<CString>,
    /// How tokens are chosen; only 1.3 looks at it.
    pub(crate) sampling: HandleSampling,
    /// Most tokens of the answer; only 1.3 looks at it.
    pub(crate) max_tokens: u32,
    /// Whether the runtime appends this turn to the ones before it.
    pub(crate) keep_history: bool,
}

/// What a run reads.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Tokens(Vec<i32>),
    Text(CString),
    /// `rows` vectors, one after the other.
    Embeddings {
        values: Vec<f32>,
        rows: usize,
    },
}

/// What a run gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Tokens.
    Generate,
    /// The last hidden layer's vector of every token of the prompt.
    HiddenStates,
    /// The logits after every token of the prompt.
    Logits,
    /// The logits after its last token alone: all of them would fill the memory.
    LastLogits,
}
