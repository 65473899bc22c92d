//! What generation *is*, for every engine: requests, sequences, the scheduler that packs them
//! into batches, the delivery of parts to a reader, and the errors all of it may end with.
//!
//! This crate does no I/O, knows no JSON, HTTP, Node or chat, and holds no `unsafe`. One OS
//! thread owns one [`Engine`] and runs a loop of three words: schedule, step, settle.

#![forbid(unsafe_code)]

mod clock;
mod constraint;
mod delivery;
mod engine;
mod error;
mod fair_shares;
mod generation;
mod gone;
mod host_prefixes;
mod inbox;
mod kept_prefixes;
mod line;
mod logprob;
mod medium;
mod model_handle;
mod native_call;
mod native_images;
mod native_input;
mod option_support;
mod options;
mod overflow;
mod part;
mod prefix_cache;
mod prefixes;
mod request;
mod sampling;
mod scheduler;
mod scoring;
mod sequence;
mod speculation;
mod stats;
mod stop;
mod thoughts;
mod token_stream;
mod tokenizer;
mod utf8;
mod worker;

pub mod contract;
pub mod scripted;

pub use clock::{Clock, SystemClock};
pub use constraint::{Constraint, Thoughts};
pub use delivery::{Outcome, UNDELIVERED_PARTS_MAX};
pub use engine::{
    AbortSwitch, Batch, Engine, Limits, Opening, Proposal, Run, Sampled, SequenceId, Sink, StepOutcome,
};
pub use error::{Detail, Error, ErrorCode};
pub use generation::Generation;
pub use logprob::TokenLogprob;
pub use medium::{FIRST_ROW_TOKEN, Medium, RowAttention, RowPlaces, stands_for_a_row};
pub use model_handle::{ModelHandle, ModelSettings, Submission};
pub use native_call::{ClearCache, NativeCall, NativeReply};
pub use native_images::{IMAGE_OPTIONS, IMAGE_TAG, ImageNumbers, NativeImages};
pub use native_input::{History, NativeContent, NativeInput};
pub use option_support::OptionSupport;
pub use options::{GenerateOptions, OPTIONS, OptionFact, SAMPLER_NAMES, check_grammar};
pub use overflow::Overflow;
pub use part::{FinishReason, Part, Timings, Usage};
pub use prefix_cache::{PrefixCache, SavedPrefix};
pub use request::{Adapters, CONTROL_VECTOR_PREFIX, Request, StopRules};
pub use sampling::{SamplerKind, Sampling};
pub use scoring::{SCORED_TOKENS_MAX, Scoring};
pub use speculation::{Speculation, SpeculationMode};
pub use stats::Stats;
pub use thoughts::{ThoughtLimit, ThoughtMeter, ThoughtStart};
pub use tokenizer::{FillTokens, PairTokens, Special, SpecialToken, Token, Tokenizer};
