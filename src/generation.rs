use std::sync::Arc;

use napi::bindgen_prelude::Uint32Array;
use napi_derive::napi;
use rkllmjs_core::{Generation, Outcome, Part, Timings, TokenLogprob, Usage};

use crate::error::NativeError;

/// One request in flight. Until `listen` or `stream` is called, its parts fold into the result.
#[napi]
#[derive(Debug)]
pub struct NativeGeneration {
    pub(crate) id: u32,
    pub(crate) generation: Arc<Generation>,
}

#[napi]
impl NativeGeneration {
    /// Names it in what `attach` hears.
    #[napi(getter)]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Parts arrive as fast as they are made.
    #[napi(catch_unwind)]
    pub fn listen(&self) {
        self.generation.listen();
    }

    /// Parts arrive while fewer than 64 tokens wait for `acknowledge`; the text so far comes first.
    #[napi(catch_unwind)]
    pub fn stream(&self) {
        self.generation.stream();
    }

    /// Frees its place within one step.
    #[napi(catch_unwind)]
    pub fn cancel(&self) {
        self.generation.cancel();
    }

    /// Says that the user has read parts of this many more tokens.
    #[napi(catch_unwind)]
    pub fn acknowledge(&self, tokens: u32) {
        self.generation.acknowledge(tokens as usize);
    }

    /// The text of one choice so far.
    #[napi(catch_unwind)]
    pub fn partial_text(&self, index: u32) -> String {
        self.generation.text(index as usize)
    }
}

/// More text of one choice.
#[napi(object)]
#[derive(Debug)]
pub struct NativePart {
    /// Which choice.
    pub index: u32,
    /// Whole characters.
    pub text: String,
    /// The tokens it came from.
    pub tokens: Vec<u32>,
    /// One per token, if asked for.
    pub logprobs: Option<Vec<NativeLogprob>>,
}

/// How likely a token was.
#[napi(object)]
#[derive(Debug)]
pub struct NativeLogprob {
    /// The token's number.
    pub token: u32,
    /// Its text; what is no UTF-8 of its own shows as U+FFFD.
    pub text: String,
    /// Its bytes.
    pub bytes: Vec<u32>,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// The most likely ones at its place, best first.
    pub top: Option<Vec<NativeLogprob>>,
}

/// Tokens used.
#[napi(object)]
#[derive(Debug)]
pub struct NativeUsage {
    pub prompt_tokens: f64,
    pub completion_tokens: f64,
    pub cached_tokens: f64,
}

/// Time used, in milliseconds, and the rates that follow.
#[napi(object)]
#[derive(Debug)]
pub struct NativeTimings {
    pub queue_ms: f64,
    pub prefill_ms: f64,
    pub first_token_ms: f64,
    pub decode_ms: f64,
    pub prefill_tokens_per_second: f64,
    pub tokens_per_second: f64,
}

/// One answer.
#[napi(object)]
pub struct NativeChoice {
    /// Its text.
    pub text: String,
    /// Its tokens.
    pub tokens: Uint32Array,
    /// Why it ended.
    pub finish_reason: String,
    /// One per token, if asked for.
    pub logprobs: Option<Vec<NativeLogprob>>,
}

/// How a request ended.
#[napi(object)]
pub struct NativeEnd {
    /// What failed, if anything did.
    pub error: Option<NativeError>,
    /// Tokens used.
    pub usage: NativeUsage,
    /// Time used.
    pub timings: NativeTimings,
    /// The answers, also after a failure.
    pub choices: Vec<NativeChoice>,
}

pub(crate) fn native_part(part: Part) -> NativePart {
    let Part::TextDelta { index, text, tokens, logprobs } = part;
    NativePart { index, text, tokens, logprobs: native_logprobs(logprobs) }
}

fn native_logprobs(logprobs: Vec<TokenLogprob>) -> Option<Vec<NativeLogprob>> {
    (!logprobs.is_empty()).then(|| logprobs.into_iter().map(native_logprob).collect())
}

fn native_logprob(logprob: TokenLogprob) -> NativeLogprob {
    NativeLogprob {
        token: logprob.token,
        text: String::from_utf8_lossy(&logprob.bytes).into_owned(),
        bytes: logprob.bytes.into_iter().map(u32::from).collect(),
        logprob: f64::from(logprob.logprob),
        top: native_logprobs(logprob.top),
    }
}

pub(crate) fn native_end(generation: &Generation, outcome: Outcome) -> NativeEnd {
    let choices = (0..generation.choices()).map(|i| NativeChoice {
        text: generation.text(i),
        tokens: generation.tokens(i).into(),
        finish_reason: generation.finish_reason(i).map_or("cancelled", |reason| reason.as_str()).to_owned(),
        logprobs: native_logprobs(generation.logprobs(i)),
    });
    NativeEnd {
        error: outcome.error.map(NativeError::from),
        usage: native_usage(outcome.usage),
        timings: native_timings(outcome.timings, outcome.usage),
        choices: choices.collect(),
    }
}

fn native_usage(usage: Usage) -> NativeUsage {
    NativeUsage {
        prompt_tokens: usage.prompt_tokens as f64,
        completion_tokens: usage.completion_tokens as f64,
        cached_tokens: usage.cached_tokens as f64,
    }
}

fn native_timings(timings: Timings, usage: Usage) -> NativeTimings {
    let rate = |tokens: u64, seconds: f64| if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 };
    let computed = usage.prompt_tokens - usage.cached_tokens.min(usage.prompt_tokens);
    NativeTimings {
        queue_ms: timings.queue.as_secs_f64() * 1e3,
        prefill_ms: timings.prefill.as_secs_f64() * 1e3,
        first_token_ms: timings.first_token.as_secs_f64() * 1e3,
        decode_ms: timings.decode.as_secs_f64() * 1e3,
        prefill_tokens_per_second: rate(computed, timings.prefill.as_secs_f64()),
        // The first token belongs to the prefill.
        tokens_per_second: rate(usage.completion_tokens.saturating_sub(1), timings.decode.as_secs_f64()),
    }
}
