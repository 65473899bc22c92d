//! What the tests need to know of this family.

use std::ffi::{CStr, c_int};

use libloading::Library;
use rkllmjs_rkllm_sys::*;

pub(crate) type InferParam = rkllm12_infer_param;
pub(crate) type Input = rkllm12_input;
pub(crate) type Param = rkllm12_param;
pub(crate) type CreateDefaultParam = rkllm12_create_default_param_fn;
pub(crate) type Run = rkllm12_run_fn;

pub(crate) const FILE: &str = "librkllmrt_standin_12.so";
pub(crate) const BANNER: &str = "RKLLM SDK (version: 1.2.3 | target: stand-in | build: ";
pub(crate) const RUNNING: c_int = 0;
pub(crate) const IDLE: c_int = 1;
/// What it does when logits of tokens are asked for with a history.
pub(crate) const LOGITS_WITH_HISTORY_ABORT: bool = true;
/// Bytes of the parameters; what is written of them besides the shared fields of the end.
pub(crate) const PARAM_BYTES: usize = 208;
/// What a run without data of its own gives to the callback.
pub(crate) const INIT_USERDATA: usize = 0;
pub(crate) const EXTEND_OFFSET: usize = 88;
/// Padding between the fields.
pub(crate) const UNWRITTEN: [usize; 6] = [58, 59, 60, 61, 62, 63];

pub(crate) fn init(
    library: &Library,
    handle: *mut rkllm_handle,
    param: *mut Param,
    function: rkllm12_result_callback,
) -> c_int {
    // SAFETY: the type is that of the symbol.
    let init: rkllm12_init_fn = unsafe { *library.get(b"rkllm_init\0").expect("rkllm_init") };
    let init = init.expect("a function");
    // SAFETY: the arguments are those of the tests.
    unsafe { init(handle, param, function) }
}

/// Asks for so many tokens where the family can.
pub(crate) fn limit(_: &mut InferParam, _: i32) -> bool {
    false
}

/// Has one run sample like this where the family can.
pub(crate) fn sample(_: &mut InferParam, _: *mut rkllm13_sampling_param) -> bool {
    false
}

/// Has answers go on past their end where the family can.
pub(crate) fn ignore_end(_: &mut Param) -> bool {
    false
}

/// This family fixes the texts round an image when the model is loaded.
pub(crate) fn image_texts(param: &mut Param, start: &'static CStr, end: &'static CStr) {
    param.img_start = start.as_ptr();
    param.img_end = end.as_ptr();
}

pub(crate) fn image_input(
    prompt: &CStr,
    rows: &mut [f32],
    rows_each: usize,
    images: usize,
    _: &CStr,
    _: &CStr,
) -> Input {
    let mut input = Input { input_type: RKLLM_INPUT_MULTIMODAL, ..Input::default() };
    input.value.multimodal_input = rkllm12_multimodal_input {
        prompt: prompt.as_ptr().cast_mut(),
        image_embed: rows.as_mut_ptr(),
        n_image_tokens: rows_each,
        n_image: images,
        ..Default::default()
    };
    input
}

/// Says how large the images of an input are.
pub(crate) fn image_size(input: &mut Input, width: usize, height: usize) {
    input.value.multimodal_input.image_width = width;
    input.value.multimodal_input.image_height = height;
}
