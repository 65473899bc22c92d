use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use napi::bindgen_prelude::{Function, Object};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue};
use napi::{Env, Status};
use napi_derive::napi;
use rkllmjs_core::Error;
use rkllmjs_runtime::{Hooks, QuantizeOptions};
use serde_json::Value;

use crate::deferred::promise;
use crate::environment::{Environment, started};
use crate::error::{NativeResult, as_value, internal};

pub(crate) type OnProgress = ThreadsafeFunction<f64, UnknownReturnValue, f64, Status, false, true, 0>;

/// Hears how work ended, on any thread.
pub(crate) type Done = Box<dyn FnOnce(Result<Value, Error>) + Send>;

/// Begins work whose end its argument hears.
type Start = Box<dyn FnOnce(Done)>;

/// Work that takes long and can be stopped.
#[napi]
pub struct NativeTask {
    start: RefCell<Option<Start>>,
    cancelled: Arc<AtomicBool>,
    environment: Environment,
}

impl NativeTask {
    /// `start` must not block; the work it starts ends soon after `cancelled` is set.
    pub(crate) fn new(
        env: &Env,
        cancelled: Arc<AtomicBool>,
        start: impl FnOnce(Done) + 'static,
    ) -> napi::Result<Self> {
        Ok(Self { start: RefCell::new(Some(Box::new(start))), cancelled, environment: started(env)? })
    }
}

#[napi]
impl NativeTask {
    /// Begins the work, once. Its result is JSON.
    #[napi(catch_unwind, ts_return_type = "Promise<string | NativeError>")]
    pub fn promise<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let (deferred, promise) = promise::<NativeResult<String>>(env)?;
        let Some(start) = self.start.take() else {
            deferred.resolve(as_value(Err(internal("the work was begun twice"))));
            return Ok(promise);
        };
        let (environment, cancelled) = (self.environment.clone(), Arc::clone(&self.cancelled));
        environment.add_load(&cancelled);
        start(Box::new(move |result| {
            environment.remove_load(&cancelled);
            deferred.resolve(as_value(result.map(|value| value.to_string())));
        }));
        Ok(promise)
    }

    /// Stops it soon; the promise then resolves to a failure, unless it was done already.
    #[napi(catch_unwind)]
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }
}

/// How a file is quantized; values are checked behind this border.
#[napi(object)]
#[derive(Debug)]
pub struct NativeQuantizeOptions {
    pub r#type: String,
    pub threads: Option<f64>,
    pub allow_requantize: Option<bool>,
}

/// Makes it ready to quantize a file.
#[napi(catch_unwind)]
pub fn quantize(
    env: &Env,
    input: String,
    output: String,
    options: NativeQuantizeOptions,
    on_progress: Option<Function<'_, f64, UnknownReturnValue>>,
) -> napi::Result<NativeTask> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut hooks = Hooks { cancelled: Arc::clone(&cancelled), ..Hooks::default() };
    if let Some(on_progress) = on_progress {
        hooks.progress = progress_of(&on_progress)?;
    }
    let options = QuantizeOptions {
        file_type: options.r#type,
        threads: options.threads,
        allow_requantize: options.allow_requantize.unwrap_or(false),
    };
    NativeTask::new(env, cancelled, move |done| {
        on_a_thread("rkllmjs-quantize", done, move || {
            rkllmjs_runtime::quantize(&PathBuf::from(input), &PathBuf::from(output), &options, &hooks)
        });
    })
}

/// A callback that any thread may tell how much is done.
pub(crate) fn progress_of(
    on_progress: &Function<'_, f64, UnknownReturnValue>,
) -> napi::Result<Arc<dyn Fn(f32) + Send + Sync>> {
    let callback: OnProgress =
        on_progress.build_threadsafe_function::<f64>().weak::<true>().build_callback(|ctx| Ok(ctx.value))?;
    Ok(Arc::new(move |fraction| {
        callback.call(f64::from(fraction), ThreadsafeFunctionCallMode::NonBlocking);
    }))
}

/// Runs `work` on a thread of its own, and tells `done` how it ended.
pub(crate) fn on_a_thread(
    name: &str,
    done: Done,
    work: impl FnOnce() -> Result<Value, Error> + Send + 'static,
) {
    // Where the system gives no thread, what was to run is gone with its closure, and `done` must be heard.
    let done = Arc::new(std::sync::Mutex::new(Some(done)));
    let finish = move |done: &std::sync::Mutex<Option<Done>>, result| {
        let done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(done) = done {
            done(result);
        }
    };
    let at_end = Arc::clone(&done);
    let run = move || {
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        finish(&at_end, ended.unwrap_or_else(|_| Err(internal("the work panicked"))));
    };
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(16 << 20).spawn(run);
    if let Err(error) = thread {
        finish(&done, Err(internal(&format!("no thread for the work: {error}"))));
    }
}
