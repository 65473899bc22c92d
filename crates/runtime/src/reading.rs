//! The reading of answers that are more than text, on a thread of their model: it takes as long as the
//! text is, which is too long for JavaScript's thread and for the engine's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use rkllmjs_chat::{AnswerFormat, AnswerReader, Delta, Ending};
use rkllmjs_core::{
    Error, ErrorCode, FinishReason, Generation, Outcome, Part, Special, Token, TokenLogprob, Tokenizer,
};

use crate::answer::{AnswerChoice, AnswerEnd, AnswerPart};

/// How often an answer is read at most.
const INTERVAL: Duration = Duration::from_millis(16);
/// Between two readings of a long answer passes as many times what the last one took, so that reading takes
/// no more than a fifth of a processor.
const REST: u32 = 4;
/// Tokens without a part that wait for one. Fewer than a reader may leave unread, or it and the engine would
/// wait for each other.
const TOKENS_HELD_MAX: usize = 16;

type Notify = Box<dyn Fn() + Send + Sync>;

/// The thread of a model that reads answers; it ends with the last of its answers and its model.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    sender: Mutex<Option<Sender<Weak<Reading>>>>,
}

impl Desk {
    /// Where to send answers that have something new. Each waits there once, so answers in flight bound them.
    fn sender(&self) -> Result<Sender<Weak<Reading>>, Error> {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sender.as_ref() {
            return Ok(sender.clone());
        }
        let (new, receiver) = channel();
        std::thread::Builder::new()
            .name("rkllmjs-answers".to_owned())
            .stack_size(8 << 20)
            .spawn(move || run(&receiver))
            .map_err(|e| Error::new(ErrorCode::EngineFailed, format!("no thread to read answers: {e}")))?;
        Ok(sender.insert(new).clone())
    }
}

