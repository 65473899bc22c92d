use std::ffi::{CString, c_void};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{Error, ErrorCode};

use crate::{LogSink, backend, ffi, log};

/// Most bytes of rows held in memory at once; llama.cpp's own limit of 8 GiB is more than most boards have.
const BUFFER_BYTES_MAX: usize = 256 << 20;

/// What a model can be turned into: the published name, and llama.cpp's number for it.
///
/// Types that make garbage without an importance matrix are not among them.
pub const FILE_TYPES: [(&str, u32); 19] = [
    ("f32", sys::LLAMA_FTYPE_ALL_F32),
    ("f16", sys::LLAMA_FTYPE_MOSTLY_F16),
    ("bf16", sys::LLAMA_FTYPE_MOSTLY_BF16),
    ("q8_0", sys::LLAMA_FTYPE_MOSTLY_Q8_0),
    ("q6_k", sys::LLAMA_FTYPE_MOSTLY_Q6_K),
    ("q5_k_m", sys::LLAMA_FTYPE_MOSTLY_Q5_K_M),
    ("q5_k_s", sys::LLAMA_FTYPE_MOSTLY_Q5_K_S),
    ("q5_1", sys::LLAMA_FTYPE_MOSTLY_Q5_1),
    ("q5_0", sys::LLAMA_FTYPE_MOSTLY_Q5_0),
    ("q4_k_m", sys::LLAMA_FTYPE_MOSTLY_Q4_K_M),
    ("q4_k_s", sys::LLAMA_FTYPE_MOSTLY_Q4_K_S),
    ("q4_1", sys::LLAMA_FTYPE_MOSTLY_Q4_1),
    ("q4_0", sys::LLAMA_FTYPE_MOSTLY_Q4_0),
    ("iq4_nl", sys::LLAMA_FTYPE_MOSTLY_IQ4_NL),
    ("iq4_xs", sys::LLAMA_FTYPE_MOSTLY_IQ4_XS),
    ("q3_k_l", sys::LLAMA_FTYPE_MOSTLY_Q3_K_L),
    ("q3_k_m", sys::LLAMA_FTYPE_MOSTLY_Q3_K_M),
    ("q3_k_s", sys::LLAMA_FTYPE_MOSTLY_Q3_K_S),
    ("q2_k", sys::LLAMA_FTYPE_MOSTLY_Q2_K),
];

/// How a file is quantized.
#[derive(Clone)]
pub struct QuantizeOptions {
    /// One of the numbers of [`FILE_TYPES`].
    pub file_type: u32,
    /// Threads that compute.
    pub threads: u32,
    /// Whether to quantize what is quantized already.
    pub requantize: bool,
    /// Hears the log: a line a tensor, among others.
    pub log: LogSink,
}

impl fmt::Debug for QuantizeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuantizeOptions").field("file_type", &self.file_type).finish_non_exhaustive()
    }
}

/// Writes the model in `input` to `output` with its matrices in another type. Blocks for as long as that
/// takes; ends before the next tensor once `cancelled` is true.
///
/// The input must have been checked. What was written of the output by a call that fails is left there.
///
/// # Errors
///
/// `engine-failed` with llama.cpp's own words, also where it was stopped.
pub fn quantize(
    input: &Path,
    output: &Path,
    options: &QuantizeOptions,
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    backend::backend()?;
    let (input, output) = (c_path(input)?, c_path(output)?);
    // SAFETY: a plain function that returns a struct.
    let mut params = unsafe { sys::llama_model_quantize_default_params() };
    params.ftype = options.file_type;
    params.nthread = options.threads.cast_signed();
    params.allow_requantize = options.requantize;
    params.max_buf_size = BUFFER_BYTES_MAX;
    log::send_to(Some(LogSink::clone(&options.log)));
    log::take_error();
    // SAFETY: paths and parameters are valid through the call, the flag too; exceptions are caught by the shim.
    let status = unsafe {
        ffi::rkllmjs_llama_quantize(
            input.as_ptr(),
            output.as_ptr(),
            &raw const params,
            is_true,
            std::ptr::from_ref(cancelled).cast(),
        )
    };
    log::send_to(None);
    if status == 0 {
        return Ok(());
    }
    let why = log::take_error().unwrap_or_else(ffi::message);
    let why = why.strip_prefix("failed to quantize: ").unwrap_or(&why);
    Err(Error::new(ErrorCode::EngineFailed, why))
}

unsafe extern "C" fn is_true(flag: *const c_void) -> bool {
    // SAFETY: `quantize` passes a flag that it borrows until the call is over.
    let flag = unsafe { &*flag.cast::<AtomicBool>() };
    flag.load(Ordering::Relaxed)
}

fn c_path(path: &Path) -> Result<CString, Error> {
    let text = path.to_str().and_then(|path| CString::new(path).ok());
    text.ok_or_else(|| {
        Error::new(ErrorCode::InvalidRequest, format!("the path {} is not valid UTF-8", path.display()))
    })
}
