//! What the tests need to know of this family.

use std::ffi::{CStr, c_int};

use libloading::Library;
use rkllmjs_rkllm_sys::*;

pub(crate) type InferParam = rkllm13_infer_param;
pub(crate) type Input = rkllm13_input;
pub(crate) type Param = rkllm13_param;
pub(crate) type CreateDefaultParam = rkllm13_create_default_param_fn;
pub(crate) type Run = rkllm13_run_fn;

pub(crate) const FILE: &str = "librkllmrt_standin_13.so";
pub(crate) const BANNER: &str = "RKLLM SDK (version: 1.3.1 | target: stand-in | build: ";
pub(crate) const RUNNING: c_int = 1;
pub(crate) const IDLE: c_int = 0;
/// What it does when logits of tokens are asked for with a history.
pub(crate) const LOGITS_WITH_HISTORY_ABORT: bool = false;
/// Bytes of the parameters; what is written of them besides the shared fields of the end.
pub(crate) const PARAM_BYTES: usize = 184;
/// What a run without data of its own gives to the callback.
pub(crate) const INIT_USERDATA: usize = 64;
pub(crate) const EXTEND_OFFSET: usize = 60;
/// Padding between the fields.
pub(crate) const UNWRITTEN: [usize; 1] = [59];

pub(crate) fn init(
    library: &Library,
    handle: *mut rkllm_handle,
    param: *mut Param,
    function: rkllm13_result_callback,
) -> c_int {
    // SAFETY: the type is that of the symbol.
    let init: rkllm13_init_fn = unsafe { *library.get(b"rkllm_init\0").expect("rkllm_init") };
    let init = init.expect("a function");
    let mut callback = rkllm13_callback {
        result_callback: function,
        result_userdata: std::ptr::without_provenance_mut(INIT_USERDATA),
        ..Default::default()
    };
    // SAFETY: the arguments are those of the tests.
    unsafe { init(handle, param, &raw mut callback) }
}

/// Asks for so many tokens where the family can.
pub(crate) fn limit(param: &mut InferParam, most: i32) -> bool {
    param.max_new_tokens = most;
    true
}

/// Has one run sample like this where the family can.
pub(crate) fn sample(param: &mut InferParam, sampling: *mut rkllm13_sampling_param) -> bool {
    param.sampling_params = sampling;
    true
}

/// Has answers go on past their end where the family can.
pub(crate) fn ignore_end(param: &mut Param) -> bool {
    param.ignore_eos_token = 1;
    true
}

/// This family takes the texts round an image with the image.
pub(crate) fn image_texts(_: &mut Param, _: &'static CStr, _: &'static CStr) {}

pub(crate) fn image_input(
    prompt: &CStr,
    rows: &mut [f32],
    rows_each: usize,
    images: usize,
    start: &'static CStr,
    end: &'static CStr,
) -> Input {
    let mut input = Input { input_type: RKLLM_INPUT_MULTIMODAL, ..Input::default() };
    let mut value = rkllm13_multimodal_input { prompt: prompt.as_ptr().cast_mut(), ..Default::default() };
    value.image.image_embed = rows.as_mut_ptr();
    value.image.n_image_tokens = rows_each;
    value.image.n_image = images;
    value.image.image_start = start.as_ptr();
    value.image.image_end = end.as_ptr();
    input.value.multimodal_input = value;
    input
}

/// Says how large the images of an input are.
pub(crate) fn image_size(input: &mut Input, width: usize, height: usize) {
    input.value.multimodal_input.image.image_width = width;
    input.value.multimodal_input.image.image_height = height;
}
