//! A model over a scripted engine, and answers that a test can wait for without hanging.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rkllmjs_core::scripted::{Gate, ManualClock, Record, RecordedStep, ScriptedEngine};
use rkllmjs_core::{
    Clock, ErrorCode, FinishReason, GenerateOptions, Generation, Limits, ModelHandle, ModelSettings,
    OptionSupport, Outcome, Part, Request,
};

/// Only a broken model takes this long for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// The queue of a [`Rig`] unless a test asks for another.
const QUEUE: u32 = 16;

pub(crate) struct Rig {
    pub(crate) model: ModelHandle,
    pub(crate) gate: Gate,
    pub(crate) clock: Arc<ManualClock>,
    record: Arc<Mutex<Record>>,
}

impl Rig {
    /// A model with small limits whose steps run freely.
    pub(crate) fn free() -> Self {
        Self::build(ScriptedEngine::small(), QUEUE, Gate::open(), |engine| engine)
    }

    /// A model with small limits whose steps wait for leave.
    pub(crate) fn gated() -> Self {
        Self::build(ScriptedEngine::small(), QUEUE, Gate::default(), |engine| engine)
    }

    /// A model with these limits whose steps run freely.
    pub(crate) fn limited(limits: Limits) -> Self {
        Self::build(limits, QUEUE, Gate::open(), |engine| engine)
    }

    /// A model with small limits whose engine is told what to do, and runs freely.
    pub(crate) fn told(tell: impl FnOnce(ScriptedEngine) -> ScriptedEngine) -> Self {
        Self::build(ScriptedEngine::small(), QUEUE, Gate::open(), tell)
    }

    /// The same with so many bytes for prefixes that have to leave the cache.
    pub(crate) fn with_memory(limits: Limits, host_cache_bytes: u64) -> Self {
        let settings = ModelSettings { queue: QUEUE, host_cache_bytes, ..ModelSettings::default() };
        Self::start(limits, settings, Gate::open(), |engine| engine)
    }

    pub(crate) fn build(
        limits: Limits,
        queue: u32,
        gate: Gate,
        tell: impl FnOnce(ScriptedEngine) -> ScriptedEngine,
    ) -> Self {
        Self::start(limits, ModelSettings { queue, ..ModelSettings::default() }, gate, tell)
    }

    pub(crate) fn start(
        limits: Limits,
        settings: ModelSettings,
        gate: Gate,
        tell: impl FnOnce(ScriptedEngine) -> ScriptedEngine,
    ) -> Self {
        let engine = tell(ScriptedEngine::new(limits, gate.clone()));
        let record = engine.record();
        let clock = Arc::new(ManualClock::default());
        let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let model = ModelHandle::start_with_clock(Box::new(engine), settings, shared).expect("a thread");
        Self { model, gate, clock, record }
    }

    pub(crate) fn submit(&self, request: Request) -> Answer {
        self.try_submit(request).unwrap_or_else(|code| panic!("refused: {code:?}"))
    }

    pub(crate) fn try_submit(&self, request: Request) -> Result<Answer, ErrorCode> {
        let signal = Arc::new(Signal::default());
        let ring = Arc::clone(&signal);
        let begun = self.model.begin(request.choices, Box::new(move || ring.ring()));
        let (generation, submission) = begun.map_err(|error| error.code)?;
        submission.start(request);
        Ok(Answer { generation, signal })
    }

    /// Keeps the engine's thread between two steps until the hold is dropped, so that whatever
    /// happens meanwhile is seen at once. The thread must not be at the gate.
    pub(crate) fn hold(&self) -> Hold {
        let (started, has_started) = channel();
        let (release, released) = channel::<()>();
        self.model.call(move |_| {
            let _ = started.send(());
            let _ = released.recv();
        });
        has_started.recv_timeout(PATIENCE).expect("the engine's thread never came");
        Hold { _release: release }
    }

    /// Waits until the engine's thread has seen everything that happened so far, and acted on it.
    /// The thread must not be at the gate.
    pub(crate) fn settle(&self) {
        for _ in 0..3 {
            drop(self.hold());
        }
    }

    /// Waits until `steps` steps have come to the gate.
    pub(crate) fn at_gate(&self, steps: u64) {
        assert!(self.gate.wait_begun(steps, PATIENCE), "step {steps} never came");
    }

    /// Lets `steps` steps through and waits until the one after them is at the gate.
    pub(crate) fn step(&self, steps: u64) {
        let begun = self.gate.begun();
        self.gate.let_through(steps);
        self.at_gate(begun + steps);
    }

    /// Lets everything through from now on.
    pub(crate) fn run_freely(&self) {
        self.gate.let_through(u64::MAX / 4);
    }

