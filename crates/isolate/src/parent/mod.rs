//! The side that asks.

mod cells;
mod connection;
mod engine;
mod link;
mod process;
mod replay;

pub use engine::IsolatedEngine;
pub use process::{Launch, LogLine};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Who hears of a child.
#[derive(Clone)]
pub struct Watch {
    /// How much of the first load is done, from 0 to 1.
    pub progress: Arc<dyn Fn(f32) + Send + Sync>,
    /// Lines of the engine's log, and what the child writes to its standard output and error.
    pub log: Option<LogLine>,
    /// Stops the first load once true.
    pub cancelled: Arc<AtomicBool>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("cancelled", &self.cancelled).finish_non_exhaustive()
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self { progress: Arc::new(|_| {}), log: None, cancelled: Arc::default() }
    }
}
