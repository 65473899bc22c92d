//! Runs, and what their inputs share.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

use rkllmjs_rkllm_standin::{Input, Mode, Outcome, PromptCacheRequest, Role, RunInput, RunParams, State};
use rkllmjs_rkllm_sys::{
    RKLLM_INFER_GENERATE, RKLLM_INFER_GET_LAST_HIDDEN_LAYER, RKLLM_INFER_GET_LOGITS, rkllm_handle,
    rkllm_infer_mode, rkllm12_embed_input, rkllm12_lora_param, rkllm12_prompt_cache_param,
    rkllm12_token_input,
};

use crate::handle::{Handle, find};
use crate::results::Lifetime;
use crate::{OK, Receiver, memory};

/// Runs the model on the calling thread.
pub fn run(
    handle: rkllm_handle,
    inputs: &[RunInput],
    params: &RunParams,
    userdata: *mut c_void,
) -> Option<c_int> {
    let handle = find(handle)?;
    let receiver = handle.receiver.with_userdata(userdata);
    let lifetime = lifetime(&handle);
    let mut callback =
        |state: State, outcomes: Option<&[Outcome]>| receiver.receive(state, outcomes, lifetime);
    handle.runtime.run(inputs, params, &mut callback).ok()?;
    Some(OK)
}

/// Runs the model on a thread of its own, for a handle that was made for it.
pub fn run_async(
    handle: rkllm_handle,
    inputs: Vec<RunInput>,
    params: RunParams,
    userdata: *mut c_void,
) -> Option<c_int> {
    let handle = find(handle)?;
    if !handle.runtime.is_async() {
        return None;
    }
    let receiver = handle.receiver.with_userdata(userdata);
    let begun = handle.runtime.begin().ok()?;
    let lifetime = lifetime(&handle);
    let work = move || {
        // Captured whole: a receiver may go to another thread, its parts may not.
        let receiver: Receiver = receiver;
        let mut callback =
            |state: State, outcomes: Option<&[Outcome]>| receiver.receive(state, outcomes, lifetime);
        // The failure is in the log; nobody waits for it here.
        let _ = begun.finish(&inputs, &params, &mut callback);
    };
    std::thread::Builder::new().name("standin-run".to_owned()).spawn(work).ok()?;
    Some(OK)
}

fn lifetime(handle: &Arc<Handle>) -> Lifetime {
    if handle.runtime.traps().freed_results { Lifetime::CallAndOverwritten } else { Lifetime::Call }
}

/// The role at `role`, the user's without one; none for one that does not exist.
///
/// # Safety
///
/// `role` is null or ends in NUL.
pub unsafe fn role(role: *const c_char) -> Option<Role> {
    if role.is_null() {
        return Some(Role::User);
    }
    // SAFETY: the caller's promise.
    let name = unsafe { memory::text(role) }?;
    Role::named(&name)
}

/// The mode of that number.
pub fn mode(mode: rkllm_infer_mode) -> Option<Mode> {
    match mode {
        RKLLM_INFER_GENERATE => Some(Mode::Generate),
        RKLLM_INFER_GET_LAST_HIDDEN_LAYER => Some(Mode::LastHiddenLayer),
        RKLLM_INFER_GET_LOGITS => Some(Mode::Logits),
        _ => None,
    }
}

/// A token input.
///
/// # Safety
///
/// It points to as many tokens as it says.
pub unsafe fn tokens(input: &rkllm12_token_input) -> Option<Input> {
    // SAFETY: the caller's promise.
    unsafe { memory::integers(input.input_ids, input.n_tokens) }.map(Input::Tokens)
}

/// An input of embeddings with `size` numbers a row.
///
/// # Safety
///
/// It points to as many rows as it says.
pub unsafe fn embeddings(input: &rkllm12_embed_input, size: usize) -> Option<Input> {
    let count = input.n_tokens.checked_mul(size)?;
    // SAFETY: the caller's promise.
    unsafe { memory::floats(input.embed, count) }.map(Input::Embeddings)
}

/// The adapter that a run names, if it does; none if the name cannot be read.
///
/// # Safety
///
/// `params` is null or valid, with a name that ends in NUL.
pub unsafe fn adapter_name(params: *const rkllm12_lora_param) -> Option<Option<String>> {
    // SAFETY: the caller's promise.
    let Some(params) = (unsafe { params.as_ref() }) else { return Some(None) };
    // SAFETY: the caller's promise.
    unsafe { memory::text(params.lora_adapter_name) }.map(Some)
}

/// Where a run saves its cache, if it does; none if the path cannot be read.
///
/// # Safety
///
/// `params` is null or valid, with a path that is null or ends in NUL.
pub unsafe fn prompt_cache(params: *const rkllm12_prompt_cache_param) -> Option<Option<PromptCacheRequest>> {
    // SAFETY: the caller's promise.
    let Some(params) = (unsafe { params.as_ref() }) else { return Some(None) };
    if params.save_prompt_cache == 0 {
        return Some(None);
    }
    // SAFETY: the caller's promise.
    let path = unsafe { memory::text_or_empty(params.prompt_cache_path) }?;
    let path = (!path.is_empty()).then(|| path.into());
    Some(Some(PromptCacheRequest { path }))
}
