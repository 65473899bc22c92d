use std::ffi::CString;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode};

use crate::{Model, ffi, log};

/// A LoRA adapter loaded for one model.
#[derive(Debug)]
pub(crate) struct Adapter {
    adapter: NonNull<sys::llama_adapter_lora>,
    // The adapter registers itself with its model, so the model must outlive it.
    _model: Arc<Model>,
}

// SAFETY: only the thread that owns the engine uses or frees it.
unsafe impl Send for Adapter {}

impl Adapter {
    /// Loads a file that was checked to fit the model.
    pub(crate) fn load(model: &Arc<Model>, path: &Path) -> Result<Self, Error> {
        let bad = |why: String| {
            Error::new(ErrorCode::ModelInvalid, format!("cannot load the adapter {}: {why}", path.display()))
        };
        let text = path.to_str().and_then(|p| CString::new(p).ok());
        let text = text.ok_or_else(|| bad("its path is not valid UTF-8".to_owned()))?;
        log::take_error();
        // SAFETY: the model is alive and the path ends in NUL; exceptions are caught by the shim.
        let adapter = unsafe { ffi::rkllmjs_llama_adapter_new(model.raw(), text.as_ptr()) };
        let adapter =
            NonNull::new(adapter).ok_or_else(|| bad(log::take_error().unwrap_or_else(ffi::message)))?;
        Ok(Self { adapter, _model: Arc::clone(model) })
    }

    pub(crate) fn raw(&self) -> *mut sys::llama_adapter_lora {
        self.adapter.as_ptr()
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        // SAFETY: freed once; no context uses it any more, and the model is still alive.
        unsafe { sys::llama_adapter_lora_free(self.adapter.as_ptr()) }
    }
}
