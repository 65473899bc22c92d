//! The runtime's calls in one form for both ABIs.

mod v12;
mod v13;

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

use rkllmjs_core::ClearCache;
use rkllmjs_rkllm_sys as sys;

use super::request::RunRequest;
use super::settings::SessionSettings;
use crate::library::Symbols;

/// What the runtime calls an opened model. Null is none.
pub(super) type RawHandle = sys::rkllm_handle;

/// The status of a call that went well.
pub(super) const OK: c_int = 0;

/// What must live as long as a handle, because nothing says that the runtime copies it.
#[derive(Debug)]
#[expect(dead_code, reason = "held, never looked at")]
pub(super) enum Kept {
    V12(Box<v12::Kept>),
    V13(Box<v13::Kept>),
}

/// Opens a model. The handle, or the status.
pub(super) fn init(symbols: &Symbols, settings: &SessionSettings) -> Result<(RawHandle, Kept), c_int> {
    match symbols {
        Symbols::V12(functions) => {
            v12::init(functions, settings).map(|(handle, kept)| (handle, Kept::V12(kept)))
        }
        Symbols::V13(functions) => {
            v13::init(functions, settings).map(|(handle, kept)| (handle, Kept::V13(kept)))
        }
    }
}

/// Runs to the end; `userdata` is what the callback gets.
///
/// # Safety
///
/// The handle must be alive and idle, and `userdata` what [`on_result`](super::callback::on_result) asks for.
pub(super) unsafe fn run(
    symbols: &Symbols,
    handle: RawHandle,
    request: &mut RunRequest,
    userdata: *mut c_void,
) -> c_int {
    match symbols {
        // SAFETY: the caller's promise.
        Symbols::V12(functions) => unsafe { v12::run(functions, handle, request, userdata) },
        // SAFETY: the caller's promise.
        Symbols::V13(functions) => unsafe { v13::run(functions, handle, request, userdata) },
    }
}

/// A call that both ABIs have alike.
macro_rules! shared {
    ($symbols:expr, $name:ident) => {
        match $symbols {
            Symbols::V12(functions) => functions.$name,
            Symbols::V13(functions) => functions.$name,
        }
    };
}

/// Stops the run of a handle, from another thread.
///
/// # Safety
///
/// The handle must be alive.
pub(super) unsafe fn abort(symbols: &Symbols, handle: RawHandle) -> c_int {
    let abort = shared!(symbols, abort);
    // SAFETY: the caller's promise.
    unsafe { abort(handle) }
}

/// Frees a handle.
///
/// # Safety
///
/// The handle must be alive and idle; it is gone afterwards.
pub(super) unsafe fn destroy(symbols: &Symbols, handle: RawHandle) -> c_int {
    let destroy = shared!(symbols, destroy);
    // SAFETY: the caller's promise.
    unsafe { destroy(handle) }
}

/// Loads an adapter.
///
/// # Safety
///
/// The handle must be alive and idle; the strings must live as long as it.
pub(super) unsafe fn load_lora(
    symbols: &Symbols,
    handle: RawHandle,
    path: &CStr,
    name: &CStr,
    scale: f32,
) -> c_int {
    let mut adapter = sys::rkllm12_lora_adapter {
        lora_adapter_path: path.as_ptr(),
        lora_adapter_name: name.as_ptr(),
        scale,
    };
    let load = shared!(symbols, load_lora);
    // SAFETY: the caller's promise.
    unsafe { load(handle, &raw mut adapter) }
}

/// Loads a saved prompt cache.
///
/// # Safety
///
/// The handle must be alive and idle; the path must live as long as it.
pub(super) unsafe fn load_prompt_cache(symbols: &Symbols, handle: RawHandle, path: &CStr) -> c_int {
    let load = shared!(symbols, load_prompt_cache);
    // SAFETY: the caller's promise.
    unsafe { load(handle, path.as_ptr()) }
}

/// Forgets a loaded prompt cache.
///
/// # Safety
///
/// The handle must be alive and idle.
pub(super) unsafe fn release_prompt_cache(symbols: &Symbols, handle: RawHandle) -> c_int {
    let release = shared!(symbols, release_prompt_cache);
    // SAFETY: the caller's promise.
    unsafe { release(handle) }
}

/// Clears the cache: all of it, all but the system prompt, or a range of positions after a pause.
///
/// # Safety
///
/// The handle must be alive and idle.
pub(super) unsafe fn clear_cache(symbols: &Symbols, handle: RawHandle, what: ClearCache) -> c_int {
    let clear = shared!(symbols, clear_kv_cache);
    let (keep, mut range) = match what {
        ClearCache::All => (0, None),
        ClearCache::AllButSystemPrompt => (1, None),
        ClearCache::Range { start, end } => (0, Some((position(start), position(end)))),
    };
    let (start, end) = match &mut range {
        Some((start, end)) => (ptr::from_mut(start), ptr::from_mut(end)),
        None => (ptr::null_mut(), ptr::null_mut()),
    };
    // SAFETY: the caller's promise; the range holds one entry for the one input of a run.
    unsafe { clear(handle, keep, start, end) }
}

fn position(position: u32) -> c_int {
    c_int::try_from(position).unwrap_or(c_int::MAX)
}

/// How many positions the cache holds.
///
/// # Safety
///
/// The handle must be alive and idle.
pub(super) unsafe fn cache_size(symbols: &Symbols, handle: RawHandle) -> Result<c_int, c_int> {
    let size = shared!(symbols, get_kv_cache_size);
    // As many as the largest batch has inputs, should the runtime think of another one than was asked for.
    let mut sizes = [0; 256];
    // SAFETY: the caller's promise; there is room for a number for each input of a batch.
    let status = unsafe { size(handle, sizes.as_mut_ptr()) };
    if status == OK { Ok(sizes[0]) } else { Err(status) }
}

/// Replaces the chat template by three pieces around the user's text; three empty ones are none at all.
///
/// # Safety
///
/// The handle must be alive and idle; the strings must live as long as it.
pub(super) unsafe fn set_chat_template(
    symbols: &Symbols,
    handle: RawHandle,
    [system, prefix, postfix]: [&CStr; 3],
) -> c_int {
    let set = shared!(symbols, set_chat_template);
    // SAFETY: the caller's promise.
    unsafe { set(handle, system.as_ptr(), prefix.as_ptr(), postfix.as_ptr()) }
}

/// Tells the runtime's template about functions.
///
/// # Safety
///
/// The handle must be alive and idle; the strings must live as long as it.
pub(super) unsafe fn set_function_tools(
    symbols: &Symbols,
    handle: RawHandle,
    [system, tools, response]: [&CStr; 3],
) -> c_int {
    let set = shared!(symbols, set_function_tools);
    // SAFETY: the caller's promise.
    unsafe { set(handle, system.as_ptr(), tools.as_ptr(), response.as_ptr()) }
}
