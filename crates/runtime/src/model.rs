use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rkllmjs_chat::{AnswerFormat, ChatTemplate, Messages, RenderOptions, Thinking};
use rkllmjs_core::{
    CONTROL_VECTOR_PREFIX, Constraint, Error, ErrorCode, GenerateOptions, Medium, ModelHandle, NativeCall,
    NativeContent, NativeInput, NativeReply, OptionFact, Overflow, Request, Special, Stats, Submission,
    ThoughtLimit, Thoughts, Token, Tokenizer, check_grammar,
};
use serde_json::Value;

use crate::answer::Answer;
use crate::control_vectors::{self, ControlVector};
use crate::fill;
use crate::groups::compute_groups;
use crate::media::{MediumSource, Seen, Senses};
use crate::prepare::Prepare;
use crate::rank_head::Ranks;
use crate::reading::{Desk, Reading};
use crate::registry;
use crate::state::{StateFacts, of_file, of_rows};
use crate::thoughts::thought_limit;

/// How long closing waits for the engine's thread; a step stops within milliseconds.
const CLOSE_MOST: Duration = Duration::from_secs(30);
/// Most texts of one embedding request.
const EMBED_INPUTS_MAX: usize = 8192;
/// Most adapters at once.
const ADAPTERS_MAX: usize = 64;

/// How strongly an adapter applies; the same range as in a request.
const SCALE: OptionFact = OptionFact {
    name: "scale",
    default: "1",
    min: -1e6,
    max: 1e6,
    whole: false,
    meaning: "How strongly an adapter applies where a request does not say.",
};

/// Where a prompt comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum PromptInput {
    /// Text of the developer's own: spellings of control tokens are read as those tokens.
    Text(String),
    /// Tokens as they are.
    Tokens(Vec<Token>),
    /// A conversation, rendered with the model's chat template, and its images and sounds in their order.
    Messages(Messages, RenderOptions, Vec<MediumSource>),
    /// What comes before the answer, text or tokens, and the text that comes after it.
    Fill(Box<PromptInput>, String),
    /// What the engine reads itself, and the tokens if that is what it reads.
    Native(Vec<Token>, NativeInput),
}

/// A prompt as the scheduler takes it.
struct ReadPrompt {
    tokens: Vec<Token>,
    /// What tokens stand for that are none of the vocabulary.
    media: Vec<Arc<Medium>>,
    /// Whether what is computed of it may be shared.
    shares: bool,
    native: Option<NativeInput>,
    /// How to read the answer, if that is more than text.
    format: Option<AnswerFormat>,
    /// How long the answer may think.
    thoughts: Option<ThoughtLimit>,
    /// Tokens at its start that stay whatever is dropped.
    keep: u32,
}

impl From<Vec<Token>> for ReadPrompt {
    fn from(tokens: Vec<Token>) -> Self {
        Self { tokens, media: Vec::new(), shares: true, native: None, format: None, thoughts: None, keep: 0 }
    }
}

impl From<Seen> for ReadPrompt {
    fn from(seen: Seen) -> Self {
        Self { media: seen.media, shares: seen.shares, ..Self::from(seen.tokens) }
    }
}

impl ReadPrompt {
    /// Text for the engine's own template. How many tokens it has shows only once it is read.
    fn native_text(text: String) -> Self {
        let native = NativeInput { content: NativeContent::Text(text), ..NativeInput::default() };
        Self { native: Some(native), ..Self::from(vec![0]) }
    }
}

/// Compiles a constraint ahead of the engine.
pub(crate) type Compile = Box<dyn Fn(&Constraint) -> Result<(), Error> + Send + Sync>;

