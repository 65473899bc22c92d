use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode, Token};

use crate::ffi;

/// One sampler of llama.cpp.
#[derive(Debug)]
pub(super) struct RawSampler(NonNull<sys::llama_sampler>);

// SAFETY: a sampler is plain memory; only the thread that owns the engine uses it.
unsafe impl Send for RawSampler {}

impl RawSampler {
    pub(super) fn from_raw(raw: *mut sys::llama_sampler, what: &str) -> Result<Self, Error> {
        NonNull::new(raw)
            .map(Self)
            .ok_or_else(|| Error::new(ErrorCode::EngineFailed, format!("llama.cpp made no {what} sampler")))
    }

    pub(super) fn apply(&mut self, candidates: &mut sys::llama_token_data_array) -> Result<(), Error> {
        // SAFETY: the candidates are a valid array of `size` entries; exceptions are caught.
        let status = unsafe { ffi::rkllmjs_llama_sampler_apply(self.0.as_ptr(), candidates) };
        threw(status)
    }

    pub(super) fn accept(&mut self, token: Token) -> Result<(), Error> {
        // SAFETY: the sampler is alive; exceptions are caught.
        let status = unsafe { ffi::rkllmjs_llama_sampler_accept(self.0.as_ptr(), token.cast_signed()) };
        threw(status)
    }
}

impl Drop for RawSampler {
    fn drop(&mut self) {
        // SAFETY: freed once.
        unsafe { sys::llama_sampler_free(self.0.as_ptr()) }
    }
}

fn threw(status: i32) -> Result<(), Error> {
    if status == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorCode::EngineFailed, format!("sampling failed: {}", ffi::message())))
}
