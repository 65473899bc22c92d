//! An engine that does as it is told, for tests of timing and faults. It computes nothing.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::{
    AbortSwitch, Batch, Clock, Engine, Error, ErrorCode, Limits, Sampled, Sampling, SequenceId, Sink,
    StepOutcome, Token,
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

/// Lets steps through one by one, or all of them.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<u64>, Condvar)>);

impl Gate {
    /// A gate that is open for good.
    pub fn open() -> Self {
        let gate = Self::default();
        gate.let_through(u64::MAX / 2);
        gate
    }

    /// Lets `steps` more steps through.
    pub fn let_through(&self, steps: u64) {
        let (left, changed) = &*self.0;
        *left.lock().unwrap_or_else(PoisonError::into_inner) += steps;
        changed.notify_all();
    }

    /// Waits for leave. False if `switch` was thrown instead.
    fn pass(&self, switch: &AbortSwitch) -> bool {
        let (left, changed) = &*self.0;
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        while *left == 0 {
            if switch.is_thrown() {
                return false;
            }
            let waited = changed.wait_timeout(left, Duration::from_millis(1));
            left = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *left -= 1;
        true
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

/// One recorded step: for each run its sequence, start, length and whether it sampled.
pub type Trace = Vec<(u64, u32, usize, bool)>;

/// An engine whose answer to a prompt is the prompt's last token plus 1, 2, 3…, with each token's
/// number as its text (`"7 "`). A multiple of 1000 ends the answer.
#[derive(Debug)]
pub struct ScriptedEngine {
    limits: Limits,
    switch: AbortSwitch,
    gate: Gate,
    faults: HashMap<u64, Fault>,
    steps: u64,
    cached: HashMap<SequenceId, Vec<Token>>,
    trace: Arc<Mutex<Vec<Trace>>>,
}

impl ScriptedEngine {
    /// An engine behind `gate`.
    pub fn new(limits: Limits, gate: Gate) -> Self {
        Self {
            limits,
            switch: AbortSwitch::default(),
            gate,
            faults: HashMap::new(),
            steps: 0,
            cached: HashMap::new(),
            trace: Arc::default(),
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

    /// Where the steps are recorded.
    pub fn trace(&self) -> Arc<Mutex<Vec<Trace>>> {
        Arc::clone(&self.trace)
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
        _prompt: &[Token],
        _logprobs: Option<u32>,
    ) -> Result<(), Error> {
        if sampling.grammar.is_some() {
            return Err(Error::unsupported("grammar", "is not something this engine can follow"));
        }
        self.cached.insert(sequence, Vec::new());
        Ok(())
    }

    fn step(&mut self, batch: &Batch<'_>, sink: &mut dyn Sink) -> Result<StepOutcome, Error> {
        if !self.gate.pass(&self.switch) {
            return Ok(StepOutcome::Aborted);
        }
        let step = self.steps;
        self.steps += 1;
        match self.faults.get(&step) {
            Some(Fault::Fail) => return Err(Error::new(ErrorCode::EngineFailed, "the script says so")),
            Some(Fault::CacheFull) => return Ok(StepOutcome::CacheFull),
            Some(Fault::Panic) => std::panic::panic_any("the script says so"),
            None => {}
        }
        let mut trace = Trace::new();
        for run in &batch.runs {
            trace.push((run.sequence.0, run.start, run.tokens.len(), run.sample));
            let Some(cached) = self.cached.get_mut(&run.sequence) else {
                return Err(Error::new(ErrorCode::Internal, "a run of an unknown sequence"));
            };
            if cached.len() != run.start as usize {
                return Err(Error::new(ErrorCode::Internal, "a run that does not continue its sequence"));
            }
            cached.extend_from_slice(run.tokens);
            if run.sample {
                let token = run.tokens.last().map_or(0, |last| last.wrapping_add(1));
                let text = format!("{token} ");
                let end = token % 1000 == 0;
                sink.token(run.sequence, Sampled { token, bytes: text.as_bytes(), end, logprob: None });
            }
        }
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).push(trace);
        Ok(StepOutcome::Done)
    }

    fn park(&mut self, sequence: SequenceId) {
        if let Some(cached) = self.cached.get_mut(&sequence) {
            cached.clear();
        }
    }

    fn release(&mut self, sequence: SequenceId) {
        self.cached.remove(&sequence);
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
