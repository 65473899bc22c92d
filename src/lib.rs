//! The addon: converts, calls, converts. No inference decisions and no state but handles.
//!
//! Everything that may fail answers with a value, [`NativeError`](error::NativeError) or the result,
//! because a rejected promise loses the code and an exception loses the stack of its caller.

mod deferred;
mod environment;
mod error;
mod generation;
mod load;
mod model;
mod options;
mod ready;

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
