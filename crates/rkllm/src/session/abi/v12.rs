//! The calls that 1.2.1 to 1.2.3 have in a form of their own.

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr;

use rkllmjs_rkllm_sys as sys;

use super::{OK, RawHandle};
use crate::library::Functions12;
use crate::session::callback::on_result;
use crate::session::request::{Content, Images, Mode, RunRequest};
use crate::session::settings::{ImageTags, SessionSettings};

/// Strings of a handle.
#[derive(Debug)]
pub(crate) struct Kept {
    model_path: CString,
    image_tags: ImageTags,
}

impl Kept {
    fn of(settings: &SessionSettings) -> Self {
        Self { model_path: settings.model_path.clone(), image_tags: settings.image_tags.clone() }
    }
}

pub(super) fn init(
    functions: &Functions12,
    settings: &SessionSettings,
) -> Result<(RawHandle, Box<Kept>), c_int> {
    let kept = Box::new(Kept::of(settings));
    let mut param = param(settings, &kept);
    let mut handle: RawHandle = ptr::null_mut();
    // SAFETY: the parameters are valid, and their strings live as long as the handle.
    let status = unsafe { (functions.init)(&raw mut handle, &raw mut param, Some(on_result)) };
    if status == OK && !handle.is_null() { Ok((handle, kept)) } else { Err(status) }
}

/// Every byte is set by us: the runtime's own defaults leave some of them as they were on the stack.
fn param(settings: &SessionSettings, kept: &Kept) -> sys::rkllm12_param {
    let sampling = &settings.sampling;
    sys::rkllm12_param {
        model_path: kept.model_path.as_ptr(),
        max_context_len: settings.context.cast_signed(),
        // The scheduler counts.
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
        is_async: 0,
        img_start: kept.image_tags.start.as_ptr(),
        img_end: kept.image_tags.end.as_ptr(),
        img_content: kept.image_tags.content.as_ptr(),
        extend_param: extend_param(settings),
    }
}

pub(super) fn extend_param(settings: &SessionSettings) -> sys::rkllm12_extend_param {
    sys::rkllm12_extend_param {
        base_domain_id: settings.npu_domain,
        embed_flash: i8::from(settings.embed_flash),
        enabled_cpus_num: i8::try_from(settings.cpu_count()).unwrap_or(i8::MAX),
        enabled_cpus_mask: settings.cpu_mask,
        n_batch: 1,
        use_cross_attn: 0,
        reserved: [0; 104],
    }
}

/// # Safety
///
/// As [`super::run`].
pub(super) unsafe fn run(
    functions: &Functions12,
    handle: RawHandle,
    request: &mut RunRequest,
    userdata: *mut c_void,
) -> c_int {
    let mut adapter = sys::rkllm12_lora_param {
        lora_adapter_name: request.adapter.as_deref().map_or(ptr::null(), CStr::as_ptr),
    };
    let mut cache = sys::rkllm12_prompt_cache_param {
        save_prompt_cache: 1,
        prompt_cache_path: request.save_cache.as_deref().map_or(ptr::null(), CStr::as_ptr),
    };
    let mut param = sys::rkllm12_infer_param {
        mode: mode(request.mode),
        lora_params: if request.adapter.is_some() { &raw mut adapter } else { ptr::null_mut() },
        prompt_cache_params: if request.save_cache.is_some() { &raw mut cache } else { ptr::null_mut() },
        keep_history: c_int::from(request.keep_history),
    };
    let mut input = input(request);
    // SAFETY: the caller's promise; everything that is pointed to lives until the call returns.
    unsafe { (functions.run)(handle, &raw mut input, &raw mut param, userdata) }
}

pub(super) fn mode(mode: Mode) -> sys::rkllm_infer_mode {
    match mode {
        Mode::Generate => sys::RKLLM_INFER_GENERATE,
        Mode::HiddenStates => sys::RKLLM_INFER_GET_LAST_HIDDEN_LAYER,
        Mode::Logits | Mode::LastLogits => sys::RKLLM_INFER_GET_LOGITS,
    }
}

fn input(request: &mut RunRequest) -> sys::rkllm12_input {
    let mut input = sys::rkllm12_input {
        role: request.role.as_deref().map_or(ptr::null(), CStr::as_ptr),
        enable_thinking: u8::from(request.thinking),
        ..sys::rkllm12_input::default()
    };
    match &mut request.content {
        Content::Tokens(tokens) => {
            input.input_type = sys::RKLLM_INPUT_TOKEN;
            input.value.token_input =
                sys::rkllm12_token_input { input_ids: tokens.as_mut_ptr(), n_tokens: tokens.len() };
        }
        Content::Text(text) => {
            input.input_type = sys::RKLLM_INPUT_PROMPT;
            input.value.prompt_input = text.as_ptr();
        }
        Content::Embeddings { values, rows } => {
            input.input_type = sys::RKLLM_INPUT_EMBED;
            input.value.embed_input =
                sys::rkllm12_embed_input { embed: values.as_mut_ptr(), n_tokens: *rows };
        }
        Content::Images(images) => {
            input.input_type = sys::RKLLM_INPUT_MULTIMODAL;
            input.value.multimodal_input = multimodal(images);
        }
    }
    input
}

fn multimodal(images: &mut Images) -> sys::rkllm12_multimodal_input {
    let [image_width, image_height] = images.size;
    sys::rkllm12_multimodal_input {
        // Not `const` in the vendor's header; a runtime that wrote to it would write to bytes that are ours alone.
        prompt: images.text.as_ptr().cast_mut(),
        image_embed: images.values.as_mut_ptr(),
        n_image_tokens: images.rows_each,
        n_image: images.count,
        image_width,
        image_height,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;
    use crate::session::settings::{HandleSampling, RuntimeLog};

    #[test]
    fn an_input_of_images_has_every_field_and_points_into_its_request() {
        let mut request = RunRequest::of_images();
        let input = input(&mut request);
        let images = request.images();
        assert_eq!((input.input_type, input.enable_thinking), (sys::RKLLM_INPUT_MULTIMODAL, 1));
        // SAFETY: the type says which member is meant.
        let value = unsafe { input.value.multimodal_input };
        assert_eq!(value.prompt.cast_const(), images.text.as_ptr());
        assert_eq!(value.image_embed.cast_const(), images.values.as_ptr());
        assert_eq!((value.n_image, value.n_image_tokens), (2, 1));
        assert_eq!((value.image_width, value.image_height), (392, 448));
    }

    #[test]
    fn the_texts_round_images_are_kept_as_long_as_the_handle() {
        let image_tags = RunRequest::of_images().images().tags.clone();
        let settings = SessionSettings {
            model_path: CString::from(c"a.rkllm"),
            context: 64,
            sampling: HandleSampling::default(),
            keep: -1,
            skip_special_tokens: true,
            ignore_end: false,
            image_tags: image_tags.clone(),
            npu_domain: 0,
            embed_flash: true,
            cpu_mask: 1,
            log: RuntimeLog::Output,
        };
        let kept = Kept::of(&settings);
        let param = param(&settings, &kept);
        drop(settings);
        for (given, expected) in [
            (param.img_start, image_tags.start),
            (param.img_end, image_tags.end),
            (param.img_content, image_tags.content),
        ] {
            // SAFETY: the text is kept, and ends in NUL.
            assert_eq!(unsafe { CStr::from_ptr(given) }, expected.as_c_str());
        }
    }
}
