//! The runtime behind the engine trait.

mod adapters;
mod caches;
mod images;
mod input;
mod numbers;
mod taking;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use rkllmjs_core::{
    AbortSwitch, Adapters, Batch, ClearCache, Detail, Engine, Error, ErrorCode, History, Limits, NativeCall,
    NativeContent, NativeInput, NativeReply, Opening, Run, SequenceId, Sink, StepOutcome, Token, Tokenizer,
};

use crate::library::{Abi, Library};
use crate::prompt_cache::{Fingerprint, Saving, of_file};
use crate::sampling::{handle_sampling, option_support};
use crate::session::{Exchange, Floats, HandleSampling, Mode, RunRequest, Session, SessionSettings};
use adapters::LoadedAdapter;
use caches::{LoadedCache, Templates};
use images::CachedImages;
use input::{Vectors, c_path, c_string, content};

/// Why a run for numbers may bring none.
const NO_NUMBERS: &str = "gave no numbers: the model may not be converted for this";

/// How an engine over the runtime is set up. Numbers must have been checked.
#[derive(Clone)]
pub struct EngineOptions {
    /// How the model is opened.
    pub session: SessionSettings,
    /// Numbers in one vector of a token, where it is known: what vectors given as a prompt are cut by.
    pub embedding_length: Option<u32>,
    /// The model's vocabulary, where it is known. Text is then put together from it: the runtime keeps the
    /// bytes of an incomplete character to itself, and loses them when an answer is interrupted there.
    pub tokenizer: Option<Arc<dyn Tokenizer>>,
    /// The model's chat template, if one is used: prompt caches are bound to it.
    pub chat_template: Option<String>,
}

impl std::fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineOptions").field("session", &self.session).finish_non_exhaustive()
    }
}

/// What the engine knows of an open sequence.
#[derive(Debug)]
struct Open {
    sampling: HandleSampling,
    native: Option<NativeInput>,
    /// Tokens to weigh instead of answering, if there are any.
    candidates: Vec<Token>,
    /// Tokens of its prompt.
    prompt: usize,
    /// Most tokens of its answer.
    max_tokens: Option<u32>,
    /// Its tokens up to where the scheduler has got.
    tokens: Vec<Token>,
}

impl Open {
    /// How many tokens of its answer have been taken up. The newest one is among them once the next is asked for.
    fn given(&self) -> u32 {
        count(self.tokens.len().saturating_sub(self.prompt))
    }

    /// How many tokens its answer may still have.
    fn left(&self) -> Option<u32> {
        self.max_tokens.map(|most| most.saturating_sub(self.given()).max(1))
    }

    /// Whether its answer can be taken up again by sending all its tokens.
    fn is_resumable(&self) -> bool {
        let plain = |native: &NativeInput| {
            native.content == NativeContent::Tokens && native.history == History::Forget
        };
        self.native.as_ref().is_none_or(plain)
    }
}

/// The run under way.
#[derive(Debug, Clone, Copy)]
struct Active {
    sequence: SequenceId,
    /// How many tokens the sequence had when its last token was asked for.
    length: usize,
}

/// The NPU's runtime behind the [`Engine`] trait: one sequence at a time, which it samples itself.
pub struct RkllmEngine {
    session: Session,
    limits: Limits,
    vectors: Vectors,
    tokenizer: Option<Arc<dyn Tokenizer>>,
    per_run_sampling: bool,
    handle_sampling: HandleSampling,
    open: HashMap<SequenceId, Open>,
    active: Option<Active>,
    /// Tokens that the runtime has in its cache, as far as they are known.
    cached: Vec<Token>,
    adapters: BTreeMap<String, LoadedAdapter>,
    active_adapter: Option<String>,
    images: CachedImages,
    model_fingerprint: Fingerprint,
    templates: Templates,
    runtime_version: Option<String>,
    /// The cache that is being saved.
    saving: Option<Saving>,
    /// The prompt cache that the runtime has loaded.
    prompt_cache: Option<LoadedCache>,
    switch: AbortSwitch,
}

