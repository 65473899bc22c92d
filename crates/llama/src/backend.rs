use std::ffi::CStr;
use std::sync::OnceLock;

use llama_cpp_2::llama_backend::LlamaBackend;
use rkllmjs_core::{Error, ErrorCode};

use crate::log;

/// llama.cpp's process-wide state: made once, never freed, because engines may outlive any owner.
pub(crate) fn backend() -> Result<&'static LlamaBackend, Error> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let made = BACKEND.get_or_init(|| {
        log::install();
        LlamaBackend::init().map_err(|e| e.to_string())
    });
    made.as_ref().map_err(|e| Error::new(ErrorCode::EngineFailed, format!("llama.cpp does not start: {e}")))
}

/// Runs `work` when the process ends, before the destructors of llama.cpp's statics: libc calls
/// what was registered last first, and they were registered when the library was loaded.
pub fn at_exit(work: extern "C" fn()) {
    // SAFETY: registers a function that stays in memory for good: an addon is never unloaded.
    unsafe { libc::atexit(work) };
}

/// Which instruction sets this build of llama.cpp uses, in its own words.
pub fn system_info() -> String {
    // SAFETY: a plain function.
    let text = unsafe { llama_cpp_sys_2::llama_print_system_info() };
    // SAFETY: it returns a pointer to a static string that ends in NUL.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}
