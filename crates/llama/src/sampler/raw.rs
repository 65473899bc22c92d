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

    /// What the sampler leaves of `candidates`. There must be at least one: llama.cpp ends the
    /// process without.
    pub(super) fn apply<'a>(
        &mut self,
        candidates: &'a mut [sys::llama_token_data],
    ) -> Result<&'a mut [sys::llama_token_data], Error> {
        let mut array = sys::llama_token_data_array {
            data: candidates.as_mut_ptr(),
            size: candidates.len(),
            selected: -1,
            sorted: false,
        };
        // SAFETY: the candidates are a valid array of `size` entries; exceptions are caught.
        let status = unsafe { ffi::rkllmjs_llama_sampler_apply(self.0.as_ptr(), &raw mut array) };
        threw(status)?;
        // SAFETY: a sampler may shorten or reorder the array it was given, within its memory, which
        // is borrowed for as long as what is returned.
        Ok(unsafe { std::slice::from_raw_parts_mut(array.data, array.size) })
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
