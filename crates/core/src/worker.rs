use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::gone::Gone;
use crate::model_handle::Control;
use crate::scheduler::{Event, Plan, Scheduler};
use crate::{
    Clock, Engine, Error, ErrorCode, ModelSettings, PrefixCache, Sampled, SequenceId, Sink, Stats,
    StepOutcome,
};

/// The loop of the one thread that calls an engine: schedule, step, settle.
pub(crate) struct Worker {
    engine: Box<dyn Engine>,
    scheduler: Scheduler,
    control: Arc<Control>,
    clock: Arc<dyn Clock>,
    requests: u64,
    tokens_per_second: f64,
    /// When readers were last told of parts.
    told_at: Instant,
}

/// Readers are told of new parts this often at most while steps are short: once a frame of a display.
/// To wake a sleeping thread costs more than a step of a small model, and a wake-up with many tokens no
/// more than one with a single token. A token after a pause, or of a model slower than this, is told at
/// once.
const NEWS_EVERY: Duration = Duration::from_millis(16);

/// Requests made in one turn of a program's loop come within microseconds of each other. Where nothing runs, so much is
/// waited for the next: a first step without it would make it wait for a whole one.
const LULL: Duration = Duration::from_micros(250);
/// Longest wait for requests whose prompts are still being prepared.
const GATHER_MOST: Duration = Duration::from_millis(2);

/// Keeps what a step brings until the step is over.
#[derive(Default)]
struct Events(Vec<Event>);

impl Sink for Events {
    fn token(&mut self, sequence: SequenceId, sampled: Sampled<'_>) {
        let Sampled { token, bytes, end, logprob } = sampled;
        self.0.push(Event::Token { sequence, token, bytes: bytes.to_vec(), end, logprob });
    }

    fn prompt(&mut self, sequence: SequenceId, tokens: u32, cached: u32) {
        self.0.push(Event::Prompt { sequence, tokens, cached });
    }

    fn full(&mut self, sequence: SequenceId) {
        self.0.push(Event::Full { sequence });
    }

    fn failed(&mut self, sequence: SequenceId, error: Error) {
        self.0.push(Event::Failed { sequence, error });
    }
}

impl Worker {
    pub(crate) fn new(
        engine: Box<dyn Engine>,
        settings: &ModelSettings,
        control: Arc<Control>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut scheduler = Scheduler::new(engine.limits().clone(), settings.overflow);
        scheduler.prefixes_mut().use_host_memory(settings.host_cache_bytes);
        Self {
            engine,
            scheduler,
            control,
            clock,
            requests: 0,
            tokens_per_second: 0.0,
            told_at: Instant::now(),
        }
    }

