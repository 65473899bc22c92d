use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{
    AbortSwitch, Adapters, Batch, CONTROL_VECTOR_PREFIX, Engine, Error, ErrorCode, Limits, Medium, Opening,
    OptionSupport, Proposal, Run, Sampled, Scoring, SequenceId, Sink, Special, StepOutcome, Token,
    TokenLogprob, Tokenizer,
};

use crate::adapter::Adapter;
use crate::batch::BatchBuffer;
use crate::context::{Computed, Context, ContextOptions, KvType, Stretch};
use crate::drafter::{Drafter, Wanted};
use crate::embedding::Embedder;
use crate::governor::{Governor, Step};
use crate::holders::Holders;
use crate::logprobs::token_logprob;
use crate::media::RowBatch;
use crate::places::Places;
use crate::sampler::SequenceSampler;
use crate::scorer::Scorer;
use crate::threads::processor_time;
use crate::{LogSink, Model, Pooling, log};

/// Tokens computed at once; more makes prefill no faster on a CPU and its buffers larger.
pub(crate) const MICRO_BATCH: u32 = 512;
/// A run this long takes longer than it takes to stop it.
const WORTH_STOPPING_TOKENS: u32 = 16;
/// llama.cpp's own limit on sequence ids.
const SEQUENCES_MAX: u32 = 256;

/// Holders of cache beside the sequences. Each costs llama.cpp a row of logits and us a look when a prompt
/// comes.
const KEPT_MAX: u32 = 32;
/// Tokens beyond which only one prefix is kept: each step makes a mask of all cells in use and walks it.
const KEPT_TOKENS: u32 = 16_384;

/// Most drafts of a run: a step of more tokens than this costs about as much for each as a step of its own.
const DRAFTS_MAX: u32 = 63;

/// How many ended prefixes an engine of so many sequences may keep.
pub fn kept_prefixes(sequences: u32) -> u32 {
    KEPT_MAX.min(SEQUENCES_MAX.saturating_sub(sequences))
}

/// How an engine is set up. Every number must have been checked against the machine.
#[derive(Clone)]
pub struct EngineOptions {
    /// Most tokens of one sequence.
    pub context: u32,
    /// Tokens of all sequences together.
    pub cells: u32,
    /// Sequences at once, at most 256.
    pub sequences: u32,
    /// Most tokens of one step, at least `sequences`.
    pub batch: u32,
    /// Threads for single tokens.
    pub threads: u32,
    /// Threads for prompts.
    pub threads_batch: u32,
    /// How the cache is stored.
    pub kv_type: KvType,
    /// Flash attention on or off; `None` is on where the model allows it.
    pub flash_attention: Option<bool>,
    /// How embeddings are pooled.
    pub pooling: Pooling,
    /// Whether the file names a pooling of its own.
    pub model_pools: bool,
    /// Make no cache for generation: the model only reads, or is loaded for embeddings alone.
    pub encoder_only: bool,
    /// Whether the model computes embeddings with an encoder.
    pub embeds_with_encoder: bool,
    /// Takes the log.
    pub log: Option<LogSink>,
}

impl std::fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineOptions")
            .field("context", &self.context)
            .field("cells", &self.cells)
            .field("sequences", &self.sequences)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct Open {
    sampler: SequenceSampler,
    logprobs: Option<u32>,
    /// Tokens to weigh instead of sampling, if there are any.
    candidates: Vec<Token>,
    /// All tokens, where there is a draft model to read them.
    tokens: Vec<Token>,
    /// What tokens of its prompt stand for.
    pub(crate) media: Vec<Arc<Medium>>,
    /// Where its tokens stand for the model.
    pub(crate) places: Arc<Places>,
}