impl std::fmt::Debug for RkllmEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RkllmEngine").field("session", &self.session).finish_non_exhaustive()
    }
}

impl RkllmEngine {
    /// Opens a model. Blocks for as long as the runtime takes.
    ///
    /// # Errors
    ///
    /// `model-invalid` if the runtime refuses the file.
    pub fn new(library: &'static Library, options: EngineOptions) -> Result<Self, Error> {
        let EngineOptions { session: settings, embedding_length, tokenizer, chat_template } = options;
        let model_path = Path::new(OsStr::from_bytes(settings.model_path.as_bytes()));
        let model_fingerprint = fingerprint(model_path)?;
        let exchange = Arc::new(Exchange::default());
        let waker = Arc::clone(&exchange);
        let per_run_sampling = library.abi == Abi::V13;
        let limits = Limits {
            sequences: 1,
            context: settings.context,
            cells: settings.context,
            batch: settings.context,
            rolls_back: true,
            worth_stopping: 1,
            shares: false,
            kept: 0,
            kept_tokens: 0,
            drafts: 0,
            options: option_support(library.abi, &settings),
        };
        let handle_sampling = settings.sampling;
        let vectors = Vectors {
            length: embedding_length,
            image_tags: settings.image_tags.clone(),
            context: settings.context,
        };
        Ok(Self {
            session: Session::open(library, settings, exchange)?,
            limits,
            vectors,
            tokenizer,
            per_run_sampling,
            handle_sampling,
            open: HashMap::new(),
            active: None,
            cached: Vec::new(),
            adapters: BTreeMap::new(),
            active_adapter: None,
            images: CachedImages::default(),
            model_fingerprint,
            templates: Templates { model: chat_template, ..Templates::default() },
            runtime_version: library.version.map(|version| version.to_string()),
            saving: None,
            prompt_cache: None,
            switch: AbortSwitch::waking(move || waker.wake()),
        })
    }

    /// Ends the run under way.
    fn stop(&mut self) -> Result<(), Error> {
        self.active = None;
        self.session.stop()
    }

    /// Whether the run under way was asked for no more tokens than it has given. It then ends by itself and
    /// leaves its cache to the next one.
    fn has_given_all(&self, sequence: SequenceId) -> bool {
        let last = self.open.get(&sequence).and_then(Open::left) == Some(1);
        self.per_run_sampling && last && self.active.is_some_and(|active| active.sequence == sequence)
    }

    /// Whether the run under way gives the token after `run`.
    fn goes_on(&self, run: &Run<'_>, adapters: &Adapters) -> bool {
        let adapter = adapters.first().map(|(name, _)| name);
        self.active_adapter.as_ref() == adapter
            && self
                .active
                .is_some_and(|active| active.sequence == run.sequence && active.length == run.start as usize)
            && run.tokens.len() == 1
            && run.tokens.last() == self.cached.last()
            && self.session.is_running()
    }

