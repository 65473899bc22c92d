//! The meeting place of the runtime's callback and whoever takes the tokens.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a callback waits to be asked for the next token. After that the run ends, so that no foreign
/// code waits for a reader; the next request continues it, and the runtime still has its cache.
const CALLBACK_PATIENCE: Duration = Duration::from_secs(2);
/// Most events nobody has taken: one token, then an end or a failure.
const EVENTS_MAX: usize = 8;

/// What the runtime says about a finished run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Perf {
    /// Tokens of the prompt that were computed: those in the cache are not counted.
    pub(crate) prefill_tokens: i32,
    /// Tokens of the answer.
    pub(crate) generate_tokens: i32,
}

/// Rows of numbers, copied out of the runtime.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Floats {
    pub(crate) values: Vec<f32>,
    pub(crate) row: usize,
}

/// What a run brings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    Token {
        token: i32,
        text: Vec<u8>,
    },
    /// Hidden states or logits, as the run's mode asked for.
    Numbers(Floats),
    /// The answer is over.
    Finished(Option<Perf>),
    /// The runtime reports an error.
    Failed,
    /// The call has returned this.
    Returned(i32),
}

/// What the callback answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Continue,
    Pause,
    /// Go on; the numbers that were shown are of no use any more.
    Release,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// Nobody has asked for the next token yet.
    None,
    Next,
    /// End the run.
    Stop,
    /// Let the run end by itself; nothing of it is wanted.
    Drain,
}

#[derive(Debug)]
struct State {
    events: VecDeque<Event>,
    demand: Demand,
    running: bool,
    /// The run can be ended and continued later.
    resumable: bool,
    in_callback: bool,
    /// The run was told to pause.
    paused: bool,
}

#[derive(Debug)]
pub(crate) struct Exchange {
    state: Mutex<State>,
    changed: Condvar,
}