/// llama.cpp behind the [`Engine`] trait.
pub struct LlamaEngine {
    pub(crate) model: Arc<Model>,
    pub(crate) limits: Limits,
    pub(crate) options: EngineOptions,
    // Dropped in this order: contexts before the adapters they may point to.
    drafter: Option<Drafter>,
    pub(crate) context: Option<Context>,
    embedder: Option<Embedder>,
    ranker: Option<Embedder>,
    scorer: Option<Scorer>,
    adapters: BTreeMap<String, Adapter>,
    /// Control vectors under their names among adapters: a row for each layer from the second on.
    controls: BTreeMap<String, Vec<f32>>,
    active_adapters: Adapters,
    /// Goes up whenever one is unloaded: its name may stand for another afterwards.
    pub(crate) adapters_age: u64,
    pub(crate) open: HashMap<SequenceId, Open>,
    pub(crate) holders: Holders,
    batch: BatchBuffer,
    pub(crate) rows: RowBatch,
    candidates: Vec<sys::llama_token_data>,
    /// Threads of a step of a single token, and of one of several.
    single: Governor,
    several: Governor,
    switch: AbortSwitch,
    logging: bool,
    // Last, so that it is dropped after everything that frees memory.
    _trim: TrimOnDrop,
}

/// Gives the freed memory of an engine back to the system: nobody else sees when its thread is done.
struct TrimOnDrop;

impl Drop for TrimOnDrop {
    fn drop(&mut self) {
        crate::release_memory();
    }
}

