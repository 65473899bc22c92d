use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::delivery::Delivery;
use crate::{Error, ErrorCode, PrefixCache, Request};

/// Most calls (embedding, adapters…) that may wait between steps.
const CALLS_MAX: usize = 1024;

/// A request on its way to the scheduler.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) id: u64,
    pub(crate) request: Request,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) ticket: Ticket,
    pub(crate) called_at: std::time::Instant,
}

/// Work to do with the engine and its cache between two steps; it gets the error if there is no engine
/// anymore.
pub(crate) type Call = Box<dyn FnOnce(Result<PrefixCache<'_>, Error>) + Send>;

#[derive(Default)]
struct State {
    arrivals: VecDeque<Arrival>,
    calls: VecDeque<Call>,
    /// Answers between their call and their end.
    in_flight: usize,
    /// Those of them whose request is still being prepared.
    coming: usize,
    poked: bool,
    closed: Option<Error>,
}

/// What reaches the engine's thread from outside. Bounded by the number of answers in flight.
#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

/// Places in the queue, given back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    inbox: Arc<Inbox>,
    places: usize,
    has_arrived: bool,
}

impl Ticket {
    /// Gives one place back before the others.
    pub(crate) fn give_one_back(&mut self) {
        let place = self.places.min(1);
        self.places -= place;
        self.inbox.state().in_flight -= place;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.inbox.state();
        state.in_flight = state.in_flight.saturating_sub(self.places);
        if !self.has_arrived {
            state.coming = state.coming.saturating_sub(self.places);
            self.inbox.changed.notify_all();
        }
    }
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes places for `choices` answers, or refuses because `most` are taken.
    pub(crate) fn reserve(self: &Arc<Self>, choices: usize, most: usize) -> Result<Ticket, Error> {
        let mut state = self.state();
        if let Some(error) = &state.closed {
            return Err(error.clone());
        }
        if state.in_flight + choices > most {
            let message = format!(
                "{} answers are in flight and {most} is the most; try again, or load the model with a larger queue",
                state.in_flight
            );
            return Err(Error::new(ErrorCode::Overloaded, message));
        }
        state.in_flight += choices;
        state.coming += choices;
        Ok(Ticket { inbox: Arc::clone(self), places: choices, has_arrived: false })
    }

    /// Hands a request over, or back if the model is closed.
    pub(crate) fn send(&self, mut arrival: Arrival) -> Result<(), Box<Arrival>> {
        let mut state = self.state();
        if state.closed.is_some() {
            return Err(Box::new(arrival));
        }
        state.coming = state.coming.saturating_sub(arrival.ticket.places);
        arrival.ticket.has_arrived = true;
        state.arrivals.push_back(arrival);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    pub(crate) fn call(&self, call: Call) {
        let mut state = self.state();
        let refusal = match &state.closed {
            Some(error) => error.clone(),
            None if state.calls.len() >= CALLS_MAX => {
                let message = format!("{CALLS_MAX} calls wait already; try again");
                Error::new(ErrorCode::Overloaded, message)
            }
            None => {
                state.calls.push_back(call);
                drop(state);
                self.changed.notify_all();
                return;
            }
        };
        drop(state);
        call(Err(refusal));
    }

    /// Wakes the thread: something it looks at has changed.
    pub(crate) fn poke(&self) {
        self.state().poked = true;
        self.changed.notify_all();
    }

    /// Refuses everything from now on with `error`, and wakes the thread. The first error stays.
    pub(crate) fn close(&self, error: Error) {
        self.state().closed.get_or_insert(error);
        self.changed.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed.is_some()
    }

    pub(crate) fn arrivals(&self) -> VecDeque<Arrival> {
        let mut state = self.state();
        state.poked = false;
        std::mem::take(&mut state.arrivals)
    }

    /// One call at a time, so that a stream of them cannot hold up the sequences.
    pub(crate) fn next_call(&self) -> Option<Call> {
        self.state().calls.pop_front()
    }

    /// Answers in flight that have not reached the scheduler or wait in it.
    pub(crate) fn in_flight(&self) -> usize {
        self.state().in_flight
    }

    /// Lets requests that were made together arrive together: after the first, sleeps until none has come for
    /// `lull` and none is being prepared, or until `most` has passed.
    pub(crate) fn gather(&self, lull: Duration, most: Duration) {
        let mut state = self.state();
        if state.arrivals.is_empty() {
            return;
        }
        let began = Instant::now();
        while let Some(left) = most.checked_sub(began.elapsed()) {
            let (coming, arrived) = (state.coming, state.arrivals.len());
            let pause = if coming > 0 { left } else { left.min(lull) };
            let nothing_new = |s: &mut State| {
                s.coming == coming && s.arrivals.len() == arrived && !s.poked && s.closed.is_none()
            };
            let (now, waited) = self
                .changed
                .wait_timeout_while(state, pause, nothing_new)
                .unwrap_or_else(PoisonError::into_inner);
            state = now;
            if waited.timed_out() || state.poked || state.closed.is_some() {
                return;
            }
        }
    }

    /// Sleeps until something arrives, changes or `most` has passed.
    pub(crate) fn wait(&self, most: Option<Duration>) {
        let state = self.state();
        let idle =
            |s: &mut State| s.arrivals.is_empty() && s.calls.is_empty() && !s.poked && s.closed.is_none();
        match most {
            Some(most) => drop(self.changed.wait_timeout_while(state, most, idle)),
            None => drop(self.changed.wait_while(state, idle)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::{Arrival, Inbox, Ticket};
    use crate::delivery::Delivery;
    use crate::worker::closed;
    use crate::{GenerateOptions, OptionSupport};

    const NEVER: Duration = Duration::from_secs(60);
    const SOON: Duration = Duration::from_millis(1);

    fn send(inbox: &Inbox, ticket: Ticket) {
        let options = GenerateOptions { seed: Some(7.0), ..GenerateOptions::default() };
        let request = options.build(&OptionSupport::default(), u32::MAX, 0).expect("the defaults");
        let delivery = Arc::new(Delivery::new(1, Box::new(|| {})));
        let arrival = Arrival { id: 0, request, delivery, ticket, called_at: Instant::now() };
        inbox.send(arrival).expect("open");
    }

    #[test]
    fn requests_that_are_being_prepared_are_waited_for_once_one_has_come() {
        let inbox = Arc::new(Inbox::default());
        inbox.gather(NEVER, NEVER);
        let [first, second, given_up] = [(); 3].map(|()| inbox.reserve(1, 9).expect("a place"));
        send(&inbox, first);
        let gathering = Arc::clone(&inbox);
        let gathered = thread::spawn(move || {
            gathering.gather(SOON, NEVER);
            gathering.arrivals().len()
        });
        thread::sleep(Duration::from_millis(30));
        send(&inbox, second);
        drop(given_up);
        assert_eq!(gathered.join().expect("no panic"), 2);
    }

    #[test]
    fn gathering_ends_at_its_limit_and_when_the_model_closes() {
        let inbox = Arc::new(Inbox::default());
        let [first, _coming] = [(); 2].map(|()| inbox.reserve(1, 9).expect("a place"));
        send(&inbox, first);
        inbox.gather(SOON, SOON);
        let gathering = Arc::clone(&inbox);
        let gathered = thread::spawn(move || gathering.gather(SOON, NEVER));
        inbox.close(closed());
        gathered.join().expect("no panic");
    }
}
