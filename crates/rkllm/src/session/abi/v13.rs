//! The calls that 1.3.0 and 1.3.1 have in a form of their own.

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr;

use rkllmjs_rkllm_sys as sys;

use super::v12::{extend_param, mode};
use super::{OK, RawHandle};
use crate::library::Functions13;
use crate::session::callback::on_result;
use crate::session::request::{Content, Images, RunRequest};
use crate::session::settings::{HandleSampling, SessionSettings};

/// Strings and callbacks of a handle.
#[derive(Debug)]
pub(crate) struct Kept {
    model_path: CString,
    callback: sys::rkllm13_callback,
}

// SAFETY: the pointers in `callback` are a function and nulls.
unsafe impl Send for Kept {}

pub(super) fn init(
    functions: &Functions13,
    settings: &SessionSettings,
) -> Result<(RawHandle, Box<Kept>), c_int> {
    let callback = sys::rkllm13_callback { result_callback: Some(on_result), ..Default::default() };
    let mut kept = Box::new(Kept { model_path: settings.model_path.clone(), callback });
    let mut param = param(settings, &kept.model_path);
    let mut handle: RawHandle = ptr::null_mut();
    let callback = &raw mut kept.callback;
    // SAFETY: the parameters are valid; path and callbacks live as long as the handle.
    let status = unsafe { (functions.init)(&raw mut handle, &raw mut param, callback) };
    if status == OK && !handle.is_null() { Ok((handle, kept)) } else { Err(status) }
}

/// Every byte is set by us: the runtime's own defaults leave some of them as they were on the stack.
fn param(settings: &SessionSettings, model_path: &CStr) -> sys::rkllm13_param {
    let sampling = &settings.sampling;
    sys::rkllm13_param {
        model_path: model_path.as_ptr(),
        max_context_len: settings.context.cast_signed(),
        max_new_tokens: -1,
        top_k: sampling.top_k,
        n_keep: settings.keep,
        top_p: sampling.top_p,
        temperature: sampling.temperature,
        repeat_penalty: sampling.repeat_penalty,
        frequency_penalty: sampling.frequency_penalty,
        presence_penalty: sampling.presence_penalty,
        mirostat: sampling.mirostat,
        mirostat_tau: sampling.mirostat_tau,
        mirostat_eta: sampling.mirostat_eta,
        skip_special_token: u8::from(settings.skip_special_tokens),
        ignore_eos_token: u8::from(settings.ignore_end),
        is_async: 0,
        extend_param: extend_param(settings),
    }
}

/// # Safety
///
/// As [`super::run`].
pub(super) unsafe fn run(
    functions: &Functions13,
    handle: RawHandle,
    request: &mut RunRequest,
    userdata: *mut c_void,
) -> c_int {
    let mut adapter = sys::rkllm13_lora_param {
        lora_adapter_name: request.adapter.as_deref().map_or(ptr::null(), CStr::as_ptr),
    };
    let mut cache = sys::rkllm13_prompt_cache_param {
        save_prompt_cache: 1,
        prompt_cache_path: request.save_cache.as_deref().map_or(ptr::null(), CStr::as_ptr),
    };
    let mut sampling = sampling_param(&request.sampling);
    let mut param = sys::rkllm13_infer_param {
        mode: mode(request.mode),
        lora_params: if request.adapter.is_some() { &raw mut adapter } else { ptr::null_mut() },
        prompt_cache_params: if request.save_cache.is_some() { &raw mut cache } else { ptr::null_mut() },
        sampling_params: &raw mut sampling,
        keep_history: c_int::from(request.keep_history),
        max_new_tokens: request.max_tokens.cast_signed(),
    };
    let mut input = input(request);
    // SAFETY: the caller's promise; everything that is pointed to lives until the call returns. An input of
    // 1.3.1 is larger than one of 1.3.0, which does not look at the rest.
    unsafe { (functions.run)(handle, &raw mut input, &raw mut param, userdata) }
}

fn sampling_param(sampling: &HandleSampling) -> sys::rkllm13_sampling_param {
    sys::rkllm13_sampling_param {
        top_k: sampling.top_k,
        top_p: sampling.top_p,
        temperature: sampling.temperature,
        repeat_penalty: sampling.repeat_penalty,
        frequency_penalty: sampling.frequency_penalty,
        presence_penalty: sampling.presence_penalty,
        mirostat: sampling.mirostat,
        mirostat_tau: sampling.mirostat_tau,
        mirostat_eta: sampling.mirostat_eta,
    }
}

