//! The thread that owns a handle, and the abort that reaches it from outside.

use std::ffi::{CString, c_int, c_void};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rkllmjs_core::{ClearCache, Error, ErrorCode};

use super::abi::{self, Kept, OK, RawHandle};
use super::callback::RunContext;
use super::exchange::{Event, Exchange};
use super::request::{Content, RunRequest};
use super::settings::{RuntimeLog, SessionSettings};
use crate::library::{Abi, Library};

/// Two opens at once are undefined in the runtime, so all of this process take turns.
static OPENING: Mutex<()> = Mutex::new(());

/// How long a run that was asked to end may compute before the runtime is told to abort.
const BEFORE_ABORT: Duration = Duration::from_millis(20);
/// How long a run may take to end that has nothing left to compute; it may have a cache to save.
const END_MOST: Duration = Duration::from_secs(5);
/// How often an abort is repeated: one that comes just before the runtime looks is lost.
const ABORT_AGAIN: Duration = Duration::from_millis(100);
/// How long a run may go on after it was aborted. Long prompts are known to take more than a second.
const STOP_MOST: Duration = Duration::from_secs(10);

/// An opened model on its own thread.
#[derive(Debug)]
pub(crate) struct Session {
    exchange: Arc<Exchange>,
    gate: Arc<Gate>,
    library: &'static Library,
    commands: Option<Sender<Command>>,
    ended: Receiver<()>,
    /// The runtime does not come back; nothing can be asked of it any more.
    lost: bool,
    /// The last run was aborted, so what the cache holds is unknown.
    dirty: bool,
}

enum Command {
    Run(Box<RunRequest>),
    Call(Box<dyn FnOnce(&mut Handle) + Send>),
}

/// Keeps an abort and the end of a run apart: the runtime is only told to abort while it runs.
#[derive(Debug, Default)]
struct Gate(Mutex<Option<Running>>);

/// The handle whose run is under way.
#[derive(Debug, Clone, Copy)]
struct Running(RawHandle);

// SAFETY: the one call that is made with it from another thread is the abort, which is made for that.
unsafe impl Send for Running {}

impl Gate {
    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to wait for an event, and when not to.
pub(crate) struct Wait<'a> {
    pub(crate) most: Duration,
    pub(crate) give_up: &'a dyn Fn() -> bool,
}

impl Session {
    /// Opens a model; blocks for as long as that takes. `exchange` is where its runs will be met.
    ///
    /// # Errors
    ///
    /// `model-invalid` if the runtime refuses the file, `engine-failed` if the system gives no thread.
    pub(crate) fn open(
        library: &'static Library,
        settings: SessionSettings,
        exchange: Arc<Exchange>,
    ) -> Result<Self, Error> {
        let gate = Arc::new(Gate::default());
        let (commands, inbox) = channel();
        let (opened, has_opened) = sync_channel(1);
        let (end, ended) = sync_channel::<()>(0);
        let (thread_gate, thread_exchange) = (Arc::clone(&gate), Arc::clone(&exchange));
        std::thread::Builder::new()
            .name("rkllmjs-rkllm".to_owned())
            // The runtime's own recursion is unknown; a default thread of a C program has 8 MiB.
            .stack_size(8 << 20)
            .spawn(move || {
                // Dropped last, which is how the other side knows.
                let _end = end;
                match Handle::open(library, &settings) {
                    Ok(mut handle) => {
                        let _ = opened.send(Ok(()));
                        serve(&mut handle, &inbox, &thread_gate, &thread_exchange);
                    }
                    Err(error) => drop(opened.send(Err(error))),
                }
            })
            .map_err(|e| {
                Error::new(ErrorCode::EngineFailed, format!("no thread for the NPU runtime: {e}"))
            })?;
        let died =
            |_| Error::new(ErrorCode::EngineFailed, "the NPU runtime's thread died while it opened a model");
        has_opened.recv().map_err(died)??;
        Ok(Self { exchange, gate, library, commands: Some(commands), ended, lost: false, dirty: false })
    }

    /// Starts a run; its first token is wanted. Nothing else may be under way.
    pub(crate) fn start(&mut self, request: RunRequest) -> Result<(), Error> {
        if !self.is_cache_known() {
            self.call(|handle| handle.clear_cache(ClearCache::All))??;
            self.dirty = false;
        }
        self.exchange.begin(is_resumable(&request));
        if let Err(error) = self.send(Command::Run(Box::new(request))) {
            self.exchange.end(0);
            return Err(error);
        }
        Ok(())
    }

    /// Whether the cache holds what the last runs put there. After an abort nobody knows; after a pause the
    /// runtime would append the next prompt to it.
    pub(crate) fn is_cache_known(&self) -> bool {
        !self.dirty && !self.exchange.was_paused()
    }

