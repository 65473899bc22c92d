use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::{Error, FinishReason, Part, Timings, Token, TokenLogprob, Usage};

/// Parts that may be made but not yet read before a streamed sequence pauses. Counted by their
/// tokens, so that joining parts on their way gives no more room.
pub const UNDELIVERED_PARTS_MAX: usize = 64;

/// One answer so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Choice {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) logprobs: Vec<TokenLogprob>,
    pub(crate) finish: Option<FinishReason>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What failed, if anything did; the text so far stays readable.
    pub error: Option<Error>,
    /// Tokens used.
    pub usage: Usage,
    /// Time used.
    pub timings: Timings,
}

/// How parts leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// Nobody reads yet: parts only add to the result, which the context bounds.
    Folding,
    /// Somebody listens without a say in the pace: parts queue, still bounded by the context.
    Listening,
    /// Somebody reads: at most [`UNDELIVERED_PARTS_MAX`] parts wait, then the sequence pauses.
    Streaming,
}

struct State {
    choices: Vec<Choice>,
    flow: Flow,
    pending: VecDeque<Part>,
    /// Tokens made for the reader that its user has not read, pending ones included.
    unread: usize,
    outcome: Option<Outcome>,
}

/// The meeting place of the engine's thread, which makes parts, and one reader.
pub(crate) struct Delivery {
    state: Mutex<State>,
    changed: Condvar,
    cancelled: AtomicBool,
    notify: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("cancelled", &self.cancelled).finish_non_exhaustive()
    }
}

impl Delivery {
    /// `notify` is called, never under a lock, when there is something new to take.
    pub(crate) fn new(choices: u32, notify: Box<dyn Fn() + Send + Sync>) -> Self {
        let state = State {
            choices: vec![Choice::default(); choices as usize],
            flow: Flow::Folding,
            pending: VecDeque::new(),
            unread: 0,
            outcome: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), cancelled: AtomicBool::new(false), notify }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The engine's side.

    /// Adds a part. True if somebody must be told of it, by [`announce`](Self::announce).
    pub(crate) fn push(&self, part: Part) -> bool {
        let mut state = self.state();
        let Part::TextDelta { index, text, tokens, logprobs } = &part;
        if let Some(choice) = state.choices.get_mut(*index as usize) {
            choice.text.push_str(text);
            choice.tokens.extend_from_slice(tokens);
            choice.logprobs.extend_from_slice(logprobs);
        }
        if state.flow == Flow::Folding {
            return false;
        }
        if state.flow == Flow::Streaming {
            state.unread += tokens.len();
        }
        state.pending.push_back(part);
        true
    }

    /// Whether the reader can take another part.
    pub(crate) fn has_room(&self) -> bool {
        let state = self.state();
        state.flow != Flow::Streaming || state.unread < UNDELIVERED_PARTS_MAX
    }

    /// How many tokens the reader can take before its sequence pauses.
    pub(crate) fn room(&self) -> usize {
        let state = self.state();
        if state.flow == Flow::Streaming {
            UNDELIVERED_PARTS_MAX.saturating_sub(state.unread)
        } else {
            usize::MAX
        }
    }

    pub(crate) fn end_choice(&self, index: u32, reason: FinishReason) {
        if let Some(choice) = self.state().choices.get_mut(index as usize) {
            choice.finish = Some(reason);
        }
    }

    /// Ends the request; later calls change nothing.
    pub(crate) fn finish(&self, outcome: Outcome) {
        let mut state = self.state();
        if state.outcome.is_some() {
            return;
        }
        for choice in &mut state.choices {
            choice.finish.get_or_insert(FinishReason::Cancelled);
        }
        state.outcome = Some(outcome);
        drop(state);
        self.announce();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Tells the reader that there is something to take.
    pub(crate) fn announce(&self) {
        self.changed.notify_all();
        (self.notify)();
    }

    // The reader's side.

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// Every part is queued from now on; what was folded so far comes first, one part a choice.
    pub(crate) fn listen(&self) {
        self.begin(Flow::Listening);
    }

    /// Begins to read: what was folded so far comes first, one part a choice.
    pub(crate) fn stream(&self) {
        self.begin(Flow::Streaming);
    }

    fn begin(&self, flow: Flow) {
        let mut state = self.state();
        if state.flow == Flow::Folding {
            let replay: Vec<Part> = (0_u32..)
                .zip(&state.choices)
                .filter(|(_, choice)| !choice.tokens.is_empty())
                .map(|(index, choice)| Part::TextDelta {
                    index,
                    text: choice.text.clone(),
                    tokens: choice.tokens.clone(),
                    logprobs: choice.logprobs.clone(),
                })
                .collect();
            state.pending.extend(replay);
        }
        // A listener beside a reader leaves the pace to the reader.
        if state.flow != Flow::Streaming {
            state.flow = flow;
            let tokens = |Part::TextDelta { tokens, .. }: &Part| tokens.len();
            state.unread = state.pending.iter().map(tokens).sum();
        }
        drop(state);
        self.announce();
    }

    /// Moves what is ready into `parts`; the outcome once nothing is left before it.
    pub(crate) fn take(&self, parts: &mut Vec<Part>) -> Option<Outcome> {
        let mut state = self.state();
        parts.extend(state.pending.drain(..));
        state.outcome.clone()
    }

    /// The user has read parts of `tokens` more of what was taken. True if the sequence had paused
    /// and may go on.
    pub(crate) fn acknowledge(&self, tokens: usize) -> bool {
        let mut state = self.state();
        let was_full = state.unread >= UNDELIVERED_PARTS_MAX;
        state.unread = state.unread.saturating_sub(tokens);
        was_full && state.unread < UNDELIVERED_PARTS_MAX
    }

    pub(crate) fn with_choices<T>(&self, look: impl FnOnce(&[Choice]) -> T) -> T {
        look(&self.state().choices)
    }

    pub(crate) fn wait(&self) -> Outcome {
        let mut state = self.state();
        loop {
            if let Some(outcome) = &state.outcome {
                return outcome.clone();
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
