use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

use llama_cpp_sys_2 as sys;

use crate::ffi;

/// How grave a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// For developers of llama.cpp.
    Debug,
    /// What it is doing.
    Info,
    /// What may surprise.
    Warn,
    /// What failed.
    Error,
}

impl LogLevel {
    /// The level of a published name; `Info` for any other.
    pub fn from_name(name: &str) -> Self {
        match name {
            "debug" => Self::Debug,
            "warn" => Self::Warn,
            "error" => Self::Error,
            _ => Self::Info,
        }
    }

    /// The published name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Takes the lines llama.cpp logs, from whichever thread works for the model.
pub type LogSink = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

thread_local! {
    static LOG: RefCell<ThreadLog> = RefCell::new(ThreadLog::default());
}

/// llama.cpp has one log for the whole process; which model a line belongs to is told by the
/// thread it comes from, because one thread works for one model.
#[derive(Default)]
struct ThreadLog {
    sink: Option<LogSink>,
    level: Option<LogLevel>,
    line: String,
    last_error: Option<String>,
}

/// Routes this thread's lines to `sink` from now on.
pub(crate) fn send_to(sink: Option<LogSink>) {
    LOG.with_borrow_mut(|log| log.sink = sink);
}

/// The last error line of this thread since the last call, without the function's name in front.
pub(crate) fn take_error() -> Option<String> {
    let line = LOG.with_borrow_mut(|log| log.last_error.take())?;
    let text = line.split_once(": ").map_or(line.as_str(), |(_, rest)| rest);
    Some(text.trim().to_owned())
}

/// Makes llama.cpp log here instead of to stderr, for the whole process.
pub(crate) fn install() {
    // SAFETY: the callback is a plain function that never unwinds; it needs no user data.
    unsafe { ffi::rkllmjs_llama_log_to(Some(receive)) }
}

pub(crate) unsafe extern "C" fn receive(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: llama.cpp passes a NUL-terminated string that lives through the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    // A sink that panics must not unwind into C++; a line logged while a line is handled is dropped.
    let _ = std::panic::catch_unwind(|| {
        let line = LOG.with(|log| log.try_borrow_mut().ok().and_then(|mut log| log.add(level, &text)));
        if let Some((sink, level, line)) = line {
            sink(level, &line);
        }
    });
}

impl ThreadLog {
    /// Adds a piece of a line; the line once it is whole and somebody listens.
    fn add(&mut self, level: sys::ggml_log_level, text: &str) -> Option<(LogSink, LogLevel, String)> {
        let level = match level {
            sys::GGML_LOG_LEVEL_DEBUG => Some(LogLevel::Debug),
            sys::GGML_LOG_LEVEL_INFO => Some(LogLevel::Info),
            sys::GGML_LOG_LEVEL_WARN => Some(LogLevel::Warn),
            sys::GGML_LOG_LEVEL_ERROR => Some(LogLevel::Error),
            // The continuation of the line before.
            _ => self.level,
        };
        self.level = level;
        self.line.push_str(text);
        if !self.line.ends_with('\n') && self.line.len() < 4096 {
            return None;
        }
        let line = std::mem::take(&mut self.line).trim_end().to_owned();
        let level = level.unwrap_or(LogLevel::Info);
        if level == LogLevel::Error {
            self.last_error = Some(line.clone());
        }
        Some((self.sink.clone()?, level, line))
    }
}
