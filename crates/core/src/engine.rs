use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Adapters, Error, Medium, NativeCall, NativeInput, NativeReply, OptionSupport, Sampling, Scoring, Token,
    TokenLogprob, stands_for_a_row,
};

/// Names a sequence between scheduler and engine. Never reused while a model lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SequenceId(pub u64);

/// What the scheduler may rely on. Constant while the engine lives.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Sequences that may hold cache at once.
    pub sequences: u32,
    /// Most tokens one sequence may hold, prompt and answer together.
    pub context: u32,
    /// Tokens that all sequences may hold together; at least `context`.
    pub cells: u32,
    /// Most tokens of one batch; at least `sequences`, so that every one can go on in each step. Rows that see
    /// each other come at once, beyond it if need be.
    pub batch: u32,
    /// Whether a stopped step leaves every sequence as it was before it. Without this a step is
    /// only stopped when the model closes.
    pub rolls_back: bool,
    /// Tokens of a run from which it is worth stopping in the middle when its request is cancelled.
    pub worth_stopping: u32,
    /// Whether sequences can [`share`](Engine::share) cache.
    pub shares: bool,
    /// Most holders of cache besides the sequences that run. 0 where nothing is shared.
    pub kept: u32,
    /// Tokens beyond which it is not worth keeping more than one such holder: cells in use make the steps
    /// of others slower.
    pub kept_tokens: u32,
    /// Most drafts of a run. 0 where what was computed cannot be taken back, or nothing is sampled token by token.
    pub drafts: u32,
    /// Which options a request may choose, and what holds otherwise.
    pub options: OptionSupport,
}

/// A stretch of one sequence that the next step computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run<'a> {
    /// Whose.
    pub sequence: SequenceId,
    /// The place of the first token in its sequence; everything before it is in the cache.
    pub start: u32,
    /// The tokens, at least one: none of them, or all, stand for rows, and then for rows of one medium.
    pub tokens: &'a [Token],
    /// Whether to sample what follows the last of them.
    pub sample: bool,
    /// How many of the last of them are drafts: guesses of what will be sampled, at most
    /// [`Limits::drafts`], of a run that samples and has a token before them.
    ///
    /// What follows each token from the last certain one on is then sampled, in order, as if they came one a
    /// step. The first that is not the draft in its place is the last one, and so is one that ends the answer;
    /// drafts from there on leave the cache. The sink gets one to `drafted + 1` tokens.
    pub drafted: u32,
}

impl<'a> Run<'a> {
    /// Whether its tokens stand for rows of a medium.
    pub fn is_of_rows(&self) -> bool {
        self.tokens.first().is_some_and(|&token| stands_for_a_row(token))
    }

    /// Its drafts.
    pub fn drafts(&self) -> &'a [Token] {
        let certain = self.tokens.len().saturating_sub(self.drafted as usize);
        self.tokens.get(certain..).unwrap_or_default()
    }
}

/// A sequence that wants drafts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Which.
    pub sequence: SequenceId,
    /// How many at most.
    pub most: u32,
}

/// What the next step computes: runs of different sequences, all under the same adapters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch<'a> {
    /// At most one run a sequence, in no particular order.
    pub runs: Vec<Run<'a>>,
    /// The adapters of all of them.
    pub adapters: Adapters,
    /// How long it is until one of their requests is out of time. An engine whose steps may take longer than
    /// a moment stops then, as if its switch were thrown.
    pub time_left: Option<Duration>,
}

/// A token an engine chose.
#[derive(Debug)]
pub struct Sampled<'a> {
    /// Its number.
    pub token: Token,
    /// The bytes it adds to the text; none for control tokens.
    pub bytes: &'a [u8],
    /// Whether it ends the answer.
    pub end: bool,
    /// Its log probability, when the sequence was opened with it.
    pub logprob: Option<TokenLogprob>,
}

/// Takes what a step brings.
pub trait Sink {
    /// The next token of a sequence whose run asked for a sample; several in their order where it has drafts.
    fn token(&mut self, sequence: SequenceId, sampled: Sampled<'_>);

    /// How many tokens the prompt of a sequence had, and how many of them were in the cache already.
    /// For engines that read prompts or reuse cache on their own; later calls replace earlier ones.
    fn prompt(&mut self, sequence: SequenceId, tokens: u32, cached: u32) {
        let _ = (sequence, tokens, cached);
    }

    /// The answer of a sequence ends here because the context is full, where only the engine can tell: it
    /// keeps the conversation itself. An end like any other for who does not ask why.
    fn full(&mut self, sequence: SequenceId) {
        self.token(sequence, Sampled { token: 0, bytes: &[], end: true, logprob: None });
    }

    /// This sequence cannot go on; the others of the batch can.
    fn failed(&mut self, sequence: SequenceId, error: Error);
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepOutcome {
    /// Every run is in the cache, and every sample was given to the sink.
    Done,
    /// The switch was thrown: nothing of this batch counts.
    Aborted,
    /// No room in the cache: nothing of this batch counts.
    CacheFull,
}

/// Stops the step that runs now, from any thread.
#[derive(Clone, Default)]
pub struct AbortSwitch {
    flag: Arc<AtomicBool>,
    on_throw: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for AbortSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortSwitch").field("thrown", &self.is_thrown()).finish_non_exhaustive()
    }
}

impl AbortSwitch {
    /// A switch that also wakes whoever waits instead of looking. `wake` must not block.
    pub fn waking(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { flag: Arc::default(), on_throw: Some(Arc::new(wake)) }
    }