    /// Starts a run for all tokens of a sequence.
    fn start(&mut self, sequence: SequenceId, adapters: &Adapters, sink: &mut dyn Sink) -> Result<(), Error> {
        let adapter = self.adapter(adapters)?;
        self.check_prompt_cache(adapters)?;
        self.change_adapter(adapters)?;
        let open = self.open.get(&sequence).ok_or_else(|| unknown(sequence))?;
        let weighs = !open.candidates.is_empty();
        if !open.is_resumable() && open.tokens.len() > open.prompt {
            let message = "the answer was interrupted, and the NPU runtime can only take up again what it was \
                           given as tokens";
            return Err(Error::new(ErrorCode::Unavailable, message));
        }
        if weighs || !self.session.is_cache_known() {
            self.cached.clear();
        }
        let native = open.native.clone().unwrap_or_default();
        let origin = native.save_cache.is_some().then(|| self.origin(adapters));
        self.saving = match native.save_cache.as_deref().zip(origin) {
            Some((path, origin)) => Some(Saving::begin(sequence, path, origin)?),
            None => None,
        };
        let content = content(&native, &open.tokens, &self.vectors)?;
        if open.is_resumable() {
            let cached = self.cached.iter().zip(&open.tokens).take_while(|(have, want)| have == want).count();
            // The last token is always computed, because it gives the next one.
            let cached = cached.min(open.tokens.len().saturating_sub(1));
            sink.prompt(sequence, count(open.tokens.len()), count(cached));
            self.cached.clone_from(&open.tokens);
        } else {
            self.cached.clear();
        }
        let request = RunRequest {
            content,
            role: native.role.as_deref().map(|role| c_string("role", role)).transpose()?,
            thinking: native.thinking,
            mode: if weighs { Mode::LastLogits } else { Mode::Generate },
            save_cache: native.save_cache.as_deref().map(|path| c_path("prompt_cache", path)).transpose()?,
            adapter,
            sampling: if self.per_run_sampling { open.sampling } else { self.handle_sampling },
            max_tokens: open.left().unwrap_or(self.limits.context),
            keep_history: native.history == History::Keep,
        };
        if self.images.are_others(&native) {
            self.session.call(|handle| handle.clear_cache(ClearCache::All))??;
        }
        self.session.start(request)
    }
}

impl Engine for RkllmEngine {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn abort_switch(&self) -> AbortSwitch {
        self.switch.clone()
    }

    fn is_lost(&self) -> bool {
        self.session.is_lost()
    }

    fn open(&mut self, sequence: SequenceId, opening: Opening<'_>) -> Result<(), Error> {
        let sampling = handle_sampling(opening.sampling, &self.limits.options)?;
        if opening.logprobs.is_some() {
            return Err(Error::unsupported("logprobs", "is not something the NPU runtime reports"));
        }
        if let Some(wrong) = opening.prompt.iter().find(|&&token| token > i32::MAX.cast_unsigned()) {
            return Err(Error::option("prompt", format!("has token {wrong}, which is none")));
        }
        let native = opening.native.cloned();
        let prompt = opening.prompt.len();
        let max_tokens = opening.max_tokens;
        let candidates = opening.candidates.to_vec();
        let open = Open { sampling, native, candidates, prompt, max_tokens, tokens: Vec::new() };
        self.open.insert(sequence, open);
        Ok(())
    }

    fn step(&mut self, batch: &Batch<'_>, sink: &mut dyn Sink) -> Result<StepOutcome, Error> {
        let [run] = batch.runs.as_slice() else {
            return Err(Error::new(ErrorCode::Internal, "the NPU runtime runs one sequence at a time"));
        };
        if self.switch.is_thrown() {
            return Ok(StepOutcome::Aborted);
        }
        let goes_on = self.goes_on(run, &batch.adapters);
        let open = self.open.get_mut(&run.sequence).ok_or_else(|| unknown(run.sequence))?;
        open.tokens.truncate(run.start as usize);
        open.tokens.extend_from_slice(run.tokens);
        let weighs = !open.candidates.is_empty();
        if !run.sample {
            // The runtime reads a prompt in one piece, when its answer is wanted.
            return Ok(StepOutcome::Done);
        }
        if goes_on {
            self.session.ask();
        } else if let Err(error) = self.start(run.sequence, &batch.adapters, sink) {
            if error.code == ErrorCode::EngineFailed {
                return Err(error);
            }
            sink.failed(run.sequence, error);
            return Ok(StepOutcome::Done);
        }
        let outcome = if weighs {
            self.weigh(run.sequence, batch.time_left, sink)
        } else {
            self.take(run.sequence, batch.time_left, sink)
        };
        if let (Ok(StepOutcome::Aborted), Some(open)) = (&outcome, self.open.get_mut(&run.sequence)) {
            open.tokens.truncate(run.start as usize);
        }
        outcome
    }

