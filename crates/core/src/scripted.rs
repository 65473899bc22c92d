//! An engine that does as it is told, for tests of timing and faults. It computes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{
    AbortSwitch, Adapters, Batch, Clock, Engine, Error, ErrorCode, Limits, Run, Sampled, Sampling,
    SequenceId, Sink, StepOutcome, Token,
};

/// A clock that stands until a test turns it.
#[derive(Debug)]
pub struct ManualClock {
    start: Instant,
    passed: Mutex<Duration>,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self { start: Instant::now(), passed: Mutex::default() }
    }
}

impl ManualClock {
    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + *self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Passage {
    leave: u64,
    begun: u64,
}

/// Lets steps through one by one, or all of them.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<Passage>, Condvar)>);

impl Gate {
    /// A gate that is open for good.
    pub fn open() -> Self {
        let gate = Self::default();
        gate.let_through(u64::MAX / 2);
        gate
    }

    /// Lets `steps` more steps through.
    pub fn let_through(&self, steps: u64) {
        self.passage().leave += steps;
        self.0.1.notify_all();
    }

    /// Lets no further step through.
    pub fn shut(&self) {
        self.passage().leave = 0;
    }

    /// How many steps have come to the gate, those that were stopped in front of it included.
    pub fn begun(&self) -> u64 {
        self.passage().begun
    }

    /// Waits until `steps` steps have come to the gate. False if they have not within `most`.
    pub fn wait_begun(&self, steps: u64, most: Duration) -> bool {
        let waited = self.0.1.wait_timeout_while(self.passage(), most, |passage| passage.begun < steps);
        waited.unwrap_or_else(PoisonError::into_inner).0.begun >= steps
    }

    fn passage(&self) -> MutexGuard<'_, Passage> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for leave. False if `switch` was thrown instead.
    fn pass(&self, switch: &AbortSwitch) -> bool {
        let changed = &self.0.1;
        let mut passage = self.passage();
        passage.begun += 1;
        changed.notify_all();
        loop {
            if switch.is_thrown() {
                return false;
            }
            if passage.leave > 0 {
                passage.leave -= 1;
                return true;
            }
            let waited = changed.wait_timeout(passage, Duration::from_millis(1));
            passage = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What a step of the script does instead of succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `step` returns an error.
    Fail,
    /// `step` panics.
    Panic,
    /// `step` says that the cache is full.
    CacheFull,
}

/// A run as the engine saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedRun {
    /// Whose.
    pub sequence: u64,
    /// The place of its first token.
    pub start: u32,
    /// How many tokens.
    pub tokens: usize,
    /// Whether what follows was sampled.
    pub sample: bool,
}

/// A step that was done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordedStep {
    /// Its runs.
    pub runs: Vec<RecordedRun>,
    /// The adapters of all of them.
    pub adapters: Adapters,
    /// Every sequence that held cache afterwards, in order.
    pub holders: Vec<u64>,
}

/// What an engine was asked for.
#[derive(Debug, Default)]
pub struct Record {
    /// The steps that were done.
    pub steps: Vec<RecordedStep>,
    /// Steps that the switch stopped.
    pub aborted: u64,
    /// Steps that found no room.
    pub full: u64,
    /// Sequences that were opened, with their seeds.
    pub opened: Vec<(u64, u32)>,
    /// Sequences that were parked.
    pub parked: Vec<u64>,
    /// Sequences that were released.
    pub released: Vec<u64>,
    /// What no scheduler may ask for, in words. Always empty.
    pub breaches: Vec<String>,
}

/// A sequence as the engine knows it.
#[derive(Debug, Default)]
struct Known {
    /// Its prompt and everything sampled for it since.
    tokens: Vec<Token>,
    /// How many of them are in the cache.
    cached: usize,
    /// The adapters it was computed under.
    adapters: Option<Adapters>,
}

/// An engine whose answer to a prompt is the prompt's last token plus 1, 2, 3…, with each token's
/// number as its text (`"7 "`). A multiple of 1000 ends the answer.
///
/// It notes every breach of what an engine may rely on in its [`Record`].
#[derive(Debug)]
pub struct ScriptedEngine {
    limits: Limits,
    switch: AbortSwitch,
    gate: Gate,
    faults: HashMap<u64, Fault>,
    pieces: HashMap<Token, Vec<u8>>,
    poison: Option<Token>,
    room: usize,
    steps: u64,
    known: BTreeMap<SequenceId, Known>,
    record: Arc<Mutex<Record>>,
}

impl ScriptedEngine {
    /// An engine behind `gate`.
    pub fn new(limits: Limits, gate: Gate) -> Self {
        Self {
            limits,
            switch: AbortSwitch::default(),
            gate,
            faults: HashMap::new(),
            pieces: HashMap::new(),
            poison: None,
            room: usize::MAX,
            steps: 0,
            known: BTreeMap::new(),
            record: Arc::default(),
        }
    }