impl Default for Exchange {
    fn default() -> Self {
        let state = State {
            events: VecDeque::new(),
            demand: Demand::None,
            running: false,
            resumable: true,
            in_callback: false,
            paused: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl Exchange {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The owner's side.

    /// Makes ready for a run, whose first token is wanted.
    pub(crate) fn begin(&self, resumable: bool) {
        let mut state = self.state();
        *state = State {
            events: VecDeque::new(),
            demand: Demand::Next,
            running: true,
            resumable,
            in_callback: false,
            paused: false,
        };
    }

    /// Asks for the next token.
    pub(crate) fn ask(&self) {
        let mut state = self.state();
        if state.demand == Demand::None {
            state.demand = Demand::Next;
        }
        self.changed.notify_all();
    }

    /// Waits for an event until `give_up` says so or `most` has passed.
    pub(crate) fn next(&self, most: Duration, give_up: impl Fn() -> bool) -> Option<Event> {
        let deadline = Instant::now() + most;
        let mut state = self.state();
        loop {
            if let Some(event) = state.events.pop_front() {
                return Some(event);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !state.running || left.is_zero() || give_up() {
                return None;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
    }

    /// Wakes whoever waits in [`next`](Self::next), to look at `give_up` again.
    pub(crate) fn wake(&self) {
        // Under the lock, or it could fall between the look and the wait.
        drop(self.state());
        self.changed.notify_all();
    }

    /// Asks the run to end; what it still brings is dropped.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        // A run that was left to end by itself is ending.
        let pauses = state.resumable && state.demand != Demand::Drain;
        state.demand = if pauses { Demand::Stop } else { Demand::Drain };
        state.events.clear();
        self.changed.notify_all();
    }

    /// Lets the run end by itself; what it still brings is dropped.
    pub(crate) fn drain(&self) {
        let mut state = self.state();
        state.demand = Demand::Drain;
        state.events.clear();
        self.changed.notify_all();
    }

    /// Whether the run is left to end by itself.
    pub(crate) fn is_draining(&self) -> bool {
        self.state().demand == Demand::Drain
    }

    /// Whether the last run was told to pause.
    pub(crate) fn was_paused(&self) -> bool {
        self.state().paused
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state().running
    }

    /// Whether the runtime waits in its callback instead of computing.
    pub(crate) fn is_in_callback(&self) -> bool {
        self.state().in_callback
    }

    /// Waits until no run is under way. False if `most` passes before.
    pub(crate) fn wait_idle(&self, most: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), most, |state| state.running);
        waited.is_ok_and(|(state, _)| !state.running)
    }

    // The runtime's side.

    /// Gives a token and waits until the next one is asked for.
    pub(crate) fn token(&self, token: i32, text: Vec<u8>) -> Answer {
        let mut state = self.state();
        match state.demand {
            Demand::Stop => {
                state.paused = true;
                return Answer::Pause;
            }
            Demand::Drain => return Answer::Continue,
            Demand::None | Demand::Next => {}
        }
        state.demand = Demand::None;
        push(&mut state, Event::Token { token, text });
        state.in_callback = true;
        self.changed.notify_all();
        let unasked = |state: &mut State| state.demand == Demand::None;
        let mut state = loop {
            let waited = self.changed.wait_timeout_while(state, CALLBACK_PATIENCE, unasked);
            let (back, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = back;
            if !timeout.timed_out() || state.resumable {
                break state;
            }
        };
        state.in_callback = false;
        match state.demand {
            Demand::None | Demand::Stop => {
                state.demand = Demand::Stop;
                state.paused = true;
                Answer::Pause
            }
            Demand::Next | Demand::Drain => Answer::Continue,
        }
    }

    /// Gives something that is no token.
    pub(crate) fn tell(&self, event: Event) {
        let mut state = self.state();
        if matches!(state.demand, Demand::Stop | Demand::Drain) {
            return;
        }
        push(&mut state, event);
        self.changed.notify_all();
    }

    /// The call has returned.
    pub(crate) fn end(&self, status: i32) {
        let mut state = self.state();
        state.running = false;
        state.in_callback = false;
        if !matches!(state.demand, Demand::Stop | Demand::Drain) {
            push(&mut state, Event::Returned(status));
        }
        self.changed.notify_all();
    }
}

fn push(state: &mut State, event: Event) {
    if state.events.len() < EVENTS_MAX {
        state.events.push_back(event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Answer, Event, Exchange};

    const LONG: Duration = Duration::from_secs(20);

    /// A run that counts until it is told to pause; how far it got.
    fn counting(exchange: &Arc<Exchange>) -> std::thread::JoinHandle<i32> {
        let exchange = Arc::clone(exchange);
        std::thread::spawn(move || {
            let mut token = 0;
            while exchange.token(token, vec![b'x']) == Answer::Continue {
                token += 1;
            }
            exchange.end(0);
            token
        })
    }

    fn token(event: Option<Event>) -> i32 {
        match event {
            Some(Event::Token { token, .. }) => token,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_token_comes_only_when_it_was_asked_for() {
        let exchange = Arc::new(Exchange::default());
        exchange.begin(true);
        let run = counting(&exchange);
        assert_eq!(token(exchange.next(LONG, || false)), 0);
        assert_eq!(exchange.next(Duration::from_millis(30), || false), None);
        exchange.ask();
        assert_eq!(token(exchange.next(LONG, || false)), 1);
        exchange.stop();
        assert!(exchange.wait_idle(LONG));
        assert_eq!(run.join().expect("the run"), 1);
        assert_eq!(exchange.next(LONG, || false), None, "what was stopped says nothing");
    }

    #[test]
    fn nobody_makes_the_runtime_wait_for_long() {
        let exchange = Arc::new(Exchange::default());
        exchange.begin(true);
        let run = counting(&exchange);
        assert_eq!(token(exchange.next(LONG, || false)), 0);
        assert!(exchange.wait_idle(LONG), "it ended by itself");
        assert_eq!(run.join().expect("the run"), 0);
    }

    #[test]
    fn whoever_gives_up_is_woken() {
        let exchange = Arc::new(Exchange::default());
        exchange.begin(true);
        let flag = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (waker, raised) = (Arc::clone(&exchange), Arc::clone(&flag));
        let thread = std::thread::spawn(move || {
            raised.store(true, std::sync::atomic::Ordering::SeqCst);
            waker.wake();
        });
        let give_up = || flag.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(exchange.next(LONG, give_up), None);
        thread.join().expect("the waker");
    }

    #[test]
    fn a_run_that_cannot_be_continued_is_drained_instead_of_paused() {
        let exchange = Arc::new(Exchange::default());
        exchange.begin(false);
        let drained = Arc::clone(&exchange);
        let run = std::thread::spawn(move || {
            for token in 0..100 {
                if drained.token(token, Vec::new()) == Answer::Pause {
                    return false;
                }
            }
            drained.end(0);
            true
        });
        assert_eq!(token(exchange.next(LONG, || false)), 0);
        exchange.stop();
        assert!(exchange.wait_idle(LONG));
        assert!(run.join().expect("the run"));
    }
}
