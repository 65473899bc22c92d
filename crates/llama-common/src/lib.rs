//! llama.cpp's `common` chat code: it renders a chat template and parses the answer of the model
//! family the template belongs to. JSON goes in and comes out; no exception leaves the shim.
//!
//! A template is somebody's program. It runs under limits on memory, time and recursion that the
//! shim enforces where the C++ code allocates (`cpp/limits.h`); passing one is an error, never an
//! abort.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::time::Duration;

// Links llama.cpp; nothing of it is named here.
use llama_cpp_sys_2 as _;

unsafe extern "C" {
    fn rkllmjs_chat_free_string(bytes: *mut c_char);
    fn rkllmjs_chat_templates_new(
        source: *const c_char,
        bos: *const c_char,
        eos: *const c_char,
        templates: *mut *mut c_void,
        message: *mut *mut c_char,
    ) -> c_int;
    fn rkllmjs_chat_templates_free(templates: *mut c_void);
    fn rkllmjs_chat_apply(
        templates: *const c_void,
        request: *const c_char,
        learn: c_int,
        cpu_ms: u64,
        out: *mut *mut c_char,
    ) -> c_int;
    fn rkllmjs_thread_clock() -> i64;
    fn rkllmjs_thread_clock_ns(clock: i64) -> i64;
    fn rkllmjs_chat_parser_new(
        parameters: *const c_char,
        parser: *mut *mut c_void,
        message: *mut *mut c_char,
    ) -> c_int;
    fn rkllmjs_chat_parser_free(parser: *mut c_void);
    fn rkllmjs_chat_parser_parse(
        parser: *const c_void,
        answer: *const c_char,
        partial: c_int,
        out: *mut *mut c_char,
    ) -> c_int;
}

/// Why the C++ code gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatError {
    /// It failed, in its own words.
    Failed(String),
    /// It passed a limit; the text says which, as in *the template …*.
    PassedLimit(String),
}

impl std::fmt::Display for ChatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(message) | Self::PassedLimit(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for ChatError {}

/// A parsed chat template.
#[derive(Debug)]
pub struct Templates(NonNull<c_void>);

// SAFETY: the object is plain memory without ties to the thread that made it.
unsafe impl Send for Templates {}

impl Templates {
    /// Parses `source`; `bos` and `eos` are the spellings the template may print.
    ///
    /// # Errors
    ///
    /// The template cannot be parsed, or holds a NUL character.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, ChatError> {
        // llama.cpp takes an empty one for "use the model's own" and asserts that there is a model.
        if source.is_empty() {
            return Err(failed("the template is empty"));
        }
        let (source, bos, eos) = (c_string(source)?, c_string(bos)?, c_string(eos)?);
        // SAFETY: the strings end in NUL and live through the call; both out pointers are writable.
        made(|templates, message| unsafe {
            rkllmjs_chat_templates_new(source.as_ptr(), bos.as_ptr(), eos.as_ptr(), templates, message)
        })
        .map(Self)
    }

    /// Renders a request, `{messages, tools?, tool_choice?, …}`, to `{prompt, format, parser,
    /// generation_prompt, stops, thinks, thoughts_begin, thoughts_end, knows_tools, grammar, grammar_lazy, triggers,
    /// preserved}`, of which plain answers have the prompt alone.
    ///
    /// With `continue_final_message` the prompt ends with the text of the last message, and so does
    /// `generation_prompt`; of plain answers that is not known.
    ///
    /// # Errors
    ///
    /// The template refuses the messages, or they have a form it does not know.
    pub fn apply(&self, request: &str, answers: Answers) -> Result<String, ChatError> {
        let cpu_ms = answers.cpu_ms(request.len());
        let request = c_string(request)?;
        let learn = match answers {
            Answers::Plain => 0,
            Answers::Thoughts => 1,
            Answers::Calls => 2,
        };
        let mut out = std::ptr::null_mut();
        // SAFETY: the template is alive while `self` is, the string ends in NUL, `out` is writable.
        let status =
            unsafe { rkllmjs_chat_apply(self.0.as_ptr(), request.as_ptr(), learn, cpu_ms, &raw mut out) };
        finish(status, out)
    }
}

impl Drop for Templates {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `rkllmjs_chat_templates_new` and is freed once.
        unsafe { rkllmjs_chat_templates_free(self.0.as_ptr()) }
    }
}

/// What is to be known of the answers to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Nothing: they are text.
    Plain,
    /// How the template's model writes thoughts. Takes some milliseconds.
    Thoughts,
    /// How it writes thoughts and calls of tools. Takes some milliseconds, more with many tools.
    Calls,
}

