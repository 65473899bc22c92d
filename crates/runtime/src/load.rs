use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rkllmjs_core::{Error, ErrorCode, ModelHandle, ModelSettings, OptionFact, Tokenizer};
use rkllmjs_gguf as gguf;
use rkllmjs_llama::{self as llama, EngineOptions, LlamaEngine, LogSink, Pooling};

use crate::file;
use crate::info::describe;
use crate::machine::machine;
use crate::model::{Model, Parts};
use crate::plan::Plan;
use crate::prepare::Prepare;
use crate::registry::{self, LoadGuard};

/// Every numeric load option.
pub const LOAD_OPTIONS: [OptionFact; 8] = [
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
];

/// Load options as a caller wrote them.
#[derive(Debug, Clone, Default, PartialEq)]
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
    pub mmap: Option<bool>,
    pub mlock: Option<bool>,
    pub kv_cache_type: Option<String>,
    pub flash_attention: Option<bool>,
    pub chat_template: Option<String>,
    /// Load for embeddings only: no cache for generation is made.
    pub embedding: Option<bool>,
    pub pooling: Option<String>,
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

/// Loads a model file and starts its engine. Blocks for as long as that takes.
///
/// # Errors
///
/// `model-not-found`, `model-invalid` saying what is wrong and where, `insufficient-memory`,
/// `invalid-request` naming an option, `unsupported`; `unavailable` if the hooks stopped it.
pub fn load(path: &Path, options: &LoadOptions, hooks: &Hooks) -> Result<Model, Error> {
    let _guard = LoadGuard::new(Arc::clone(&hooks.cancelled));
    let file = file::open_model(path)?;
    let facts = gguf::facts(&file);
    let pooling = pooling(options.pooling.as_deref())?;
    let gpu_layers = gpu_layers(options.gpu_layers)?;
    let plan = Plan::new(options, &facts, &machine())?;
    let weights = load_weights(path, options, gpu_layers, hooks)?;
    let only_reads = facts.is_encoder_only || options.embedding == Some(true);
    if weights.has_encoder() && weights.has_decoder() {
        return Err(Error::new(
            ErrorCode::Unsupported,
            "models with an encoder and a decoder cannot be run yet",
        ));
    }
    let engine = LlamaEngine::new(
        Arc::clone(&weights),
        EngineOptions {
            context: plan.context,
            cells: plan.cells,
            sequences: plan.sequences,
            batch: plan.batch,
            threads: plan.threads,
            threads_batch: plan.threads_batch,
            kv_type: plan.kv_type,
            flash_attention: options.flash_attention,
            pooling,
            model_pools: facts.pooling.is_some_and(|pooling| pooling != gguf::Pooling::None),
            encoder_only: only_reads,
            embeds_with_encoder: facts.is_encoder_only,
            log: hooks.log.clone(),
        },
    )?;
    if hooks.cancelled.load(Ordering::SeqCst) {
        return Err(stopped());
    }
    let settings = ModelSettings { queue: plan.queue, ..ModelSettings::default() };
    let handle = ModelHandle::start(Box::new(engine), settings)?;
    registry::renew_at_exit();
    registry::add(&handle);
    let template = options.chat_template.as_deref().or(facts.chat_template);
    let template = template.filter(|source| !source.trim().is_empty()).map(str::to_owned);
    Ok(Model::new(Parts {
        info: describe(path, &file, &facts, &plan, template.as_deref(), only_reads),
        prepare: Prepare::start(plan.sequences as usize + plan.queue as usize)?,
        path: PathBuf::from(path),
        tokenizer: Mutex::new(Some(weights as Arc<dyn Tokenizer>)),
        template,
        handle,
    }))
}

fn load_weights(
    path: &Path,
    options: &LoadOptions,
    gpu_layers: u32,
    hooks: &Hooks,
) -> Result<Arc<llama::Model>, Error> {
    let load_options = llama::LoadOptions {
        gpu_layers,
        mmap: options.mmap.unwrap_or(true),
        mlock: options.mlock.unwrap_or(false),
        log: hooks.log.clone(),
    };
    let (progress, cancelled) = (Arc::clone(&hooks.progress), Arc::clone(&hooks.cancelled));
    let loaded = llama::Model::load(path, &load_options, move |fraction| {
        progress(fraction);
        !cancelled.load(Ordering::SeqCst)
    });
    if hooks.cancelled.load(Ordering::SeqCst) {
        return Err(stopped());
    }
    loaded
}

fn stopped() -> Error {
    Error::new(ErrorCode::Unavailable, "the load was stopped")
}

fn gpu_layers(value: Option<f64>) -> Result<u32, Error> {
    match value {
        None => Ok(0),
        // Auto: this build computes on the CPU alone.
        Some(-1.0 | 0.0) => Ok(0),
        Some(n) if n.fract() == 0.0 && n > 0.0 && n <= 4096.0 => {
            Err(Error::unsupported("gpu_layers", "must be 0 or 'auto': this build has no GPU support"))
        }
        Some(n) => Err(Error::option(
            "gpu_layers",
            format!("must be 'auto' or a whole number from 0 to 4096, got {n}"),
        )),
    }
}

fn pooling(name: Option<&str>) -> Result<Pooling, Error> {
    match name {
        None => Ok(Pooling::Model),
        Some("mean") => Ok(Pooling::Mean),
        Some("cls") => Ok(Pooling::Cls),
        Some("last") => Ok(Pooling::Last),
        Some(other) => Err(Error::option("pooling", format!("must be mean, cls or last, got {other:?}"))),
    }
}
