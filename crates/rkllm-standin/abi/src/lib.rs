//! What both C interfaces of the stand-in share: handles, strings, results and the calls that are alike.
//!
//! The two libraries, `v12` and `v13`, only export the vendor's names, read the structs that differ, and
//! come here.

mod calls;
mod handle;
mod memory;
mod results;
mod run;

pub use calls::{
    abort, clear_kv_cache, destroy, get_kv_cache_size, is_running, load_lora, load_prompt_cache,
    release_prompt_cache, set_chat_template, set_cross_attn_params, set_function_tools,
};
pub use handle::{init, runtime_of};
pub use memory::{floats, integers, text, text_or_empty};
pub use results::Receiver;
pub use run::{adapter_name, embeddings, mode, prompt_cache, role, run, run_async, tokens};

/// What the vendor's functions return when all went well.
pub const OK: std::ffi::c_int = 0;
/// What they return when not.
pub const FAILED: std::ffi::c_int = -1;

/// Runs the body of an exported function. A panic must not unwind into C.
pub fn guarded(body: impl FnOnce() -> Option<std::ffi::c_int>) -> std::ffi::c_int {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    caught.ok().flatten().unwrap_or(FAILED)
}