    /// Asks the step to stop as soon as it can.
    pub fn throw(&self) {
        self.flag.store(true, Ordering::SeqCst);
        if let Some(wake) = &self.on_throw {
            wake();
        }
    }

    /// Makes ready for the next step.
    pub fn reset(&self) {
        self.flag.store(false, Ordering::SeqCst);
    }

    /// Whether the step should stop.
    pub fn is_thrown(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// The flag itself, for code that polls it from C.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }
}

/// A new sequence, as an engine gets to know it.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// How its tokens are chosen.
    pub sampling: &'a Sampling,
    /// What repetition penalties may look at.
    pub prompt: &'a [Token],
    /// How many alternatives to report with each log probability, if any are wanted.
    pub logprobs: Option<u32>,
    /// If there are any, nothing is sampled: the next token is the likeliest of these, with the log
    /// probabilities of all of them, in this order, as its `top`. An engine that cannot refuses to open.
    pub candidates: &'a [Token],
    /// Most tokens of the answer. The scheduler ends it there; an engine may plan for it.
    pub max_tokens: Option<u32>,
    /// What tokens of the prompt stand for. An engine that reads no rows refuses to open.
    pub media: &'a [Arc<Medium>],
    /// What to read in place of the prompt's tokens, and what else this engine alone knows.
    pub native: Option<&'a NativeInput>,
}

/// A loaded model that turns a [`Batch`] into the tokens that follow it.
///
/// An engine knows nothing of requests, text or queues; the scheduler keeps those. One worker
/// thread owns it and is its only caller, so it must be [`Send`] and needs no lock.
///
/// Tokens are pushed into a [`Sink`] instead of being returned because some engines offer them
/// only through a callback. A pushing engine can be built on a returning one, but the reverse
/// would cost every engine a second thread.
pub trait Engine: Send {
    /// What the scheduler may rely on.
    fn limits(&self) -> &Limits;

    /// The switch that stops a step of this engine.
    fn abort_switch(&self) -> AbortSwitch;

    /// Whether it has failed for good: every call will, and only a new engine can help.
    fn is_lost(&self) -> bool {
        false
    }

