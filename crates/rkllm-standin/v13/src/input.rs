//! Inputs of runs.

use std::ffi::c_char;

use rkllmjs_rkllm_standin::{Input, Media, RunInput, RunParams, SamplingConfig};
use rkllmjs_rkllm_standin_abi as abi;
use rkllmjs_rkllm_sys::{
    RKLLM_INPUT_EMBED, RKLLM_INPUT_MULTIMODAL, RKLLM_INPUT_PROMPT, RKLLM_INPUT_TOKEN, rkllm_handle,
    rkllm13_infer_param, rkllm13_input, rkllm13_multimodal_input, rkllm13_sampling_param,
};

/// The inputs and parameters of a run; none if one of them is missing or makes no sense.
///
/// # Safety
///
/// The pointers are null or valid; `input` is an array with an entry for each place of the batch.
pub(crate) unsafe fn read(
    handle: rkllm_handle,
    input: *const rkllm13_input,
    param: *const rkllm13_infer_param,
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
    // SAFETY: the caller's promise.
    let read = |input: &rkllm13_input| unsafe { run_input(input, size) };
    let inputs = inputs.iter().map(read).collect::<Option<Vec<_>>>()?;
    // SAFETY: the caller's promise.
    let params = unsafe { run_params(param) }?;
    Some((inputs, params))
}

/// # Safety
///
/// The pointers of `param` are null or valid.
unsafe fn run_params(param: &rkllm13_infer_param) -> Option<RunParams> {
    Some(RunParams {
        mode: abi::mode(param.mode)?,
        // SAFETY: the caller's promise.
        adapter: unsafe { abi::adapter_name(param.lora_params) }?,
        // SAFETY: the caller's promise.
        save_prompt_cache: unsafe { abi::prompt_cache(param.prompt_cache_params) }?,
        // SAFETY: the caller's promise.
        sampling: unsafe { param.sampling_params.as_ref() }.map(sampling),
        keep_history: param.keep_history != 0,
        max_new_tokens: param.max_new_tokens,
    })
}

/// # Safety
///
/// The pointers of `input` are null or valid, with as many entries as it says.
unsafe fn run_input(input: &rkllm13_input, size: usize) -> Option<RunInput> {
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
            unsafe { multimodal(input, size) }?
        }
        _ => return None,
    };
    Some(RunInput { role, enable_thinking: input.enable_thinking != 0, input: read })
}

fn sampling(param: &rkllm13_sampling_param) -> SamplingConfig {
    SamplingConfig {
        top_k: param.top_k,
        top_p: param.top_p,
        temperature: param.temperature,
        repeat_penalty: param.repeat_penalty,
        frequency_penalty: param.frequency_penalty,
        presence_penalty: param.presence_penalty,
        mirostat: param.mirostat,
        mirostat_tau: param.mirostat_tau,
        mirostat_eta: param.mirostat_eta,
    }
}

/// Encoded things of one sort as they stand in the input.
struct Encoded {
    tag: &'static str,
    rows: *const f32,
    rows_each: usize,
    count: usize,
    start: *const c_char,
    end: *const c_char,
    content: *const c_char,
    size: [usize; 2],
}

impl Encoded {
    /// # Safety
    ///
    /// The pointers are null or valid, with as many entries as this says.
    unsafe fn read(&self, size: usize) -> Option<Option<Media>> {
        if self.rows.is_null() || self.count == 0 {
            return Some(None);
        }
        let numbers = self.count.checked_mul(self.rows_each)?.checked_mul(size)?;
        // SAFETY: the caller's promise.
        let vectors = unsafe { abi::floats(self.rows, numbers) }?;
        // SAFETY: the caller's promise.
        let start = unsafe { abi::text_or_empty(self.start) }?;
        // SAFETY: the caller's promise.
        let end = unsafe { abi::text_or_empty(self.end) }?;
        // SAFETY: the caller's promise.
        let content = unsafe { abi::text_or_empty(self.content) }?;
        let Self { tag, count, rows_each: rows, size, .. } = *self;
        Some(Some(Media { tag, count, rows, vectors, start, end, content, size }))
    }
}

/// # Safety
///
/// As [`run_input`].
unsafe fn multimodal(input: &rkllm13_multimodal_input, size: usize) -> Option<Input> {
    // SAFETY: the caller's promise.
    let prompt = unsafe { abi::text(input.prompt) }?;
    let (image, video, audio) = (&input.image, &input.video, &input.audio);
    let all = [
        Encoded {
            tag: "<image>",
            rows: image.image_embed,
            rows_each: image.n_image_tokens,
            count: image.n_image,
            start: image.image_start,
            end: image.image_end,
            content: image.image_content,
            size: [image.image_width, image.image_height],
        },
        Encoded {
            tag: "<video>",
            rows: video.video_embed,
            rows_each: video.n_frame_tokens.checked_mul(video.n_frame_per_video)?,
            count: video.n_video,
            start: video.video_start,
            end: video.video_end,
            content: video.video_content,
            size: [video.frame_width, video.frame_height],
        },
        Encoded {
            tag: "<audio>",
            rows: audio.audio_embed,
            rows_each: audio.n_audio_tokens,
            count: audio.n_audio,
            start: audio.audio_start,
            end: audio.audio_end,
            content: audio.audio_content,
            size: [0; 2],
        },
    ];
    let mut media = Vec::new();
    for encoded in &all {
        // SAFETY: the caller's promise.
        media.extend(unsafe { encoded.read(size) }?);
    }
    // Without any of them this is no multimodal input.
    (!media.is_empty()).then_some(Input::Multimodal { prompt, media })
}
