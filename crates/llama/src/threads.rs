use std::ptr::NonNull;
use std::time::Duration;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode};

use crate::flavour::{Flavour, flavour};

/// How long threads spin for the next graph before they sleep, in units of ggml: some milliseconds. The next step
/// begins within one; ggml's default of 50 spins for a third of a second after every answer on x86, whose pause
/// takes long.
const POLL: u32 = if cfg!(target_arch = "x86_64") { 1 } else { 50 };

/// A pool of compute threads of our own, of one engine.
///
/// Without one, and without OpenMP, ggml starts and ends its threads for every graph.
#[derive(Debug)]
pub struct ThreadPool {
    flavour: &'static Flavour,
    pool: NonNull<sys::ggml_threadpool>,
}

// SAFETY: the pool is only used by the context it is attached to, on whichever thread owns that.
unsafe impl Send for ThreadPool {}
// SAFETY: contexts that share a pool belong to one engine, whose thread computes with one of them at a time.
unsafe impl Sync for ThreadPool {}

impl ThreadPool {
    pub(crate) fn new(threads: u32) -> Result<Self, Error> {
        let threads = i32::try_from(threads).unwrap_or(1);
        // SAFETY: a plain function that returns a struct.
        let mut params = unsafe { sys::ggml_threadpool_params_default(threads) };
        params.poll = POLL;
        Self::start(params)
    }

    /// Starts the threads of a pool.
    ///
    /// # Errors
    ///
    /// `unsupported` if llama.cpp does not run on this CPU, `engine-failed` if they cannot be started.
    pub fn start(mut params: sys::ggml_threadpool_params) -> Result<Self, Error> {
        let flavour = flavour()?;
        let pool = NonNull::new(flavour.new_pool(&mut params)).ok_or_else(|| {
            let threads = params.n_threads;
            Error::new(ErrorCode::EngineFailed, format!("cannot start {threads} compute threads"))
        })?;
        Ok(Self { flavour, pool })
    }

    /// For llama.cpp. A context that it is attached to is freed before it.
    pub fn raw(&self) -> *mut sys::ggml_threadpool {
        self.pool.as_ptr()
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        // SAFETY: the owner has freed the context before; the pool is freed once.
        unsafe { self.flavour.free_pool(self.pool.as_ptr()) }
    }
}

/// Processor time of all threads of this process so far.
pub(crate) fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the place for the time is valid.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
