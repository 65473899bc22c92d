//! Inputs of runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rkllmjs_rkllm_standin::{Input, Media, RunInput, RunParams};
use rkllmjs_rkllm_standin_abi as abi;
use rkllmjs_rkllm_sys::{
    RKLLM_INPUT_EMBED, RKLLM_INPUT_MULTIMODAL, RKLLM_INPUT_PROMPT, RKLLM_INPUT_TOKEN, rkllm_handle,
    rkllm12_infer_param, rkllm12_input, rkllm12_multimodal_input, rkllm12_param,
};

/// The texts round an image, which this family fixes at init.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tags {
    start: String,
    end: String,
    content: String,
}

static TAGS: Mutex<BTreeMap<usize, Tags>> = Mutex::new(BTreeMap::new());

impl Tags {
    /// Those of `param`.
    ///
    /// # Safety
    ///
    /// They are null or end in NUL.
    pub(crate) unsafe fn of(param: &rkllm12_param) -> Option<Self> {
        // SAFETY: the caller's promise.
        let start = unsafe { abi::text_or_empty(param.img_start) }?;
        // SAFETY: the caller's promise.
        let end = unsafe { abi::text_or_empty(param.img_end) }?;
        // SAFETY: the caller's promise.
        let content = unsafe { abi::text_or_empty(param.img_content) }?;
        Some(Self { start, end, content })
    }

    pub(crate) fn remember(self, handle: rkllm_handle) {
        TAGS.lock().unwrap_or_else(PoisonError::into_inner).insert(handle.addr(), self);
    }

    fn known(handle: rkllm_handle) -> Self {
        let tags = TAGS.lock().unwrap_or_else(PoisonError::into_inner);
        tags.get(&handle.addr()).cloned().unwrap_or_default()
    }
}

/// Forgets the texts of a handle.
pub(crate) fn forget(handle: rkllm_handle) {
    TAGS.lock().unwrap_or_else(PoisonError::into_inner).remove(&handle.addr());
}

/// The inputs and parameters of a run; none if one of them is missing or makes no sense.
///
/// # Safety
///
/// The pointers are null or valid; `input` is an array with an entry for each place of the batch.
pub(crate) unsafe fn read(
    handle: rkllm_handle,
    input: *const rkllm12_input,
    param: *const rkllm12_infer_param,
) -> Option<(Vec<RunInput>, RunParams)> {
    let runtime = abi::runtime_of(handle)?;
    // SAFETY: the caller's promise.
    let param = unsafe { param.as_ref() }?;
    if input.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let inputs = unsafe { std::slice::from_raw_parts(input, runtime.batch()) };
    let size = runtime.embedding_size();
    let tags = Tags::known(handle);
    // SAFETY: the caller's promise.
    let read = |input: &rkllm12_input| unsafe { run_input(input, size, &tags) };
    let inputs = inputs.iter().map(read).collect::<Option<Vec<_>>>()?;
    // SAFETY: the caller's promise.
    let params = unsafe { run_params(param) }?;
    Some((inputs, params))
}

/// # Safety
///
/// The pointers of `param` are null or valid.
unsafe fn run_params(param: &rkllm12_infer_param) -> Option<RunParams> {
    Some(RunParams {
        mode: abi::mode(param.mode)?,
        // SAFETY: the caller's promise.
        adapter: unsafe { abi::adapter_name(param.lora_params) }?,
        // SAFETY: the caller's promise.
        save_prompt_cache: unsafe { abi::prompt_cache(param.prompt_cache_params) }?,
        sampling: None,
        keep_history: param.keep_history != 0,
        max_new_tokens: 0,
    })
}

/// # Safety
///
/// The pointers of `input` are null or valid, with as many entries as it says.
unsafe fn run_input(input: &rkllm12_input, size: usize, tags: &Tags) -> Option<RunInput> {
    // SAFETY: the caller's promise.
    let role = unsafe { abi::role(input.role) }?;
    let value = &input.value;
    let read = match input.input_type {
        RKLLM_INPUT_PROMPT => {
            // SAFETY: the type says which member is meant.
            let prompt = unsafe { value.prompt_input };
            // SAFETY: the caller's promise.
            Input::Prompt(unsafe { abi::text(prompt) }?)
        }
        RKLLM_INPUT_TOKEN => {
            // SAFETY: the type says which member is meant.
            let tokens = unsafe { &value.token_input };
            // SAFETY: the caller's promise.
            unsafe { abi::tokens(tokens) }?
        }
        RKLLM_INPUT_EMBED => {
            // SAFETY: the type says which member is meant.
            let rows = unsafe { &value.embed_input };
            // SAFETY: the caller's promise.
            unsafe { abi::embeddings(rows, size) }?
        }
        RKLLM_INPUT_MULTIMODAL => {
            // SAFETY: the type says which member is meant.
            let input = unsafe { &value.multimodal_input };
            // SAFETY: the caller's promise.
            unsafe { multimodal(input, size, tags) }?
        }
        _ => return None,
    };
    Some(RunInput { role, enable_thinking: input.enable_thinking != 0, input: read })
}

/// # Safety
///
/// As [`run_input`].
unsafe fn multimodal(input: &rkllm12_multimodal_input, size: usize, tags: &Tags) -> Option<Input> {
    // SAFETY: the caller's promise.
    let prompt = unsafe { abi::text(input.prompt) }?;
    let count = input.n_image.checked_mul(input.n_image_tokens)?.checked_mul(size)?;
    // SAFETY: the caller's promise.
    let vectors = unsafe { abi::floats(input.image_embed, count) }?;
    let media = vec![Media {
        tag: "<image>",
        count: input.n_image,
        rows: input.n_image_tokens,
        vectors,
        start: tags.start.clone(),
        end: tags.end.clone(),
        content: tags.content.clone(),
        size: [input.image_width, input.image_height],
    }];
    Some(Input::Multimodal { prompt, media })
}
