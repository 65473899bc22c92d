//! One loaded model of the runtime: a thread that owns the handle, and what its owner says to it.
//!
//! The runtime generates a whole answer inside one blocking call and hands out each token through a
//! callback. The scheduler takes tokens one step at a time. So the call runs on a thread of its own, and
//! its callback waits at the [`Exchange`](exchange) until the next token is asked for.

mod abi;
mod callback;
mod exchange;
mod request;
mod settings;
mod thread;

pub(crate) use exchange::{Event, Exchange, Floats, Perf};
pub(crate) use request::{Content, Images, Mode, RunRequest};
pub use settings::{HandleSampling, ImageTags, RuntimeLog, SessionSettings};
pub(crate) use thread::{Session, Wait};