impl std::fmt::Debug for LlamaEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LlamaEngine").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl LlamaEngine {
    /// Sets up the cache and the threads for a loaded model.
    ///
    /// # Errors
    ///
    /// `insufficient-memory` if llama.cpp gets no memory for the cache.
    pub fn new(model: Arc<Model>, options: EngineOptions) -> Result<Self, Error> {
        let sequences = options.sequences.clamp(1, SEQUENCES_MAX);
        let may_share = !options.encoder_only && !model.is_recurrent() && !model.has_sliding_window();
        // llama.cpp ends the process where a batch, which is no larger than the cache, has no room for a row of
        // each sequence id.
        let room = options.cells.saturating_sub(sequences);
        let kept = if may_share { kept_prefixes(sequences).min(room) } else { 0 };
        let mut limits = Limits {
            sequences,
            context: options.context,
            cells: options.cells,
            batch: options.batch.max(sequences),
            rolls_back: !model.is_recurrent(),
            worth_stopping: WORTH_STOPPING_TOKENS,
            shares: may_share,
            kept,
            kept_tokens: KEPT_TOKENS,
            drafts: DRAFTS_MAX,
            options: OptionSupport::default(),
        };
        let switch = AbortSwitch::default();
        let mut context = (!options.encoder_only)
            .then(|| {
                let context_options = ContextOptions {
                    cells: options.cells,
                    sequences: sequences + kept,
                    batch: limits.batch.max(sequences + kept),
                    micro_batch: limits.batch.min(MICRO_BATCH),
                    threads: options.threads,
                    threads_batch: options.threads_batch,
                    kv_type: options.kv_type,
                    flash_attention: options.flash_attention,
                    pooling: None,
                };
                log::send_to(options.log.clone());
                let context = Context::new(&model, &context_options, switch.flag());
                log::send_to(None);
                context
            })
            .transpose()?;
        if !context.as_mut().is_some_and(Context::can_share) {
            // What cannot be shared cannot be taken back token by token either.
            (limits.shares, limits.kept, limits.drafts) = (false, 0, 0);
            limits.options.fixed.push("speculative");
        }
        Ok(Self {
            limits,
            drafter: None,
            context,
            embedder: None,
            ranker: None,
            scorer: None,
            adapters: BTreeMap::new(),
            controls: BTreeMap::new(),
            active_adapters: Adapters::new(),
            adapters_age: 0,
            open: HashMap::new(),
            holders: Holders::new(sequences + kept),
            batch: BatchBuffer::default(),
            rows: RowBatch::default(),
            candidates: Vec::new(),
            single: Governor::new(options.threads),
            several: Governor::new(options.threads_batch),
            switch,
            logging: false,
            _trim: TrimOnDrop,
            model,
            options,
        })
    }

    /// Lets a smaller model guess what this one will say.
    ///
    /// # Errors
    ///
    /// `invalid-request` for a model with another vocabulary, `unsupported` where this model or that one cannot
    /// take back what was guessed wrong, `insufficient-memory` if llama.cpp gets no memory for its cache.
    pub fn with_draft_model(mut self, draft: Arc<Model>) -> Result<Self, Error> {
        if self.limits.drafts == 0 || self.context.is_none() {
            let message =
                "needs a model that generates, and whose memory can take back what was guessed wrong";
            return Err(Error::unsupported("draft_model", message));
        }
        let options = ContextOptions {
            cells: self.options.cells,
            sequences: self.limits.sequences,
            batch: 0,
            micro_batch: 0,
            threads: self.options.threads,
            threads_batch: self.options.threads_batch,
            kv_type: KvType::F16,
            flash_attention: self.options.flash_attention,
            pooling: None,
        };
        log::send_to(self.options.log.clone());
        let drafter = Drafter::new(draft, &self.model, options, self.switch.flag());
        log::send_to(None);
        let mut drafter = drafter?;
        if let Some(context) = &self.context {
            drafter.context().share_threads(context);
        }
        self.drafter = Some(drafter);
        self.limits.options.draft_model = true;
        Ok(self)
    }

    /// llama.cpp's lines come from whichever thread calls it; this is the one from now on.
    fn log_from_this_thread(&mut self) {
        if !self.logging {
            self.logging = true;
            log::send_to(self.options.log.clone());
        }
    }

    pub(crate) fn context(&mut self) -> Result<&mut Context, Error> {
        let none =
            || Error::new(ErrorCode::Unsupported, "this model makes embeddings and cannot continue a text");
        self.context.as_mut().ok_or_else(none)
    }

    pub(crate) fn slot(&mut self, sequence: SequenceId) -> Result<i32, Error> {
        let lost = |what: &str| Error::new(ErrorCode::Internal, format!("sequence {}: {what}", sequence.0));
        if !self.open.contains_key(&sequence) {
            return Err(lost("it was never opened"));
        }
        self.holders.take(sequence).map(|holder| holder.slot).ok_or_else(|| lost("no free sequence id"))
    }

    /// Where the tokens of a sequence stand for the model.
    pub(crate) fn places(&self, sequence: SequenceId) -> Arc<Places> {
        match self.open.get(&sequence) {
            Some(open) => Arc::clone(&open.places),
            None => self.holders.find(sequence).map(|holder| holder.places).unwrap_or_default(),
        }
    }

    /// Where the token at `index` of an open sequence stands.
    fn position(&self, sequence: SequenceId, index: u32) -> u32 {
        self.open.get(&sequence).map_or(index, |open| open.places.position(index))
    }

    /// Frees what a sequence has in the cache.
    pub(crate) fn free(&mut self, sequence: SequenceId) {
        if let Some(drafter) = &mut self.drafter {
            drafter.forget(sequence);
        }
        let Some(holder) = self.holders.give_back(sequence) else { return };
        if let Some(context) = &mut self.context {
            context.remove(holder.slot, 0);
        }
    }

    /// Notes what the cells of a batch were computed under.
    fn note_adapters(&mut self, batch: &Batch<'_>) {
        if batch.adapters.is_empty() {
            return;
        }
        for run in &batch.runs {
            if let Some(holder) = self.holders.find_mut(run.sequence) {
                holder.adapters_of.get_or_insert(self.adapters_age);
            }
        }
    }

    /// Fills the batch; for each sampled run the index of the first token in it that a sample follows.
    fn pack<'a>(&mut self, runs: &[&'a Run<'a>]) -> Result<Vec<(&'a Run<'a>, i32)>, Error> {
        self.batch.clear();
        let mut samples = Vec::with_capacity(runs.len());
        for &run in runs {
            let slot = self.slot(run.sequence)?;
            let last = run.tokens.len().saturating_sub(1 + run.drafts().len());
            let start = self.position(run.sequence, run.start);
            for (i, &token) in run.tokens.iter().enumerate() {
                let output = run.sample && i >= last;
                let position = start + u32::try_from(i).unwrap_or(u32::MAX);
                let index = self.batch.push(token, position, slot, output);
                if output && i == last {
                    samples.push((run, index));
                }
            }
        }
        if self.batch.len() > self.limits.batch as usize {
            return Err(Error::new(ErrorCode::Internal, "a batch larger than the engine's limit"));
        }
        Ok(samples)
    }

    /// Puts every sequence of the batch back to where it was before it.
    fn roll_back(&mut self, runs: &[Run<'_>]) {
        for run in runs {
            let start = self.position(run.sequence, run.start);
            if let (Some(holder), Some(context)) = (self.holders.find(run.sequence), &mut self.context) {
                context.remove(holder.slot, start);
            }
        }
    }

    /// Computes the packed batch of these runs, with as many threads as are best for it.
    fn compute(&mut self, tokens: &mut BatchBuffer, runs: &[&Run<'_>]) -> Result<Computed, Error> {
        let size = tokens.len();
        if size == 0 {
            return Ok(Computed::Done);
        }
        let prompts = runs.iter().any(|run| run.tokens.len() > 1 + run.drafts().len());
        let (single, several) = (self.single.threads(), self.several.threads());
        let threads_batch = self.options.threads_batch;
        let context = self.context()?;
        context.set_threads(single, if prompts { threads_batch } else { several });
        if prompts || !self.governor(size).is_needed() {
            return self.context()?.decode(tokens);
        }
        let (began, cpu) = (Instant::now(), processor_time());
        let computed = self.context()?.decode(tokens);
        if matches!(computed, Ok(Computed::Done)) {
            let step =
                Step { tokens: size, wall: began.elapsed(), cpu: processor_time().saturating_sub(cpu) };
            self.governor(size).note(step);
        }
        computed
    }

    /// What decides on the threads of steps of so many tokens.
    fn governor(&mut self, tokens: usize) -> &mut Governor {
        if tokens == 1 { &mut self.single } else { &mut self.several }
    }

    fn embedder(&self, pooling: Pooling) -> Result<Embedder, Error> {
        Embedder::new(
            &self.model,
            pooling,
            self.options.context,
            self.options.threads_batch,
            self.options.embeds_with_encoder,
            self.options.model_pools,
            self.switch.flag(),
        )
    }

    fn activate(&mut self, wanted: &Adapters) -> Result<(), Error> {
        if *wanted == self.active_adapters {
            return Ok(());
        }
        let mut chosen = Vec::new();
        let control = self.control(wanted)?;
        for (name, scale) in wanted.iter().filter(|(name, _)| !name.starts_with(CONTROL_VECTOR_PREFIX)) {
            let adapter = self.adapters.get(name).ok_or_else(|| unknown_adapter(name, &self.adapters))?;
            chosen.push((adapter, *scale));
        }
        if let Some(context) = &mut self.context {
            context.set_adapters(&chosen)?;
            context.set_control(&control)?;
        }
        self.active_adapters.clone_from(wanted);
        Ok(())
    }

    /// The sum of the control vectors among `wanted`, each times its scale; empty where there is none.
    fn control(&self, wanted: &Adapters) -> Result<Vec<f32>, Error> {
        let mut sum = Vec::new();
        for (name, scale) in wanted.iter().filter(|(name, _)| name.starts_with(CONTROL_VECTOR_PREFIX)) {
            let rows = self.controls.get(name).ok_or_else(|| {
                let name = name.trim_start_matches(CONTROL_VECTOR_PREFIX);
                Error::option("control_vectors", format!("names {name:?}, which is not loaded"))
            })?;
            sum.resize(rows.len(), 0.0);
            for (total, value) in sum.iter_mut().zip(rows) {
                *total += value * scale;
            }
        }
        Ok(sum)
    }

    /// Samples what follows a run whose outputs begin at `index`, and after it for as long as its drafts are
    /// right. The others leave the cache.
    fn sample_run(&mut self, run: &Run<'_>, index: i32, sink: &mut dyn Sink) -> Result<(), Error> {
        let drafts = run.drafts();
        for (right, place) in (index..).take(1 + drafts.len()).enumerate() {
            let sampled = self.sample(run.sequence, place, sink)?;
            if sampled.is_some() && sampled.as_ref() == drafts.get(right) {
                continue;
            }
            return self.take_back(run, drafts.len() - right);
        }
        Ok(())
    }

    /// Removes the last tokens of a run from the cache.
    fn take_back(&mut self, run: &Run<'_>, count: usize) -> Result<(), Error> {
        if count == 0 {
            return Ok(());
        }
        let from = run.start + u32::try_from(run.tokens.len() - count).unwrap_or(u32::MAX);
        let from = self.position(run.sequence, from);
        let slot = self.holders.find(run.sequence).map(|holder| holder.slot);
        let is_removed =
            slot.zip(self.context.as_mut()).is_some_and(|(slot, context)| context.remove(slot, from));
        if is_removed {
            Ok(())
        } else {
            Err(Error::new(
                ErrorCode::EngineFailed,
                "the cache could not take back tokens that were guessed wrong",
            ))
        }
    }

    /// The token that was given to the sink, if the answer goes on after it.
    fn sample(
        &mut self,
        sequence: SequenceId,
        index: i32,
        sink: &mut dyn Sink,
    ) -> Result<Option<Token>, Error> {
        let vocabulary = self.model.vocabulary_size();
        let Some(context) = &mut self.context else { return Ok(None) };
        let logits = context.logits(index, vocabulary)?;
        let Some(open) = self.open.get_mut(&sequence) else { return Ok(None) };
        let chosen = open.choose(sequence, logits, &self.model, &mut self.candidates, sink);
        self.note_chosen(sequence, chosen);
        Ok(chosen)
    }

    /// Samples what follows rows.
    fn sample_kept(&mut self, sequence: SequenceId, logits: &[f32], sink: &mut dyn Sink) {
        let Some(open) = self.open.get_mut(&sequence) else { return };
        let chosen = open.choose(sequence, logits, &self.model, &mut self.candidates, sink);
        self.note_chosen(sequence, chosen);
    }

    /// Keeps a token for the draft model.
    fn note_chosen(&mut self, sequence: SequenceId, chosen: Option<Token>) {
        if let (Some(open), Some(token), true) =
            (self.open.get_mut(&sequence), chosen, self.drafter.is_some())
        {
            open.tokens.push(token);
        }
    }
}

impl Open {
    /// The token that follows `logits`, which the sink gets, if the answer goes on after it.
    fn choose(
        &mut self,
        sequence: SequenceId,
        logits: &[f32],
        model: &Arc<Model>,
        scratch: &mut Vec<sys::llama_token_data>,
        sink: &mut dyn Sink,
    ) -> Option<Token> {
        if !self.candidates.is_empty() {
            match TokenLogprob::among(logits, &self.candidates) {
                Some(chosen) => {
                    let token = chosen.token;
                    sink.token(sequence, Sampled { token, bytes: &[], end: false, logprob: Some(chosen) });
                }
                None => sink.failed(sequence, no_numbers()),
            }
            return None;
        }
        let token = match self.sampler.sample(logits, scratch) {
            Ok(token) => token,
            Err(error) => {
                sink.failed(sequence, error);
                return None;
            }
        };
        let model: &dyn Tokenizer = model.as_ref();
        let logprob = self.logprobs.map(|top| token_logprob(logits, token, top, model));
        let bytes = model.piece(token, Special::default());
        let end = model.is_end(token);
        sink.token(sequence, Sampled { token, bytes: &bytes, end, logprob });
        (!end).then_some(token)
    }
}

impl Engine for LlamaEngine {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn abort_switch(&self) -> AbortSwitch {
        self.switch.clone()
    }

    fn open(&mut self, sequence: SequenceId, opening: Opening<'_>) -> Result<(), Error> {
        self.log_from_this_thread();
        self.context()?;
        let Opening { sampling, prompt, logprobs, candidates, native, media, .. } = opening;
        if native.is_some() {
            return Err(Error::unsupported("prompt", "must be text or tokens for this engine"));
        }
        let vocabulary = self.model.vocabulary_size();
        self.check_media(media)?;
        let is_row = |token: Token| media.iter().any(|medium| medium.has(token));
        let mut given = prompt.iter().chain(candidates);
        if let Some(wrong) = given.find(|&&token| token >= vocabulary && !is_row(token)) {
            let message =
                format!("has token {wrong}; the vocabulary ends at {}", vocabulary.saturating_sub(1));
            return Err(Error::option("prompt", message));
        }
        let text: Vec<Token> = prompt.iter().copied().filter(|&token| token < vocabulary).collect();
        let sampler = SequenceSampler::new(&self.model, sampling, &text)?;
        let tokens = if self.drafter.is_some() { text } else { Vec::new() };
        let places = Arc::new(Places::of(prompt, media)?);
        let (candidates, media) = (candidates.to_vec(), media.to_vec());
        self.open.insert(sequence, Open { sampler, logprobs, candidates, tokens, media, places });
        Ok(())
    }

    fn step(&mut self, batch: &Batch<'_>, sink: &mut dyn Sink) -> Result<StepOutcome, Error> {
        self.log_from_this_thread();
        self.activate(&batch.adapters)?;
        let (of_rows, of_tokens): (Vec<_>, Vec<_>) = batch.runs.iter().partition(|run| run.is_of_rows());
        let samples = self.pack(&of_tokens)?;
        let mut kept = Vec::new();
        let computed = match self.compute_rows(&of_rows, &mut kept) {
            Ok(Computed::Done) => {
                let mut tokens = std::mem::take(&mut self.batch);
                let computed = self.compute(&mut tokens, &of_tokens);
                self.batch = tokens;
                computed
            }
            other => other,
        };
        match computed {
            Ok(Computed::Done) => {
                self.note_adapters(batch);
                for (run, index) in samples {
                    self.sample_run(run, index, sink)?;
                }
                for (sequence, logits) in kept {
                    self.sample_kept(sequence, &logits, sink);
                }
                Ok(StepOutcome::Done)
            }
            Ok(Computed::Aborted) => {
                self.roll_back(&batch.runs);
                Ok(StepOutcome::Aborted)
            }
            Ok(Computed::CacheFull) => {
                self.roll_back(&batch.runs);
                Ok(StepOutcome::CacheFull)
            }
            Err(error) => {
                for run in &batch.runs {
                    self.free(run.sequence);
                }
                Err(error)
            }
        }
    }

    fn propose(&mut self, wanted: &[Proposal]) -> Result<Vec<Vec<Token>>, Error> {
        let Some(drafter) = &mut self.drafter else { return Ok(vec![Vec::new(); wanted.len()]) };
        let none = Vec::new();
        let want = |proposal: &Proposal| Wanted {
            sequence: proposal.sequence,
            tokens: self.open.get(&proposal.sequence).map_or(none.as_slice(), |open| &open.tokens),
            most: proposal.most.min(DRAFTS_MAX) as usize,
        };
        let wanted: Vec<Wanted<'_>> = wanted.iter().map(want).collect();
        drafter.propose(&wanted)
    }

    fn share(&mut self, from: SequenceId, to: SequenceId, tokens: Range<u32>) -> bool {
        let Some(source) = self.holders.find(from).filter(|_| self.limits.shares) else { return false };
        let places = self.places(from);
        if source.is_stale(self.adapters_age) || places.cuts(tokens.start) || places.cuts(tokens.end) {
            return false;
        }
        let is_new = self.holders.find(to).is_none();
        let Some(target) = self.holders.take(to) else { return false };
        let stretch = Stretch {
            positions: places.position(tokens.start)..places.position(tokens.end),
            before: places.last(tokens.start),
            last: places.last(tokens.end),
        };
        let context = self.context.as_mut();
        let shared = context.is_some_and(|context| context.share(source.slot, target.slot, &stretch));
        if !shared && is_new {
            self.free(to);
        }
        if let Some(holder) = self.holders.find_mut(to).filter(|_| shared) {
            holder.adapters_of = source.adapters_of;
            holder.places = places;
        }
        shared
    }

    fn save(&mut self, sequence: SequenceId, tokens: u32) -> Result<Option<Vec<u8>>, Error> {
        self.save_cells(sequence, tokens)
    }

    fn restore(
        &mut self,
        sequence: SequenceId,
        tokens: u32,
        adapters: &Adapters,
        saved: &[u8],
    ) -> Result<bool, Error> {
        self.restore_cells(sequence, tokens, adapters, saved)
    }

    fn can_shift(&self) -> bool {
        self.limits.rolls_back && self.context.as_ref().is_some_and(Context::can_cut)
    }

    fn shift(&mut self, sequence: SequenceId, from: u32, count: u32) -> bool {
        let (Some(holder), Some(context)) = (self.holders.find(sequence), &mut self.context) else {
            return false;
        };
        if let Some(drafter) = &mut self.drafter {
            drafter.forget(sequence);
        }
        if let Some(open) = self.open.get_mut(&sequence) {
            let end = (from + count) as usize;
            open.tokens.drain((from as usize).min(open.tokens.len())..end.min(open.tokens.len()));
        }
        context.cut(holder.slot, from, from + count)
    }

    fn park(&mut self, sequence: SequenceId) {
        self.free(sequence);
    }

    fn release(&mut self, sequence: SequenceId) {
        self.free(sequence);
        self.open.remove(&sequence);
    }

    fn embed(&mut self, inputs: &[Vec<Token>]) -> Result<Vec<Vec<f32>>, Error> {
        self.log_from_this_thread();
        self.switch.reset();
        if self.embedder.is_none() {
            self.embedder = Some(self.embedder(self.options.pooling)?);
        }
        self.embedder.as_mut().map_or_else(|| Ok(Vec::new()), |embedder| embedder.embed(inputs))
    }

    fn rank(&mut self, inputs: &[Vec<Token>]) -> Result<Vec<f32>, Error> {
        self.log_from_this_thread();
        self.switch.reset();
        if self.ranker.is_none() {
            self.ranker = Some(self.embedder(Pooling::Rank)?);
        }
        self.ranker.as_mut().map_or_else(|| Ok(Vec::new()), |ranker| ranker.rank(inputs))
    }

    fn score(&mut self, piece: Scoring<'_>) -> Result<Vec<f32>, Error> {
        self.log_from_this_thread();
        self.context()?;
        self.switch.reset();
        let fits = self.scorer.as_ref().is_some_and(|scorer| scorer.window() >= piece.window);
        if !fits {
            // The old one first: two would take their memory at the same time.
            self.scorer = None;
            let (window, threads) = (piece.window, self.options.threads_batch);
            self.scorer = Some(Scorer::new(&self.model, window, threads, self.switch.flag())?);
        }
        self.scorer.as_mut().map_or_else(|| Ok(Vec::new()), |scorer| scorer.score(piece))
    }

    fn end_scoring(&mut self) {
        self.scorer = None;
    }

    fn load_adapter(&mut self, name: &str, path: &Path, _: f32) -> Result<(), Error> {
        if self.adapters.contains_key(name) {
            return Err(Error::option(
                "name",
                format!("{name:?} is taken by another adapter; unload that first"),
            ));
        }
        let adapter = Adapter::load(&self.model, path)?;
        self.adapters.insert(name.to_owned(), adapter);
        Ok(())
    }

    fn load_control_vector(&mut self, name: &str, rows: Vec<f32>) -> Result<(), Error> {
        if self.controls.contains_key(name) {
            return Err(Error::option("name", "is taken by another control vector; unload that first"));
        }
        self.controls.insert(name.to_owned(), rows);
        Ok(())
    }

    fn unload_adapter(&mut self, name: &str) -> Result<bool, Error> {
        if self.active_adapters.iter().any(|(active, _)| active == name) {
            self.activate(&Adapters::new())?;
        }
        let unloaded = self.controls.remove(name).is_some() || self.adapters.remove(name).is_some();
        self.adapters_age += u64::from(unloaded);
        Ok(unloaded)
    }
}

fn no_numbers() -> Error {
    Error::new(ErrorCode::EngineFailed, "the model computed no numbers: its weights may be damaged")
}

fn unknown_adapter(name: &str, loaded: &BTreeMap<String, Adapter>) -> Error {
    let names: Vec<&str> = loaded.keys().map(String::as_str).collect();
    let have =
        if names.is_empty() { "none is loaded".to_owned() } else { format!("loaded: {}", names.join(", ")) };
    Error::option("lora", format!("names {name:?}, which is not loaded ({have})"))
}