    fn park(&mut self, sequence: SequenceId) {
        if self.active.is_some_and(|active| active.sequence == sequence) {
            // A runtime that does not stop shows at the next step.
            let _ = self.stop();
        }
        if let Some(open) = self.open.get_mut(&sequence) {
            open.tokens.clear();
        }
    }

    fn release(&mut self, sequence: SequenceId) {
        if self.has_given_all(sequence) {
            self.active = None;
            self.session.drain();
        }
        let saves = |open: &Open| open.native.as_ref().is_some_and(|native| native.save_cache.is_some());
        if self.active.is_none() && self.open.get(&sequence).is_some_and(saves) {
            // Whoever asked for the file finds it there once the answer has ended.
            self.session.wait_drained();
        }
        self.park(sequence);
        if let Some(saving) = self.saving.take_if(|saving| saving.sequence == sequence) {
            // Who loads a cache without a record is told why it has none.
            let _ = saving.end();
        }
        self.open.remove(&sequence);
    }

    fn embed(&mut self, inputs: &[Vec<Token>]) -> Result<Vec<Vec<f32>>, Error> {
        self.switch.reset();
        inputs.iter().map(|input| self.vector(input)).collect()
    }

    fn native(&mut self, call: NativeCall) -> Result<NativeReply, Error> {
        self.switch.reset();
        self.active = None;
        let rows = |Floats { values, row }| NativeReply::Rows { values, row };
        match call {
            NativeCall::HiddenStates(tokens) => return self.numbers(&tokens, Mode::HiddenStates).map(rows),
            NativeCall::Logits(tokens) => return self.numbers(&tokens, Mode::Logits).map(rows),
            NativeCall::CacheSize => {
                return self.session.call(|handle| handle.cache_size())?.map(NativeReply::Count);
            }
            NativeCall::LoadPromptCache(path) => {
                self.load_prompt_cache(&path)?;
            }
            NativeCall::ReleasePromptCache => {
                self.cached.clear();
                self.session.call(|handle| handle.release_prompt_cache())??;
                self.prompt_cache = None;
            }
            NativeCall::ClearCache(what) => {
                self.cached.clear();
                self.session.call(move |handle| handle.clear_cache(what))??;
            }
            NativeCall::SetChatTemplate([system, prefix, postfix]) => {
                let pieces = [
                    c_string("system_prompt", &system)?,
                    c_string("prefix", &prefix)?,
                    c_string("postfix", &postfix)?,
                ];
                self.session.call(move |handle| handle.set_chat_template(pieces))??;
                self.templates.runtime = Some([system, prefix, postfix]);
            }
            NativeCall::SetFunctionTools([system, tools, response]) => {
                let texts = [
                    c_string("system_prompt", &system)?,
                    c_string("tools", &tools)?,
                    c_string("response_tag", &response)?,
                ];
                self.session.call(move |handle| handle.set_function_tools(texts))??;
                self.templates.tools = Some([system, tools, response]);
            }
        }
        Ok(NativeReply::Done)
    }

    fn load_adapter(&mut self, name: &str, path: &Path, scale: f32) -> Result<(), Error> {
        self.add_adapter(name, path, scale)
    }

    fn unload_adapter(&mut self, name: &str) -> Result<bool, Error> {
        self.keep_adapter(name)
    }
}

fn fingerprint(path: &Path) -> Result<Fingerprint, Error> {
    of_file(path).map_err(|error| {
        Error::new(ErrorCode::ModelInvalid, format!("{}: cannot be read: {error}", path.display()))
            .with("path", Detail::Text(path.display().to_string()))
    })
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn unknown(sequence: SequenceId) -> Error {
    Error::new(ErrorCode::Internal, format!("sequence {}: it was never opened", sequence.0))
}

fn failed(what: &str) -> Error {
    Error::new(ErrorCode::EngineFailed, format!("the NPU runtime {what}"))
}
