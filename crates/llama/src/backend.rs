use std::ffi::CStr;
use std::sync::OnceLock;

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::{LlamaBackendDevice, LlamaBackendDeviceType};
use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode};

use crate::{log, operations};

/// Blocks from this size on are mapped by themselves: far above what programs allocate often, below a model's buffers.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 4 << 20;

/// llama.cpp's process-wide state: made once, never freed, because engines may outlive any owner.
pub(crate) fn backend() -> Result<&'static LlamaBackend, Error> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let made = BACKEND.get_or_init(|| {
        log::install();
        map_large_memory();
        let backend = LlamaBackend::init().map_err(|e| e.to_string())?;
        make_statics();
        // Whatever computes asks for the backend first.
        operations::register();
        Ok(backend)
    });
    made.as_ref().map_err(|e| Error::new(ErrorCode::EngineFailed, format!("llama.cpp does not start: {e}")))
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

/// Makes ggml construct the statics that every computation reads, so that what is registered for the
/// end of the process after this runs before their destructors.
fn make_statics() {
    // SAFETY: plain look-ups; the CPU device always exists.
    let device = unsafe { sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU) };
    if device.is_null() {
        return;
    }
    // SAFETY: the device is not null.
    let registry = unsafe { sys::ggml_backend_dev_backend_reg(device) };
    // SAFETY: the registry belongs to the device; the name ends in NUL.
    let function = unsafe {
        sys::ggml_backend_reg_get_proc_address(registry, c"ggml_backend_dev_get_extra_bufts".as_ptr())
    };
    if function.is_null() {
        return;
    }
    // SAFETY: the function of this name has this type, `ggml_backend_dev_get_extra_bufts_t`.
    let extra_buffers = unsafe {
        std::mem::transmute::<
            *mut std::ffi::c_void,
            unsafe extern "C" fn(sys::ggml_backend_dev_t) -> *mut sys::ggml_backend_buffer_type_t,
        >(function)
    };
    // SAFETY: it takes the device it was looked up for.
    let _ = unsafe { extra_buffers(device) };
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
/// `engine-failed` if it does not start.
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

/// Which instruction sets this build of llama.cpp uses, in its own words.
pub fn system_info() -> String {
    // SAFETY: a plain function.
    let text = unsafe { sys::llama_print_system_info() };
    // SAFETY: it returns a pointer to a static string that ends in NUL.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_string_lossy().into_owned()
}