fn run(receiver: &Receiver<Weak<Reading>>) {
    let mut due: Vec<(Instant, Weak<Reading>)> = Vec::new();
    loop {
        let news = match due.iter().map(|(at, _)| *at).min() {
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => receiver.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match news {
            Ok(reading) => due.extend(reading.upgrade().and_then(|r| Some((r.collect()?, reading)))),
            Err(RecvTimeoutError::Timeout) => {}
            // Whoever waits for something new is gone with the senders.
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        for (_, reading) in due.extract_if(.., |(at, _)| *at <= now) {
            if let Some(reading) = reading.upgrade() {
                reading.read();
            }
        }
    }
}

/// The reading of one answer.
pub(crate) struct Reading {
    generation: OnceLock<Weak<Generation>>,
    /// Set if the answer is more than text, before its first token.
    desk: OnceLock<Sender<Weak<Self>>>,
    /// Whether it waits at the desk already.
    queued: AtomicBool,
    notify: Notify,
    work: Mutex<Work>,
    ready: Mutex<Ready>,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("is_on", &self.is_on()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Work {
    reader: Option<AnswerReader>,
    /// Counts the tokens of thoughts. It may hold the weights, so it goes with the end of the answer.
    tokenizer: Option<Arc<dyn Tokenizer>>,
    /// Whether the answer is held to a grammar made of its tools.
    has_grammar: bool,
    choices: Vec<Unread>,
    /// Whether somebody takes parts; nobody gets them otherwise.
    heard: bool,
    is_due: bool,
    outcome: Option<Outcome>,
    /// Whether the outcome has come: news may come once more after it, and an answer ends once.
    has_ended: bool,
    read_at: Option<Instant>,
    rest: Duration,
}

/// What came of one choice since it was read.
#[derive(Default)]
struct Unread {
    text: String,
    is_new: bool,
    tokens: Vec<Token>,
    logprobs: Vec<TokenLogprob>,
}

#[derive(Default)]
struct Ready {
    parts: Vec<AnswerPart>,
    end: Option<AnswerEnd>,
}

impl Reading {
    /// `notify` is called from other threads when there is something new to take.
    pub(crate) fn new(notify: Notify) -> Self {
        Self {
            generation: OnceLock::new(),
            desk: OnceLock::new(),
            queued: AtomicBool::new(false),
            notify,
            work: Mutex::default(),
            ready: Mutex::default(),
        }
    }

    /// To be called before the answer can have news.
    pub(crate) fn attach(&self, generation: &Arc<Generation>) {
        let _ = self.generation.set(Arc::downgrade(generation));
    }

    /// Reads the answer by `format` from now on.
    pub(crate) fn turn_on(
        &self,
        format: &AnswerFormat,
        choices: usize,
        tokenizer: Arc<dyn Tokenizer>,
        desk: &Desk,
    ) -> Result<(), Error> {
        let mut work = self.work();
        work.tokenizer = Some(tokenizer);
        work.reader = Some(AnswerReader::new(format, choices)?);
        work.has_grammar = format.grammar.is_some();
        work.choices.resize_with(choices, Unread::default);
        let _ = self.desk.set(desk.sender()?);
        Ok(())
    }

    pub(crate) fn is_on(&self) -> bool {
        self.desk.get().is_some()
    }

    /// What the engine's thread calls when there is something new.
    pub(crate) fn news(self: &Arc<Self>) {
        let Some(desk) = self.desk.get() else { return (self.notify)() };
        if !self.queued.swap(true, Ordering::SeqCst) {
            // The thread outlives every sender.
            let _ = desk.send(Arc::downgrade(self));
        }
    }

    /// The text in `text` without thoughts and calls.
    pub(crate) fn content(&self, text: &str) -> String {
        self.work().reader.as_ref().map(|reader| reader.content(text)).unwrap_or_default()
    }

    /// Moves the parts that are ready into `parts`. The end, once nothing comes before it.
    pub(crate) fn take(&self, parts: &mut Vec<AnswerPart>) -> Option<AnswerEnd> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        parts.append(&mut ready.parts);
        ready.end.clone()
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is new. When to read it, unless that is known.
    fn collect(&self) -> Option<Instant> {
        self.queued.store(false, Ordering::SeqCst);
        let generation = self.generation.get()?.upgrade()?;
        let mut work = self.work();
        if work.has_ended {
            return None;
        }
        let mut parts = Vec::new();
        let outcome = generation.take(&mut parts);
        work.heard |= !parts.is_empty();
        for part in parts {
            work.add(part);
        }
        let now = Instant::now();
        if outcome.is_some() {
            work.outcome = outcome;
            work.has_ended = true;
            work.is_due = true;
            return Some(now);
        }
        let at = work.read_at.map_or(now, |read_at| read_at + work.rest);
        (!std::mem::replace(&mut work.is_due, true)).then_some(at)
    }

    /// Reads what was collected and tells of it.
    fn read(&self) {
        let Some(generation) = self.generation.get().and_then(Weak::upgrade) else { return };
        let began = Instant::now();
        let mut work = self.work();
        work.is_due = false;
        let read = catch_unwind(AssertUnwindSafe(|| match work.outcome.take() {
            Some(outcome) => work.finish(&generation, outcome),
            None if work.has_ended => (Vec::new(), None),
            None => (work.deltas(), None),
        }));
        let (parts, end) = read.unwrap_or_else(|_| (Vec::new(), Some(broken(&generation))));
        let ended = Instant::now();
        work.read_at = Some(ended);
        work.rest = INTERVAL.max(REST * (ended - began));
        drop(work);
        if parts.is_empty() && end.is_none() {
            return;
        }
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.parts.extend(parts);
        ready.end = ready.end.take().or(end);
        drop(ready);
        (self.notify)();
    }
}

impl Work {
    fn add(&mut self, part: Part) {
        let Part::TextDelta { index, text, tokens, logprobs } = part;
        let Some(choice) = self.choices.get_mut(index as usize) else { return };
        choice.text.push_str(&text);
        choice.is_new = true;
        choice.tokens.extend(tokens);
        choice.logprobs.extend(logprobs);
    }

    fn deltas(&mut self) -> Vec<AnswerPart> {
        let Some(reader) = &mut self.reader else { return Vec::new() };
        let mut parts = Vec::new();
        for (i, choice) in self.choices.iter_mut().enumerate() {
            if std::mem::take(&mut choice.is_new) {
                let deltas = reader.push(i, &choice.text);
                parts.extend(choice.parts(i, deltas, TOKENS_HELD_MAX));
            }
        }
        parts
    }

    fn finish(&mut self, generation: &Generation, outcome: Outcome) -> (Vec<AnswerPart>, Option<AnswerEnd>) {
        let Some(reader) = &mut self.reader else { return (Vec::new(), Some(broken(generation))) };
        let mut outcome = if self.has_grammar { about_tools(outcome) } else { outcome };
        let tokenizer = self.tokenizer.take();
        let mut parts = Vec::new();
        let mut choices = Vec::new();
        for (i, unread) in self.choices.iter_mut().enumerate() {
            let mut choice = AnswerChoice::plain(generation, i);
            let ending = if choice.finish == FinishReason::Stop { Ending::Natural } else { Ending::CutOff };
            let (deltas, message) = reader.finish(i, &choice.text, ending);
            if self.heard {
                parts.extend(unread.parts(i, deltas, 1));
            }
            if ending == Ending::Natural && !message.calls.is_empty() {
                choice.finish = FinishReason::ToolCalls;
            }
            outcome.usage.reasoning_tokens += count(tokenizer.as_deref(), &message.reasoning);
            choice.text.clone_from(&message.content);
            choice.message = Some(message);
            choices.push(choice);
        }
        (parts, Some(AnswerEnd { outcome, choices }))
    }
}

impl Unread {
    /// The parts for `deltas`. The first takes the tokens; where there is none, `held` of them become a part
    /// without text.
    fn parts(&mut self, index: usize, deltas: Vec<Delta>, held: usize) -> Vec<AnswerPart> {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let is_silent = deltas.is_empty() && self.tokens.len() >= held;
        let deltas = if is_silent { vec![Delta::Text(String::new())] } else { deltas };
        let part = |delta| AnswerPart {
            index,
            delta,
            tokens: std::mem::take(&mut self.tokens),
            logprobs: std::mem::take(&mut self.logprobs),
        };
        deltas.into_iter().map(part).collect()
    }
}

/// How many tokens a text has.
fn count(tokenizer: Option<&dyn Tokenizer>, text: &str) -> u64 {
    let Some(tokenizer) = tokenizer.filter(|_| !text.is_empty()) else { return 0 };
    tokenizer.tokenize(text, Special::default()).map_or(0, |tokens| tokens.len() as u64)
}

/// A fault of the grammar is one of the tools that it was made of.
fn about_tools(mut outcome: Outcome) -> Outcome {
    if let Some(error) = outcome.error.as_mut().filter(|error| error.option == Some("grammar")) {
        error.option = Some("tools");
        error.message = format!("make a grammar that {}", error.message);
    }
    outcome
}

/// The end of an answer whose reading failed.
fn broken(generation: &Generation) -> AnswerEnd {
    let error = Some(Error::new(ErrorCode::Internal, "the answer could not be read"));
    let choices = (0..generation.choices()).map(|i| AnswerChoice::plain(generation, i)).collect();
    AnswerEnd {
        outcome: Outcome {
            error,
            usage: rkllmjs_core::Usage::default(),
            timings: rkllmjs_core::Timings::default(),
        },
        choices,
    }
}
