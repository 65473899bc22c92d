//! `.rkllm` files, run by Rockchip's runtime on the NPU.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use rkllmjs_core::{
    Engine, Error, ErrorCode, ModelHandle, ModelSettings, OptionFact, OptionSupport, Overflow, Tokenizer,
};
use rkllmjs_hf_tokenizer::{self as hf, Companions, ModelFacts};
use rkllmjs_llama::LogLevel;
use rkllmjs_rkllm::library::{Library, Search, Version};
use rkllmjs_rkllm::model_file::{self, ModelFile};
use rkllmjs_rkllm::{
    EngineOptions, HandleSampling, ImageTags, RkllmEngine, RuntimeLog, SessionSettings, default_sampling, npu,
};
use serde_json::Value;

use super::{Hooks, ImageTagOptions, LoadOptions, NpuOptions, isolated, stopped};
use crate::info::{NpuFacts, describe_npu, describe_runtime};
use crate::machine::fast_processor_mask;
use crate::model::{Model, Parts, Vocabulary};
use crate::plan::whole;
use crate::prepare::Prepare;
use crate::rank_head::Ranks;
use crate::{registry, toolkit};

/// What models are converted for unless somebody asks for more; the file says it in a way only the runtime
/// reads.
const CONTEXT_DEFAULT: u32 = 4096;
/// The most that a model can be converted for.
const CONTEXT_MAX: u32 = 16_384;
const QUEUE_DEFAULT: u32 = 256;
/// Longest text round an image.
const IMAGE_TAG_BYTES_MAX: usize = 256;

/// Every numeric load option that only models on an NPU have.
pub const NPU_OPTIONS: [OptionFact; 5] = [
    OptionFact::whole(
        "max_new_tokens",
        "up to the end of the context",
        1.0,
        2_147_483_647.0,
        "Most tokens of an answer whose request has no `max_tokens`.",
    ),
    OptionFact::whole(
        "npu_domain",
        "0",
        0.0,
        15.0,
        "First memory domain of the NPU, each of 4 GB; give several models different ones.",
    ),
    OptionFact::whole(
        "cpu_mask",
        "the fast processors of this process",
        1.0,
        255.0,
        "Processors that the runtime computes on besides the NPU, a bit each.",
    ),
    OptionFact::whole(
        "n_keep",
        "-1",
        -1.0,
        1_048_576.0,
        "Positions at the start that survive when a kept conversation fills the context; -1 is none.",
    ),
    OptionFact::whole(
        "n_batch",
        "1",
        1.0,
        16.0,
        "Inputs that the runtime computes in one run: 1 in this version; more is `unsupported`.",
    ),
];

/// Loads an `.rkllm` file.
pub(super) fn load(path: &Path, options: &LoadOptions, hooks: &Hooks) -> Result<Model, Error> {
    refuse_other_options(options)?;
    refuse_batch(options.npu.n_batch)?;
    let file = model_file::check(path, npu::soc().value.as_ref())?;
    let companions = hf::open_beside(path)?;
    let settings = settings(path, options, companions.as_ref())?;
    let template = template(options, companions.as_ref());
    let context = settings.context;
    let default_max_tokens = number("max_new_tokens", options.npu.max_new_tokens)?.map(|most| most as u32);
    let queue = whole("max_queue", options.max_queue)?.unwrap_or(QUEUE_DEFAULT);
    let (tokenizer, facts) = match companions {
        Some(Companions { tokenizer, facts, .. }) => (Some(Arc::new(tokenizer) as Arc<dyn Tokenizer>), facts),
        None => (None, ModelFacts::default()),
    };
    // The runtime ends its process on a failed assertion, and prints what it likes.
    let isolated = isolated::is_wanted(options, true)?;
    let (engine, runtime): (Box<dyn Engine>, Value) = if isolated {
        isolated::start(path, options.clone(), hooks)?
    } else {
        let (engine, runtime) = engine(
            &file,
            &options.npu,
            hooks,
            EngineOptions {
                session: settings,
                embedding_length: facts.embedding_size,
                tokenizer: tokenizer.clone(),
                chat_template: template.clone(),
            },
        )?;
        (Box::new(engine), runtime)
    };
    if hooks.cancelled.load(Ordering::SeqCst) {
        return Err(stopped());
    }
    (hooks.progress)(1.0);
    let handle = ModelHandle::start(engine, ModelSettings { queue, ..ModelSettings::default() })?;
    registry::renew_at_exit();
    registry::add(&handle);
    let vocabulary_size = tokenizer.as_ref().map(|tokenizer| tokenizer.vocabulary_size());
    Ok(Model::new(Parts {
        info: describe_npu(&NpuFacts {
            path,
            file: &file,
            runtime,
            isolated,
            context,
            context_most: facts.context_size.map(|made_for| made_for.min(CONTEXT_MAX)),
            queue,
            embedding_length: facts.embedding_size,
            architecture: facts.architecture.as_deref(),
            vocabulary_size,
            template: template.as_deref(),
        }),
        prepare: Prepare::start(1 + queue as usize)?,
        path: PathBuf::from(path),
        vocabulary: Mutex::new(tokenizer.map_or(Vocabulary::InEngine, Vocabulary::Known)),
        template,
        default_max_tokens,
        overflow: Overflow::End,
        state: Err(keeps_its_state()),
        check_adapter,
        compile: None,
        embedding_length: facts.embedding_size,
        ranks: Ranks::ByAnswer,
        embed_refusal: None,
        senses: Err(sees_embeddings_only()),
        handle,
    }))
}

