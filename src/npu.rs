//! What only models on an NPU have, as it crosses the border.

use std::path::PathBuf;

use napi::bindgen_prelude::Float32Array;
use napi_derive::napi;
use rkllmjs_chat::RenderOptions;
use rkllmjs_core::{
    ClearCache, Error, GenerateOptions, History, ImageNumbers, NativeCall, NativeContent, NativeImages,
    NativeInput, NativeReply, Token,
};
use rkllmjs_runtime::{ImageTagOptions, NpuOptions};
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
    pub image_tags: Option<NativeImageTags>,
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
            image_tags: o.image_tags.map(ImageTagOptions::from),
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

/// What stands round the images of a prompt.
#[napi(object)]
#[derive(Debug, Default)]
pub struct NativeImageTags {
    pub start: String,
    pub end: String,
    pub content: String,
}

impl From<NativeImageTags> for ImageTagOptions {
    fn from(NativeImageTags { start, end, content }: NativeImageTags) -> Self {
        Self { start, end, content }
    }
}

/// Encoded images for a prompt's text; every range is checked behind this border.
#[napi(object)]
pub struct NativeEncodedImages {
    pub embedding: Float32Array,
    pub count: Option<f64>,
    pub tokens_per_image: Option<f64>,
    pub width: Option<f64>,
    pub height: Option<f64>,
}

impl NativeEncodedImages {
    fn in_text(self, text: Option<String>) -> Result<NativeContent, Error> {
        let Self { embedding, count, tokens_per_image, width, height } = self;
        let numbers = ImageNumbers { count, tokens_per_image, width, height };
        let images = NativeImages::new(text.unwrap_or_default(), embedding.to_vec(), &numbers);
        images.map(NativeContent::Images)
    }
}

/// A prompt that the NPU's runtime reads itself.
#[napi(object)]
pub struct NativePrompt {
    pub text: Option<String>,
    pub embeddings: Option<Float32Array>,
    /// In the text.
    pub images: Option<NativeEncodedImages>,
    pub role: Option<String>,
    pub thinking: Option<bool>,
    pub keep_history: Option<bool>,
    pub save_cache: Option<String>,
}

impl TryFrom<NativePrompt> for NativeInput {
    type Error = Error;

    fn try_from(prompt: NativePrompt) -> Result<Self, Error> {
        let content = match (prompt.images, prompt.text, prompt.embeddings) {
            (Some(images), text, _) => images.in_text(text)?,
            (None, Some(text), _) => NativeContent::Text(text),
            (None, None, Some(values)) => NativeContent::Embeddings(values.to_vec()),
            (None, None, None) => NativeContent::Tokens,
        };
        Ok(Self {
            content,
            role: prompt.role,
            thinking: prompt.thinking.unwrap_or(false),
            history: if prompt.keep_history == Some(true) { History::Keep } else { History::Forget },
            save_cache: prompt.save_cache.map(PathBuf::from),
        })
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