    /// Prepares to sample for a new sequence.
    ///
    /// # Errors
    ///
    /// `invalid-request` for a grammar it cannot read, `unsupported` for an option it cannot
    /// honour. The sequence is then unknown.
    fn open(&mut self, sequence: SequenceId, opening: Opening<'_>) -> Result<(), Error>;

    /// Computes `batch` and gives each new token to `sink`.
    ///
    /// # Errors
    ///
    /// After an error no sequence of the batch may be used again.
    fn step(&mut self, batch: &Batch<'_>, sink: &mut dyn Sink) -> Result<StepOutcome, Error>;

    /// What a smaller model thinks will follow each of these sequences: a list for each, empty where it has none.
    /// Their tokens are those they were opened with and those sampled since.
    ///
    /// # Errors
    ///
    /// `unsupported` without such a model.
    fn propose(&mut self, wanted: &[Proposal]) -> Result<Vec<Vec<Token>>, Error> {
        let _ = wanted;
        Err(Error::new(crate::ErrorCode::Unsupported, "this model was loaded without draft_model"))
    }

    /// Gives `to` the use of what `from` has in the cache for these positions. `to` has exactly the positions
    /// before them; it need not be open, and then only holds cache until [`release`](Self::release). What
    /// one of them drops later, the other keeps.
    ///
    /// False, and nothing has changed, where `from` does not have them, or has them computed under an adapter
    /// that was unloaded since.
    fn share(&mut self, from: SequenceId, to: SequenceId, tokens: Range<u32>) -> bool {
        let _ = (from, to, tokens);
        false
    }

    /// What a sequence has in the cache for its first `tokens` positions, as bytes for
    /// [`restore`](Self::restore). `None` where it does not have them, or has them computed under an adapter
    /// that was unloaded since.
    ///
    /// # Errors
    ///
    /// `unsupported` where the cache cannot be taken apart; `insufficient-memory`.
    fn save(&mut self, sequence: SequenceId, tokens: u32) -> Result<Option<Vec<u8>>, Error> {
        let _ = (sequence, tokens);
        Err(Error::new(crate::ErrorCode::Unsupported, "this engine cannot save what its cache holds"))
    }

    /// Gives a sequence that holds no cache the first `tokens` positions of what [`save`](Self::save) found,
    /// here or in another engine that computes the same under `adapters`. It need not be open, and then only
    /// holds cache until [`release`](Self::release). False, and nothing has changed, where there is no room.
    ///
    /// # Errors
    ///
    /// `model-invalid` for bytes that are nothing of that kind, whatever they are, and nothing has changed;
    /// `unsupported`.
    fn restore(
        &mut self,
        sequence: SequenceId,
        tokens: u32,
        adapters: &Adapters,
        saved: &[u8],
    ) -> Result<bool, Error> {
        let _ = (sequence, tokens, adapters, saved);
        Err(Error::new(crate::ErrorCode::Unsupported, "this engine cannot restore what was in a cache"))
    }

    /// Whether [`shift`](Self::shift) works.
    fn can_shift(&self) -> bool {
        false
    }

    /// Removes `count` computed tokens of a sequence from its place `from` on, and moves those after them down.
    /// False if that is impossible; the sequence must then not be used again.
    fn shift(&mut self, sequence: SequenceId, from: u32, count: u32) -> bool {
        let _ = (sequence, from, count);
        false
    }

    /// Frees the cache of a sequence but keeps how it samples, so that it can be computed again
    /// from its first token.
    fn park(&mut self, sequence: SequenceId);

    /// Forgets a sequence and frees its cache. Forgetting an unknown one does nothing.
    fn release(&mut self, sequence: SequenceId);

    /// The vectors of `inputs`, in their order, not normalised.
    ///
    /// # Errors
    ///
    /// `unsupported` if the engine has none.
    fn embed(&mut self, inputs: &[Vec<Token>]) -> Result<Vec<Vec<f32>>, Error> {
        let _ = inputs;
        Err(Error::new(crate::ErrorCode::Unsupported, "this engine makes no embeddings"))
    }

    /// What the head that the model ranks with says of each of `inputs`, in their order: the first of its numbers.
    ///
    /// # Errors
    ///
    /// `unsupported` if the engine has none.
    fn rank(&mut self, inputs: &[Vec<Token>]) -> Result<Vec<f32>, Error> {
        let _ = inputs;
        Err(Error::new(crate::ErrorCode::Unsupported, "this engine has no head to rank with"))
    }

    /// The natural logarithms of the probabilities of `piece.targets`. What the pieces of a window need is
    /// kept from one to the next, apart from the sequences of answers.
    ///
    /// # Errors
    ///
    /// `unsupported` if the engine shows no probabilities.
    fn score(&mut self, piece: Scoring<'_>) -> Result<Vec<f32>, Error> {
        let _ = piece;
        Err(Error::new(crate::ErrorCode::Unsupported, "this engine shows no probabilities of given tokens"))
    }

    /// Frees what [`score`](Self::score) has kept.
    fn end_scoring(&mut self) {}

    /// Does what only engines with caches and templates of their own can do.
    ///
    /// # Errors
    ///
    /// `unsupported` by every other engine; whatever is wrong with the call.
    fn native(&mut self, call: NativeCall) -> Result<NativeReply, Error> {
        let _ = call;
        Err(Error::new(crate::ErrorCode::Unsupported, "only models on an NPU can do this"))
    }

    /// Loads an adapter under a name. `scale` is for engines that fix it here; the others take that of each
    /// request, for which it is the default.
    ///
    /// # Errors
    ///
    /// `model-invalid` if the file does not fit the model; `unsupported` without adapters.
    fn load_adapter(&mut self, name: &str, path: &std::path::Path, scale: f32) -> Result<(), Error> {
        let _ = (name, path, scale);
        Err(Error::new(crate::ErrorCode::Unsupported, "this engine takes no adapters"))
    }

    /// Keeps a control vector under a name: a row for each layer from the second on, each as long as the
    /// model's embedding. Sequences name it among their adapters.
    ///
    /// # Errors
    ///
    /// `unsupported` without control vectors; `invalid-request` if the name is taken.
    fn load_control_vector(&mut self, name: &str, rows: Vec<f32>) -> Result<(), Error> {
        let _ = (name, rows);
        Err(Error::new(crate::ErrorCode::Unsupported, "this engine takes no control vectors"))
    }

    /// Unloads an adapter or a control vector. True if it was there.
    ///
    /// # Errors
    ///
    /// `unsupported` if it was and the engine cannot.
    fn unload_adapter(&mut self, name: &str) -> Result<bool, Error> {
        let _ = name;
        Ok(false)
    }
}
