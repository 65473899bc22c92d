use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rkllmjs_core::{
    AbortSwitch, Adapters, Batch, ClearCache, Detail, Engine, Error, ErrorCode, History, Limits, NativeCall,
    NativeContent, NativeInput, NativeReply, Opening, Run, Sampled, SequenceId, Sink, Special, StepOutcome,
    Token, TokenLogprob, Tokenizer,
};

use crate::library::{Abi, Library};
use crate::prompt_cache::{self, Fingerprint, Origin, Saving, of_file, of_texts};
use crate::sampling::{handle_sampling, option_support};
use crate::session::{
    Content, Event, Exchange, Floats, HandleSampling, Mode, Perf, RunRequest, Session, SessionSettings, Wait,
};

/// How long the runtime may be silent while it reads a prompt. The longest known ones take a minute.
const SILENCE_MOST: Duration = Duration::from_secs(300);
/// How long it may be silent between two tokens. The slowest known models make three a second.
const SILENCE_BETWEEN_MOST: Duration = Duration::from_secs(60);

/// What stands for the token that ended an answer: most runtimes do not say which one it was.
const UNKNOWN_END: Token = 0;

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
    /// How many tokens its answer may still have.
    fn left(&self) -> Option<u32> {
        let made = count(self.tokens.len().saturating_sub(self.prompt));
        self.max_tokens.map(|most| most.saturating_sub(made).max(1))
    }

    /// Whether its answer can be taken up again by sending all its tokens.
    fn is_resumable(&self) -> bool {
        let plain = |native: &NativeInput| {
            native.content == NativeContent::Tokens && native.history == History::Forget
        };
        self.native.as_ref().is_none_or(plain)
    }
}

/// How long to wait for the runtime.
#[derive(Debug)]
struct Patience {
    /// What it may be silent.
    silence: Duration,
    /// What is left to the request.
    left: Option<Duration>,
}

impl Patience {
    const fn new(silence: Duration, left: Option<Duration>) -> Self {
        Self { silence, left }
    }

    fn most(&self) -> Duration {
        self.left.unwrap_or(self.silence).min(self.silence)
    }

    /// Whether the request is out of time before the silence is too long.
    fn is_out_of_time(&self) -> bool {
        self.left.is_some_and(|left| left < self.silence)
    }
}

/// The run under way.
#[derive(Debug, Clone, Copy)]
struct Active {
    sequence: SequenceId,
    /// How many tokens the sequence had when its last token was asked for.
    length: usize,
}

/// An adapter the runtime has loaded. It cannot unload one.
#[derive(Debug, Clone, PartialEq)]
struct LoadedAdapter {
    name: CString,
    scale: f32,
    fingerprint: Fingerprint,
}

/// What decides how a conversation becomes a prompt.
#[derive(Debug, Default)]
struct Templates {
    model: Option<String>,
    /// What the runtime's own was told.
    runtime: Option<[String; 3]>,
    tools: Option<[String; 3]>,
}

impl Templates {
    fn fingerprint(&self) -> Fingerprint {
        let told = [&self.runtime, &self.tools].into_iter().flatten().flatten();
        of_texts(self.model.as_deref().into_iter().chain(told.map(String::as_str)))
    }
}

/// A prompt cache that the runtime has loaded, and under which adapter it was made.
#[derive(Debug)]
struct LoadedCache {
    adapter: Option<Fingerprint>,
}

