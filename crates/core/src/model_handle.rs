use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::delivery::Delivery;
use crate::inbox::{Arrival, Inbox, Ticket};
use crate::worker::{Worker, closed};
use crate::{
    AbortSwitch, Clock, Engine, Error, ErrorCode, Generation, Limits, Outcome, Overflow, PrefixCache,
    Request, Stats, SystemClock, Timings, Usage,
};

/// What the outside and the engine's thread share.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) inbox: Arc<Inbox>,
    abort: AbortSwitch,
    rolls_back: bool,
    /// Answers whose prompt makes the present step long.
    long: Mutex<Vec<u64>>,
    stats: Mutex<Stats>,
}

impl Control {
    /// Wakes the thread for an answer that was cancelled, and stops its step if it is a long one.
    pub(crate) fn interrupt(&self, id: u64) {
        if self.rolls_back && self.long.lock().unwrap_or_else(PoisonError::into_inner).contains(&id) {
            self.abort.throw();
        }
        self.inbox.poke();
    }

    pub(crate) fn begin_step(&self, long: &[u64]) {
        let mut now_long = self.long.lock().unwrap_or_else(PoisonError::into_inner);
        now_long.extend_from_slice(long);
        self.abort.reset();
        if self.inbox.is_closed() {
            self.abort.throw();
        }
    }

    pub(crate) fn end_step(&self) {
        self.long.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn publish(&self, stats: Stats) {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }
}

/// How a model is run, besides what its engine fixes.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    /// The engine thread's name, for debuggers and `top`.
    pub name: String,
    /// Most answers that may wait while every sequence is taken.
    pub queue: u32,
    /// What happens to an answer that fills the context.
    pub overflow: Overflow,
    /// Most bytes of this process's memory for prefixes that have to leave the cache; 0 is none.
    pub host_cache_bytes: u64,
}

impl Default for ModelSettings {
    fn default() -> Self {
        let overflow = Overflow::default();
        Self { name: "rkllmjs-engine".to_owned(), queue: 256, overflow, host_cache_bytes: 0 }
    }
}

/// Whether the thread has ended, for those who wait for it with a limit.
#[derive(Debug, Default)]
struct Ended {
    flag: Mutex<bool>,
    changed: Condvar,
}

/// A running model: an engine on its own thread, reached through queues.
///
/// Clones reach the same model. The thread ends with [`close`](Self::close), or when the last
/// handle, generation and submission are gone.
#[derive(Debug, Clone)]
pub struct ModelHandle {
    owner: Arc<Owner>,
}

/// What keeps the thread running.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) control: Arc<Control>,
    clock: Arc<dyn Clock>,
    ended: Arc<Ended>,
    limits: Limits,
    queue: u32,
    next_answer: AtomicU64,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.control.inbox.close(closed());
        self.control.abort.throw();
    }
}

impl ModelHandle {
    /// Starts the thread that owns `engine`.
    ///
    /// # Errors
    ///
    /// `engine-failed` if the system gives no thread.
    pub fn start(engine: Box<dyn Engine>, settings: ModelSettings) -> Result<Self, Error> {
        Self::start_with_clock(engine, settings, Arc::new(SystemClock))
    }