fn input(request: &mut RunRequest) -> sys::rkllm13_input {
    let mut input = sys::rkllm13_input {
        role: request.role.as_deref().map_or(ptr::null(), CStr::as_ptr),
        enable_thinking: u8::from(request.thinking),
        ..sys::rkllm13_input::default()
    };
    match &mut request.content {
        Content::Tokens(tokens) => {
            input.input_type = sys::RKLLM_INPUT_TOKEN;
            input.value.token_input =
                sys::rkllm13_token_input { input_ids: tokens.as_mut_ptr(), n_tokens: tokens.len() };
        }
        Content::Text(text) => {
            input.input_type = sys::RKLLM_INPUT_PROMPT;
            input.value.prompt_input = text.as_ptr();
        }
        Content::Embeddings { values, rows } => {
            input.input_type = sys::RKLLM_INPUT_EMBED;
            input.value.embed_input =
                sys::rkllm13_embed_input { embed: values.as_mut_ptr(), n_tokens: *rows };
        }
        Content::Images(images) => {
            input.input_type = sys::RKLLM_INPUT_MULTIMODAL;
            input.value.multimodal_input = multimodal(images);
        }
    }
    input
}

/// Images alone: videos and sounds stay zero, which is none of them.
fn multimodal(images: &mut Images) -> sys::rkllm13_multimodal_input {
    let [image_width, image_height] = images.size;
    sys::rkllm13_multimodal_input {
        // Not `const` in the vendor's header; a runtime that wrote to it would write to bytes that are ours alone.
        prompt: images.text.as_ptr().cast_mut(),
        image: sys::rkllm13_image_input {
            image_embed: images.values.as_mut_ptr(),
            n_image_tokens: images.rows_each,
            n_image: images.count,
            image_start: images.tags.start.as_ptr(),
            image_end: images.tags.end.as_ptr(),
            image_content: images.tags.content.as_ptr(),
            image_width,
            image_height,
        },
        ..sys::rkllm13_multimodal_input::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_of_images_has_every_field_and_no_other_medium() {
        let mut request = RunRequest::of_images();
        let input = input(&mut request);
        let images = request.images();
        assert_eq!((input.input_type, input.enable_thinking), (sys::RKLLM_INPUT_MULTIMODAL, 1));
        // SAFETY: the type says which member is meant.
        let value = unsafe { input.value.multimodal_input };
        let (image, video, audio) = (value.image, value.video, value.audio);
        assert_eq!(value.prompt.cast_const(), images.text.as_ptr());
        assert_eq!(image.image_embed.cast_const(), images.values.as_ptr());
        assert_eq!((image.n_image, image.n_image_tokens), (2, 1));
        assert_eq!((image.image_width, image.image_height), (392, 448));
        let tags = &images.tags;
        assert_eq!(
            [image.image_start, image.image_end, image.image_content],
            [tags.start.as_ptr(), tags.end.as_ptr(), tags.content.as_ptr()]
        );
        assert!(video.video_embed.is_null() && video.video_start.is_null());
        assert_eq!((video.n_video, video.n_frame_tokens, video.n_frame_per_video), (0, 0, 0));
        assert!(audio.audio_embed.is_null() && audio.audio_start.is_null());
        assert_eq!((audio.n_audio, audio.n_audio_tokens), (0, 0));
    }

    #[test]
    fn release_1_3_0_finds_the_same_images_in_its_shorter_input() {
        let mut request = RunRequest::of_images();
        let input = input(&mut request);
        assert!(size_of::<sys::rkllm130_input>() < size_of_val(&input));
        // SAFETY: it is shorter, as much aligned, and plain data.
        let shorter = unsafe { (&raw const input).cast::<sys::rkllm130_input>().read() };
        assert_eq!((shorter.input_type, shorter.role), (input.input_type, input.role));
        // SAFETY: the type says which member is meant.
        let old = unsafe { shorter.value.multimodal_input };
        // SAFETY: the same.
        let new = unsafe { input.value.multimodal_input };
        assert_eq!((old.prompt, old.video.video_embed), (new.prompt, new.video.video_embed));
        let fields = |image: &sys::rkllm13_image_input| {
            let tags = [image.image_start, image.image_end, image.image_content];
            (
                image.image_embed,
                [image.n_image, image.n_image_tokens, image.image_width, image.image_height],
                tags,
            )
        };
        assert_eq!(fields(&old.image), fields(&new.image));
    }
}