/// The NPU's runtime behind the [`Engine`] trait: one sequence at a time, which it samples itself.
pub struct RkllmEngine {
    session: Session,
    limits: Limits,
    embedding_length: Option<u32>,
    tokenizer: Option<Arc<dyn Tokenizer>>,
    per_run_sampling: bool,
    handle_sampling: HandleSampling,
    open: HashMap<SequenceId, Open>,
    active: Option<Active>,
    /// Tokens that the runtime has in its cache, as far as they are known.
    cached: Vec<Token>,
    adapters: BTreeMap<String, LoadedAdapter>,
    active_adapter: Option<String>,
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
            options: option_support(library.abi, &settings),
        };
        let handle_sampling = settings.sampling;
        Ok(Self {
            session: Session::open(library, settings, exchange)?,
            limits,
            embedding_length,
            tokenizer,
            per_run_sampling,
            handle_sampling,
            open: HashMap::new(),
            active: None,
            cached: Vec::new(),
            adapters: BTreeMap::new(),
            active_adapter: None,
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

    /// The adapter of a batch: the runtime knows one a run, at the scale it was loaded with.
    fn adapter(&self, wanted: &Adapters) -> Result<Option<CString>, Error> {
        match wanted.as_slice() {
            [] => Ok(None),
            [(name, scale)] => {
                let loaded = self
                    .adapters
                    .get(name)
                    .ok_or_else(|| Error::option("lora", format!("names {name:?}, which is not loaded")))?;
                if loaded.scale != *scale {
                    let message = format!(
                        "must give {name:?} the scale it was loaded with ({}), got {scale}: the NPU runtime fixes it; \
                         load the file once more under another name with the other scale",
                        loaded.scale
                    );
                    return Err(Error::unsupported("lora", message));
                }
                Ok(Some(loaded.name.clone()))
            }
            more => {
                let message =
                    format!("must name one adapter, got {}: the NPU runtime takes one a run", more.len());
                Err(Error::unsupported("lora", message))
            }
        }
    }

    fn adapter_fingerprint(&self, wanted: &Adapters) -> Option<Fingerprint> {
        let (name, _) = wanted.first()?;
        self.adapters.get(name).map(|adapter| adapter.fingerprint.clone())
    }

    /// What a cache that is saved under `adapters` belongs to.
    fn origin(&self, adapters: &Adapters) -> Origin {
        Origin {
            model: self.model_fingerprint.clone(),
            template: self.templates.fingerprint(),
            runtime: self.runtime_version.clone(),
            adapter: self.adapter_fingerprint(adapters),
        }
    }

    /// Refuses a run for which the loaded prompt cache would be wrong: the runtime would use it all the same.
    fn check_prompt_cache(&self, adapters: &Adapters) -> Result<(), Error> {
        match &self.prompt_cache {
            Some(cache) if cache.adapter != self.adapter_fingerprint(adapters) => {
                let own =
                    self.adapters.iter().find(|(_, one)| Some(&one.fingerprint) == cache.adapter.as_ref());
                let own = own.map_or_else(|| "no adapter".to_owned(), |(name, _)| format!("{name:?}"));
                let message = format!(
                    "must be {own}, under which the loaded prompt cache was saved; or release that cache first"
                );
                Err(Error::option("lora", message))
            }
            _ => Ok(()),
        }
    }

    /// Hands a saved cache to the runtime once it is known to be this model's.
    fn load_prompt_cache(&mut self, path: &Path) -> Result<(), Error> {
        let adapter = prompt_cache::check(path, &self.origin(&Adapters::new()))?;
        let is_loaded = |wanted: &Fingerprint| self.adapters.values().any(|one| one.fingerprint == *wanted);
        if adapter.as_ref().is_some_and(|adapter| !is_loaded(adapter)) {
            let message = format!(
                "the prompt cache {} was saved under an adapter that is not loaded; load it first, with the same scale",
                path.display()
            );
            return Err(Error::new(ErrorCode::ModelInvalid, message)
                .with("path", Detail::Text(path.display().to_string()))
                .with("part", Detail::Text("adapter".to_owned())));
        }
        let c_path = c_path("path", path)?;
        self.cached.clear();
        self.session.call(move |handle| handle.load_prompt_cache(c_path))??;
        self.prompt_cache = Some(LoadedCache { adapter });
        Ok(())
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
        let content = content(&native, &open.tokens, self.embedding_length)?;
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
        self.session.start(request)
    }

    /// Ends the run under way; what was computed under another adapter is of no use under this one.
    fn change_adapter(&mut self, adapters: &Adapters) -> Result<(), Error> {
        self.stop()?;
        let wanted = adapters.first().map(|(name, _)| name.clone());
        if self.active_adapter != wanted {
            self.cached.clear();
            self.session.call(|handle| handle.clear_cache(ClearCache::All))??;
            self.active_adapter = wanted;
        }
        Ok(())
    }

    /// Waits for the token that was asked for.
    fn take(
        &mut self,
        sequence: SequenceId,
        time_left: Option<Duration>,
        sink: &mut dyn Sink,
    ) -> Result<StepOutcome, Error> {
        let is_reading = self.active.is_none_or(|active| active.sequence != sequence);
        let patience = Patience::new(if is_reading { SILENCE_MOST } else { SILENCE_BETWEEN_MOST }, time_left);
        match self.next(&patience) {
            Some(Event::Token { token, text }) => self.give(sequence, token, &text, sink),
            Some(Event::Finished(perf)) => {
                self.active = None;
                // What is left of the run is the saving of its cache.
                self.session.drain();
                self.end(sequence, perf, sink)?;
            }
            Some(Event::Returned(0)) => {
                self.active = None;
                self.end(sequence, None, sink)?;
            }
            other => return self.fail(sequence, other, &patience, sink),
        }
        Ok(StepOutcome::Done)
    }

    /// Waits for the logits that were asked for and weighs the candidates of the sequence by them.
    fn weigh(
        &mut self,
        sequence: SequenceId,
        time_left: Option<Duration>,
        sink: &mut dyn Sink,
    ) -> Result<StepOutcome, Error> {
        // What a run for logits leaves in the cache is not known.
        self.cached.clear();
        let patience = Patience::new(SILENCE_MOST, time_left);
        match self.next(&patience) {
            Some(Event::Numbers(Floats { values, .. })) => {
                self.session.drain();
                let candidates = self.open.get(&sequence).map_or(&[][..], |open| &open.candidates);
                match TokenLogprob::among(&values, candidates) {
                    Some(chosen) => {
                        let token = chosen.token;
                        sink.token(
                            sequence,
                            Sampled { token, bytes: &[], end: false, logprob: Some(chosen) },
                        );
                    }
                    None => sink.failed(sequence, failed("gave logits of another vocabulary, or no numbers")),
                }
                Ok(StepOutcome::Done)
            }
            Some(Event::Finished(_) | Event::Returned(0)) => {
                self.session.drain();
                sink.failed(sequence, failed(NO_NUMBERS));
                Ok(StepOutcome::Done)
            }
            other => self.fail(sequence, other, &patience, sink),
        }
    }

    fn next(&self, patience: &Patience) -> Option<Event> {
        let switch = &self.switch;
        self.session.next(&Wait { most: patience.most(), give_up: &|| switch.is_thrown() })
    }

    /// Hands over a token of the run under way.
    fn give(&mut self, sequence: SequenceId, token: i32, text: &[u8], sink: &mut dyn Sink) {
        let token = Token::try_from(token).unwrap_or(0);
        self.cached.push(token);
        let length = self.open.get(&sequence).map_or(0, |open| open.tokens.len());
        self.active = Some(Active { sequence, length });
        let Some(tokenizer) = &self.tokenizer else {
            sink.token(sequence, Sampled { token, bytes: text, end: false, logprob: None });
            return;
        };
        let end = tokenizer.is_end(token) && !self.limits.options.defaults.ignore_end;
        if end {
            // Some runtimes give the token that ends an answer before they say that it has ended.
            self.active = None;
            self.session.drain();
        }
        let bytes = tokenizer.piece(token, Special::default());
        let token = if end { UNKNOWN_END } else { token };
        sink.token(sequence, Sampled { token, bytes: &bytes, end, logprob: None });
    }

    /// What follows from an event that was not waited for, or from none.
    fn fail(
        &mut self,
        sequence: SequenceId,
        event: Option<Event>,
        patience: &Patience,
        sink: &mut dyn Sink,
    ) -> Result<StepOutcome, Error> {
        match event {
            Some(Event::Failed) => {
                self.stop()?;
                sink.failed(sequence, failed("reports an error in the middle of the answer"));
            }
            Some(Event::Returned(status)) => {
                self.active = None;
                self.cached.clear();
                sink.failed(sequence, failed(&format!("refuses the prompt (status {status})")));
            }
            Some(Event::Numbers(_) | Event::Token { .. } | Event::Finished(_)) => {
                self.stop()?;
                sink.failed(sequence, failed("gave something else than it was asked for"));
            }
            None if self.switch.is_thrown() || patience.is_out_of_time() => {
                self.stop()?;
                self.cached.clear();
                return Ok(StepOutcome::Aborted);
            }
            None => {
                self.stop()?;
                self.cached.clear();
                let silent = format!("has said nothing for {} s", patience.silence.as_secs());
                sink.failed(sequence, failed(&silent));
            }
        }
        Ok(StepOutcome::Done)
    }

    /// Says that an answer has ended, and why: of a prompt that the runtime read itself, only the runtime knows
    /// how much of the context is taken.
    fn end(&mut self, sequence: SequenceId, perf: Option<Perf>, sink: &mut dyn Sink) -> Result<(), Error> {
        let is_counted = self.open.get(&sequence).is_none_or(Open::is_resumable);
        let held = if is_counted { 0 } else { self.session.call(|handle| handle.cache_size())?.unwrap_or(0) };
        if let (Some(perf), false) = (perf, is_counted) {
            let computed = u32::try_from(perf.prefill_tokens).unwrap_or(0);
            let made = u32::try_from(perf.generate_tokens).unwrap_or(0);
            // All that is cached but the answer; the runtime's own count leaves out what was cached before.
            let tokens = held.saturating_sub(made).max(computed);
            sink.prompt(sequence, tokens, tokens - computed);
        }
        // The last token is in the context, but not in the cache: nothing follows it.
        if held.saturating_add(1) >= self.limits.context {
            sink.full(sequence);
        } else {
            sink.token(sequence, Sampled { token: UNKNOWN_END, bytes: &[], end: true, logprob: None });
        }
        Ok(())
    }

    /// A run that gives numbers for every token of `input` instead of an answer.
    fn numbers(&mut self, input: &[Token], mode: Mode) -> Result<Floats, Error> {
        self.check_prompt_cache(&Adapters::new())?;
        self.stop()?;
        self.cached.clear();
        if input.is_empty() || input.len() >= self.limits.context as usize {
            return Err(Error::context_exceeded(input.len(), self.limits.context));
        }
        self.session.start(RunRequest {
            content: Content::Tokens(input.iter().map(|token| token.cast_signed()).collect()),
            role: None,
            thinking: false,
            mode,
            adapter: None,
            save_cache: None,
            sampling: self.handle_sampling,
            max_tokens: 1,
            keep_history: false,
        })?;
        let switch = self.switch.clone();
        let wait = Wait { most: SILENCE_MOST, give_up: &|| switch.is_thrown() };
        let mut numbers = None;
        loop {
            match self.session.next(&wait) {
                Some(Event::Numbers(floats)) => numbers = Some(floats),
                Some(Event::Token { .. }) => self.session.ask(),
                Some(Event::Finished(_)) => {}
                Some(Event::Returned(0)) => break,
                Some(Event::Failed) => return self.stop().and(Err(failed("reports an error"))),
                Some(Event::Returned(status)) => {
                    return Err(failed(&format!("refuses the text (status {status})")));
                }
                None => return self.stop().and(Err(failed("does not answer"))),
            }
        }
        numbers.ok_or_else(|| failed(NO_NUMBERS))
    }

    /// The hidden state of the last token of `input`.
    fn vector(&mut self, input: &[Token]) -> Result<Vec<f32>, Error> {
        let Floats { values, row } = self.numbers(input, Mode::HiddenStates)?;
        let last = values.chunks_exact(row.max(1)).next_back();
        last.map(<[f32]>::to_vec).ok_or_else(|| failed("gave no hidden states"))
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
        if self.adapters.contains_key(name) {
            let message = format!("{name:?} is taken by another adapter, and the NPU runtime unloads none");
            return Err(Error::option("name", message));
        }
        let Fingerprint(contents) = fingerprint(path)?;
        let fingerprint = of_texts([contents.as_str(), &format!("{scale}")]);
        let loaded = LoadedAdapter { name: c_string("name", name)?, scale, fingerprint };
        let (file, c_name, scale) = (c_path("path", path)?, loaded.name.clone(), loaded.scale);
        self.active = None;
        self.session.call(move |handle| handle.load_adapter(file, c_name, scale))??;
        self.adapters.insert(name.to_owned(), loaded);
        Ok(())
    }

    fn unload_adapter(&mut self, name: &str) -> Result<bool, Error> {
        if !self.adapters.contains_key(name) {
            return Ok(false);
        }
        let message = format!(
            "the NPU runtime cannot unload an adapter: {name:?} stays until the model is closed, and costs nothing \
             but memory while no request names it"
        );
        Err(Error::new(ErrorCode::Unsupported, message))
    }
}

fn content(native: &NativeInput, tokens: &[Token], embedding_length: Option<u32>) -> Result<Content, Error> {
    match &native.content {
        NativeContent::Tokens => {
            Ok(Content::Tokens(tokens.iter().map(|token| token.cast_signed()).collect()))
        }
        NativeContent::Text(text) => Ok(Content::Text(c_string("prompt", text)?)),
        NativeContent::Embeddings(values) => {
            let length = embedding_length.filter(|&length| length > 0).ok_or_else(|| {
                Error::unsupported(
                    "prompt",
                    "must be text or tokens: the length of this model's vectors is unknown; put its config.json \
                     beside the file",
                )
            })? as usize;
            if values.is_empty() || values.len() % length != 0 {
                let message =
                    format!("must hold whole vectors of {length} numbers, got {} numbers", values.len());
                return Err(Error::option("prompt", message));
            }
            Ok(Content::Embeddings { values: values.clone(), rows: values.len() / length })
        }
    }
}

fn fingerprint(path: &Path) -> Result<Fingerprint, Error> {
    of_file(path).map_err(|error| {
        Error::new(ErrorCode::ModelInvalid, format!("{}: cannot be read: {error}", path.display()))
            .with("path", Detail::Text(path.display().to_string()))
    })
}

fn c_string(option: &'static str, text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::option(option, "must not contain a NUL character"))
}

fn c_path(option: &'static str, path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::option(option, "must not contain a NUL character"))
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
