//! From a file to a running model: what all engines share of it, and a file for each engine.

mod gguf;
mod isolated;
mod kept;
mod npu_options;
mod rkllm;

pub use isolated::{EngineProgram, serve_engine};
pub use npu_options::{ImageTagOptions, NpuOptions};
pub use rkllm::NPU_OPTIONS;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rkllmjs_core::{Error, ErrorCode, OptionFact};
use rkllmjs_llama::LogSink;
use serde::{Deserialize, Serialize};

use crate::file::{self, Kind};
use crate::model::Model;
use crate::registry::LoadGuard;

/// Every numeric load option.
pub const LOAD_OPTIONS: [OptionFact; 9] = [
    OptionFact::whole(
        "context_size",
        "what the model was trained on, at most 8192, less where memory is short",
        8.0,
        16_777_216.0,
        "Most tokens one request may hold, prompt and answer together.",
    ),
    OptionFact::whole(
        "kv_cells",
        "context_size × max_sequences, less where memory is short",
        8.0,
        67_108_864.0,
        "Tokens all running requests may hold together.",
    ),
    OptionFact::whole("max_sequences", "8", 1.0, 256.0, "Answers computed at the same time; more wait."),
    OptionFact::whole("max_queue", "256", 0.0, 65_536.0, "Answers that may wait; one more is `overloaded`."),
    OptionFact::whole("batch_size", "512", 1.0, 65_536.0, "Most tokens of one step, at least max_sequences."),
    OptionFact::whole(
        "threads",
        "the fast processors of this process",
        1.0,
        1024.0,
        "Compute threads for answers.",
    ),
    OptionFact::whole("threads_batch", "threads", 1.0, 1024.0, "Compute threads for prompts."),
    OptionFact::whole("gpu_layers", "auto", -1.0, 4096.0, "Layers to put on a GPU; -1 is auto."),
    OptionFact::whole(
        "host_cache_bytes",
        "0",
        0.0,
        1_099_511_627_776.0,
        "Memory for beginnings of ended requests that have to leave the cache; 0 is none.",
    ),
];

/// Load options as a caller wrote them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "each numeric field is a row of LOAD_OPTIONS; the others say it in their names"
)]
pub struct LoadOptions {
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
    /// Load for embeddings only: no cache for generation is made.
    pub embedding: Option<bool>,
    pub pooling: Option<String>,
    pub context_overflow: Option<String>,
    /// The engine the caller is ready for, `llama` or `rkllm`; a file for the other is refused.
    pub engine: Option<String>,
    /// Run the engine in a child process; where nobody says, a model on an NPU does.
    pub isolate: Option<bool>,
    /// A smaller model of the same vocabulary, to guess what this one will say.
    pub draft_model: Option<String>,
    /// What turns images into rows for this model.
    pub mmproj: Option<String>,
    /// What the child process runs; without it there is none.
    pub engine_program: Option<EngineProgram>,
    /// What only models on an NPU have.
    pub npu: NpuOptions,
}

/// What a load reports to, and what stops it.
#[derive(Clone)]
pub struct Hooks {
    /// Hears values from 0 to 1 while the weights are loaded.
    pub progress: Arc<dyn Fn(f32) + Send + Sync>,
    /// Takes the engine's log.
    pub log: Option<LogSink>,
    /// Stops the load once true.
    pub cancelled: Arc<AtomicBool>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("cancelled", &self.cancelled).finish_non_exhaustive()
    }
}

impl Default for Hooks {
    fn default() -> Self {
        Self { progress: Arc::new(|_| {}), log: None, cancelled: Arc::default() }
    }
}

/// Loads a model file and starts its engine, which the file's first bytes decide. Blocks for as long as that
/// takes.
///
/// # Errors
///
/// `model-not-found`, `model-invalid` saying what is wrong and where, `insufficient-memory`,
/// `invalid-request` naming an option, `unsupported`, `library-unavailable` where a file needs a runtime that
/// is not installed; `unavailable` if the hooks stopped it.
pub fn load(path: &Path, options: &LoadOptions, hooks: &Hooks) -> Result<Model, Error> {
    let _guard = LoadGuard::new(Arc::clone(&hooks.cancelled));
    let kind = file::kind(path);
    match (kind, options.engine.as_deref()) {
        (Kind::Rkllm, Some("llama")) => {
            return Err(other_engine(path, "an `.rkllm` model; use loadModel or RKLLMClient"));
        }
        (Kind::Gguf, Some("rkllm")) if path.is_file() => {
            return Err(other_engine(path, "no `.rkllm` model; use loadModel or LlamaModel for GGUF files"));
        }
        _ => {}
    }
    match kind {
        Kind::Gguf => gguf::load(path, options, hooks),
        Kind::Rkllm => rkllm::load(path, options, hooks),
    }
}

fn stopped() -> Error {
    Error::new(ErrorCode::Unavailable, "the load was stopped")
}

fn other_engine(path: &Path, what: &str) -> Error {
    Error::new(ErrorCode::ModelInvalid, format!("{} is {what}", path.display()))
}
