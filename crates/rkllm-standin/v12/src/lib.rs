//! `librkllmrt` 1.2.3 as a stand-in: the vendor's names and layouts of that family over
//! `rkllmjs-rkllm-standin`.

mod defaults;
mod input;
mod param;

use std::ffi::{c_char, c_int, c_void};

pub use defaults::rkllm_createDefaultParam;
use rkllmjs_rkllm_standin::Family;
use rkllmjs_rkllm_standin_abi as abi;
use rkllmjs_rkllm_sys::{
    rkllm_handle, rkllm12_cross_attn_param, rkllm12_infer_param, rkllm12_input, rkllm12_lora_adapter,
    rkllm12_param, rkllm12_result_callback,
};

/// What a reader of the library's bytes looks for.
#[used]
static BANNER: [u8; 71] = *b"RKLLM SDK (version: 1.2.3 | target: stand-in | build: 00000000 rkllmjs)";

/// The stand-in's own version: no library of the vendor's has this name.
#[unsafe(no_mangle)]
pub extern "C" fn rkllmjs_standin_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), " for 1.2.3\0").as_ptr().cast()
}

/// Loads a model. 0, or -1 and `handle` as it was.
///
/// # Safety
///
/// The pointers are null or valid; the strings of `param` end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_init(
    handle: *mut rkllm_handle,
    param: *mut rkllm12_param,
    callback: rkllm12_result_callback,
) -> c_int {
    abi::guarded(|| {
        std::hint::black_box(&BANNER);
        // SAFETY: the caller's promise.
        let param = unsafe { param.as_ref() }?;
        if handle.is_null() {
            return None;
        }
        // SAFETY: the caller's promise.
        let config = unsafe { param::config(param) }?;
        // SAFETY: the caller's promise.
        let tags = unsafe { input::Tags::of(param) }?;
        let receiver = abi::Receiver::new(Family::V12, callback, std::ptr::null_mut())?;
        // SAFETY: checked above.
        let status = unsafe { abi::init(handle, config, receiver) }?;
        // SAFETY: init has written it.
        tags.remember(unsafe { *handle });
        Some(status)
    })
}

/// Runs the model on the calling thread. 0 or -1.
///
/// # Safety
///
/// The pointers are null or valid; `input` is an array with an entry for each place of the batch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_run(
    handle: rkllm_handle,
    input: *mut rkllm12_input,
    param: *mut rkllm12_infer_param,
    userdata: *mut c_void,
) -> c_int {
    abi::guarded(|| {
        // SAFETY: the caller's promise.
        let (inputs, params) = unsafe { input::read(handle, input, param) }?;
        abi::run(handle, &inputs, &params, userdata)
    })
}

/// Runs the model on a thread of its own. 0 or -1.
///
/// # Safety
///
/// As [`rkllm_run`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_run_async(
    handle: rkllm_handle,
    input: *mut rkllm12_input,
    param: *mut rkllm12_infer_param,
    userdata: *mut c_void,
) -> c_int {
    abi::guarded(|| {
        // SAFETY: the caller's promise.
        let (inputs, params) = unsafe { input::read(handle, input, param) }?;
        abi::run_async(handle, inputs, params, userdata)
    })
}

/// In this family 0 says that a run is under way.
#[unsafe(no_mangle)]
pub extern "C" fn rkllm_is_running(handle: rkllm_handle) -> c_int {
    abi::is_running(handle, 0, 1)
}

/// Frees a model. -1 for null.
#[unsafe(no_mangle)]
pub extern "C" fn rkllm_destroy(handle: rkllm_handle) -> c_int {
    input::forget(handle);
    abi::destroy(handle)
}

/// Asks the run that is under way to end.
#[unsafe(no_mangle)]
pub extern "C" fn rkllm_abort(handle: rkllm_handle) -> c_int {
    abi::abort(handle)
}

/// Loads an adapter.
///
/// # Safety
///
/// `adapter` is null or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_load_lora(handle: rkllm_handle, adapter: *mut rkllm12_lora_adapter) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { abi::load_lora(handle, adapter) }
}

/// Reads a prompt cache.
///
/// # Safety
///
/// `path` is null or ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_load_prompt_cache(handle: rkllm_handle, path: *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { abi::load_prompt_cache(handle, path) }
}

/// Forgets the prompt cache.
#[unsafe(no_mangle)]
pub extern "C" fn rkllm_release_prompt_cache(handle: rkllm_handle) -> c_int {
    abi::release_prompt_cache(handle)
}

/// Clears the cache, all of it or a range.
///
/// # Safety
///
/// The positions are null, or have an entry for each place of the batch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_clear_kv_cache(
    handle: rkllm_handle,
    keep_system_prompt: c_int,
    start_pos: *mut c_int,
    end_pos: *mut c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { abi::clear_kv_cache(handle, keep_system_prompt, start_pos, end_pos) }
}

/// Tells how many positions the cache has.
///
/// # Safety
///
/// `cache_sizes` is null or has an entry for each place of the batch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_get_kv_cache_size(handle: rkllm_handle, cache_sizes: *mut c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { abi::get_kv_cache_size(handle, cache_sizes) }
}

/// Replaces the chat template.
///
/// # Safety
///
/// The texts are null or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_set_chat_template(
    handle: rkllm_handle,
    system_prompt: *const c_char,
    prompt_prefix: *const c_char,
    prompt_postfix: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { abi::set_chat_template(handle, system_prompt, prompt_prefix, prompt_postfix) }
}

/// Tells the model which functions it may call.
///
/// # Safety
///
/// The texts are null or end in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rkllm_set_function_tools(
    handle: rkllm_handle,
    system_prompt: *const c_char,
    tools: *const c_char,
    tool_response_str: *const c_char,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { abi::set_function_tools(handle, system_prompt, tools, tool_response_str) }
}

/// Fails: no model of the stand-in has cross attention.
#[unsafe(no_mangle)]
pub extern "C" fn rkllm_set_cross_attn_params(
    handle: rkllm_handle,
    params: *mut rkllm12_cross_attn_param,
) -> c_int {
    abi::set_cross_attn_params(handle, params)
}
