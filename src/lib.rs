//! The addon: converts, calls, converts. No inference decisions and no state but handles.
//!
//! Everything that may fail answers with a value, [`NativeError`](error::NativeError) or the result,
//! because a rejected promise loses the code and an exception loses the stack of its caller.

#![expect(missing_docs, reason = "plain numbers are documented where users meet them, in TypeScript")]
#![expect(missing_debug_implementations, reason = "napi's own types have none")]
#![expect(clippy::needless_pass_by_value, reason = "napi hands arguments over by value")]

/// Promises that any thread may settle.
pub mod deferred;
/// Telling what a machine can run.
pub mod diagnose;
/// What one JavaScript thread has started, and the end of it.
pub mod environment;
/// Failures as values.
pub mod error;
/// One request in flight.
pub mod generation;
/// Loading and inspecting files.
pub mod load;
/// A running model.
pub mod model;
mod npu;
/// Options as JavaScript writes them.
pub mod options;
/// News for JavaScript, many at once.
pub mod ready;
mod state;
/// Work that takes long and can be stopped.
pub mod task;

use napi_derive::napi;

/// The version of this package.
#[napi(catch_unwind)]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Which instruction sets the compute code was built for, in llama.cpp's words.
#[napi(catch_unwind)]
pub fn system_info() -> String {
    rkllmjs_runtime::system_info()
}