    /// Runs until the model closes. A panic ends every request with `internal` and closes the model.
    pub(crate) fn run(mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            while !self.control.inbox.is_closed() {
                self.turn();
            }
        }));
        let error = ended.err().map(|panic| {
            let error = Error::new(
                ErrorCode::Internal,
                format!("the engine's thread panicked: {}", text_of(&*panic)),
            );
            self.control.inbox.close(error.clone());
            error
        });
        // After a panic the engine is not called again, not even to free what it holds.
        let wind_up = catch_unwind(AssertUnwindSafe(|| self.wind_up(error.as_ref())));
        if wind_up.is_err() || error.is_some() {
            let engine = std::mem::replace(&mut self.engine, Box::new(Gone::default()));
            Box::leak(engine);
        }
    }

    fn wind_up(&mut self, error: Option<&Error>) {
        for arrival in self.control.inbox.arrivals() {
            self.scheduler.take(arrival);
        }
        let now = self.clock.now();
        let mut gone = Gone::default();
        let engine: &mut dyn Engine = if error.is_some() { &mut gone } else { self.engine.as_mut() };
        self.scheduler.end_all(error, now, engine);
        let closed = error.cloned().unwrap_or_else(closed);
        while let Some(call) = self.control.inbox.next_call() {
            call(Err(closed.clone()));
        }
        self.publish();
    }

    fn turn(&mut self) {
        if self.scheduler.is_idle() {
            self.control.inbox.gather(LULL, GATHER_MOST);
        }
        for arrival in self.control.inbox.arrivals() {
            self.requests += 1;
            self.scheduler.take(arrival);
        }
        let called = self.control.inbox.next_call();
        let was_called = called.is_some();
        if let Some(call) = called {
            let prefixes = self.scheduler.prefixes_mut();
            call(Ok(PrefixCache { engine: self.engine.as_mut(), prefixes }));
        }
        let now = self.clock.now();
        self.scheduler.sweep(now, self.engine.as_mut());
        self.scheduler.admit(now, self.engine.as_mut());
        self.scheduler.follow(self.engine.as_mut());
        let mut plan = self.scheduler.schedule();
        let nothing_to_do = plan.is_empty();
        if nothing_to_do || !plan.long.is_empty() || self.told_at.elapsed() >= NEWS_EVERY {
            self.scheduler.tell_news();
            self.told_at = Instant::now();
        }
        if nothing_to_do {
            self.publish();
            if !was_called {
                self.control.inbox.wait(self.nap(now));
            }
            return;
        }
        if self.scheduler.has_ended() {
            self.publish();
        }
        self.step(&mut plan);
        self.publish();
    }

    /// How long to sleep at most. With a clock of its own a test decides when time has passed.
    fn nap(&self, now: std::time::Instant) -> Option<Duration> {
        if self.scheduler.is_idle() { None } else { self.scheduler.sleep(now) }
    }

    fn step(&mut self, plan: &mut Plan) {
        self.control.begin_step(&plan.long);
        // Whoever cancelled before the switch was reset is seen here, whoever does after throws it.
        if self.scheduler.is_cancelled(plan) || self.control.inbox.is_closed() {
            self.control.end_step();
            return;
        }
        let turned = self.clock.now();
        self.scheduler.speculate(plan, self.engine.as_mut());
        let mut events = Events::default();
        let began = self.clock.now();
        let outcome = self.engine.step(&self.scheduler.batch(plan, began), &mut events);
        self.control.end_step();
        let now = self.clock.now();
        match outcome {
            Ok(StepOutcome::Done) => {
                self.scheduler.drafter().note_step(now - began);
                let before = self.scheduler.completion_tokens;
                self.scheduler.settle(plan, events.0, now, self.engine.as_mut());
                self.measure(self.scheduler.completion_tokens - before, now - turned);
            }
            Ok(StepOutcome::Aborted) => {}
            Ok(StepOutcome::CacheFull) if plan.has_drafts() => self.scheduler.drafter().rest(),
            Ok(StepOutcome::CacheFull) => {
                let engine = self.engine.as_mut();
                if !self.scheduler.evict(plan, engine) && !self.scheduler.yield_cells(engine) {
                    let error = Error::new(
                        ErrorCode::EngineFailed,
                        "the cache has no room for a single sequence; load the model with more kv_cells",
                    );
                    self.scheduler.end_plan(plan, &error, now, self.engine.as_mut());
                }
            }
            Err(error) => self.scheduler.end_plan(plan, &error, now, self.engine.as_mut()),
        }
    }

    /// Averages over roughly the last twenty steps that made tokens.
    fn measure(&mut self, tokens: u64, took: Duration) {
        let seconds = took.as_secs_f64();
        if tokens == 0 || seconds <= 0.0 {
            return;
        }
        let rate = tokens as f64 / seconds;
        let old = if self.tokens_per_second > 0.0 { self.tokens_per_second } else { rate };
        self.tokens_per_second = old * 0.95 + rate * 0.05;
    }

    /// Shows the figures, then tells the answers that ended: who asks after an end sees it counted.
    fn publish(&mut self) {
        let limits = self.engine.limits();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.control.publish(Stats {
            waiting: count(self.scheduler.waiting()),
            running: count(self.scheduler.running()),
            paused: count(self.scheduler.paused()),
            sequences: limits.sequences,
            cells_used: count(self.scheduler.cells_used()),
            cells: limits.cells,
            kept_prefixes: count(self.scheduler.prefixes().kept()),
            kept_tokens: count(self.scheduler.prefixes().kept_tokens()),
            host_prefixes: count(self.scheduler.prefixes().host().len()),
            host_tokens: self.scheduler.prefixes().host().tokens() as u64,
            host_bytes: self.scheduler.prefixes().host().bytes(),
            steps: self.scheduler.steps(),
            requests: self.requests,
            prompt_tokens: self.scheduler.prompt_tokens,
            completion_tokens: self.scheduler.completion_tokens,
            draft_tokens: self.scheduler.drafter().drafted,
            accepted_tokens: self.scheduler.drafter().accepted,
            tokens_per_second: self.tokens_per_second,
        });
        for (delivery, outcome) in self.scheduler.take_ended() {
            delivery.finish(outcome);
        }
    }
}

/// What every call gets once a model is closed.
pub(crate) fn closed() -> Error {
    Error::new(ErrorCode::Closed, "the model is closed")
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
