use std::path::PathBuf;
use std::sync::Arc;

use crate::SamplingConfig;

/// Whose turn an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The user's.
    User,
    /// The results of the tools that the answer before called.
    Tool,
}

impl Role {
    /// The role of that name; the vendor knows two.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "user" => Some(Self::User),
            "tool" => Some(Self::Tool),
            _ => None,
        }
    }
}

/// Encoded images, videos or sounds of an input.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// What stands for each of them in the prompt, such as `<image>`.
    pub tag: &'static str,
    /// How many there are.
    pub count: usize,
    /// Rows of each of them.
    pub rows: usize,
    /// All rows, one after another.
    pub vectors: Vec<f32>,
    /// Text before each of them.
    pub start: String,
    /// Text after each of them.
    pub end: String,
    /// What the vendor's runtime has in the place of each row until it puts the row there; nothing here.
    pub content: String,
    /// Width and height as they were encoded; 0 is unknown.
    pub size: [usize; 2],
}

/// What an input holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Text for the chat template.
    Prompt(String),
    /// Token ids as they are.
    Tokens(Vec<i32>),
    /// Rows as long as the model's embedding, one after another.
    Embeddings(Vec<f32>),
    /// Text for the chat template, with tags that media take the place of.
    Multimodal {
        /// The text.
        prompt: String,
        /// The media.
        media: Vec<Media>,
    },
}

/// What a run reads.
#[derive(Debug, Clone, PartialEq)]
pub struct RunInput {
    /// Whose turn.
    pub role: Role,
    /// Passed to the model's own chat template.
    pub enable_thinking: bool,
    /// What it says.
    pub input: Input,
}

/// What a run computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Tokens.
    #[default]
    Generate,
    /// The hidden states of the input.
    LastHiddenLayer,
    /// The logits of the input.
    Logits,
}

/// Where a run saves its cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptCacheRequest {
    /// The file; without one `./prompt_cache.bin`.
    pub path: Option<PathBuf>,
}

/// How a run goes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunParams {
    /// What it computes.
    pub mode: Mode,
    /// The adapter it runs under.
    pub adapter: Option<String>,
    /// Whether it saves its cache.
    pub save_prompt_cache: Option<PromptCacheRequest>,
    /// How tokens are chosen; as the model was loaded without.
    pub sampling: Option<SamplingConfig>,
    /// Whether it goes on where the last one ended.
    pub keep_history: bool,
    /// Most tokens of an answer; as the model was loaded where less than 1.
    pub max_new_tokens: i32,
}

/// Why the callback is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A token, or the output of another mode.
    Normal,
    /// A token whose character is not complete.
    Waiting,
    /// The run is over.
    Finish,
    /// The run failed.
    Error,
}

/// What the callback wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// End the run and keep its cache.
    Pause,
    /// Free hidden states and logits.
    Release,
}

/// Rows of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// All rows, one after another.
    pub values: Arc<[f32]>,
    /// Numbers of a row.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
}

/// What a run cost.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Perf {
    /// Time until the input was read.
    pub prefill_time_ms: f32,
    /// Tokens of the input that were computed, without those found in the cache.
    pub prefill_tokens: i32,
    /// Time for the answer.
    pub generate_time_ms: f32,
    /// Tokens of the answer.
    pub generate_tokens: i32,
    /// The most memory the process has had.
    pub memory_usage_mb: f32,
}

/// What the callback is shown of one input of the batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Text, if there is any now; bytes, because a WAITING state may show half a character.
    pub text: Option<Vec<u8>>,
    /// The token; negative where there is none.
    pub token: i32,
    /// Hidden states, when asked for.
    pub hidden: Option<Matrix>,
    /// Logits, when asked for.
    pub logits: Option<Matrix>,
    /// What the run cost, at FINISH.
    pub perf: Option<Perf>,
}

impl Outcome {
    pub(crate) fn none() -> Self {
        Self { token: -1, ..Self::default() }
    }
}
