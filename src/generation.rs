use std::sync::Arc;

use napi_derive::napi;
use rkllmjs_chat::{AnswerMessage, Delta, ToolCall};
use rkllmjs_core::{Timings, TokenLogprob, Usage};
use rkllmjs_runtime::{Answer, AnswerChoice, AnswerEnd, AnswerPart};
use serde_json::{Value, json};

use crate::error::NativeError;

/// One request in flight. Until `listen` or `stream` is called, its parts fold into the result.
#[napi]
#[derive(Debug)]
pub struct NativeGeneration {
    pub(crate) id: u32,
    pub(crate) answer: Arc<Answer>,
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
        self.answer.listen();
    }

    /// Parts arrive while fewer than 64 tokens wait for `acknowledge`; the text so far comes first.
    #[napi(catch_unwind)]
    pub fn stream(&self) {
        self.answer.stream();
    }

    /// Frees its place within one step.
    #[napi(catch_unwind)]
    pub fn cancel(&self) {
        self.answer.cancel();
    }

    /// Says that the user has read parts of this many more tokens.
    #[napi(catch_unwind)]
    pub fn acknowledge(&self, tokens: u32) {
        self.answer.acknowledge(tokens as usize);
    }

    /// The text of one choice so far.
    #[napi(catch_unwind)]
    pub fn partial_text(&self, index: u32) -> String {
        self.answer.text(index as usize)
    }
}

/// News of one generation: its parts since the last news, and its end once nothing comes before it.
pub(crate) fn news(id: u32, parts: Vec<AnswerPart>, end: Option<AnswerEnd>) -> Value {
    let mut news = json!({ "id": id, "parts": parts.into_iter().map(part_value).collect::<Vec<_>>() });
    if let Some(end) = end {
        set(&mut news, "end", end_value(end));
    }
    news
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// Parts of text have no `type`: most parts are.
fn part_value(part: AnswerPart) -> Value {
    let AnswerPart { index, delta, tokens, logprobs } = part;
    let mut value = match delta {
        Delta::Text(text) => json!({ "index": index, "text": text, "tokens": tokens }),
        Delta::Reasoning(text) => {
            json!({ "type": "reasoning", "index": index, "text": text, "tokens": tokens })
        }
        Delta::CallDelta { call, id, name, arguments } => json!({
            "type": "call-delta", "index": index, "call": call, "id": id, "name": name, "arguments": arguments,
            "text": "", "tokens": tokens,
        }),
        Delta::Call { call, called: ToolCall { id, name, arguments } } => json!({
            "type": "call", "index": index, "call": call, "id": id, "name": name, "arguments": arguments,
            "text": "", "tokens": tokens,
        }),
    };
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

fn end_value(end: AnswerEnd) -> Value {
    let AnswerEnd { outcome, choices } = end;
    let mut end = json!({
        "usage": usage_value(outcome.usage),
        "timings": timings_value(outcome.timings, outcome.usage),
        "choices": choices.into_iter().map(choice_value).collect::<Vec<_>>(),
    });
    if let Some(error) = outcome.error {
        set(&mut end, "error", NativeError::from(error).into_value());
    }
    end
}

fn choice_value(choice: AnswerChoice) -> Value {
    let AnswerChoice { text, tokens, logprobs, finish, message } = choice;
    let mut value = json!({ "text": text, "tokens": tokens, "finishReason": finish.as_str() });
    set_logprobs(&mut value, "logprobs", logprobs);
    if let Some(message) = message {
        set_message(&mut value, message);
    }
    value
}

fn set_message(choice: &mut Value, message: AnswerMessage) {
    if !message.reasoning.is_empty() {
        set(choice, "reasoning", message.reasoning.into());
    }
    if !message.calls.is_empty() {
        let call =
            |ToolCall { id, name, arguments }| json!({ "id": id, "name": name, "arguments": arguments });
        set(choice, "calls", message.calls.into_iter().map(call).collect());
    }
}

fn usage_value(usage: Usage) -> Value {
    let mut value = json!({
        "promptTokens": usage.prompt_tokens,
        "completionTokens": usage.completion_tokens,
        "cachedTokens": usage.cached_tokens,
    });
    if usage.reasoning_tokens > 0 {
        set(&mut value, "reasoningTokens", usage.reasoning_tokens.into());
    }
    if usage.dropped_tokens > 0 {
        set(&mut value, "droppedTokens", usage.dropped_tokens.into());
    }
    if usage.draft_tokens > 0 {
        set(&mut value, "draftTokens", usage.draft_tokens.into());
        set(&mut value, "acceptedTokens", usage.accepted_tokens.into());
    }
    value
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
