//! Both C interfaces of the stand-in, as one library, `librkllmrt_standin.so`.
//!
//! `v12` and `v13` read the structs that differ; handles, strings, results and the calls that are alike are shared. The
//! vendor's names are the same in both: they are exported by two small libraries, in the folders `../v12` and `../v13`,
//! which come here.

mod calls;
mod handle;
mod memory;
mod results;
mod run;
pub mod v12;
pub mod v13;

use calls::{
    abort, clear_kv_cache, destroy, get_kv_cache_size, is_running, load_lora, load_prompt_cache,
    release_prompt_cache, set_chat_template, set_cross_attn_params, set_function_tools,
};
use handle::{init, runtime_of};
use memory::{floats, text, text_or_empty};
use results::Receiver;
use run::{adapter_name, embeddings, mode, prompt_cache, role, run, run_async, tokens};

/// What the vendor's functions return when all went well.
pub(crate) const OK: std::ffi::c_int = 0;
/// What they return when not.
pub(crate) const FAILED: std::ffi::c_int = -1;

/// Runs the body of an exported function. A panic must not unwind into C.
pub(crate) fn guarded(body: impl FnOnce() -> Option<std::ffi::c_int>) -> std::ffi::c_int {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    caught.ok().flatten().unwrap_or(FAILED)
}