impl Answers {
    /// Milliseconds of a processor that rendering a request of so many bytes may take. A megabyte of messages takes
    /// about 150; learning how calls are written, some for each tool.
    pub fn cpu_ms(self, bytes: usize) -> u64 {
        let (base, bytes_per_ms) = match self {
            Self::Plain | Self::Thoughts => (CPU_MS, BYTES_PER_MS),
            Self::Calls => (CALLS_CPU_MS, CALLS_BYTES_PER_MS),
        };
        base + (bytes / bytes_per_ms) as u64
    }
}

const CPU_MS: u64 = 400;
const BYTES_PER_MS: usize = 4096;
const CALLS_CPU_MS: u64 = 500;
const CALLS_BYTES_PER_MS: usize = 64;

/// The processor time of one thread.
#[derive(Debug, Clone, Copy)]
pub struct ThreadClock(i64);

impl ThreadClock {
    /// That of the thread which calls.
    pub fn of_this_thread() -> Option<Self> {
        // SAFETY: it only asks for a number.
        let clock = unsafe { rkllmjs_thread_clock() };
        (clock != -1).then_some(Self(clock))
    }

    /// How long the thread has worked; none once it has ended.
    pub fn used(self) -> Option<Duration> {
        // SAFETY: it only reads a clock, and a clock that is gone is an error.
        let ns = unsafe { rkllmjs_thread_clock_ns(self.0) };
        u64::try_from(ns).ok().map(Duration::from_nanos)
    }
}

/// A parser of the answers to one rendered request.
#[derive(Debug)]
pub struct Parser(NonNull<c_void>);

// SAFETY: the object is plain memory without ties to the thread that made it.
unsafe impl Send for Parser {}

impl Parser {
    /// Makes the parser that rendering described by `format`, `parser` and `generation_prompt`.
    ///
    /// # Errors
    ///
    /// The description is not one that [`Templates::apply`] gave.
    pub fn new(parameters: &str) -> Result<Self, ChatError> {
        let parameters = c_string(parameters)?;
        // SAFETY: the string ends in NUL and lives through the call; both out pointers are writable.
        made(|parser, message| unsafe { rkllmjs_chat_parser_new(parameters.as_ptr(), parser, message) })
            .map(Self)
    }

    /// Parses an answer into an OpenAI-shaped message; of a finished one with calls `whole` says whether the
    /// last of them is complete.
    ///
    /// # Errors
    ///
    /// The answer does not have the form it should.
    pub fn parse(&self, answer: &str, progress: Progress) -> Result<String, ChatError> {
        let answer = c_string(answer)?;
        let partial = c_int::from(progress == Progress::Partial);
        let mut out = std::ptr::null_mut();
        // SAFETY: the parser is alive while `self` is, the string ends in NUL, `out` is writable.
        let status =
            unsafe { rkllmjs_chat_parser_parse(self.0.as_ptr(), answer.as_ptr(), partial, &raw mut out) };
        finish(status, out)
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `rkllmjs_chat_parser_new` and is freed once.
        unsafe { rkllmjs_chat_parser_free(self.0.as_ptr()) }
    }
}

/// How much of an answer there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More text may follow.
    Partial,
    /// Nothing follows.
    Final,
}

/// The status of a call that passed a limit.
const PASSED_LIMIT: c_int = -2;

fn failed(message: &str) -> ChatError {
    ChatError::Failed(message.to_owned())
}

fn c_string(text: &str) -> Result<CString, ChatError> {
    CString::new(text).map_err(|_| failed("a NUL character in the text"))
}

/// What a call of the shim makes: it writes an object, and its message.
fn made(
    call: impl FnOnce(*mut *mut c_void, *mut *mut c_char) -> c_int,
) -> Result<NonNull<c_void>, ChatError> {
    let mut object = std::ptr::null_mut();
    let mut message = std::ptr::null_mut();
    let status = call(&raw mut object, &raw mut message);
    finish(status, message)?;
    NonNull::new(object).ok_or_else(|| failed("nothing came back"))
}

fn finish(status: c_int, out: *mut c_char) -> Result<String, ChatError> {
    if out.is_null() {
        return Err(failed("out of memory"));
    }
    // SAFETY: the shim returns a string that ends in NUL, ours to read until freed.
    let text = unsafe { CStr::from_ptr(out) }.to_string_lossy().into_owned();
    // SAFETY: the string came from the shim and is freed once.
    unsafe { rkllmjs_chat_free_string(out) };
    match status {
        0 => Ok(text),
        PASSED_LIMIT => Err(ChatError::PassedLimit(text)),
        _ => Err(ChatError::Failed(text)),
    }
}
