use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::AbortSwitch;

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
    pub(crate) fn pass(&self, switch: &AbortSwitch) -> bool {
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
