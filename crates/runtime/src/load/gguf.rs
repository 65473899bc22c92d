//! GGUF files, run by llama.cpp.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};

use rkllmjs_core::{Engine, Error, ErrorCode, ModelHandle, ModelSettings, Overflow};
use rkllmjs_gguf as gguf;
use rkllmjs_llama::{self as llama, EngineOptions, LlamaEngine, Pooling, Projector, ProjectorOptions};

use super::kept::Kept;
use super::{Hooks, LoadOptions, isolated, stopped};
use crate::info::{Abilities, describe};
use crate::machine::machine;
use crate::media::{MediumKind, Senses};
use crate::model::{Compile, Model, Parts, Vocabulary};
use crate::plan::Plan;
use crate::prepare::Prepare;
use crate::rank_head::{Ranks, embed_refusal};
use crate::{file, registry};

/// Loads a GGUF file.
pub(super) fn load(path: &Path, options: &LoadOptions, hooks: &Hooks) -> Result<Model, Error> {
    refuse_npu_options(options)?;
    let parts = file::open_model(path)?;
    let file = &parts.whole;
    let first = file::first_part(&parts, path);
    let facts = gguf::facts(file);
    let draft = draft_parts(options)?;
    let isolated = isolated::is_wanted(options, false)?;
    let projector = projector_file(options, &facts, isolated)?;
    let plan = plan(options, &facts, draft.as_ref(), projector.as_ref())?;
    let mut senses = Err(no_projector());
    let (engine, vocabulary): (Box<dyn Engine>, Arc<llama::Model>) = if isolated {
        // Text becomes tokens on this side, where it is needed while the engine computes.
        let vocabulary = llama::Model::load_vocabulary(first)?;
        (isolated::start(first, plan.pinned(options), hooks)?.0, vocabulary)
    } else {
        let weights = load_weights(first, options, hooks)?;
        let engine = engine(Arc::clone(&weights), options, &facts, &plan, hooks)?;
        if let (Some(path), Some(_)) = (options.mmproj.as_deref(), projector) {
            senses = Ok(load_projector(Path::new(path), &weights, &plan, hooks)?);
        }
        (Box::new(with_draft(engine, options, draft.as_ref(), hooks)?), weights)
    };
    if hooks.cancelled.load(Ordering::SeqCst) {
        return Err(stopped());
    }
    let overflow = overflow(options.context_overflow.as_deref(), engine.as_ref(), isolated)?;
    let kept = Kept::of(options, &facts, overflow, engine.limits());
    let host_cache_bytes = kept.host_cache_bytes(options, &plan)?;
    let state = kept.state_facts(&parts, path, &facts, &plan)?;
    let settings =
        ModelSettings { queue: plan.queue, overflow, host_cache_bytes, ..ModelSettings::default() };
    let handle = ModelHandle::start(engine, settings)?;
    registry::renew_at_exit();
    registry::add(&handle);
    let template = options.chat_template.as_deref().or(facts.chat_template);
    let template = template.filter(|source| !source.trim().is_empty()).map(str::to_owned);
    let only_reads = only_reads(options, &facts);
    let ranks = Ranks::new(&facts, only_reads, plan.context.min(llama::INPUT_TOKENS_MAX));
    let abilities = Abilities {
        generates: !only_reads,
        ranks_with: ranks.name(template.as_deref()),
        media: senses.as_ref().map_or(&[], |senses| match senses.kind() {
            MediumKind::Image => &["image"],
            MediumKind::Audio => &["audio"],
        }),
    };
    Ok(Model::new(Parts {
        info: describe(path, file, &facts, &plan, template.as_deref(), abilities, isolated),
        prepare: Prepare::start(plan.sequences as usize + plan.queue as usize)?,
        path: PathBuf::from(path),
        compile: Some(compile(Arc::downgrade(&vocabulary))),
        vocabulary: Mutex::new(Vocabulary::Known(vocabulary)),
        default_max_tokens: None,
        overflow,
        embedding_length: None,
        state,
        check_adapter: file::check_adapter,
        ranks,
        embed_refusal: embed_refusal(&facts, options.pooling.as_deref()),
        senses,
        template,
        handle,
    }))
}

