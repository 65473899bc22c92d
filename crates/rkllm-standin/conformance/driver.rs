//! The library as its callers see it.

use std::ffi::{CStr, CString, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread::ThreadId;

use libloading::Library;
use rkllmjs_rkllm_standin::model_file;
use rkllmjs_rkllm_sys::*;

use crate::family::{self, InferParam, Input, Param};

/// The library beside this test's executable, where cargo puts it.
pub(crate) fn library_file() -> PathBuf {
    let executable = std::env::current_exe().expect("the path of this program");
    let deps = executable.parent().expect("its folder");
    let places = [deps.join(family::FILE), deps.parent().expect("the folder above").join(family::FILE)];
    places.into_iter().find(|path| path.is_file()).expect("cargo has built the library")
}

pub(crate) fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    // SAFETY: the library runs no code of its own when it is opened; it is never closed.
    LIBRARY.get_or_init(|| unsafe { Library::new(library_file()) }.expect("the library opens"))
}

/// A function of the library; `T` must be its type.
pub(crate) fn function<T: Copy>(name: &str) -> T {
    let name = CString::new(name).expect("a name");
    // SAFETY: callers pass the type that belongs to the name.
    unsafe { *library().get::<T>(name.as_bytes_with_nul()).expect("the symbol") }
}

/// One call of the callback.
#[derive(Debug, Clone, Default)]
pub(crate) struct Event {
    pub(crate) state: u32,
    pub(crate) is_null: bool,
    pub(crate) text: Option<Vec<u8>>,
    pub(crate) token: i32,
    pub(crate) hidden: Option<(Vec<f32>, i32, i32)>,
    pub(crate) logits: Option<(Vec<f32>, i32, i32)>,
    pub(crate) perf: rkllm12_perf_stat,
    /// Token and text of the other inputs of the batch.
    pub(crate) others: Vec<(i32, Option<Vec<u8>>)>,
    pub(crate) thread: Option<ThreadId>,
    /// Where the text was.
    pub(crate) text_address: usize,
}

/// What a run gave.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) status: c_int,
    pub(crate) events: Vec<Event>,
}

impl Record {
    pub(crate) fn text(&self) -> String {
        let normal = self.events.iter().filter(|event| event.state == RKLLM_RUN_NORMAL);
        let bytes: Vec<u8> = normal.filter_map(|event| event.text.clone()).flatten().collect();
        String::from_utf8(bytes).expect("whole characters")
    }

    pub(crate) fn states(&self) -> Vec<u32> {
        self.events.iter().map(|event| event.state).collect()
    }

    pub(crate) fn tokens(&self) -> Vec<i32> {
        let said = self.events.iter().filter(|event| event.state <= RKLLM_RUN_WAITING);
        said.map(|event| event.token).collect()
    }

    pub(crate) fn perf(&self) -> rkllm12_perf_stat {
        let last = self.events.last().expect("a last state");
        assert_eq!(last.state, RKLLM_RUN_FINISH, "{self:?}");
        last.perf
    }
}

type Answer<'a> = Box<dyn FnMut(&Event) -> c_int + 'a>;

struct Recorder<'a> {
    events: Vec<Event>,
    batch: usize,
    answer: Answer<'a>,
}

