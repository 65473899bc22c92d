//! The calls that are alike in both families.

use std::ffi::{c_char, c_int};
use std::path::Path;

use rkllmjs_rkllm_sys::{rkllm_handle, rkllm12_cross_attn_param, rkllm12_lora_adapter};

use crate::handle::{self, runtime_of};
use crate::{FAILED, OK, guarded, memory};

/// `rkllm_load_lora`.
///
/// # Safety
///
/// `adapter` is null or valid, with strings that end in NUL.
pub unsafe fn load_lora(handle: rkllm_handle, adapter: *const rkllm12_lora_adapter) -> c_int {
    guarded(|| {
        let runtime = runtime_of(handle)?;
        // SAFETY: the caller's promise.
        let adapter = unsafe { adapter.as_ref() }?;
        // SAFETY: the caller's promise.
        let path = unsafe { memory::text(adapter.lora_adapter_path) }?;
        // SAFETY: the caller's promise.
        let name = unsafe { memory::text(adapter.lora_adapter_name) }?;
        runtime.load_lora(Path::new(&path), &name, adapter.scale).ok()?;
        Some(OK)
    })
}

/// `rkllm_load_prompt_cache`.
///
/// # Safety
///
/// `path` is null or ends in NUL.
pub unsafe fn load_prompt_cache(handle: rkllm_handle, path: *const c_char) -> c_int {
    guarded(|| {
        let runtime = runtime_of(handle)?;
        // SAFETY: the caller's promise.
        let path = unsafe { memory::text(path) }?;
        runtime.load_prompt_cache(Path::new(&path)).ok()?;
        Some(OK)
    })
}

/// `rkllm_release_prompt_cache`.
pub fn release_prompt_cache(handle: rkllm_handle) -> c_int {
    guarded(|| {
        runtime_of(handle)?.release_prompt_cache().ok()?;
        Some(OK)
    })
}

/// `rkllm_destroy`.
pub fn destroy(handle: rkllm_handle) -> c_int {
    guarded(|| handle::destroy(handle))
}

/// `rkllm_abort`.
pub fn abort(handle: rkllm_handle) -> c_int {
    guarded(|| {
        runtime_of(handle)?.abort();
        Some(OK)
    })
}

/// `rkllm_is_running`: each family says yes and no with its own numbers.
pub fn is_running(handle: rkllm_handle, yes: c_int, no: c_int) -> c_int {
    guarded(|| Some(if runtime_of(handle)?.is_running() { yes } else { no }))
}

/// `rkllm_clear_kv_cache`.
///
/// # Safety
///
/// The positions are null, or have an entry for each input of the batch.
pub unsafe fn clear_kv_cache(
    handle: rkllm_handle,
    keep_system_prompt: c_int,
    start: *const c_int,
    end: *const c_int,
) -> c_int {
    guarded(|| {
        let runtime = runtime_of(handle)?;
        let cleared = match (start.is_null(), end.is_null()) {
            (true, true) if keep_system_prompt == 0 => runtime.clear_kv_cache(),
            (true, true) => runtime.clear_kv_cache_after_system_prompt(),
            (false, false) => {
                // SAFETY: the caller's promise.
                let start = unsafe { memory::integers(start, runtime.batch()) }?;
                // SAFETY: the caller's promise.
                let end = unsafe { memory::integers(end, runtime.batch()) }?;
                let ranges: Vec<_> = start.into_iter().zip(end).collect();
                runtime.clear_kv_cache_ranges(&ranges)
            }
            _ => return None,
        };
        cleared.ok()?;
        Some(OK)
    })
}

/// `rkllm_get_kv_cache_size`.
///
/// # Safety
///
/// `sizes` is null or has an entry for each input of the batch.
pub unsafe fn get_kv_cache_size(handle: rkllm_handle, sizes: *mut c_int) -> c_int {
    guarded(|| {
        let runtime = runtime_of(handle)?;
        if sizes.is_null() {
            return None;
        }
        let stored = runtime.kv_cache_sizes().ok()?;
        // SAFETY: the caller's promise; there are as many as inputs of the batch.
        let sizes = unsafe { std::slice::from_raw_parts_mut(sizes, stored.len()) };
        for (size, stored) in sizes.iter_mut().zip(stored) {
            *size = c_int::try_from(stored).unwrap_or(c_int::MAX);
        }
        Some(OK)
    })
}

/// `rkllm_set_chat_template`.
///
/// # Safety
///
/// The texts are null or end in NUL.
pub unsafe fn set_chat_template(
    handle: rkllm_handle,
    system: *const c_char,
    prefix: *const c_char,
    postfix: *const c_char,
) -> c_int {
    guarded(|| {
        let runtime = runtime_of(handle)?;
        // SAFETY: the caller's promise.
        let system = unsafe { memory::text_or_empty(system) }?;
        // SAFETY: the caller's promise.
        let prefix = unsafe { memory::text_or_empty(prefix) }?;
        // SAFETY: the caller's promise.
        let postfix = unsafe { memory::text_or_empty(postfix) }?;
        runtime.set_chat_template(&system, &prefix, &postfix).ok()?;
        Some(OK)
    })
}

/// `rkllm_set_function_tools`.
///
/// # Safety
///
/// The texts are null or end in NUL.
pub unsafe fn set_function_tools(
    handle: rkllm_handle,
    system: *const c_char,
    tools: *const c_char,
    tool_response: *const c_char,
) -> c_int {
    guarded(|| {
        let runtime = runtime_of(handle)?;
        // SAFETY: the caller's promise.
        let system = unsafe { memory::text_or_empty(system) }?;
        // SAFETY: the caller's promise.
        let tools = unsafe { memory::text(tools) }?;
        // SAFETY: the caller's promise.
        let tag = unsafe { memory::text_or_empty(tool_response) }?;
        runtime.set_function_tools(&system, &tools, &tag).ok()?;
        Some(OK)
    })
}

/// `rkllm_set_cross_attn_params`: no model of the stand-in has cross attention.
pub fn set_cross_attn_params(_: rkllm_handle, _: *const rkllm12_cross_attn_param) -> c_int {
    FAILED
}
