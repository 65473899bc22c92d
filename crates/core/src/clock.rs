use std::fmt;
use std::time::Instant;

/// Where the scheduler reads the time, so that a test can turn it.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment. Never goes back.
    fn now(&self) -> Instant;
}

/// The machine's own monotonic clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }
}