    /// Lets a run that has given its last token end by itself, which leaves the cache as it is.
    pub(crate) fn drain(&self) {
        self.exchange.drain();
    }

    /// Waits for the end of a run that ends by itself, which a prompt cache takes to be saved.
    pub(crate) fn wait_drained(&self) {
        if self.exchange.is_draining() {
            self.exchange.wait_idle(END_MOST);
        }
    }

    /// Asks for the next token of the run.
    pub(crate) fn ask(&self) {
        self.exchange.ask();
    }

    /// The next event of the run; `None` if there is no run, or none came while it was waited for.
    pub(crate) fn next(&self, wait: &Wait<'_>) -> Option<Event> {
        self.exchange.next(wait.most, wait.give_up)
    }

    /// Whether the runtime does not come back from a call.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    pub(crate) fn is_running(&self) -> bool {
        self.exchange.is_running()
    }

    /// Ends the run, if one is under way, and waits for it.
    ///
    /// # Errors
    ///
    /// `engine-failed` if it does not end; the session is lost then.
    pub(crate) fn stop(&mut self) -> Result<(), Error> {
        if self.lost {
            return Err(lost());
        }
        if !self.exchange.is_running() {
            return Ok(());
        }
        let ends_soon = self.exchange.is_in_callback() || self.exchange.is_draining();
        self.exchange.stop();
        if self.exchange.wait_idle(if ends_soon { END_MOST } else { BEFORE_ABORT }) {
            return Ok(());
        }
        let deadline = Instant::now() + STOP_MOST;
        self.dirty = true;
        while Instant::now() < deadline {
            self.abort();
            if self.exchange.wait_idle(ABORT_AGAIN) {
                return Ok(());
            }
        }
        self.lost = true;
        Err(lost())
    }

    /// Tells the runtime to abort its run, if it is in one.
    fn abort(&self) {
        let running = self.gate.running();
        if let Some(Running(handle)) = *running {
            // SAFETY: the handle is alive and in a run, because that run cannot return before the gate is free.
            // The status says nothing: what counts is whether the run ends.
            let _ = unsafe { abi::abort(&self.library.symbols, handle) };
        }
    }

    /// Runs `call` with the handle, after ending the run under way.
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop).
    pub(crate) fn call<T: Send + 'static>(
        &mut self,
        call: impl FnOnce(&mut Handle) -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.stop()?;
        let (reply, answer) = sync_channel(1);
        self.send(Command::Call(Box::new(move |handle| drop(reply.send(call(handle))))))?;
        answer.recv().map_err(|_| lost())
    }

    fn send(&self, command: Command) -> Result<(), Error> {
        if self.lost {
            return Err(lost());
        }
        self.commands.as_ref().and_then(|commands| commands.send(command).ok()).ok_or_else(lost)
    }
}

impl Drop for Session {
    /// Ends the run and frees the model. A runtime that does not come back keeps both.
    fn drop(&mut self) {
        let stopped = self.stop();
        self.commands.take();
        if stopped.is_ok() {
            let _ = self.ended.recv_timeout(STOP_MOST);
        }
    }
}

/// Only tokens without a history can be sent again as a longer prompt: the runtime then has them in its
/// cache.
fn is_resumable(request: &RunRequest) -> bool {
    matches!(request.content, Content::Tokens(_)) && !request.keep_history
}

fn lost() -> Error {
    Error::new(
        ErrorCode::EngineFailed,
        "the NPU runtime does not come back from a call; close the model and load it again, or load it with \
         isolate: true so that a stuck runtime is restarted",
    )
}

fn serve(handle: &mut Handle, inbox: &Receiver<Command>, gate: &Gate, exchange: &Arc<Exchange>) {
    while let Ok(command) = inbox.recv() {
        match command {
            Command::Call(call) => call(handle),
            Command::Run(request) => {
                *gate.running() = Some(Running(handle.raw));
                let status = handle.run(*request, exchange);
                *gate.running() = None;
                exchange.end(status);
            }
        }
    }
}

/// The runtime's handle, on its thread.
#[derive(Debug)]
pub(crate) struct Handle {
    raw: RawHandle,
    library: &'static Library,
    _kept: Kept,
    // Strings the runtime was given: nothing says that it copies them. Newer ones replace older ones once
    // it has taken them.
    adapters: Vec<[CString; 2]>,
    prompt_cache: Option<CString>,
    template: Option<[CString; 3]>,
    tools: Option<[CString; 3]>,
}