    /// Limits for tests: 4 sequences of up to 128 tokens, batches of 32.
    pub fn small() -> Limits {
        Limits {
            sequences: 4,
            context: 128,
            cells: 512,
            batch: 32,
            rolls_back: true,
            logprobs: false,
            grammar: false,
        }
    }

    /// Makes step number `step`, from 0, fail as told.
    #[must_use]
    pub fn with_fault(mut self, step: u64, fault: Fault) -> Self {
        self.faults.insert(step, fault);
        self
    }

    /// Gives `token` these bytes instead of its number.
    #[must_use]
    pub fn with_piece(mut self, token: Token, bytes: &[u8]) -> Self {
        self.pieces.insert(token, bytes.to_vec());
        self
    }

    /// Makes a sequence fail, and it alone, when `token` would be its next one.
    #[must_use]
    pub fn with_poison(mut self, token: Token) -> Self {
        self.poison = Some(token);
        self
    }

    /// Makes the cache hold only `cells` tokens, whatever the limits promise.
    #[must_use]
    pub fn with_room(mut self, cells: usize) -> Self {
        self.room = cells;
        self
    }

    /// Where everything is recorded.
    pub fn record(&self) -> Arc<Mutex<Record>> {
        Arc::clone(&self.record)
    }

    fn recorded(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong about `batch`, if anything.
    fn breach(&self, batch: &Batch<'_>) -> Option<String> {
        let total: usize = batch.runs.iter().map(|run| run.tokens.len()).sum();
        if total == 0 || total > self.limits.batch as usize {
            return Some(format!("a batch of {total} tokens"));
        }
        let cached: usize = self.known.values().map(|known| known.cached).sum();
        if cached + total > self.limits.cells as usize {
            return Some(format!("{} cells are needed", cached + total));
        }
        let idle_holders = self
            .known
            .iter()
            .filter(|(id, known)| known.cached > 0 && !batch.runs.iter().any(|run| run.sequence == **id));
        let holders = idle_holders.count() + batch.runs.len();
        if holders > self.limits.sequences as usize {
            return Some(format!("{holders} sequences hold cache"));
        }
        let mut seen = Vec::new();
        for run in &batch.runs {
            if seen.contains(&run.sequence) {
                return Some(format!("two runs of sequence {}", run.sequence.0));
            }
            seen.push(run.sequence);
            if let Some(wrong) = self.run_breach(run, &batch.adapters) {
                return Some(format!("sequence {}: {wrong}", run.sequence.0));
            }
        }
        None
    }

    fn run_breach(&self, run: &Run<'_>, adapters: &Adapters) -> Option<String> {
        let Some(known) = self.known.get(&run.sequence) else {
            return Some("a run without an open".to_owned());
        };
        let end = run.start as usize + run.tokens.len();
        if run.tokens.is_empty() || end > self.limits.context as usize {
            return Some(format!("a run from {} to {end}", run.start));
        }
        if known.cached != run.start as usize {
            return Some(format!("a run from {} on {} cached tokens", run.start, known.cached));
        }
        if known.tokens.get(run.start as usize..end) != Some(run.tokens) {
            return Some("a run of other tokens than its prompt and answer".to_owned());
        }
        let moved = known.adapters.as_ref().is_some_and(|before| before != adapters);
        moved.then(|| format!("a run under {adapters:?}"))
    }

    fn compute(&mut self, run: &Run<'_>, adapters: &Adapters, sink: &mut dyn Sink) {
        let Some(known) = self.known.get_mut(&run.sequence) else { return };
        known.cached += run.tokens.len();
        known.adapters.get_or_insert_with(|| adapters.clone());
        if !run.sample {
            return;
        }
        let token = run.tokens.last().map_or(0, |last| last.wrapping_add(1));
        if self.poison == Some(token) {
            sink.failed(run.sequence, Error::new(ErrorCode::EngineFailed, "the script poisons this sequence"));
            return;
        }
        known.tokens.push(token);
        let bytes = self.pieces.get(&token).cloned().unwrap_or_else(|| format!("{token} ").into_bytes());
        sink.token(run.sequence, Sampled { token, bytes: &bytes, end: token % 1000 == 0, logprob: None });
    }
}

impl Engine for ScriptedEngine {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn abort_switch(&self) -> AbortSwitch {
        self.switch.clone()
    }