    /// Lets time pass and has the model look at the clock.
    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.model.call(|_| ());
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("the record")
    }

    pub(crate) fn steps(&self) -> Vec<RecordedStep> {
        self.record().steps.clone()
    }

    /// The steps done so far: of each run its sequence, start, length and whether it sampled.
    pub(crate) fn trace(&self) -> Vec<Vec<(u64, u32, usize, bool)>> {
        let runs = |step: &RecordedStep| {
            step.runs.iter().map(|run| (run.sequence, run.start, run.tokens, run.sample)).collect()
        };
        self.steps().iter().map(runs).collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let died = self.model.submit(request(1, 1)).is_err_and(|error| error.code == ErrorCode::Internal);
        self.model.close();
        assert!(self.model.wait_closed(PATIENCE), "the model does not close");
        let record = self.record();
        assert_eq!(record.breaches, Vec::<String>::new());
        let leaked = record.opened.iter().find(|(id, _)| !record.released.contains(id));
        assert!(died || leaked.is_none(), "{leaked:?} was never released");
        let holders = record.shared.iter().map(|(_, to, _)| to);
        let holders = holders.chain(record.restored.iter().map(|(to, _)| to));
        let kept = holders.into_iter().find(|to| !record.released.contains(to));
        assert!(died || kept.is_none(), "{kept:?} still holds cache");
    }
}

pub(crate) struct Hold {
    _release: Sender<()>,
}

#[derive(Default)]
struct Signal {
    rings: Mutex<u64>,
    changed: Condvar,
}

impl Signal {
    fn ring(&self) {
        *self.rings.lock().expect("the signal") += 1;
        self.changed.notify_all();
    }
}

/// A generation and what it signals.
pub(crate) struct Answer {
    pub(crate) generation: Generation,
    signal: Arc<Signal>,
}

impl Answer {
    /// Waits until it signals something that makes `done` true.
    fn wait_until(&self, what: &str, mut done: impl FnMut(&Generation) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut rings = self.signal.rings.lock().expect("the signal");
        loop {
            let seen = *rings;
            drop(rings);
            if done(&self.generation) {
                return;
            }
            assert!(Instant::now() < deadline, "{what} never came");
            rings = self.signal.rings.lock().expect("the signal");
            if *rings == seen {
                let waited = self.signal.changed.wait_timeout(rings, Duration::from_millis(100));
                rings = waited.expect("the signal").0;
            }
        }
    }

    /// Waits for the end. What was not read stays to be read.
    pub(crate) fn outcome(&self) -> Outcome {
        self.wait_until("the end", Self::has_ended_all);
        self.generation.wait()
    }

    fn has_ended_all(generation: &Generation) -> bool {
        (0..generation.choices()).all(|index| generation.finish_reason(index).is_some())
    }

    pub(crate) fn has_ended(&self) -> bool {
        Self::has_ended_all(&self.generation)
    }

    /// The parts that are there to take, as texts.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut parts = Vec::new();
        self.generation.take(&mut parts);
        parts.into_iter().map(|Part::TextDelta { text, .. }| text).collect()
    }

    /// Waits for `count` more parts, and takes all there are.
    pub(crate) fn take_at_least(&self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        self.wait_until("the parts", |_| {
            texts.extend(self.take());
            texts.len() >= count
        });
        texts
    }

    /// Reads everything to the end at once as it comes.
    pub(crate) fn read_to_end(&self) -> (String, Outcome) {
        let mut text = String::new();
        let mut outcome = None;
        self.wait_until("the end", |generation| {
            let mut parts = Vec::new();
            outcome = generation.take(&mut parts);
            generation.acknowledge(parts.len());
            text.extend(parts.into_iter().map(|Part::TextDelta { text, .. }| text));
            outcome.is_some()
        });
        (text, outcome.expect("the end"))
    }

    pub(crate) fn text(&self) -> String {
        self.generation.text(0)
    }

    pub(crate) fn finish(&self) -> Option<FinishReason> {
        self.generation.finish_reason(0)
    }

    /// Waits for an end without an error, and gives the text.
    pub(crate) fn finished(&self) -> (String, FinishReason) {
        let outcome = self.outcome();
        assert_eq!(outcome.error, None);
        (self.text(), self.finish().expect("an end"))
    }

    /// Waits for an end with an error, and gives its code.
    pub(crate) fn failed(&self) -> ErrorCode {
        self.outcome().error.expect("an error").code
    }

    /// Waits until it ends as cancelled.
    pub(crate) fn cancelled(&self) {
        let (_, finish) = self.finished();
        assert_eq!(finish, FinishReason::Cancelled);
    }
}

/// Waits for a condition that nothing signals.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A request whose prompt counts `length` tokens up from `first`.
pub(crate) fn request(first: u32, length: u32) -> Request {
    let options = GenerateOptions { seed: Some(7.0), ..GenerateOptions::default() };
    let built = options.build(&OptionSupport::default(), u32::MAX, 0).expect("the defaults");
    Request { prompt: (first..first + length).collect(), ..built }
}

/// The same, for `max_tokens` tokens.
pub(crate) fn short(first: u32, length: u32, max_tokens: u32) -> Request {
    Request { max_tokens: Some(max_tokens), ..request(first, length) }
}

/// How many tokens of a prompt were cached for an answer that is ten numbers long and right.
pub(crate) fn cached(rig: &Rig, request: Request) -> u64 {
    let first = request.prompt.last().map_or(0, |last| last + 1);
    let answer = rig.submit(request);
    let outcome = answer.outcome();
    assert_eq!((outcome.error, answer.text()), (None, counting(first, 10)));
    outcome.usage.cached_tokens
}

/// What a scripted engine says: `count` numbers from `first`.
pub(crate) fn counting(first: u32, count: u32) -> String {
    (first..first + count).map(|number| format!("{number} ")).collect()
}