impl Handle {
    fn open(library: &'static Library, settings: &SessionSettings) -> Result<Self, Error> {
        let _turn = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let (raw, kept) = abi::init(&library.symbols, settings).map_err(|status| {
            let why = match settings.log {
                RuntimeLog::Heard => "its own log, which onLog hears, says why",
                RuntimeLog::Output => {
                    "its own log, on the output of this process, says why; with isolate: true onLog hears it"
                }
            };
            let message = format!(
                "{}: the NPU runtime ({}) does not open it (status {status}); {why}",
                settings.model_path.to_string_lossy(),
                library.path.display(),
            );
            Error::new(ErrorCode::ModelInvalid, message)
        })?;
        Ok(Self {
            raw,
            library,
            _kept: kept,
            adapters: Vec::new(),
            prompt_cache: None,
            template: None,
            tools: None,
        })
    }

    fn run(&mut self, mut request: RunRequest, exchange: &Arc<Exchange>) -> c_int {
        let context = RunContext {
            exchange: Arc::clone(exchange),
            mode: request.mode,
            releases: self.library.abi == Abi::V13,
        };
        let userdata = (&raw const context).cast_mut().cast::<c_void>();
        // SAFETY: the handle is alive and idle, since this thread alone runs it; the context outlives the run.
        unsafe { abi::run(&self.library.symbols, self.raw, &mut request, userdata) }
    }

    pub(crate) fn load_adapter(&mut self, path: CString, name: CString, scale: f32) -> Result<(), Error> {
        // SAFETY: alive and idle; both strings are kept.
        let status = unsafe { abi::load_lora(&self.library.symbols, self.raw, &path, &name, scale) };
        let message = format!("the NPU runtime does not load the adapter {}", path.to_string_lossy());
        self.adapters.push([path, name]);
        checked(status, ErrorCode::ModelInvalid, &message)
    }

    pub(crate) fn load_prompt_cache(&mut self, path: CString) -> Result<(), Error> {
        // SAFETY: alive and idle; the path is kept.
        let status = unsafe { abi::load_prompt_cache(&self.library.symbols, self.raw, &path) };
        let message = format!("the NPU runtime does not load the prompt cache {}", path.to_string_lossy());
        self.prompt_cache = Some(path);
        checked(status, ErrorCode::ModelInvalid, &message)
    }

    pub(crate) fn release_prompt_cache(&mut self) -> Result<(), Error> {
        // SAFETY: alive and idle.
        let status = unsafe { abi::release_prompt_cache(&self.library.symbols, self.raw) };
        checked(status, ErrorCode::EngineFailed, "the NPU runtime does not release its prompt cache")
    }

    pub(crate) fn clear_cache(&mut self, what: ClearCache) -> Result<(), Error> {
        // SAFETY: alive and idle.
        let status = unsafe { abi::clear_cache(&self.library.symbols, self.raw, what) };
        checked(
            status,
            ErrorCode::EngineFailed,
            &format!("the NPU runtime does not clear its cache ({what:?})"),
        )
    }

    /// How many positions its cache holds.
    pub(crate) fn cache_size(&mut self) -> Result<u32, Error> {
        // SAFETY: alive and idle.
        let size = unsafe { abi::cache_size(&self.library.symbols, self.raw) };
        let failed = |status| {
            let message = format!("the NPU runtime does not say how much it caches (status {status})");
            Error::new(ErrorCode::EngineFailed, message)
        };
        size.map(|size| u32::try_from(size).unwrap_or(0)).map_err(failed)
    }

    /// Replaces the chat template by what stands before, between and after; three empty ones are no template.
    pub(crate) fn set_chat_template(&mut self, pieces: [CString; 3]) -> Result<(), Error> {
        // SAFETY: alive and idle; the strings are kept.
        let status = unsafe {
            abi::set_chat_template(&self.library.symbols, self.raw, pieces.each_ref().map(CString::as_c_str))
        };
        self.template = Some(pieces);
        checked(status, ErrorCode::EngineFailed, "the NPU runtime does not take the chat template")
    }

    pub(crate) fn set_function_tools(&mut self, texts: [CString; 3]) -> Result<(), Error> {
        // SAFETY: alive and idle; the strings are kept.
        let status = unsafe {
            abi::set_function_tools(&self.library.symbols, self.raw, texts.each_ref().map(CString::as_c_str))
        };
        self.tools = Some(texts);
        let message = "the NPU runtime does not take the tools; it needs its own chat template for them";
        checked(status, ErrorCode::EngineFailed, message)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: alive, and idle because this thread alone runs it; nothing uses it afterwards. What the
        // status says comes too late.
        let _ = unsafe { abi::destroy(&self.library.symbols, self.raw) };
    }
}

fn checked(status: c_int, code: ErrorCode, message: &str) -> Result<(), Error> {
    if status == OK { Ok(()) } else { Err(Error::new(code, format!("{message} (status {status})"))) }
}
