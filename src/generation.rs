use std::sync::Arc;

use napi_derive::napi;
use rkllmjs_core::{Generation, Outcome, Part, Timings, TokenLogprob, Usage};
use serde_json::{Value, json};

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

/// News of one generation: its parts since the last news, and its end once nothing comes before it.
pub(crate) fn news(id: u32, generation: &Generation, parts: Vec<Part>, outcome: Option<Outcome>) -> Value {
    let mut news = json!({ "id": id, "parts": parts.into_iter().map(part_value).collect::<Vec<_>>() });
    if let Some(outcome) = outcome {
        set(&mut news, "end", end_value(generation, outcome));
    }
    news
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

fn part_value(part: Part) -> Value {
    let Part::TextDelta { index, text, tokens, logprobs } = part;
    let mut value = json!({ "index": index, "text": text, "tokens": tokens });
    set_logprobs(&mut value, "logprobs", logprobs);
    value
}

fn set_logprobs(object: &mut Value, name: &str, logprobs: Vec<TokenLogprob>) {
    if !logprobs.is_empty() {
        set(object, name, logprobs.into_iter().map(logprob_value).collect());
    }
}

fn logprob_value(logprob: TokenLogprob) -> Value {
    let mut value = json!({
        "token": logprob.token,
        "text": String::from_utf8_lossy(&logprob.bytes),
        "bytes": logprob.bytes,
        // JSON has no infinity; nothing is less likely than this.
        "logprob": f64::from(logprob.logprob.max(f32::MIN)),
    });
    set_logprobs(&mut value, "top", logprob.top);
    value
}

fn end_value(generation: &Generation, outcome: Outcome) -> Value {
    let choices = (0..generation.choices()).map(|i| {
        let reason = generation.finish_reason(i).map_or("cancelled", |reason| reason.as_str());
        let mut choice =
            json!({ "text": generation.text(i), "tokens": generation.tokens(i), "finishReason": reason });
        set_logprobs(&mut choice, "logprobs", generation.logprobs(i));
        choice
    });
    let mut end = json!({
        "usage": usage_value(outcome.usage),
        "timings": timings_value(outcome.timings, outcome.usage),
        "choices": choices.collect::<Vec<_>>(),
    });
    if let Some(error) = outcome.error {
        set(&mut end, "error", NativeError::from(error).into_value());
    }
    end
}

fn usage_value(usage: Usage) -> Value {
    json!({
        "promptTokens": usage.prompt_tokens,
        "completionTokens": usage.completion_tokens,
        "cachedTokens": usage.cached_tokens,
    })
}

fn timings_value(timings: Timings, usage: Usage) -> Value {
    let rate = |tokens: u64, seconds: f64| if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 };
    let computed = usage.prompt_tokens - usage.cached_tokens.min(usage.prompt_tokens);
    json!({
        "queueMs": timings.queue.as_secs_f64() * 1e3,
        "prefillMs": timings.prefill.as_secs_f64() * 1e3,
        "firstTokenMs": timings.first_token.as_secs_f64() * 1e3,
        "decodeMs": timings.decode.as_secs_f64() * 1e3,
        "prefillTokensPerSecond": rate(computed, timings.prefill.as_secs_f64()),
        // The first token belongs to the prefill.
        "tokensPerSecond": rate(usage.completion_tokens.saturating_sub(1), timings.decode.as_secs_f64()),
    })
}