    /// The same, reading the time from `clock`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with_clock(
        engine: Box<dyn Engine>,
        settings: ModelSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let limits = engine.limits().clone();
        let control = Arc::new(Control {
            inbox: Arc::new(Inbox::default()),
            abort: engine.abort_switch(),
            rolls_back: limits.rolls_back,
            long: Mutex::new(Vec::new()),
            stats: Mutex::new(Stats { sequences: limits.sequences, cells: limits.cells, ..Stats::default() }),
        });
        let ended = Arc::new(Ended::default());
        let worker = Worker::new(engine, &settings, Arc::clone(&control), Arc::clone(&clock));
        let at_end = Arc::clone(&ended);
        std::thread::Builder::new()
            .name(settings.name)
            // Grammars and templates of others recurse; the default of 2 MiB is little.
            .stack_size(16 << 20)
            .spawn(move || {
                worker.run();
                *at_end.flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
                at_end.changed.notify_all();
            })
            .map_err(|e| Error::new(ErrorCode::EngineFailed, format!("no thread for the engine: {e}")))?;
        let owner =
            Owner { control, clock, ended, limits, queue: settings.queue, next_answer: AtomicU64::new(1) };
        Ok(Self { owner: Arc::new(owner) })
    }

    /// What the engine can do.
    pub fn limits(&self) -> &Limits {
        &self.owner.limits
    }

    /// Takes a place in the queue for `choices` answers, before the work of preparing the prompt.
    ///
    /// `notify` is called from other threads whenever there is something new to take; it must not
    /// block.
    ///
    /// # Errors
    ///
    /// `overloaded` if too many answers are in flight; `closed` after [`close`](Self::close).
    pub fn begin(
        &self,
        choices: u32,
        notify: Box<dyn Fn() + Send + Sync>,
    ) -> Result<(Generation, Submission), Error> {
        let most = self.owner.limits.sequences as usize + self.owner.queue as usize;
        if choices as usize > most {
            return Err(Error::option(
                "n",
                format!("must be at most {most}, the places of this model, got {choices}"),
            ));
        }
        let ticket = self.owner.control.inbox.reserve(choices as usize, most)?;
        let delivery = Arc::new(Delivery::new(choices, notify));
        let id = self.owner.next_answer.fetch_add(1, Ordering::Relaxed);
        let owner = Arc::clone(&self.owner);
        let generation = Generation { id, delivery: Arc::clone(&delivery), owner: Arc::clone(&owner) };
        let called_at = owner.clock.now();
        let job = Job { id, delivery, owner, ticket, called_at };
        Ok((generation, Submission { job: Some(job) }))
    }

    /// [`begin`](Self::begin) and [`Submission::start`] in one, for prompts that are ready.
    ///
    /// # Errors
    ///
    /// As `begin`.
    pub fn submit(&self, request: Request) -> Result<Generation, Error> {
        let (generation, submission) = self.begin(request.choices, Box::new(|| {}))?;
        submission.start(request);
        Ok(generation)
    }

    /// Runs `call` on the engine's thread between two steps, or gives it the error.
    pub fn call(&self, call: impl FnOnce(Result<&mut dyn Engine, Error>) + Send + 'static) {
        self.with_cache(|cache| call(cache.map(|cache| cache.engine)));
    }

    /// Runs `call` on the engine's thread between two steps with what ended requests left in the cache, or
    /// gives it the error.
    pub fn with_cache(&self, call: impl FnOnce(Result<PrefixCache<'_>, Error>) + Send + 'static) {
        self.owner.control.inbox.call(Box::new(call));
    }

    /// A look at the work going on. `waiting` counts what has not reached the engine's thread too.
    pub fn stats(&self) -> Stats {
        let mut stats = *self.owner.control.stats.lock().unwrap_or_else(PoisonError::into_inner);
        let in_flight = u32::try_from(self.owner.control.inbox.in_flight()).unwrap_or(u32::MAX);
        stats.waiting = stats.waiting.max(in_flight.saturating_sub(stats.running));
        stats
    }

    /// Ends everything: running answers end `cancelled`, the step under way is stopped, the thread
    /// ends. Returns at once; may be called twice.
    pub fn close(&self) {
        self.owner.control.inbox.close(closed());
        self.owner.control.abort.throw();
    }

    /// Whether the model was closed, or has failed for good.
    pub fn is_closed(&self) -> bool {
        self.owner.control.inbox.is_closed()
    }

    /// Whether both handles reach the same model.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.owner, &other.owner)
    }

    /// Waits until the thread has ended after [`close`](Self::close). False if it has not in time.
    pub fn wait_closed(&self, most: Duration) -> bool {
        let flag = self.owner.ended.flag.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.owner.ended.changed.wait_timeout_while(flag, most, |ended| !*ended);
        waited.is_ok_and(|(ended, _)| *ended)
    }
}

#[derive(Debug)]
struct Job {
    id: u64,
    delivery: Arc<Delivery>,
    owner: Arc<Owner>,
    ticket: Ticket,
    called_at: Instant,
}

/// A place in the queue whose prompt is being prepared.
///
/// Dropping it ends the generation with `internal`, so that nobody waits for ever.
#[derive(Debug)]
pub struct Submission {
    job: Option<Job>,
}

impl Submission {
    /// Whether the caller has lost interest.
    pub fn is_cancelled(&self) -> bool {
        self.job.as_ref().is_none_or(|job| job.delivery.is_cancelled())
    }

    /// Hands the request to the scheduler.
    ///
    /// A prompt that is empty or leaves no room in the context ends the generation with
    /// `invalid-request` or `context-exceeded`.
    pub fn start(mut self, request: Request) {
        let Some(job) = self.job.take() else { return };
        if request.prompt.is_empty() {
            job.end(Some(Error::option(
                "prompt",
                "is empty: the model needs at least one token to begin with",
            )));
            return;
        }
        let context = job.owner.limits.context;
        if request.prompt.len() >= context as usize {
            job.end(Some(Error::context_exceeded(request.prompt.len(), context)));
            return;
        }
        let Job { id, delivery, owner, ticket, called_at } = job;
        let arrival = Arrival { id, request, delivery, ticket, called_at };
        if let Err(arrival) = owner.control.inbox.send(arrival) {
            // Closed in between: as with every running answer, that is a cancellation.
            let Arrival { id, delivery, ticket, called_at, .. } = *arrival;
            Job { id, delivery, owner, ticket, called_at }.end(None);
        }
    }

    /// Ends the generation with `error`.
    pub fn fail(mut self, error: Error) {
        if let Some(job) = self.job.take() {
            job.end(Some(error));
        }
    }

    /// Ends the generation as cancelled.
    pub fn cancel(mut self) {
        if let Some(job) = self.job.take() {
            job.end(None);
        }
    }
}

impl Job {
    /// Ends a request that never reached a batch; without an error it was cancelled.
    fn end(self, error: Option<Error>) {
        let queue = self.owner.clock.now().saturating_duration_since(self.called_at);
        let timings = Timings { queue, first_token: queue, ..Timings::default() };
        // Whoever sees the end may ask again at once, so the places are free before.
        drop(self.ticket);
        self.delivery.finish(Outcome { error, usage: Usage::default(), timings });
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            job.end(Some(Error::new(ErrorCode::Internal, "the request was dropped before it began")));
        }
    }
}