fn keeps_its_state() -> Error {
    Error::new(
        ErrorCode::Unsupported,
        "the NPU runtime keeps its cache itself: save it with the option promptCache of generate(), and load it \
         with loadPromptCache()",
    )
}

fn sees_embeddings_only() -> Error {
    Error::unsupported(
        "messages",
        "cannot hold images on an NPU: encode them there, and give what comes out to generate({ text, image })",
    )
}

/// The engine without what makes a model of it, for the process that runs it alone, and the runtime it uses.
pub(super) fn engine_alone(
    path: &Path,
    options: &LoadOptions,
    hooks: &Hooks,
) -> Result<(RkllmEngine, Value), Error> {
    let file = model_file::check(path, npu::soc().value.as_ref())?;
    let companions = hf::open_beside(path)?;
    let session = SessionSettings { log: RuntimeLog::Heard, ..settings(path, options, companions.as_ref())? };
    let chat_template = template(options, companions.as_ref());
    let embedding_length = companions.as_ref().and_then(|companions| companions.facts.embedding_size);
    let tokenizer = companions.map(|companions| Arc::new(companions.tokenizer) as Arc<dyn Tokenizer>);
    let options_of_engine = EngineOptions { session, embedding_length, tokenizer, chat_template };
    engine(&file, &options.npu, hooks, options_of_engine)
}

fn engine(
    file: &ModelFile,
    npu: &NpuOptions,
    hooks: &Hooks,
    options: EngineOptions,
) -> Result<(RkllmEngine, Value), Error> {
    let library = Library::find(&Search {
        library_path: npu.library_path.as_deref(),
        addon_folder: npu.addon_folder.as_deref(),
        runtime_version: npu.runtime_version.as_deref(),
    })?;
    let claimed = npu.runtime_version.as_deref().and_then(Version::parse);
    let runtime = claimed.or(library.version);
    toolkit::refuse_older_runtime(&file.path, file.toolkit_version, runtime)?;
    if let (Some(warning), Some(log)) = (toolkit::warning(file.toolkit_version, runtime), &hooks.log) {
        log(LogLevel::Warn, &warning);
    }
    let engine = RkllmEngine::new(library, options)?;
    Ok((engine, describe_runtime(library)))
}

/// The chat template that prompts are made with.
fn template(options: &LoadOptions, companions: Option<&Companions>) -> Option<String> {
    let own = || companions.and_then(|companions| companions.templates.default.clone());
    options.chat_template.clone().or_else(own).filter(|source| !source.trim().is_empty())
}

fn settings(
    path: &Path,
    options: &LoadOptions,
    companions: Option<&Companions>,
) -> Result<SessionSettings, Error> {
    let npu = &options.npu;
    let made_for = companions.and_then(|companions| companions.facts.context_size);
    let context = context(options.context_size, made_for)?;
    let support = OptionSupport { defaults: default_sampling(), ..OptionSupport::default() };
    let sampling = npu.sampling.build(&support, i32::MAX.cast_unsigned(), 0)?.sampling;
    let mask = match number("cpu_mask", npu.cpu_mask)? {
        Some(mask) => mask as u32,
        None => fast_processor_mask(),
    };
    Ok(SessionSettings {
        model_path: CString::new(path.as_os_str().as_bytes())
            .map_err(|_| Error::option("path", "must not contain a NUL character"))?,
        context,
        sampling: HandleSampling::from(&sampling),
        keep: number("n_keep", npu.n_keep)?.map_or(-1, |keep| keep as i32),
        skip_special_tokens: npu.skip_special_token.unwrap_or(true),
        ignore_end: npu.ignore_eos_token.unwrap_or(false),
        image_tags: image_tags(npu.image_tags.as_ref())?,
        npu_domain: number("npu_domain", npu.npu_domain)?.map_or(0, |domain| domain as i32),
        embed_flash: npu.embed_flash.unwrap_or(true),
        cpu_mask: mask,
        log: RuntimeLog::Output,
    })
}