/// What compiles constraints, for as long as the weights are there for somebody else.
fn compile(vocabulary: Weak<llama::Model>) -> Compile {
    Box::new(move |constraint| {
        vocabulary.upgrade().map_or(Ok(()), |vocabulary| vocabulary.compile(constraint))
    })
}

/// The engine without what makes a model of it, for the process that runs it alone.
pub(super) fn engine_alone(path: &Path, options: &LoadOptions, hooks: &Hooks) -> Result<LlamaEngine, Error> {
    let parts = file::open_model(path)?;
    let facts = gguf::facts(&parts.whole);
    let draft = draft_parts(options)?;
    let plan = plan(options, &facts, draft.as_ref(), None)?;
    let weights = load_weights(file::first_part(&parts, path), options, hooks)?;
    with_draft(engine(weights, options, &facts, &plan, hooks)?, options, draft.as_ref(), hooks)
}

/// The sizes for a model, and for its draft model and its projector if it has them.
fn plan(
    options: &LoadOptions,
    facts: &gguf::Facts<'_>,
    draft: Option<&gguf::Parts>,
    projector: Option<&gguf::Projector>,
) -> Result<Plan, Error> {
    let machine = machine();
    let mut plan = Plan::new(options, facts, &machine)?;
    if let Some(draft) = draft {
        plan = plan.with_draft(&gguf::facts(&draft.whole), &machine)?;
    }
    match projector {
        None => Ok(plan),
        Some(projector) => plan.with_projector(projector, &machine),
    }
}

/// What is known of the checked file of the projector, if there is one.
fn projector_file(
    options: &LoadOptions,
    facts: &gguf::Facts<'_>,
    isolated: bool,
) -> Result<Option<gguf::Projector>, Error> {
    let Some(path) = options.mmproj.as_deref() else { return Ok(None) };
    if isolated {
        return Err(Error::unsupported("mmproj", "cannot be combined with isolate in this version"));
    }
    if only_reads(options, facts) {
        return Err(Error::unsupported("mmproj", "needs a model that generates; this one makes embeddings"));
    }
    file::open_projector(Path::new(path), facts).map(Some)
}

/// Why a model without a projector cannot see and hear.
fn no_projector() -> Error {
    let message = "must be given when the model is loaded: it is what reads images or audio, a GGUF file of its own that \
                   comes with models that can see or hear";
    Error::unsupported("mmproj", message)
}

fn load_projector(
    path: &Path,
    weights: &Arc<llama::Model>,
    plan: &Plan,
    hooks: &Hooks,
) -> Result<Senses, Error> {
    let options = ProjectorOptions {
        threads: plan.threads_batch,
        gpu: llama::has_gpu(),
        rows: plan.image_rows,
        log: hooks.log.clone(),
    };
    let stop = || hooks.cancelled.load(Ordering::SeqCst);
    let loaded = Projector::load(weights, path, &options, &stop);
    if stop() {
        return Err(stopped());
    }
    Ok(Senses::new(loaded?, weights.input_size(), plan.context))
}

/// The checked file of the draft model, if there is one.
fn draft_parts(options: &LoadOptions) -> Result<Option<gguf::Parts>, Error> {
    options.draft_model.as_deref().map(|path| file::open_model(Path::new(path))).transpose()
}

fn with_draft(
    engine: LlamaEngine,
    options: &LoadOptions,
    draft: Option<&gguf::Parts>,
    hooks: &Hooks,
) -> Result<LlamaEngine, Error> {
    let (Some(path), Some(parts)) = (options.draft_model.as_deref(), draft) else { return Ok(engine) };
    // The model itself has told of the progress already.
    let hooks = Hooks { progress: Arc::new(|_| {}), ..hooks.clone() };
    engine.with_draft_model(load_weights(file::first_part(parts, Path::new(path)), options, &hooks)?)
}

