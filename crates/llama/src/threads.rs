use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode};

/// A pool of compute threads of our own.
///
/// Without one, and without OpenMP, ggml starts and ends its threads for every graph.
#[derive(Debug)]
pub(crate) struct ThreadPool(NonNull<sys::ggml_threadpool>);

// SAFETY: the pool is only used by the context it is attached to, on whichever thread owns that.
unsafe impl Send for ThreadPool {}

impl ThreadPool {
    pub(crate) fn new(threads: u32) -> Result<Self, Error> {
        let threads = i32::try_from(threads).unwrap_or(1);
        // SAFETY: a plain function that returns a struct.
        let mut params = unsafe { sys::ggml_threadpool_params_default(threads) };
        // SAFETY: the parameters are valid and only read.
        let pool = unsafe { sys::ggml_threadpool_new(&raw mut params) };
        NonNull::new(pool).map(Self).ok_or_else(|| {
            Error::new(ErrorCode::EngineFailed, format!("cannot start {threads} compute threads"))
        })
    }

    pub(crate) fn raw(&self) -> *mut sys::ggml_threadpool {
        self.0.as_ptr()
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        // SAFETY: the owner has freed the context before; the pool is freed once.
        unsafe { sys::ggml_threadpool_free(self.0.as_ptr()) }
    }
}
