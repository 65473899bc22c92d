//! What only models on an NPU have, as it crosses the border.

use std::path::PathBuf;

use napi::bindgen_prelude::Float32Array;
use napi_derive::napi;
use rkllmjs_chat::RenderOptions;
use rkllmjs_core::{
    ClearCache, Error, GenerateOptions, History, NativeCall, NativeContent, NativeInput, NativeReply, Token,
};
use rkllmjs_runtime::NpuOptions;
use serde_json::Value;

/// Load options that only models on an NPU have; every range is checked behind this border.
#[napi(object)]
#[derive(Debug, Default)]
pub struct NativeNpuOptions {
    pub library_path: Option<String>,
    pub addon_folder: Option<String>,
    pub runtime_version: Option<String>,
    pub max_new_tokens: Option<f64>,
    pub npu_domain: Option<f64>,
    pub cpu_mask: Option<f64>,
    pub embed_flash: Option<bool>,
    pub n_keep: Option<f64>,
    pub n_batch: Option<f64>,
    pub skip_special_token: Option<bool>,
    pub ignore_eos_token: Option<bool>,
    pub temperature: Option<f64>,
    pub top_k: Option<f64>,
    pub top_p: Option<f64>,
    pub repeat_penalty: Option<f64>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    pub mirostat: Option<f64>,
    pub mirostat_tau: Option<f64>,
    pub mirostat_eta: Option<f64>,
}

impl From<NativeNpuOptions> for NpuOptions {
    fn from(o: NativeNpuOptions) -> Self {
        Self {
            library_path: o.library_path.map(PathBuf::from),
            addon_folder: o.addon_folder.map(PathBuf::from),
            runtime_version: o.runtime_version,
            max_new_tokens: o.max_new_tokens,
            npu_domain: o.npu_domain,
            cpu_mask: o.cpu_mask,
            embed_flash: o.embed_flash,
            n_keep: o.n_keep,
            n_batch: o.n_batch,
            skip_special_token: o.skip_special_token,
            ignore_eos_token: o.ignore_eos_token,
            sampling: GenerateOptions {
                temperature: o.temperature,
                top_k: o.top_k,
                top_p: o.top_p,
                repeat_penalty: o.repeat_penalty,
                frequency_penalty: o.frequency_penalty,
                presence_penalty: o.presence_penalty,
                mirostat: o.mirostat,
                mirostat_tau: o.mirostat_tau,
                mirostat_eta: o.mirostat_eta,
                ..GenerateOptions::default()
            },
        }
    }
}

/// A prompt that the NPU's runtime reads itself.
#[napi(object)]
pub struct NativePrompt {
    pub text: Option<String>,
    pub embeddings: Option<Float32Array>,
    pub role: Option<String>,
    pub thinking: Option<bool>,
    pub keep_history: Option<bool>,
    pub save_cache: Option<String>,
}

impl From<NativePrompt> for NativeInput {
    fn from(prompt: NativePrompt) -> Self {
        let content = match (prompt.text, prompt.embeddings) {
            (Some(text), _) => NativeContent::Text(text),
            (None, Some(values)) => NativeContent::Embeddings(values.to_vec()),
            (None, None) => NativeContent::Tokens,
        };
        Self {
            content,
            role: prompt.role,
            thinking: prompt.thinking.unwrap_or(false),
            history: if prompt.keep_history == Some(true) { History::Keep } else { History::Forget },
            save_cache: prompt.save_cache.map(PathBuf::from),
        }
    }
}

/// What a call to the NPU's runtime gives.
#[napi(object)]
pub(crate) struct NativeCallReply {
    /// Rows of `row` numbers, one after the other.
    pub values: Option<Float32Array>,
    pub row: Option<u32>,
    pub count: Option<u32>,
}

impl From<NativeReply> for NativeCallReply {
    fn from(reply: NativeReply) -> Self {
        let none = Self { values: None, row: None, count: None };
        match reply {
            NativeReply::Done => none,
            NativeReply::Count(count) => Self { count: Some(count), ..none },
            NativeReply::Rows { values, row } => {
                Self { values: Some(values.into()), row: u32::try_from(row).ok(), ..none }
            }
        }
    }
}

/// Reads a call written as JSON, `{ "call": name, … }`; `tokens` are those of calls that take tokens.
pub(crate) fn call(text: &str, tokens: Vec<Token>) -> Result<NativeCall, Error> {
    let fields: Value = serde_json::from_str(text).map_err(|_| Error::option("call", "is no JSON"))?;
    let string = |name: &'static str| {
        let text = fields.get(name).and_then(Value::as_str);
        text.map(str::to_owned).ok_or_else(|| Error::option(name, "must be a string"))
    };
    let position = |name: &'static str| {
        let number = fields.get(name).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| Error::option(name, "must be a position"))
    };
    Ok(match string("call")?.as_str() {
        "load-prompt-cache" => NativeCall::LoadPromptCache(PathBuf::from(string("path")?)),
        "release-prompt-cache" => NativeCall::ReleasePromptCache,
        "clear-cache" => NativeCall::ClearCache(ClearCache::All),
        "clear-cache-but-system-prompt" => NativeCall::ClearCache(ClearCache::AllButSystemPrompt),
        "clear-cache-range" => {
            NativeCall::ClearCache(ClearCache::Range { start: position("start")?, end: position("end")? })
        }
        "set-chat-template" => {
            NativeCall::SetChatTemplate([string("systemPrompt")?, string("prefix")?, string("postfix")?])
        }
        "set-function-tools" => {
            let tools = string("tools")?;
            RenderOptions::from_json(&format!(r#"{{"tools":{tools}}}"#))?;
            NativeCall::SetFunctionTools([string("systemPrompt")?, tools, string("responseTag")?])
        }
        "last-hidden-layer" => NativeCall::HiddenStates(tokens),
        "logits" => NativeCall::Logits(tokens),
        "cache-size" => NativeCall::CacheSize,
        other => return Err(Error::option("call", format!("is {other:?}, which is none"))),
    })
}