/// What [`Model`] is made of.
pub(crate) struct Parts {
    pub(crate) handle: ModelHandle,
    pub(crate) vocabulary: Mutex<Vocabulary>,
    /// The most tokens of an answer to a request that says nothing of it.
    pub(crate) default_max_tokens: Option<u32>,
    /// Refuses an adapter (the first path) that does not fit the model (the second).
    pub(crate) check_adapter: fn(&Path, &Path) -> Result<(), Error>,
    /// Compiles what an answer is held to, where the engine can be.
    pub(crate) compile: Option<Compile>,
    pub(crate) template: Option<String>,
    /// What reads images or sound, or why nothing does.
    pub(crate) senses: Result<Senses, Error>,
    /// Numbers in the vector of a token, where prompts of vectors are taken and it is known.
    pub(crate) embedding_length: Option<u32>,
    /// How the model ranks documents.
    pub(crate) ranks: Ranks,
    /// Why the model makes no vectors, if it makes none.
    pub(crate) embed_refusal: Option<Error>,
    /// What happens to an answer that fills the context.
    pub(crate) overflow: Overflow,
    /// What saved conversations belong to, or why there are none.
    pub(crate) state: Result<StateFacts, Error>,
    pub(crate) prepare: Prepare,
    pub(crate) path: PathBuf,
    pub(crate) info: Value,
}

/// Where a model's vocabulary is.
pub(crate) enum Vocabulary {
    /// Here.
    Known(Arc<dyn Tokenizer>),
    /// In the engine, which alone can read it.
    InEngine,
    /// The model is closed. What was here may have held the weights.
    Closed,
}

/// Tokens that an engine with a vocabulary of its own may have at most, for want of a number.
const UNKNOWN_VOCABULARY_SIZE: u32 = i32::MAX as u32;

struct Inner {
    parts: Parts,
    parsed_template: OnceLock<Result<ChatTemplate, Error>>,
    desk: Desk,
    /// Whether a text is being scored.
    scoring: AtomicBool,
    /// Conversations that are being saved or loaded.
    states: AtomicUsize,
    adapters: AdapterNames,
}

/// The adapters by name, with what tells their contents apart; `None` while they cannot be used yet.
pub(crate) type AdapterNames = Arc<Mutex<BTreeMap<String, Option<String>>>>;

/// A running model. Clones reach the same one; it closes with the last of them.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
}

/// Reaches a model for as long as somebody else holds it.
pub(crate) struct WeakModel(Weak<Inner>);

impl WeakModel {
    pub(crate) fn upgrade(&self) -> Option<Model> {
        self.0.upgrade().map(|inner| Model { inner })
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("path", &self.inner.parts.path).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        registry::remove(&self.parts.handle);
        self.parts.prepare.close();
        self.parts.handle.close();
    }
}

