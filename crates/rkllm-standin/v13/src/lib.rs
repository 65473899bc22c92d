//! `librkllmrt` 1.3.1 as a stand-in: the vendor's names of that family.

#[path = "../../face.rs"]
mod face;

use std::ffi::c_char;

/// What a reader of the library's bytes looks for.
#[used]
static BANNER: [u8; 71] = *b"RKLLM SDK (version: 1.3.1 | target: stand-in | build: 00000000 rkllmjs)";

/// The stand-in's own version: no library of the vendor's has this name.
#[unsafe(no_mangle)]
pub extern "C" fn rkllmjs_standin_version() -> *const c_char {
    std::hint::black_box(&BANNER);
    concat!(env!("CARGO_PKG_VERSION"), " for 1.3.1\0").as_ptr().cast()
}

face::exports! {
    "standin13_":
    rkllm_init,
    rkllm_run,
    rkllm_run_async,
    rkllm_is_running,
    rkllm_destroy,
    rkllm_abort,
    rkllm_load_lora,
    rkllm_load_prompt_cache,
    rkllm_release_prompt_cache,
    rkllm_clear_kv_cache,
    rkllm_get_kv_cache_size,
    rkllm_set_chat_template,
    rkllm_set_function_tools,
    rkllm_set_cross_attn_params,
    rkllm_createDefaultParam,
}