    fn open(
        &mut self,
        sequence: SequenceId,
        sampling: &Sampling,
        prompt: &[Token],
        _logprobs: Option<u32>,
    ) -> Result<(), Error> {
        if sampling.grammar.is_some() {
            return Err(Error::unsupported("grammar", "is not something this engine can follow"));
        }
        let known = Known { tokens: prompt.to_vec(), ..Known::default() };
        if self.known.insert(sequence, known).is_some() {
            self.recorded().breaches.push(format!("sequence {} was opened twice", sequence.0));
        }
        self.recorded().opened.push((sequence.0, sampling.seed));
        Ok(())
    }

    fn step(&mut self, batch: &Batch<'_>, sink: &mut dyn Sink) -> Result<StepOutcome, Error> {
        if !self.gate.pass(&self.switch) {
            self.recorded().aborted += 1;
            return Ok(StepOutcome::Aborted);
        }
        let step = self.steps;
        self.steps += 1;
        let total: usize = batch.runs.iter().map(|run| run.tokens.len()).sum();
        let cached: usize = self.known.values().map(|known| known.cached).sum();
        match self.faults.get(&step) {
            Some(Fault::Fail) => return Err(Error::new(ErrorCode::EngineFailed, "the script says so")),
            Some(Fault::Panic) => std::panic::panic_any("the script says so"),
            None if cached + total <= self.room => {}
            Some(Fault::CacheFull) | None => {
                self.recorded().full += 1;
                return Ok(StepOutcome::CacheFull);
            }
        }
        if let Some(breach) = self.breach(batch) {
            self.recorded().breaches.push(breach.clone());
            return Err(Error::new(ErrorCode::Internal, breach));
        }
        for run in &batch.runs {
            self.compute(run, &batch.adapters, sink);
        }
        let runs = batch.runs.iter().map(|run| RecordedRun {
            sequence: run.sequence.0,
            start: run.start,
            tokens: run.tokens.len(),
            sample: run.sample,
        });
        let holders = self.known.iter().filter(|(_, known)| known.cached > 0).map(|(id, _)| id.0).collect();
        let step = RecordedStep { runs: runs.collect(), adapters: batch.adapters.clone(), holders };
        self.recorded().steps.push(step);
        Ok(StepOutcome::Done)
    }

    fn park(&mut self, sequence: SequenceId) {
        if let Some(known) = self.known.get_mut(&sequence) {
            known.cached = 0;
        }
        self.recorded().parked.push(sequence.0);
    }

    fn release(&mut self, sequence: SequenceId) {
        self.known.remove(&sequence);
        self.recorded().released.push(sequence.0);
    }
}

/// What stands in for an engine that must not be called any more.
#[derive(Debug)]
pub(crate) struct Gone(Limits);

impl Default for Gone {
    fn default() -> Self {
        Self(ScriptedEngine::small())
    }
}

impl Engine for Gone {
    fn limits(&self) -> &Limits {
        &self.0
    }

    fn abort_switch(&self) -> AbortSwitch {
        AbortSwitch::default()
    }

    fn open(&mut self, _: SequenceId, _: &Sampling, _: &[Token], _: Option<u32>) -> Result<(), Error> {
        Err(crate::worker::closed())
    }

    fn step(&mut self, _: &Batch<'_>, _: &mut dyn Sink) -> Result<StepOutcome, Error> {
        Err(crate::worker::closed())
    }

    fn park(&mut self, _: SequenceId) {}

    fn release(&mut self, _: SequenceId) {}
}