impl Model {
    pub(crate) fn new(parts: Parts) -> Self {
        let inner = Inner {
            parts,
            parsed_template: OnceLock::new(),
            desk: Desk::default(),
            adapters: AdapterNames::default(),
            states: AtomicUsize::new(0),
            scoring: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn downgrade(&self) -> WeakModel {
        WeakModel(Arc::downgrade(&self.inner))
    }

    pub(crate) fn handle(&self) -> &ModelHandle {
        &self.inner.parts.handle
    }

    pub(crate) fn prepare(&self) -> &Prepare {
        &self.inner.parts.prepare
    }

    pub(crate) fn ranks(&self) -> &Ranks {
        &self.inner.parts.ranks
    }

    /// Starts an answer. `notify` is called from other threads when there is something new to take.
    ///
    /// # Errors
    ///
    /// `invalid-request` naming an option, `overloaded`, `closed`. Whatever is wrong with the prompt
    /// ends the generation instead.
    pub fn generate(
        &self,
        prompt: PromptInput,
        options: &GenerateOptions,
        notify: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Answer, Error> {
        let parts = &self.inner.parts;
        let limits = parts.handle.limits();
        let mut request = options.build(&limits.options, self.vocabulary_size()?, random_seed())?;
        request.max_tokens = request.max_tokens.or(parts.default_max_tokens);
        self.check_adapters(&request.adapters)?;
        if let PromptInput::Messages(messages, render, media) = &prompt {
            self.check_tools(render, &request)?;
            self.check_media(messages, media)?;
        }
        let (answer, submission, reading) = self.begin(&prompt, request.choices, notify)?;
        // Not `self`: a queued job must not keep a model open that its owner has let go of.
        let inner = Arc::downgrade(&self.inner);
        parts.prepare.push(move |taken| {
            let Some(inner) = inner.upgrade() else { return submission.cancel() };
            if let Err(error) = taken {
                return submission.fail(error);
            }
            Self { inner }.start(submission, &prompt, request, reading.as_deref());
        });
        Ok(answer)
    }

    /// Takes a place. An answer to a conversation may turn out to be more than text.
    fn begin(
        &self,
        prompt: &PromptInput,
        choices: u32,
        notify: Box<dyn Fn() + Send + Sync>,
    ) -> Result<(Answer, Submission, Option<Arc<Reading>>), Error> {
        let handle = &self.inner.parts.handle;
        if !matches!(prompt, PromptInput::Messages(..)) {
            let (generation, submission) = handle.begin(choices, notify)?;
            return Ok((Answer::new(Arc::new(generation), None), submission, None));
        }
        let reading = Arc::new(Reading::new(notify));
        let heard = Arc::downgrade(&reading);
        let news = move || {
            if let Some(reading) = heard.upgrade() {
                reading.news();
            }
        };
        let (generation, submission) = handle.begin(choices, Box::new(news))?;
        let generation = Arc::new(generation);
        reading.attach(&generation);
        Ok((Answer::new(generation, Some(Arc::clone(&reading))), submission, Some(reading)))
    }

    /// Refuses what the engine or the other options cannot go together with.
    fn check_tools(&self, render: &RenderOptions, request: &Request) -> Result<(), Error> {
        if self.is_vocabulary_in_engine() {
            let given = [
                ("tools", !render.tools.is_empty()),
                ("template_args", !render.template_args.is_empty()),
                ("continue_final_message", render.continue_final_message),
            ];
            if let Some((option, _)) = given.into_iter().find(|&(_, is_given)| is_given) {
                let message = "need the model's own template: put tokenizer.json and tokenizer_config.json of \
                               its repository beside the file";
                return Err(Error::unsupported(option, message));
            }
        }
        let constraint = request.sampling.constraint.as_ref().map(Constraint::option);
        let held = request.sampling.grammar.as_ref().map(|_| "grammar").or(constraint);
        if let Some(option) = held.filter(|_| render.may_call()) {
            let message = "cannot be combined with tools, unless tool_choice is 'none'";
            return Err(Error::option(option, message));
        }
        let takes_grammar = self.inner.parts.handle.limits().options.can_choose("grammar");
        if render.tool_choice.is_demand() && !takes_grammar {
            let message = "must be 'auto' or 'none': this engine cannot be held to a grammar";
            return Err(Error::unsupported("tool_choice", message));
        }
        if render.thought_tokens_max.is_some() && !takes_grammar {
            let message = "cannot limit the tokens of thoughts: this engine chooses every token itself";
            return Err(Error::unsupported("reasoning", message));
        }
        Ok(())
    }

    /// Refuses images for a model that cannot see, and sound for one that cannot hear.
    fn check_media(&self, messages: &Messages, media: &[MediumSource]) -> Result<(), Error> {
        match &self.inner.parts.senses {
            _ if messages.media() == 0 => Ok(()),
            Err(refusal) => Err(refusal.clone()),
            Ok(senses) => senses.check(media),
        }
    }

    fn start(
        &self,
        submission: Submission,
        prompt: &PromptInput,
        request: Request,
        reading: Option<&Reading>,
    ) {
        if submission.is_cancelled() {
            return submission.cancel();
        }
        let stop = || submission.is_cancelled();
        let read = self.read_prompt(prompt, &stop).and_then(|read| self.with_kept(read, prompt));
        let is_closing = self.inner.parts.senses.as_ref().is_ok_and(Senses::is_closing);
        let request = read.and_then(|read| self.complete(request, read, reading));
        match request.and_then(|request| self.compile(&request).map(|()| request)) {
            Ok(request) => submission.start(request),
            Err(_) if submission.is_cancelled() || is_closing => submission.cancel(),
            Err(error) => submission.fail(error),
        }
    }

    /// Compiles what the answer is held to here, where no other answer waits for it.
    fn compile(&self, request: &Request) -> Result<(), Error> {
        match (&request.sampling.constraint, &self.inner.parts.compile) {
            (Some(constraint), Some(compile)) => compile(constraint),
            _ => Ok(()),
        }
    }

    /// Puts the prompt into the request, and what its answer needs to be read.
    fn complete(
        &self,
        mut request: Request,
        read: ReadPrompt,
        reading: Option<&Reading>,
    ) -> Result<Request, Error> {
        request.keep = read.keep;
        request.prompt = read.tokens;
        request.media = read.media;
        request.cache_prompt &= read.shares;
        request.native = read.native.map(Arc::new);
        request.sampling.thoughts = read.thoughts;
        let (Some(format), Some(reading)) = (read.format, reading) else { return Ok(request) };
        let tokenizer = self.tokenizer()?;
        let preserved = |known: &&rkllmjs_core::SpecialToken| format.preserved.contains(&known.text);
        let spelled = tokenizer.control_tokens().iter().filter(preserved);
        request.spelled = spelled.map(|known| (known.token, known.text.clone())).collect();
        request.stop.strings.extend(format.stops.iter().cloned());
        let takes_grammar = self.inner.parts.handle.limits().options.can_choose("grammar");
        if let Some(grammar) = format.grammar.as_ref().filter(|_| takes_grammar) {
            check_grammar(&grammar.text)
                .map_err(|e| Error::option("tools", format!("make a grammar that {}", e.message)))?;
            let special = Special { add: false, parse: true };
            request.sampling.grammar_prefix = tokenizer.tokenize(&grammar.prefix, special)?;
            request.sampling.grammar = Some(grammar.text.clone());
            request.sampling.grammar_triggers.clone_from(&grammar.triggers);
        }
        if let Some(constraint) = &request.sampling.constraint {
            request.sampling.free_thoughts = thoughts(&format, constraint)?;
        }
        reading.turn_on(&format, request.choices as usize, tokenizer, &self.inner.desk)?;
        Ok(request)
    }

    fn read_prompt(&self, prompt: &PromptInput, stop: &dyn Fn() -> bool) -> Result<ReadPrompt, Error> {
        let in_engine = self.is_vocabulary_in_engine();
        match prompt {
            PromptInput::Text(text) if in_engine => Ok(ReadPrompt::native_text(text.clone())),
            PromptInput::Text(text) => {
                self.tokenize(text, Special { add: true, parse: true }).map(ReadPrompt::from)
            }
            PromptInput::Tokens(tokens) => Ok(tokens.clone().into()),
            PromptInput::Messages(messages, ..) if in_engine => {
                only_user_text(messages).map(ReadPrompt::native_text)
            }
            PromptInput::Messages(messages, options, media) => {
                let rendered = self.template()?.render(messages, options)?;
                let format = rendered.format().cloned();
                let tokenizer = self.tokenizer()?;
                let thoughts = thought_limit(rendered.thoughts(), options, tokenizer.as_ref())?;
                let read: ReadPrompt = match &self.inner.parts.senses {
                    Ok(senses) if messages.media() > 0 => {
                        senses.see(rendered.pieces(tokenizer.as_ref())?, media, stop)?.into()
                    }
                    _ => rendered.tokenize(tokenizer.as_ref())?.into(),
                };
                Ok(ReadPrompt { format, thoughts, ..read })
            }
            PromptInput::Fill(before, after) => {
                let tokenizer =
                    self.tokenizer().map_err(|error| Error { option: Some("suffix"), ..error })?;
                fill::prompt(tokenizer.as_ref(), before, after).map(ReadPrompt::from)
            }
            PromptInput::Native(tokens, input) => {
                Ok(ReadPrompt { native: Some(input.clone()), ..self.counted(tokens, input)?.into() })
            }
        }
    }

    /// Counts what must stay when an answer drops tokens: the start token, or the part of the system.
    fn with_kept(&self, read: ReadPrompt, prompt: &PromptInput) -> Result<ReadPrompt, Error> {
        if self.inner.parts.overflow == Overflow::End {
            return Ok(read);
        }
        let tokenizer = self.tokenizer()?;
        let start = fill::start_token(tokenizer.as_ref())?;
        let mut keep = u32::from(start.is_some() && read.tokens.first().copied() == start);
        if let PromptInput::Messages(messages, options, _) = prompt
            && let Some(system) = messages.system_part()
        {
            let options = RenderOptions {
                add_generation_prompt: false,
                continue_final_message: false,
                ..options.clone()
            };
            // Some templates want more than that; the start token then has to do.
            let rendered = self.template()?.render(&system, &options);
            let tokens = rendered.and_then(|rendered| rendered.tokenize(tokenizer.as_ref()));
            let shared =
                tokens.unwrap_or_default().iter().zip(&read.tokens).take_while(|(a, b)| a == b).count();
            keep = keep.max(u32::try_from(shared).unwrap_or(u32::MAX));
        }
        Ok(ReadPrompt { keep, ..read })
    }

    pub(crate) fn embedding_length(&self) -> Option<u32> {
        self.inner.parts.embedding_length
    }

    fn is_vocabulary_in_engine(&self) -> bool {
        matches!(*self.vocabulary(), Vocabulary::InEngine)
    }

    fn vocabulary(&self) -> MutexGuard<'_, Vocabulary> {
        self.inner.parts.vocabulary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn vocabulary_size(&self) -> Result<u32, Error> {
        match &*self.vocabulary() {
            Vocabulary::Known(tokenizer) => Ok(tokenizer.vocabulary_size()),
            Vocabulary::InEngine => Ok(UNKNOWN_VOCABULARY_SIZE),
            Vocabulary::Closed => Err(closed()),
        }
    }

    fn check_adapters(&self, wanted: &[(String, f32)]) -> Result<(), Error> {
        let loaded = self.adapters();
        match wanted.iter().find(|(name, _)| !loaded.get(name).is_some_and(Option::is_some)) {
            None => Ok(()),
            Some((name, _)) => {
                let ready = loaded.iter().filter(|(_, identity)| identity.is_some());
                let names: Vec<&str> = ready.map(|(name, _)| name.as_str()).collect();
                let have = if names.is_empty() {
                    "none is".to_owned()
                } else {
                    format!("loaded: {}", names.join(", "))
                };
                let (option, name) = match name.strip_prefix(CONTROL_VECTOR_PREFIX) {
                    Some(name) => ("control_vectors", name),
                    None => ("lora", name.as_str()),
                };
                Err(Error::option(option, format!("names {name:?}, which is not loaded ({have})")))
            }
        }
    }

    fn adapters(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        self.inner.adapters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tokenizer(&self) -> Result<Arc<dyn Tokenizer>, Error> {
        match &*self.vocabulary() {
            Vocabulary::Known(tokenizer) => Ok(Arc::clone(tokenizer)),
            Vocabulary::InEngine => Err(Error::new(
                ErrorCode::Unsupported,
                "this model's vocabulary is inside the NPU runtime; put tokenizer.json and tokenizer_config.json of \
                 its repository beside the file",
            )),
            Vocabulary::Closed => Err(closed()),
        }
    }

    pub(crate) fn template(&self) -> Result<&ChatTemplate, Error> {
        let parse = || {
            let source = self.inner.parts.template.as_deref().ok_or_else(|| {
                let message = "has no default: the model file brings no chat template; pass one when loading, or \
                               use generate()";
                Error::unsupported("chat_template", message)
            })?;
            ChatTemplate::new(source, self.tokenizer()?.as_ref())
        };
        self.inner.parsed_template.get_or_init(parse).as_ref().map_err(Clone::clone)
    }

    /// The tokens of `text`.
    ///
    /// # Errors
    ///
    /// `unsupported` for a model without a tokenizer; `payload-too-large`.
    pub fn tokenize(&self, text: &str, special: Special) -> Result<Vec<Token>, Error> {
        self.tokenizer()?.tokenize(text, special)
    }

    /// The text of `tokens`; control tokens are spelled out.
    ///
    /// # Errors
    ///
    /// `invalid-request` for a token outside the vocabulary.
    pub fn detokenize(&self, tokens: &[Token]) -> Result<String, Error> {
        let tokenizer = self.tokenizer()?;
        let size = tokenizer.vocabulary_size();
        if let Some(wrong) = tokens.iter().find(|&&token| token >= size) {
            let message = format!(
                "has {wrong}, which is no token: the vocabulary holds 0 to {}",
                size.saturating_sub(1)
            );
            return Err(Error::option("tokens", message));
        }
        Ok(tokenizer.detokenize(tokens))
    }

    /// A conversation as the text of a prompt.
    ///
    /// # Errors
    ///
    /// As [`ChatTemplate::render`]; `unsupported` without a template.
    pub fn apply_chat_template(&self, messages: &Messages, options: &RenderOptions) -> Result<String, Error> {
        refuse_media(messages)?;
        Ok(self.template()?.render(messages, options)?.text())
    }

    /// How many tokens a conversation takes as a prompt.
    ///
    /// # Errors
    ///
    /// As [`apply_chat_template`](Self::apply_chat_template).
    pub fn count_tokens(&self, messages: &Messages, options: &RenderOptions) -> Result<usize, Error> {
        refuse_media(messages)?;
        Ok(self.template()?.render(messages, options)?.tokenize(self.tokenizer()?.as_ref())?.len())
    }

    /// Makes the vectors of `inputs`, not normalised, and how many tokens they had; `done` gets them
    /// on another thread.
    pub fn embed(
        &self,
        inputs: Vec<String>,
        done: impl FnOnce(Result<(Vec<Vec<f32>>, u64), Error>) + Send + 'static,
    ) {
        if inputs.is_empty() || inputs.len() > EMBED_INPUTS_MAX {
            let message = format!("must hold 1 to {EMBED_INPUTS_MAX} texts, got {}", inputs.len());
            return done(Err(Error::option("input", message)));
        }
        if let Some(refusal) = &self.inner.parts.embed_refusal {
            return done(Err(refusal.clone()));
        }
        let inner = Arc::downgrade(&self.inner);
        self.inner.parts.prepare.push(move |taken| {
            let model = inner.upgrade().map(|inner| Self { inner });
            let tokens =
                taken.and_then(|()| model.as_ref().map_or_else(|| Err(closed()), |m| m.all_tokens(&inputs)));
            match (tokens, model) {
                (Ok(tokens), Some(model)) => model.embed_tokens(tokens, done),
                (Ok(_), None) => done(Err(closed())),
                (Err(error), _) => done(Err(error)),
            }
        });
    }

    fn all_tokens(&self, inputs: &[String]) -> Result<Vec<Vec<Token>>, Error> {
        inputs.iter().map(|text| self.tokenize(text, Special { add: true, parse: false })).collect()
    }

    fn embed_tokens(
        &self,
        tokens: Vec<Vec<Token>>,
        done: impl FnOnce(Result<(Vec<Vec<f32>>, u64), Error>) + Send + 'static,
    ) {
        let count = tokens.iter().map(|tokens| tokens.len() as u64).sum();
        let done = Box::new(move |vectors: Result<_, Error>| done(vectors.map(|vectors| (vectors, count))));
        compute_groups(
            &self.inner.parts.handle,
            tokens,
            Vec::new(),
            |engine, group| engine.embed(group),
            done,
        );
    }

    /// Loads an adapter; `done` hears of it on another thread. `scale` is for engines that fix it here.
    pub fn load_adapter(
        &self,
        name: String,
        path: PathBuf,
        scale: f64,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let checked = SCALE.check(scale).and_then(|scale| self.reserve_adapter(&name).map(|()| scale as f32));
        let scale = match checked {
            Ok(scale) => scale,
            Err(error) => return done(Err(error)),
        };
        let inner = Arc::downgrade(&self.inner);
        // The check reads the whole file, which is not for the JavaScript thread.
        self.inner.parts.prepare.push(move |taken| {
            let Some(inner) = inner.upgrade() else { return done(Err(closed())) };
            let model = Self { inner };
            let checked =
                taken.and_then(|()| (model.inner.parts.check_adapter)(&path, &model.inner.parts.path));
            match checked.and_then(|()| of_file(&path)) {
                Ok(identity) => {
                    model.load_checked_adapter((name, format!("lora {identity}")), path, scale, done)
                }
                Err(error) => {
                    model.adapters().remove(&name);
                    done(Err(error));
                }
            }
        });
    }

    fn load_checked_adapter(
        &self,
        (name, identity): (String, String),
        path: PathBuf,
        scale: f32,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let inner = Arc::downgrade(&self.inner);
        self.inner.parts.handle.call(move |engine| {
            let loaded = engine.and_then(|engine| engine.load_adapter(&name, &path, scale));
            if let Some(inner) = inner.upgrade() {
                let model = Self { inner };
                match loaded {
                    Ok(()) => drop(model.adapters().insert(name, Some(identity))),
                    Err(_) => drop(model.adapters().remove(&name)),
                }
            }
            done(loaded);
        });
    }

    /// Takes a name and a place, so that loads at the same time keep to the limits.
    fn reserve_adapter(&self, name: &str) -> Result<(), Error> {
        if name.starts_with(CONTROL_VECTOR_PREFIX) {
            return Err(Error::option("name", format!("must not begin with {CONTROL_VECTOR_PREFIX:?}")));
        }
        self.reserve(name)
    }

    fn reserve(&self, name: &str) -> Result<(), Error> {
        if name.is_empty() || name.len() > 256 {
            return Err(Error::option("name", "must have 1 to 256 bytes"));
        }
        let mut adapters = self.adapters();
        if adapters.contains_key(name) {
            let message = format!("{name:?} is taken by another adapter; unload that first");
            return Err(Error::option("name", message));
        }
        if adapters.len() >= ADAPTERS_MAX {
            let message = format!("{ADAPTERS_MAX} adapters are loaded, which is the most; unload one first");
            return Err(Error::new(ErrorCode::Overloaded, message));
        }
        adapters.insert(name.to_owned(), None);
        Ok(())
    }

    /// Loads a control vector; `done` hears of it on another thread.
    pub fn load_control_vector(
        &self,
        vector: ControlVector,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let name = control_vectors::engine_name(&vector.name);
        let reserved = if vector.name.is_empty() {
            Err(Error::option("name", "must have 1 to 256 bytes"))
        } else {
            self.reserve(&name)
        };
        if let Err(error) = reserved {
            return done(Err(error));
        }
        let inner = Arc::downgrade(&self.inner);
        // The file is read whole, which is not for the JavaScript thread.
        self.inner.parts.prepare.push(move |taken| {
            let Some(inner) = inner.upgrade() else { return done(Err(closed())) };
            let model = Self { inner };
            match taken.and_then(|()| control_vectors::read(&vector, &model.inner.parts.path)) {
                Ok(rows) => model.keep_control_vector(name, rows, done),
                Err(error) => {
                    model.adapters().remove(&name);
                    done(Err(error));
                }
            }
        });
    }

    fn keep_control_vector(
        &self,
        name: String,
        rows: Vec<f32>,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let identity = format!("control vector {}", of_rows(&rows));
        let inner = Arc::downgrade(&self.inner);
        self.inner.parts.handle.call(move |engine| {
            let loaded = engine.and_then(|engine| engine.load_control_vector(&name, rows));
            if let Some(inner) = inner.upgrade() {
                let model = Self { inner };
                match loaded {
                    Ok(()) => drop(model.adapters().insert(name, Some(identity))),
                    Err(_) => drop(model.adapters().remove(&name)),
                }
            }
            done(loaded);
        });
    }

    /// Unloads a control vector as [`unload_adapter`](Self::unload_adapter) does an adapter.
    pub fn unload_control_vector(&self, name: &str, done: impl FnOnce(Result<bool, Error>) + Send + 'static) {
        self.unload_adapter(control_vectors::engine_name(name), done);
    }

    /// Unloads an adapter; `done` hears whether it was there. Answers that run under it end with
    /// `invalid-request`.
    pub fn unload_adapter(&self, name: String, done: impl FnOnce(Result<bool, Error>) + Send + 'static) {
        let inner = Arc::downgrade(&self.inner);
        self.inner.parts.handle.with_cache(move |cache| {
            let unloaded = cache.and_then(|mut cache| cache.unload_adapter(&name));
            if let (Ok(_), Some(inner)) = (&unloaded, inner.upgrade()) {
                Self { inner }.adapters().remove(&name);
            }
            done(unloaded);
        });
    }

    /// Does what only an engine with caches and templates of its own can do.
    pub fn native(&self, call: NativeCall, done: impl FnOnce(Result<NativeReply, Error>) + Send + 'static) {
        self.inner.parts.handle.call(move |engine| done(engine.and_then(|engine| engine.native(call))));
    }

    /// What the model is and how it runs.
    pub fn info(&self) -> &Value {
        &self.inner.parts.info
    }

    /// A look at the work going on.
    pub fn stats(&self) -> Stats {
        self.inner.parts.handle.stats()
    }

    /// Set while a text is being scored.
    pub(crate) fn scoring(&self) -> &AtomicBool {
        &self.inner.scoring
    }

    pub(crate) fn state_facts(&self) -> Result<&StateFacts, Error> {
        self.inner.parts.state.as_ref().map_err(Clone::clone)
    }

    /// How many conversations are being saved or loaded.
    pub(crate) fn states_under_way(&self) -> &AtomicUsize {
        &self.inner.states
    }

    pub(crate) fn adapter_names(&self) -> AdapterNames {
        Arc::clone(&self.inner.adapters)
    }

    /// The tokens of a prompt.
    pub(crate) fn prompt_tokens(&self, prompt: &PromptInput) -> Result<Vec<Token>, Error> {
        if let PromptInput::Messages(messages, ..) = prompt {
            refuse_media(messages)?;
        }
        self.read_prompt(prompt, &|| false).map(|read| read.tokens)
    }

    /// Ends everything: running answers end `cancelled`. Returns at once; may be called twice.
    pub fn close(&self) {
        if let Ok(senses) = &self.inner.parts.senses {
            senses.close();
        }
        self.inner.parts.prepare.close();
        self.inner.parts.handle.close();
    }

    /// Blocks until the engine's thread has ended after [`close`](Self::close).
    pub fn wait_closed(&self) {
        self.inner.parts.handle.wait_closed(CLOSE_MOST);
        registry::remove(&self.inner.parts.handle);
        *self.vocabulary() = Vocabulary::Closed;
        if let Ok(senses) = &self.inner.parts.senses {
            senses.free();
        }
        rkllmjs_llama::release_memory();
    }
}

/// What a conversation with images or sound takes shows once they are read, which is not for whoever waits for an answer at
/// once.
fn refuse_media(messages: &Messages) -> Result<(), Error> {
    if messages.media() == 0 {
        return Ok(());
    }
    let message = "cannot hold images or audio here: what they take is known once they are read, as usage.promptTokens of an \
                   answer tells";
    Err(Error::unsupported("messages", message))
}

/// The text of a conversation that an engine's own template can take: one turn of the user.
fn only_user_text(messages: &Messages) -> Result<String, Error> {
    messages.only_user_text().ok_or_else(|| {
        Error::unsupported(
            "messages",
            "must be one message of the user: the NPU runtime's own template takes a single turn; put tokenizer.json \
             and tokenizer_config.json of the model's repository beside the file for whole conversations",
        )
    })
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorCode::Closed, "the model is closed")
}

/// The thoughts that `constraint` has to leave free.
fn thoughts(format: &AnswerFormat, constraint: &Constraint) -> Result<Option<Thoughts>, Error> {
    match &format.thinking {
        Thinking::None => Ok(None),
        Thinking::First(thoughts) => Ok(Some(thoughts.clone())),
        Thinking::Unknown => {
            let message = "cannot leave the thoughts of this model free: how it writes them does not follow from its \
                           template";
            Err(Error::unsupported(constraint.option(), message))
        }
    }
}

/// A seed for requests that bring none.
fn random_seed() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::thread::current().id()) as u32
}
