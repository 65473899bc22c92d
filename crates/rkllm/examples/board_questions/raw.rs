//! The library's own calls, in one form for both of its interfaces.

use std::ffi::{CStr, CString, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;

use libloading::os::unix::Library;
use rkllmjs_rkllm::library::{Abi, Search, survey};
use rkllmjs_rkllm_sys as sys;

/// Every run ends after so many tokens, whatever it was asked for.
const TOKENS_MAX: usize = 64;

const CONTEXT: i32 = 512;

/// Vectors of an image, and numbers of each: as many as the longest known model has, since a shorter one reads fewer.
const IMAGE_ROWS: usize = 32;
const IMAGE_COLUMNS: usize = 16_384;

/// Fills what both interfaces have under the same names: greedy, and four processors where there are as many.
macro_rules! fill {
    ($param:ident, $path:ident) => {
        $param.model_path = $path.as_ptr();
        $param.max_context_len = CONTEXT;
        $param.max_new_tokens = -1;
        $param.top_k = 1;
        $param.n_keep = -1;
        $param.top_p = 0.9;
        $param.temperature = 0.8;
        $param.repeat_penalty = 1.0;
        $param.mirostat_tau = 5.0;
        $param.mirostat_eta = 0.1;
        $param.skip_special_token = 1;
        let (count, mask) = processors();
        $param.extend_param.embed_flash = 1;
        $param.extend_param.enabled_cpus_num = count;
        $param.extend_param.enabled_cpus_mask = mask;
        $param.extend_param.n_batch = 1;
    };
}

/// An open library.
pub(crate) struct Raw {
    /// Never dropped before the process ends: its threads may run until then.
    library: std::mem::ManuallyDrop<Library>,
    pub(crate) abi: Abi,
}

/// A loaded model, with what must live as long.
pub(crate) struct Handle {
    handle: sys::rkllm_handle,
    _path: CString,
    _callback: Box<sys::rkllm13_callback>,
}

// SAFETY: whether calls from several threads go well is what some questions ask; the others make none.
unsafe impl Sync for Handle {}

/// What a run is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ask {
    pub(crate) keep_history: bool,
    /// The most tokens, where the run can be told.
    pub(crate) most: Option<i32>,
    /// Gives sampling settings, all of them zero.
    pub(crate) zero_sampling: bool,
    /// Gives an image with the prompt, all of whose numbers are these.
    pub(crate) image: Option<f32>,
}

/// What a run was seen to do.
pub(crate) struct Record {
    caller: ThreadId,
    states: Mutex<Vec<u32>>,
    pub(crate) tokens: AtomicUsize,
    pub(crate) has_other_thread: AtomicBool,
    /// Tokens of the prompt that were computed, as the end of the run says; -1 if it says nothing.
    pub(crate) prefilled: AtomicI32,
    /// Answer with a pause from this token on.
    pause_after: usize,
}

