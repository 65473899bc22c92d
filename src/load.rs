use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use napi::bindgen_prelude::{Either, FnArgs, Function, Object};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue};
use napi::{Env, Status};
use napi_derive::napi;
use rkllmjs_core::Error;
use rkllmjs_runtime::{Hooks, LoadOptions, LogLevel, Model};

use crate::deferred::{Deferred, promise};
use crate::environment::{Environment, started};
use crate::error::{NativeResult, as_value, internal};
use crate::model::NativeModel;
use crate::options::NativeLoadOptions;
use crate::task::progress_of;

type OnLog = ThreadsafeFunction<
    (String, String),
    UnknownReturnValue,
    FnArgs<(String, String)>,
    Status,
    false,
    true,
    1024,
>;

/// A load under way.
#[napi]
pub struct NativeLoading {
    job: RefCell<Option<Job>>,
    cancelled: Arc<AtomicBool>,
}

struct Job {
    path: PathBuf,
    options: LoadOptions,
    hooks: Hooks,
    environment: Environment,
}

/// Makes a load ready; it begins with `promise()`.
#[napi(catch_unwind)]
pub fn load_model(
    env: &Env,
    path: String,
    options: NativeLoadOptions,
    on_progress: Option<Function<'_, f64, UnknownReturnValue>>,
    on_log: Option<Function<'_, FnArgs<(String, String)>, UnknownReturnValue>>,
) -> napi::Result<NativeLoading> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut hooks = Hooks { cancelled: Arc::clone(&cancelled), ..Hooks::default() };
    if let Some(on_progress) = on_progress {
        hooks.progress = progress_of(&on_progress)?;
    }
    if let Some(on_log) = on_log {
        let callback: OnLog = on_log
            .build_threadsafe_function::<(String, String)>()
            .weak::<true>()
            .max_queue_size::<1024>()
            .build_callback(|ctx| Ok(ctx.value.into()))?;
        // A reader that does not keep up loses lines rather than stopping the engine.
        hooks.log = Some(Arc::new(move |level: LogLevel, line: &str| {
            let line = (level.as_str().to_owned(), line.to_owned());
            callback.call(line, ThreadsafeFunctionCallMode::NonBlocking);
        }));
    }
    let job = Job { path: PathBuf::from(path), options: options.into(), hooks, environment: started(env)? };
    Ok(NativeLoading { job: RefCell::new(Some(job)), cancelled })
}

#[napi]
impl NativeLoading {
    /// Begins the load, once.
    #[napi(catch_unwind, ts_return_type = "Promise<NativeModel | NativeError>")]
    pub fn promise<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let (deferred, promise) = promise::<NativeResult<NativeModel>>(env)?;
        match self.job.take() {
            Some(job) => job.start(deferred)?,
            None => deferred.resolve(Either::A(internal("the load was begun twice").into())),
        }
        Ok(promise)
    }

    /// Stops it soon; the promise then resolves to a failure.
    #[napi(catch_unwind)]
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }
}

impl Job {
    fn start(self, deferred: Deferred<NativeResult<NativeModel>>) -> napi::Result<()> {
        self.environment.add_load(&self.hooks.cancelled);
        let work = move || {
            let loaded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.load()));
            let loaded = loaded.unwrap_or_else(|_| Err(internal("the load panicked")));
            self.environment.remove_load(&self.hooks.cancelled);
            deferred.resolve(as_value(loaded.map(|model| NativeModel::new(model, self.environment))));
        };
        let thread =
            std::thread::Builder::new().name("rkllmjs-load".to_owned()).stack_size(16 << 20).spawn(work);
        thread.map(|_| ()).map_err(|e| napi::Error::from_reason(format!("no thread to load the model: {e}")))
    }

    fn load(&self) -> Result<Model, Error> {
        rkllmjs_runtime::load(&self.path, &self.options, &self.hooks)
    }
}

/// Becomes the engine of the process that has started this one, and never returns.
#[napi(catch_unwind)]
pub fn serve_engine() {
    rkllmjs_runtime::serve_engine()
}

/// What a GGUF file says about itself, as JSON.
#[napi(catch_unwind, ts_return_type = "Promise<string | NativeError>")]
pub fn inspect(env: &Env, path: String) -> napi::Result<Object<'_>> {
    let (deferred, promise) = promise::<NativeResult<String>>(env)?;
    let work = move || {
        let inspected = rkllmjs_runtime::inspect(&PathBuf::from(path)).map(|facts| facts.to_string());
        deferred.resolve(as_value(inspected));
    };
    let thread = std::thread::Builder::new().name("rkllmjs-inspect".to_owned()).spawn(work);
    thread.map(|_| promise).map_err(|e| napi::Error::from_reason(format!("no thread to read the file: {e}")))
}
