//! An engine in a process of its own, so that whatever it does, this one lives.
//!
//! The child holds the weights and whatever library runs them; the parent holds [`IsolatedEngine`], an
//! [`Engine`](rkllmjs_core::Engine) like any other, and with it the scheduler and the queue. They speak
//! frames over a socket pair. A child that dies or hangs fails the requests it was computing with
//! `engine-failed`; the next call starts another one. A child whose parent dies ends itself.

#![forbid(unsafe_code)]

mod child;
mod child_cells;
mod parent;
mod wire;

pub use child::{ChildHooks, Loaded, serve};
pub use parent::{IsolatedEngine, Launch, LogLine, Watch};