impl Record {
    pub(crate) fn new(pause_after: Option<usize>) -> Self {
        Self {
            caller: std::thread::current().id(),
            states: Mutex::default(),
            tokens: AtomicUsize::new(0),
            has_other_thread: AtomicBool::new(false),
            prefilled: AtomicI32::new(-1),
            pause_after: pause_after.unwrap_or(TOKENS_MAX),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.tokens.load(Ordering::SeqCst)
    }

    /// The states in order, equal ones together: `8 NORMAL, FINISH`.
    pub(crate) fn states(&self) -> String {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = states.chunk_by(|a, b| a == b).map(|run| {
            let name = match run.first() {
                Some(&sys::RKLLM_RUN_NORMAL) => "NORMAL",
                Some(&sys::RKLLM_RUN_WAITING) => "WAITING",
                Some(&sys::RKLLM_RUN_FINISH) => "FINISH",
                Some(&sys::RKLLM_RUN_ERROR) => "ERROR",
                _ => "unknown",
            };
            if run.len() == 1 { name.to_owned() } else { format!("{} {name}", run.len()) }
        });
        let text = runs.collect::<Vec<_>>().join(", ");
        if text.is_empty() { "none".to_owned() } else { text }
    }
}

unsafe extern "C" fn on_result(result: *mut sys::rkllm12_result, userdata: *mut c_void, state: u32) -> c_int {
    if userdata.is_null() {
        return 0;
    }
    // SAFETY: every run passes a record that outlives it.
    let record = unsafe { &*userdata.cast::<Record>() };
    if std::thread::current().id() != record.caller {
        record.has_other_thread.store(true, Ordering::SeqCst);
    }
    record.states.lock().unwrap_or_else(PoisonError::into_inner).push(state);
    // SAFETY: the library's result is null or valid until this returns.
    if let (sys::RKLLM_RUN_FINISH, Some(result)) = (state, unsafe { result.as_ref() }) {
        record.prefilled.store(result.perf.prefill_tokens, Ordering::SeqCst);
    }
    let is_token = matches!(state, sys::RKLLM_RUN_NORMAL | sys::RKLLM_RUN_WAITING);
    let tokens = record.tokens.fetch_add(usize::from(is_token), Ordering::SeqCst) + usize::from(is_token);
    c_int::from(is_token && tokens >= record.pause_after)
}

impl Raw {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let survey = survey(&Search { library_path: Some(path), ..Search::default() });
        let abi = survey.found.and_then(|found| found.abi).ok_or("the library's version is not known")?;
        // SAFETY: the caller names a library to be run.
        let library = unsafe { Library::open(Some(path), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let library = library.map_err(|error| error.to_string())?;
        Ok(Self { library: std::mem::ManuallyDrop::new(library), abi })
    }

    /// # Safety
    ///
    /// `T` must be the type of the function `name`.
    unsafe fn function<T: Copy>(&self, name: &str) -> Result<T, String> {
        // SAFETY: the caller's promise.
        let symbol = unsafe { self.library.get::<T>(name) };
        symbol.map(|symbol| *symbol).map_err(|error| error.to_string())
    }

    /// What the library writes as its defaults, twice.
    pub(crate) fn defaults(&self) -> Result<[[u8; 512]; 2], String> {
        // SAFETY: an address may be looked at as a pointer.
        let create = unsafe { self.function::<*const ()>("rkllm_createDefaultParam") }?;
        // SAFETY: every version of the library has this function in this form.
        unsafe { rkllmjs_rkllm::library::defaults(create) }.ok_or_else(|| "not on this machine".to_owned())
    }

    pub(crate) fn load(&self, model: &Path) -> Result<Handle, String> {
        let path = CString::new(model.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        let mut callback = Box::new(sys::rkllm13_callback::default());
        callback.result_callback = Some(on_result);
        let mut handle: sys::rkllm_handle = std::ptr::null_mut();
        let status = match self.abi {
            Abi::V12 => {
                let tag = c"".as_ptr();
                let mut param = sys::rkllm12_param {
                    img_start: tag,
                    img_end: tag,
                    img_content: tag,
                    ..sys::rkllm12_param::default()
                };
                fill!(param, path);
                // SAFETY: the type is that of the symbol in this interface.
                let init =
                    unsafe { self.function::<sys::rkllm12_init_fn>("rkllm_init") }?.ok_or("no init")?;
                // SAFETY: everything lives through the call, and the path longer.
                unsafe { init(&raw mut handle, &raw mut param, Some(on_result)) }
            }
            Abi::V13 => {
                let mut param = sys::rkllm13_param::default();
                fill!(param, path);
                // SAFETY: the type is that of the symbol in this interface.
                let init =
                    unsafe { self.function::<sys::rkllm13_init_fn>("rkllm_init") }?.ok_or("no init")?;
                // SAFETY: everything lives through the call, path and callback longer.
                unsafe { init(&raw mut handle, &raw mut param, &raw mut *callback) }
            }
        };
        if status != 0 || handle.is_null() {
            return Err(format!("rkllm_init returned {status}"));
        }
        Ok(Handle { handle, _path: path, _callback: callback })
    }

    /// Runs a prompt to its end; what `rkllm_run` returned.
    pub(crate) fn run(
        &self,
        model: &Handle,
        prompt: &CStr,
        ask: Ask,
        record: &Record,
    ) -> Result<c_int, String> {
        let userdata = std::ptr::from_ref(record).cast_mut().cast::<c_void>();
        let keep_history = c_int::from(ask.keep_history);
        let mut image = ask.image.map(|number| vec![number; IMAGE_ROWS * IMAGE_COLUMNS]);
        match self.abi {
            Abi::V12 => {
                let mut input = sys::rkllm12_input { role: c"user".as_ptr(), ..Default::default() };
                input.input_type = sys::RKLLM_INPUT_PROMPT;
                input.value.prompt_input = prompt.as_ptr();
                if let Some(image) = &mut image {
                    input.input_type = sys::RKLLM_INPUT_MULTIMODAL;
                    input.value.multimodal_input = sys::rkllm12_multimodal_input {
                        prompt: prompt.as_ptr().cast_mut(),
                        image_embed: image.as_mut_ptr(),
                        n_image_tokens: IMAGE_ROWS,
                        n_image: 1,
                        ..Default::default()
                    };
                }
                let mut param = sys::rkllm12_infer_param { keep_history, ..Default::default() };
                // SAFETY: the type is that of the symbol in this interface.
                let run = unsafe { self.function::<sys::rkllm12_run_fn>("rkllm_run") }?.ok_or("no run")?;
                // SAFETY: everything lives through the call.
                Ok(unsafe { run(model.handle, &raw mut input, &raw mut param, userdata) })
            }
            Abi::V13 => {
                let mut input = sys::rkllm13_input { role: c"user".as_ptr(), ..Default::default() };
                input.input_type = sys::RKLLM_INPUT_PROMPT;
                input.value.prompt_input = prompt.as_ptr();
                if let Some(image) = &mut image {
                    input.input_type = sys::RKLLM_INPUT_MULTIMODAL;
                    let tag = c"".as_ptr();
                    let image = sys::rkllm13_image_input {
                        image_embed: image.as_mut_ptr(),
                        n_image_tokens: IMAGE_ROWS,
                        n_image: 1,
                        image_start: tag,
                        image_end: tag,
                        image_content: tag,
                        ..Default::default()
                    };
                    let prompt = prompt.as_ptr().cast_mut();
                    input.value.multimodal_input =
                        sys::rkllm13_multimodal_input { prompt, image, ..Default::default() };
                }
                let mut zeros = sys::rkllm13_sampling_param::default();
                let mut param = sys::rkllm13_infer_param { keep_history, ..Default::default() };
                param.max_new_tokens = ask.most.unwrap_or(TOKENS_MAX as i32);
                if ask.zero_sampling {
                    param.sampling_params = &raw mut zeros;
                }
                // SAFETY: the type is that of the symbol in this interface.
                let run = unsafe { self.function::<sys::rkllm13_run_fn>("rkllm_run") }?.ok_or("no run")?;
                // SAFETY: everything lives through the call.
                Ok(unsafe { run(model.handle, &raw mut input, &raw mut param, userdata) })
            }
        }
    }

    /// A call that takes nothing but the handle: abort, is_running, destroy.
    pub(crate) fn call(&self, name: &str, model: &Handle) -> Result<c_int, String> {
        // SAFETY: the named functions have this type in both interfaces.
        let call = unsafe { self.function::<sys::rkllm12_abort_fn>(name) }?.ok_or("no such call")?;
        // SAFETY: the model is loaded.
        Ok(unsafe { call(model.handle) })
    }
}

/// How many processors, and which: the fast ones of a chip with eight.
fn processors() -> (i8, u32) {
    match std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
        8.. => (4, 0xf0),
        4..8 => (4, 0x0f),
        _ => (1, 0x01),
    }
}