fn engine(
    weights: Arc<llama::Model>,
    options: &LoadOptions,
    facts: &gguf::Facts<'_>,
    plan: &Plan,
    hooks: &Hooks,
) -> Result<LlamaEngine, Error> {
    if weights.has_encoder() && weights.has_decoder() {
        return Err(Error::new(
            ErrorCode::Unsupported,
            "models with an encoder and a decoder cannot be run yet",
        ));
    }
    LlamaEngine::new(
        weights,
        EngineOptions {
            context: plan.context,
            cells: plan.cells,
            sequences: plan.sequences,
            batch: plan.batch,
            threads: plan.threads,
            threads_batch: plan.threads_batch,
            kv_type: plan.kv_type,
            flash_attention: options.flash_attention,
            pooling: pooling(options.pooling.as_deref())?,
            // Scores are not vectors: whoever wants some says how they are pooled.
            model_pools: facts
                .pooling
                .is_some_and(|pooling| !matches!(pooling, gguf::Pooling::None | gguf::Pooling::Rank)),
            encoder_only: only_reads(options, facts),
            embeds_with_encoder: facts.is_encoder_only,
            log: hooks.log.clone(),
        },
    )
}

fn overflow(name: Option<&str>, engine: &dyn Engine, isolated: bool) -> Result<Overflow, Error> {
    match name {
        None | Some("error") => Ok(Overflow::End),
        Some("shift") if engine.can_shift() => Ok(Overflow::Shift),
        Some("shift") => {
            let why = if isolated {
                "in a process of its own"
            } else {
                "for this model, whose memory cannot drop tokens"
            };
            Err(Error::unsupported("context_overflow", format!("cannot be 'shift' {why}")))
        }
        Some(other) => {
            Err(Error::option("context_overflow", format!("must be 'error' or 'shift', got {other:?}")))
        }
    }
}

pub(super) fn only_reads(options: &LoadOptions, facts: &gguf::Facts<'_>) -> bool {
    facts.is_encoder_only || options.embedding == Some(true)
}

fn load_weights(path: &Path, options: &LoadOptions, hooks: &Hooks) -> Result<Arc<llama::Model>, Error> {
    // A wrong value is refused before the file is read, which may take long.
    pooling(options.pooling.as_deref())?;
    let load_options = llama::LoadOptions {
        gpu_layers: gpu_layers(options.gpu_layers)?,
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

/// Options that only mean something to an NPU.
fn refuse_npu_options(options: &LoadOptions) -> Result<(), Error> {
    match options.npu.first_given() {
        None => Ok(()),
        Some(name) => Err(Error::unsupported(name, "is an option of `.rkllm` models; this is a GGUF model")),
    }
}

/// More layers than any model has.
const ALL_LAYERS: u32 = 4096;

fn gpu_layers(value: Option<f64>) -> Result<u32, Error> {
    match value {
        // Auto.
        None | Some(-1.0) => Ok(if llama::has_gpu() { ALL_LAYERS } else { 0 }),
        Some(0.0) => Ok(0),
        Some(n) if n.fract() == 0.0 && n > 0.0 && n <= f64::from(ALL_LAYERS) => {
            if llama::has_gpu() {
                return Ok(n as u32);
            }
            Err(Error::unsupported("gpu_layers", NO_GPU))
        }
        Some(n) => Err(Error::option(
            "gpu_layers",
            format!("must be 'auto' or a whole number from 0 to 4096, got {n}"),
        )),
    }
}

const NO_GPU: &str = if cfg!(any(feature = "cuda", feature = "metal", feature = "vulkan")) {
    "must be 0 or 'auto': there is no GPU that this build can use"
} else {
    "must be 0 or 'auto': this build computes on the CPU alone"
};

fn pooling(name: Option<&str>) -> Result<Pooling, Error> {
    match name {
        None => Ok(Pooling::Model),
        Some("mean") => Ok(Pooling::Mean),
        Some("cls") => Ok(Pooling::Cls),
        Some("last") => Ok(Pooling::Last),
        Some(other) => Err(Error::option("pooling", format!("must be mean, cls or last, got {other:?}"))),
    }
}