fn image_tags(given: Option<&ImageTagOptions>) -> Result<ImageTags, Error> {
    let Some(given) = given else { return Ok(ImageTags::default()) };
    let text = |name, text: &str| {
        if text.len() > IMAGE_TAG_BYTES_MAX {
            let message = format!("must have at most {IMAGE_TAG_BYTES_MAX} bytes, got {}", text.len());
            return Err(Error::option(name, message));
        }
        CString::new(text).map_err(|_| Error::option(name, "must not contain a NUL character"))
    };
    Ok(ImageTags {
        start: text("image_tags.start", &given.start)?,
        end: text("image_tags.end", &given.end)?,
        content: text("image_tags.content", &given.content)?,
    })
}

/// The runtime refuses what is above the limit of the model, without saying so; the limits that can be known
/// are checked here.
fn context(asked: Option<f64>, made_for: Option<u32>) -> Result<u32, Error> {
    let most = made_for.unwrap_or(CONTEXT_MAX).min(CONTEXT_MAX);
    match whole("context_size", asked)? {
        None => Ok(CONTEXT_DEFAULT.min(most)),
        Some(context) if context <= most => Ok(context),
        Some(context) => {
            let message = format!("must be at most {most} for this model on an NPU, got {context}");
            Err(Error::option("context_size", message))
        }
    }
}

/// The runtime's batches are static: all inputs begin together, none can leave or be stopped before the others,
/// and what a run does with fewer inputs than the batch has is nowhere said.
fn refuse_batch(asked: Option<f64>) -> Result<(), Error> {
    if number("n_batch", asked)?.is_some_and(|inputs| inputs > 1.0) {
        let message = "must be 1: in the NPU runtime's batches all answers begin together and none can be cancelled \
                       or replaced before the others have ended; leave it out, and requests take turns";
        return Err(Error::unsupported("n_batch", message));
    }
    Ok(())
}

fn number(name: &'static str, value: Option<f64>) -> Result<Option<f64>, Error> {
    let Some(value) = value else { return Ok(None) };
    match NPU_OPTIONS.iter().find(|fact| fact.name == name) {
        Some(fact) => fact.check(value).map(Some),
        None => Err(Error::option(name, "is not a numeric option")),
    }
}

/// Options that mean nothing to the NPU's runtime.
fn refuse_other_options(options: &LoadOptions) -> Result<(), Error> {
    let given = [
        ("kv_cells", options.kv_cells.is_some()),
        ("max_sequences", options.max_sequences.is_some_and(|sequences| sequences != 1.0)),
        ("batch_size", options.batch_size.is_some()),
        ("threads", options.threads.is_some()),
        ("threads_batch", options.threads_batch.is_some()),
        ("gpu_layers", options.gpu_layers.is_some_and(|layers| layers != 0.0)),
        ("host_cache_bytes", options.host_cache_bytes.is_some_and(|bytes| bytes != 0.0)),
        ("mmap", options.mmap == Some(false)),
        ("mlock", options.mlock == Some(true)),
        ("kv_cache_type", options.kv_cache_type.is_some()),
        ("draft_model", options.draft_model.is_some()),
        ("mmproj", options.mmproj.is_some()),
        ("flash_attention", options.flash_attention.is_some()),
        ("context_overflow", options.context_overflow.as_deref().is_some_and(|overflow| overflow != "error")),
        ("pooling", options.pooling.as_deref().is_some_and(|pooling| pooling != "last")),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some(&(name, _)) => Err(Error::unsupported(
            name,
            "is no option of `.rkllm` models: the NPU runtime decides it itself",
        )),
    }
}

/// An adapter for the NPU is a file of the same kind as its models.
fn check_adapter(path: &Path, _: &Path) -> Result<(), Error> {
    model_file::check(path, npu::soc().value.as_ref()).map(drop)
}
