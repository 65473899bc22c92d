//! An engine that does as it is told, for tests of timing and faults. It computes nothing.

mod clock;
mod engine;
mod gate;
mod record;

pub use clock::ManualClock;
pub use engine::{Fault, ScriptedEngine};
pub use gate::Gate;
pub use record::{Record, RecordedRun, RecordedStep};