unsafe extern "C" fn record(result: *mut rkllm12_result, userdata: *mut c_void, state: u32) -> c_int {
    // SAFETY: every run of these tests passes a recorder that outlives it.
    let recorder = unsafe { &mut *userdata.cast::<Recorder<'_>>() };
    let event = read_event(result, state, recorder.batch);
    recorder.events.push(event.clone());
    (recorder.answer)(&event)
}

fn read_event(result: *mut rkllm12_result, state: u32, batch: usize) -> Event {
    let thread = Some(std::thread::current().id());
    if result.is_null() {
        return Event { state, is_null: true, thread, ..Event::default() };
    }
    // SAFETY: the library shows as many results as the batch has inputs.
    let results = unsafe { std::slice::from_raw_parts(result, batch) };
    let (first, rest) = results.split_first().expect("a result");
    let matrix = |values: *const f32, columns: i32, rows: i32| {
        let count = usize::try_from(columns * rows).expect("a count");
        // SAFETY: the library says how many there are.
        (!values.is_null())
            .then(|| (unsafe { std::slice::from_raw_parts(values, count) }.to_vec(), columns, rows))
    };
    let (hidden, logits) = (&first.last_hidden_layer, &first.logits);
    Event {
        state,
        is_null: false,
        text: bytes_at(first.text),
        token: first.token_id,
        hidden: matrix(hidden.hidden_states, hidden.embd_size, hidden.num_tokens),
        logits: matrix(logits.logits, logits.vocab_size, logits.num_tokens),
        perf: first.perf,
        others: rest.iter().map(|result| (result.token_id, bytes_at(result.text))).collect(),
        thread,
        text_address: first.text.addr(),
    }
}

fn bytes_at(text: *const std::ffi::c_char) -> Option<Vec<u8>> {
    // SAFETY: the library's texts end in NUL.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes().to_vec())
}

/// A file that is removed with this value.
pub(crate) struct TempFile(pub(crate) PathBuf);

impl TempFile {
    pub(crate) fn new(name: &str) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("standin-test-{}-{number}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn c_path(&self) -> CString {
        CString::new(self.0.to_str().expect("a path")).expect("a path")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(crate) fn tiny_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../models/tiny").join(name)
}

pub(crate) fn tiny_model() -> TempFile {
    let file = TempFile::new("tiny.rkllm");
    model_file::wrap(&tiny_file("rkllmjs-tiny-q8_0.gguf"), &file.0).expect("the model is wrapped");
    file
}

pub(crate) fn scripted_model(text: &str) -> TempFile {
    let file = TempFile::new("scripted.rkllm");
    model_file::write_scripted(text, &file.0).expect("the model is written");
    file
}

/// Greedy, small, and everything else by default.
pub(crate) fn param(path: &CString) -> Param {
    let mut param = Param { model_path: path.as_ptr(), ..Param::default() };
    param.max_context_len = 512;
    param.max_new_tokens = 64;
    param.top_k = 1;
    param.top_p = 0.9;
    param.temperature = 0.8;
    param.repeat_penalty = 1.0;
    param.mirostat_tau = 5.0;
    param.mirostat_eta = 0.1;
    param.n_keep = -1;
    param.skip_special_token = 1;
    param.extend_param.enabled_cpus_num = 1;
    param.extend_param.enabled_cpus_mask = 0x01;
    param.extend_param.n_batch = 1;
    param
}

pub(crate) fn init(param: &mut Param) -> Result<rkllm_handle, c_int> {
    let mut handle: rkllm_handle = std::ptr::null_mut();
    match family::init(library(), &raw mut handle, param, Some(record)) {
        0 => Ok(handle),
        status => {
            assert!(handle.is_null(), "a failed init leaves the handle alone");
            Err(status)
        }
    }
}

/// A loaded model, destroyed with this value.
pub(crate) struct Model {
    pub(crate) handle: rkllm_handle,
    batch: usize,
    _file: TempFile,
}

// SAFETY: the tests use it from other threads only as the vendor allows.
unsafe impl Sync for Model {}

impl Drop for Model {
    fn drop(&mut self) {
        let destroy: rkllm12_destroy_fn = function("rkllm_destroy");
        // SAFETY: the handle is valid until here.
        assert_eq!(unsafe { destroy.expect("a function")(self.handle) }, 0);
    }
}

impl Model {
    pub(crate) fn new(file: TempFile, set: impl FnOnce(&mut Param)) -> Self {
        let path = file.c_path();
        let mut param = param(&path);
        set(&mut param);
        let batch = usize::from(param.extend_param.n_batch);
        Self { handle: init(&mut param).expect("the model loads"), batch, _file: file }
    }

    pub(crate) fn tiny() -> Self {
        Self::new(tiny_model(), |_| ())
    }

    pub(crate) fn scripted(text: &str) -> Self {
        Self::new(scripted_model(text), |_| ())
    }

    pub(crate) fn run(&self, inputs: &mut [Input], param: &mut InferParam) -> Record {
        self.run_with(inputs, param, |_| 0)
    }

    pub(crate) fn run_with(
        &self,
        inputs: &mut [Input],
        param: &mut InferParam,
        answer: impl FnMut(&Event) -> c_int,
    ) -> Record {
        let mut recorder = Recorder { events: Vec::new(), batch: self.batch, answer: Box::new(answer) };
        let run: family::Run = function("rkllm_run");
        let userdata = (&raw mut recorder).cast::<c_void>();
        // SAFETY: all pointers live through the call.
        let status =
            unsafe { run.expect("a function")(self.handle, inputs.as_mut_ptr(), &raw mut *param, userdata) };
        Record { status, events: recorder.events }
    }

    /// What the model says to a prompt.
    pub(crate) fn ask(&self, prompt: &str) -> Record {
        let prompt = CString::new(prompt).expect("a prompt");
        self.run(&mut [prompt_input(&prompt)], &mut InferParam::default())
    }

    /// What the model says after these tokens.
    pub(crate) fn go_on(&self, tokens: &[i32]) -> Record {
        let mut tokens = tokens.to_vec();
        self.run(&mut [token_input(&mut tokens)], &mut InferParam::default())
    }

    /// A call that takes nothing but the handle.
    pub(crate) fn call(&self, name: &str) -> c_int {
        let call: rkllm12_abort_fn = function(name);
        // SAFETY: the named functions have this type.
        unsafe { call.expect("a function")(self.handle) }
    }

    pub(crate) fn cache_sizes(&self) -> Vec<i32> {
        let mut sizes = vec![-1; self.batch];
        let call: rkllm12_get_kv_cache_size_fn = function("rkllm_get_kv_cache_size");
        // SAFETY: there is room for each input of the batch.
        assert_eq!(unsafe { call.expect("a function")(self.handle, sizes.as_mut_ptr()) }, 0);
        sizes
    }

    pub(crate) fn clear(&self, keep_system_prompt: c_int, range: Option<(c_int, c_int)>) -> c_int {
        let call: rkllm12_clear_kv_cache_fn = function("rkllm_clear_kv_cache");
        let call = call.expect("a function");
        let null = std::ptr::null_mut();
        let (mut start, mut end) = range.unwrap_or_default();
        let (start, end) = if range.is_some() { (&raw mut start, &raw mut end) } else { (null, null) };
        // SAFETY: the positions have an entry, and the batch one input.
        unsafe { call(self.handle, keep_system_prompt, start, end) }
    }

    pub(crate) fn set_template(&self, system: &str, prefix: &str, postfix: &str) -> c_int {
        let call: rkllm12_set_chat_template_fn = function("rkllm_set_chat_template");
        let texts = [system, prefix, postfix].map(|text| CString::new(text).expect("a text"));
        let [system, prefix, postfix] = &texts;
        // SAFETY: the texts end in NUL.
        unsafe { call.expect("a function")(self.handle, system.as_ptr(), prefix.as_ptr(), postfix.as_ptr()) }
    }

    pub(crate) fn set_tools(&self, system: &str, tools: &str, tag: &str) -> c_int {
        let call: rkllm12_set_function_tools_fn = function("rkllm_set_function_tools");
        let texts = [system, tools, tag].map(|text| CString::new(text).expect("a text"));
        let [system, tools, tag] = &texts;
        // SAFETY: the texts end in NUL.
        unsafe { call.expect("a function")(self.handle, system.as_ptr(), tools.as_ptr(), tag.as_ptr()) }
    }

    pub(crate) fn load_lora(&self, path: &Path, name: &str) -> c_int {
        let call: rkllm12_load_lora_fn = function("rkllm_load_lora");
        let path = CString::new(path.to_str().expect("a path")).expect("a path");
        let name = CString::new(name).expect("a name");
        let mut adapter = rkllm12_lora_adapter {
            lora_adapter_path: path.as_ptr(),
            lora_adapter_name: name.as_ptr(),
            scale: 1.0,
        };
        // SAFETY: the adapter is valid through the call.
        unsafe { call.expect("a function")(self.handle, &raw mut adapter) }
    }

    pub(crate) fn load_prompt_cache(&self, file: &TempFile) -> c_int {
        let call: rkllm12_load_prompt_cache_fn = function("rkllm_load_prompt_cache");
        // SAFETY: the path ends in NUL.
        unsafe { call.expect("a function")(self.handle, file.c_path().as_ptr()) }
    }
}

/// A handle that may be carried to another thread, for `abort`.
#[derive(Clone, Copy)]
pub(crate) struct Carried(pub(crate) usize);

impl Carried {
    pub(crate) fn call(self, name: &str) -> c_int {
        let call: rkllm12_abort_fn = function(name);
        // SAFETY: the named functions have this type and may be called from any thread.
        unsafe { call.expect("a function")(std::ptr::without_provenance_mut(self.0)) }
    }
}

pub(crate) fn prompt_input(prompt: &CString) -> Input {
    let mut input = Input { role: c"user".as_ptr(), input_type: RKLLM_INPUT_PROMPT, ..Input::default() };
    input.value.prompt_input = prompt.as_ptr();
    input
}

pub(crate) fn token_input(tokens: &mut [i32]) -> Input {
    let mut input = Input { role: c"user".as_ptr(), input_type: RKLLM_INPUT_TOKEN, ..Input::default() };
    input.value.token_input = rkllm12_token_input { input_ids: tokens.as_mut_ptr(), n_tokens: tokens.len() };
    input
}

pub(crate) fn with_history() -> InferParam {
    InferParam { keep_history: 1, ..InferParam::default() }
}
