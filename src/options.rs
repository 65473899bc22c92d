use napi_derive::napi;
use rkllmjs_core::{GenerateOptions, SAMPLER_NAMES};
use rkllmjs_runtime::{EngineProgram, LoadOptions};

use crate::error::camel_case;
use crate::npu::NativeNpuOptions;

/// Load options; every range is checked behind this border.
#[napi(object)]
#[derive(Debug, Default)]
pub struct NativeLoadOptions {
    pub context_size: Option<f64>,
    pub kv_cells: Option<f64>,
    pub max_sequences: Option<f64>,
    pub max_queue: Option<f64>,
    pub batch_size: Option<f64>,
    pub threads: Option<f64>,
    pub threads_batch: Option<f64>,
    pub gpu_layers: Option<f64>,
    pub host_cache_bytes: Option<f64>,
    pub mmap: Option<bool>,
    pub mlock: Option<bool>,
    pub kv_cache_type: Option<String>,
    pub flash_attention: Option<bool>,
    pub chat_template: Option<String>,
    pub embedding: Option<bool>,
    pub pooling: Option<String>,
    pub context_overflow: Option<String>,
    pub engine: Option<String>,
    pub isolate: Option<bool>,
    pub draft_model: Option<String>,
    pub mmproj: Option<String>,
    /// What a child process runs that is to hold the engine.
    pub engine_program: Option<NativeEngineProgram>,
    pub npu: Option<NativeNpuOptions>,
}

/// A program with its arguments.
#[napi(object)]
#[derive(Debug)]
pub struct NativeEngineProgram {
    pub program: String,
    pub arguments: Vec<String>,
}

impl From<NativeLoadOptions> for LoadOptions {
    fn from(o: NativeLoadOptions) -> Self {
        Self {
            context_size: o.context_size,
            kv_cells: o.kv_cells,
            max_sequences: o.max_sequences,
            max_queue: o.max_queue,
            batch_size: o.batch_size,
            threads: o.threads,
            threads_batch: o.threads_batch,
            gpu_layers: o.gpu_layers,
            host_cache_bytes: o.host_cache_bytes,
            mmap: o.mmap,
            mlock: o.mlock,
            kv_cache_type: o.kv_cache_type,
            flash_attention: o.flash_attention,
            chat_template: o.chat_template,
            embedding: o.embedding,
            pooling: o.pooling,
            context_overflow: o.context_overflow,
            engine: o.engine,
            isolate: o.isolate,
            draft_model: o.draft_model,
            mmproj: o.mmproj,
            engine_program: o
                .engine_program
                .map(|p| EngineProgram { program: p.program.into(), arguments: p.arguments }),
            npu: o.npu.unwrap_or_default().into(),
        }
    }
}

/// Generation options; every range is checked behind this border.
#[napi(object)]
#[derive(Debug, Default)]
pub struct NativeGenerateOptions {
    pub max_tokens: Option<f64>,
    pub temperature: Option<f64>,
    pub top_k: Option<f64>,
    pub top_p: Option<f64>,
    pub min_p: Option<f64>,
    pub typical_p: Option<f64>,
    pub top_n_sigma: Option<f64>,
    pub xtc_probability: Option<f64>,
    pub xtc_threshold: Option<f64>,
    pub dynatemp_range: Option<f64>,
    pub repeat_penalty: Option<f64>,
    pub repeat_last_n: Option<f64>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    pub dry_multiplier: Option<f64>,
    pub dry_base: Option<f64>,
    pub dry_allowed_length: Option<f64>,
    pub mirostat: Option<f64>,
    pub mirostat_tau: Option<f64>,
    pub mirostat_eta: Option<f64>,
    pub seed: Option<f64>,
    pub ignore_eos: Option<bool>,
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<f64>,
    pub n: Option<f64>,
    pub priority: Option<f64>,
    pub timeout_ms: Option<f64>,
    pub reader_timeout_ms: Option<f64>,
    pub stop: Option<Vec<String>>,
    pub stop_tokens: Option<Vec<f64>>,
    /// Tokens to bias, as many as `logitBiasValues`.
    pub logit_bias_tokens: Option<Vec<f64>>,
    /// Added to the logits of those tokens; -Infinity bans one.
    pub logit_bias_values: Option<Vec<f64>>,
    pub grammar: Option<String>,
    /// As JSON.
    pub json_schema: Option<String>,
    /// The schema that the format asks for, as JSON.
    pub response_format: Option<String>,
    pub regex: Option<String>,
    /// In camelCase.
    pub samplers: Option<Vec<String>>,
    /// Adapters to run under, as many as `loraScales`.
    pub lora_names: Option<Vec<String>>,
    /// Their scales.
    pub lora_scales: Option<Vec<f64>>,
    pub cache_prompt: Option<bool>,
    pub tenant: Option<String>,
    /// Control vectors to run under, as many as `controlVectorScales`.
    pub control_vector_names: Option<Vec<String>>,
    /// Their scales.
    pub control_vector_scales: Option<Vec<f64>>,
    /// Where guesses come from: none, lookup or draft.
    pub speculative: Option<String>,
    pub speculative_max_tokens: Option<f64>,
    /// What follows the answer; `generate` alone takes it.
    pub suffix: Option<String>,
}

impl From<NativeGenerateOptions> for GenerateOptions {
    fn from(o: NativeGenerateOptions) -> Self {
        Self {
            max_tokens: o.max_tokens,
            temperature: o.temperature,
            top_k: o.top_k,
            top_p: o.top_p,
            min_p: o.min_p,
            typical_p: o.typical_p,
            top_n_sigma: o.top_n_sigma,
            xtc_probability: o.xtc_probability,
            xtc_threshold: o.xtc_threshold,
            dynatemp_range: o.dynatemp_range,
            repeat_penalty: o.repeat_penalty,
            repeat_last_n: o.repeat_last_n,
            frequency_penalty: o.frequency_penalty,
            presence_penalty: o.presence_penalty,
            dry_multiplier: o.dry_multiplier,
            dry_base: o.dry_base,
            dry_allowed_length: o.dry_allowed_length,
            mirostat: o.mirostat,
            mirostat_tau: o.mirostat_tau,
            mirostat_eta: o.mirostat_eta,
            seed: o.seed,
            logit_bias: zip(o.logit_bias_tokens, o.logit_bias_values),
            stop: o.stop,
            stop_tokens: o.stop_tokens,
            ignore_eos: o.ignore_eos,
            grammar: o.grammar,
            json_schema: o.json_schema,
            response_format: o.response_format,
            regex: o.regex,
            logprobs: o.logprobs,
            top_logprobs: o.top_logprobs,
            n: o.n,
            samplers: o.samplers.map(|names| names.iter().map(|name| core_name(name)).collect()),
            priority: o.priority,
            timeout_ms: o.timeout_ms,
            reader_timeout_ms: o.reader_timeout_ms,
            lora: zip(o.lora_names, o.lora_scales),
            cache_prompt: o.cache_prompt,
            tenant: o.tenant,
            speculative: o.speculative,
            speculative_max_tokens: o.speculative_max_tokens,
            control_vectors: zip(o.control_vector_names, o.control_vector_scales),
        }
    }
}

fn zip<A, B>(first: Option<Vec<A>>, second: Option<Vec<B>>) -> Option<Vec<(A, B)>> {
    Some(first?.into_iter().zip(second?).collect())
}

/// `topK` as the core writes it.
fn core_name(name: &str) -> String {
    let known = SAMPLER_NAMES.iter().find(|(known, _)| camel_case(known) == name);
    known.map_or_else(|| name.to_owned(), |(known, _)| (*known).to_owned())
}
