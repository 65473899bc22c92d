//! The functions of `cpp/llama_shim.cpp`, `cpp/projector_shim.cpp` and `cpp/sound_shim.cpp`.

use std::ffi::{CStr, c_char, c_void};

use llama_cpp_sys_2 as sys;

/// What the shim returns for a status after an exception.
pub(crate) const THROWN: i32 = -1000;

unsafe extern "C" {
    fn rkllmjs_llama_message() -> *const c_char;
    pub(crate) fn rkllmjs_llama_context_new(
        model: *mut sys::llama_model,
        params: *const sys::llama_context_params,
    ) -> *mut sys::llama_context;
    pub(crate) fn rkllmjs_llama_decode(
        context: *mut sys::llama_context,
        batch: *const sys::llama_batch,
    ) -> i32;
    pub(crate) fn rkllmjs_llama_encode(
        context: *mut sys::llama_context,
        batch: *const sys::llama_batch,
    ) -> i32;
    pub(crate) fn rkllmjs_llama_remove(
        context: *mut sys::llama_context,
        sequence: i32,
        from: i32,
        to: i32,
    ) -> i32;
    pub(crate) fn rkllmjs_llama_can_share(context: *mut sys::llama_context) -> i32;
    pub(crate) fn rkllmjs_llama_share(
        context: *mut sys::llama_context,
        source: i32,
        target: i32,
        from: i32,
        to: i32,
        before: i32,
        last: i32,
    ) -> i32;
    pub(crate) fn rkllmjs_llama_numbers_of_a_place(model: *const sys::llama_model) -> i32;
    pub(crate) fn rkllmjs_llama_free_cells(context: *mut sys::llama_context) -> i32;
    pub(crate) fn rkllmjs_llama_extra_cell_bytes(context: *mut sys::llama_context) -> i32;
    pub(crate) fn rkllmjs_llama_clear(context: *mut sys::llama_context) -> i32;
    pub(crate) fn rkllmjs_llama_tokenize(
        vocab: *const sys::llama_vocab,
        text: *const c_char,
        length: i32,
        tokens: *mut sys::llama_token,
        most: i32,
        add_special: bool,
        parse_special: bool,
    ) -> i32;
    pub(crate) fn rkllmjs_llama_grammar_new(
        vocab: *const sys::llama_vocab,
        grammar: *const c_char,
        root: *const c_char,
    ) -> *mut sys::llama_sampler;
    pub(crate) fn rkllmjs_llama_grammar_lazy_new(
        vocab: *const sys::llama_vocab,
        grammar: *const c_char,
        root: *const c_char,
        patterns: *mut *const c_char,
        count: usize,
    ) -> *mut sys::llama_sampler;
    pub(crate) fn rkllmjs_llama_sampler_apply(
        sampler: *mut sys::llama_sampler,
        candidates: *mut sys::llama_token_data_array,
    ) -> i32;
    pub(crate) fn rkllmjs_llama_sampler_accept(
        sampler: *mut sys::llama_sampler,
        token: sys::llama_token,
    ) -> i32;
    pub(crate) fn rkllmjs_llama_adapter_new(
        model: *mut sys::llama_model,
        path: *const c_char,
    ) -> *mut sys::llama_adapter_lora;
    pub(crate) fn rkllmjs_llama_set_adapters(
        context: *mut sys::llama_context,
        adapters: *mut *mut sys::llama_adapter_lora,
        count: usize,
        scales: *mut f32,
    ) -> i32;
    pub(crate) fn rkllmjs_llama_set_control(
        context: *mut sys::llama_context,
        data: *const f32,
        length: usize,
        width: i32,
        layers: i32,
    ) -> i32;
    pub(crate) fn rkllmjs_llama_log_to(receive: sys::ggml_log_callback);
    pub(crate) fn rkllmjs_llama_quantize(
        input: *const c_char,
        output: *const c_char,
        params: *const sys::llama_model_quantize_params,
        is_wanted: unsafe extern "C" fn(*const c_void) -> bool,
        data: *const c_void,
    ) -> i32;
    pub(crate) fn rkllmjs_projector_new(
        path: *const c_char,
        model: *const sys::llama_model,
        threads: i32,
        use_gpu: bool,
        most_rows: i32,
        receive: sys::ggml_log_callback,
        is_wanted: unsafe extern "C" fn(*const c_void) -> bool,
        data: *const c_void,
    ) -> *mut sys::mtmd_context;
    pub(crate) fn rkllmjs_projector_free(projector: *mut sys::mtmd_context);
    pub(crate) fn rkllmjs_projector_sees(projector: *const sys::mtmd_context) -> i32;
    pub(crate) fn rkllmjs_projector_rate(projector: *const sys::mtmd_context) -> i32;
    pub(crate) fn rkllmjs_projector_hear(
        projector: *const sys::mtmd_context,
        count: usize,
        samples: *const f32,
    ) -> *mut sys::mtmd_input_chunks;
    pub(crate) fn rkllmjs_sound_open(bytes: *const u8, length: usize, kind: i32, rate: u32) -> *mut c_void;
    pub(crate) fn rkllmjs_sound_read(decoder: *mut c_void, samples: *mut f32, most: u64) -> u64;
    pub(crate) fn rkllmjs_sound_close(decoder: *mut c_void);
    pub(crate) fn rkllmjs_projector_read(
        projector: *const sys::mtmd_context,
        width: u32,
        height: u32,
        pixels: *const u8,
    ) -> *mut sys::mtmd_input_chunks;
    pub(crate) fn rkllmjs_projector_chunks_free(chunks: *mut sys::mtmd_input_chunks);
    pub(crate) fn rkllmjs_projector_chunk(
        projector: *const sys::mtmd_context,
        chunks: *const sys::mtmd_input_chunks,
        index: usize,
        tokens: *mut *const sys::llama_token,
        count: *mut usize,
    ) -> i32;
    pub(crate) fn rkllmjs_projector_place(
        chunks: *const sys::mtmd_input_chunks,
        index: usize,
        row: usize,
        place: *mut u32,
    ) -> i32;
    pub(crate) fn rkllmjs_projector_compute(
        projector: *mut sys::mtmd_context,
        chunks: *const sys::mtmd_input_chunks,
        index: usize,
        rows: *mut f32,
        length: usize,
        is_wanted: unsafe extern "C" fn(*const c_void) -> bool,
        data: *const c_void,
    ) -> i32;
}

/// What the last call of this thread threw, empty if it did not.
pub(crate) fn message() -> String {
    // SAFETY: a plain function.
    let text = unsafe { rkllmjs_llama_message() };
    // SAFETY: it returns this thread's own buffer, which always ends in NUL.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}
