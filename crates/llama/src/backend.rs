use std::ffi::CStr;
use std::sync::OnceLock;

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::{LlamaBackendDevice, LlamaBackendDeviceType};
use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode};

use crate::flavour::{Flavour, flavour};
use crate::log;

/// Blocks from this size on are mapped by themselves: far above what programs allocate often, below a model's buffers.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 4 << 20;

/// llama.cpp's process-wide state: made once, never freed, because engines may outlive any owner.
pub(crate) fn backend() -> Result<&'static LlamaBackend, Error> {
    static BACKEND: OnceLock<Result<LlamaBackend, Error>> = OnceLock::new();
    let made = BACKEND.get_or_init(|| {
        log::install();
        map_large_memory();
        // Whatever computes asks for the backend first.
        flavour()?;
        LlamaBackend::init()
            .map_err(|e| Error::new(ErrorCode::EngineFailed, format!("llama.cpp does not start: {e}")))
    });
    made.as_ref().map_err(Clone::clone)
}

/// Has the C library map large blocks by themselves, so that freeing one gives it back. glibc raises its own limit
/// with every large block that is freed, up to 32 MiB, and then cuts the next ones from heaps whose unused end
/// `malloc_trim` leaves alone on every thread but the first: whole models stayed behind there.
fn map_large_memory() {
    // Setting the one stops the other from following at twice its value, as glibc has it; 128 KiB is left then.
    #[cfg(target_env = "gnu")]
    for (setting, bytes) in [(libc::M_MMAP_THRESHOLD, LARGE_BYTES), (libc::M_TRIM_THRESHOLD, 2 * LARGE_BYTES)]
    {
        // SAFETY: a plain function that may be called at any time; glibc locks its own settings.
        unsafe { libc::mallopt(setting, bytes) };
    }
}

/// A GPU that llama.cpp can compute on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// What it is called.
    pub name: String,
    /// What computes on it, such as `CUDA`.
    pub backend: String,
    /// Bytes of its memory.
    pub memory_total: u64,
    /// Bytes of it that are free.
    pub memory_free: u64,
}

/// The GPUs that this build can use; none in a build for the CPU alone, where nothing is started to look.
pub fn gpus() -> Vec<Gpu> {
    if !cfg!(any(feature = "cuda", feature = "metal", feature = "vulkan")) || backend().is_err() {
        return Vec::new();
    }
    let is_gpu = |device: &LlamaBackendDevice| {
        matches!(device.device_type, LlamaBackendDeviceType::Gpu | LlamaBackendDeviceType::IntegratedGpu)
    };
    let devices = llama_cpp_2::list_llama_ggml_backend_devices();
    let described = |device: LlamaBackendDevice| Gpu {
        name: device.description,
        backend: device.backend,
        memory_total: device.memory_total as u64,
        memory_free: device.memory_free as u64,
    };
    devices.into_iter().filter(is_gpu).map(described).collect()
}

/// Whether there is a GPU that this build can use.
pub fn has_gpu() -> bool {
    !gpus().is_empty()
}

/// Starts llama.cpp's process-wide state, if it is not there yet.
///
/// # Errors
///
/// `unsupported` if this CPU cannot run it, `engine-failed` if it does not start.
pub fn start() -> Result<(), Error> {
    backend().map(|_| ())
}

/// Runs `work` when the process ends. libc calls what was registered last first, and the C++ library
/// registers a static's destructor when the static is made: what is registered after llama.cpp's
/// statics were made runs while they still live.
pub fn at_exit(work: extern "C" fn()) {
    // SAFETY: registers a function that stays in memory for good: an addon is never unloaded.
    unsafe { libc::atexit(work) };
}

/// Gives memory that was freed back to the system. The C library keeps it otherwise, and a model's
/// share of it is large.
pub fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: a plain function that may be called at any time.
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Which of the addon's builds for levels of CPU this process computes with, such as `avx2`.
///
/// # Errors
///
/// `unsupported` if this CPU runs none.
pub fn cpu_flavour() -> Result<&'static str, Error> {
    flavour().map(Flavour::name)
}

/// Which instruction sets llama.cpp uses on this CPU, in its own words; empty if it does not run on it.
pub fn system_info() -> String {
    if flavour().is_err() {
        return String::new();
    }
    // SAFETY: a plain function.
    let text = unsafe { sys::llama_print_system_info() };
    // SAFETY: it returns a pointer to a static string that ends in NUL.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}
