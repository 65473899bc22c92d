//! What a handle points to.

mod generate;
mod lane;
mod loaded;
mod outputs;
mod prompt_cache;
mod reading;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use rkllmjs_llama::SessionOptions;

use crate::backend::Backend;
use crate::model::{LlamaBackend, OpenedModel};
use crate::model_file::{self, Header, Kind};
use crate::run::{Flow, Outcome, RunInput, RunParams, State};
use crate::scripted::Scripted;
use crate::template::{Fragments, Template, Tools};
use crate::{Config, Failure, Family, Traps, log};
use lane::Lane;
use loaded::Loaded;
use prompt_cache::PromptCache;

/// A loaded model: one run at a time, and an abort from any thread.
pub struct Runtime {
    family: Family,
    traps: Traps,
    is_async: bool,
    batch: usize,
    embedding_size: usize,
    running: AtomicBool,
    aborted: AtomicBool,
    state: Mutex<Loaded>,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("family", &self.family).finish_non_exhaustive()
    }
}

/// Takes what a run brings: its state and, for each input of the batch, what there is. No results with
/// the trap `null-finish`.
pub type Callback<'a> = dyn FnMut(State, Option<&[Outcome]>) -> Flow + 'a;

impl Runtime {
    /// Loads a model.
    ///
    /// # Errors
    ///
    /// Whatever the vendor's `rkllm_init` answers with -1; a line of the log says which.
    pub fn init(config: Config, traps: Traps) -> Result<Self, Failure> {
        if traps.noise {
            log::noise(&format!("rkllm-runtime version: stand-in, loading {}", config.model_path.display()));
        }
        std::thread::sleep(traps.slow_init);
        let made = Self::load(config, traps);
        if let Err(failure) = &made {
            log::error(&failure.0);
        }
        made
    }

    fn load(config: Config, traps: Traps) -> Result<Self, Failure> {
        let (header, contents) = model_file::open(&config.model_path)?;
        config.check(&header)?;
        if traps.reserved_garbage && config.reserved.iter().any(|&byte| byte != 0) {
            return Err(Failure::new("a reserved byte of extend_param is not 0"));
        }
        let lanes = config.n_batch as usize;
        let backend: Box<dyn Backend> = match header.kind {
            Kind::Scripted => {
                config.check_context(header.max_context)?;
                Box::new(Scripted::new(contents, lanes)?)
            }
            Kind::Gguf => {
                let opened = OpenedModel::open(contents)?;
                config.check_context(context_limit(&header, &opened))?;
                Box::new(LlamaBackend::load(opened, &session_options(&config))?)
            }
        };
        let template = match header.kind {
            Kind::Scripted => Template::replaced(scripted_template()),
            Kind::Gguf => Template::own(backend.chat_template(), backend.tokenizer())?,
        };
        Ok(Self {
            family: config.family,
            is_async: config.is_async,
            batch: lanes,
            embedding_size: backend.embedding_size(),
            running: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            state: Mutex::new(Loaded {
                config,
                backend,
                template,
                tools: None,
                lanes: (0..lanes).map(|_| Lane::default()).collect(),
                adapters: BTreeSet::new(),
                adapter: None,
                prompt_cache: None,
                output: None,
                paused: false,
                kept_history: false,
                resumes: !traps.pause_forgets,
            }),
            traps,
        })
    }

    /// Inputs of one run.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Numbers of one row of an embedding input.
    pub fn embedding_size(&self) -> usize {
        self.embedding_size
    }

    /// How it misbehaves.
    pub fn traps(&self) -> &Traps {
        &self.traps
    }

    /// Whether it was loaded for runs in the background.
    pub fn is_async(&self) -> bool {
        self.is_async
    }

    /// Whether a run is under way.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::SeqCst)
    }

    /// Asks the run that is under way to end after its next token. Without one it does nothing.
    pub fn abort(&self) {
        self.aborted.store(true, Ordering::SeqCst);
    }

    /// Runs the model on an input for each place of the batch, and returns when the answer is over.
    ///
    /// # Errors
    ///
    /// Whatever the vendor's `rkllm_run` answers with -1; a line of the log says which.
    pub fn run(
        &self,
        inputs: &[RunInput],
        params: &RunParams,
        callback: &mut Callback<'_>,
    ) -> Result<(), Failure> {
        self.begin_run()?;
        let _ended = EndRun(&self.running);
        self.run_begun(inputs, params, callback)
    }

    /// Marks a run as begun, so that one in the background counts as running before its thread does.
    ///
    /// # Errors
    ///
    /// If another one is under way.
    pub fn begin(self: &Arc<Self>) -> Result<BegunRun, Failure> {
        self.begin_run()?;
        Ok(BegunRun(Arc::clone(self)))
    }

    fn begin_run(&self) -> Result<(), Failure> {
        if self.running.swap(true, Ordering::SeqCst) {
            let failure = Failure::new("another run is under way on this handle");
            log::error(&failure.0);
            return Err(failure);
        }
        self.aborted.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn run_begun(
        &self,
        inputs: &[RunInput],
        params: &RunParams,
        callback: &mut Callback<'_>,
    ) -> Result<(), Failure> {
        if self.traps.noise {
            log::noise("run");
        }
        if self.traps.run_fails {
            return Err(Failure::new("told to fail by RKLLMJS_STANDIN_TRAP"));
        }
        let mut loaded = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let done = loaded.run(self, inputs, params, callback);
        if let Err(failure) = &done {
            log::error(&failure.0);
        }
        done
    }

    /// What every call but `abort` goes through: none of them is allowed during a run.
    fn idle<T>(&self, work: impl FnOnce(&mut Loaded) -> Result<T, Failure>) -> Result<T, Failure> {
        let busy = || Failure::new("a run is under way on this handle");
        let done = if self.is_running() {
            Err(busy())
        } else {
            match self.state.try_lock() {
                Ok(mut loaded) => work(&mut loaded),
                Err(TryLockError::Poisoned(poisoned)) => work(&mut poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => Err(busy()),
            }
        };
        if let Err(failure) = &done {
            log::error(&failure.0);
        }
        done
    }

    /// Replaces the chat template; three empty texts wrap nothing.
    ///
    /// # Errors
    ///
    /// During a run.
    pub fn set_chat_template(&self, system: &str, prefix: &str, postfix: &str) -> Result<(), Failure> {
        self.idle(|loaded| {
            let owned = str::to_owned;
            let fragments =
                Fragments { system: owned(system), prefix: owned(prefix), postfix: owned(postfix) };
            loaded.template = Template::replaced(fragments);
            Ok(())
        })
    }

    /// Tells the model which functions it may call.
    ///
    /// # Errors
    ///
    /// Without a chat template, for tools that are no JSON array of functions, during a run.
    pub fn set_function_tools(&self, system: &str, tools: &str, response_tag: &str) -> Result<(), Failure> {
        self.idle(|loaded| {
            if matches!(loaded.template, Template::Raw) {
                return Err(Failure::new("function tools need a chat template, and it is empty"));
            }
            loaded.tools = Some(Tools::parse(system, tools, response_tag)?);
            Ok(())
        })
    }

    /// Loads an adapter under a name.
    ///
    /// # Errors
    ///
    /// If the name is taken or the file holds no adapter for this model.
    pub fn load_lora(&self, path: &Path, name: &str, scale: f32) -> Result<(), Failure> {
        self.idle(|loaded| {
            if loaded.adapters.contains(name) {
                return Err(Failure::new(format!("Lora adapter {name:?} is already initialized")));
            }
            let (header, contents) = model_file::open_adapter(path)?;
            loaded.backend.load_adapter(name, &header, contents, scale)?;
            loaded.adapters.insert(name.to_owned());
            Ok(())
        })
    }

    /// Reads a prompt cache, which the next runs use as far as their input begins with it.
    ///
    /// # Errors
    ///
    /// If the file is missing, empty or damaged, or another one is loaded.
    pub fn load_prompt_cache(&self, path: &Path) -> Result<(), Failure> {
        self.idle(|loaded| {
            if loaded.prompt_cache.is_some() {
                return Err(Failure::new("a prompt cache is loaded; release it first"));
            }
            loaded.prompt_cache = Some(PromptCache::read(path)?);
            Ok(())
        })
    }

    /// Forgets the prompt cache that was read.
    ///
    /// # Errors
    ///
    /// During a run.
    pub fn release_prompt_cache(&self) -> Result<(), Failure> {
        self.idle(|loaded| {
            loaded.prompt_cache = None;
            Ok(())
        })
    }

    /// Positions in the cache, for each input of the batch.
    ///
    /// # Errors
    ///
    /// During a run.
    pub fn kv_cache_sizes(&self) -> Result<Vec<usize>, Failure> {
        self.idle(|loaded| Ok(loaded.lanes.iter().map(|lane| lane.stored.len()).collect()))
    }

    /// Forgets the conversation and its cache.
    ///
    /// # Errors
    ///
    /// During a run.
    pub fn clear_kv_cache(&self) -> Result<(), Failure> {
        self.idle(|loaded| {
            loaded.clear(|_| 0);
            Ok(())
        })
    }

    /// Forgets the conversation and all of its cache but the system prompt.
    ///
    /// # Errors
    ///
    /// During a run.
    pub fn clear_kv_cache_after_system_prompt(&self) -> Result<(), Failure> {
        self.idle(|loaded| {
            loaded.clear(|lane| lane.system_tokens);
            Ok(())
        })
    }

    /// Forgets a range of positions, from and to, of each input of the batch.
    ///
    /// # Errors
    ///
    /// If the last run was not paused or kept its history, or a range does not lie in the cache.
    pub fn clear_kv_cache_ranges(&self, ranges: &[(i32, i32)]) -> Result<(), Failure> {
        self.idle(|loaded| loaded.clear_ranges(ranges))
    }
}

/// Marks the run as over, also where the callback panics.
struct EndRun<'a>(&'a AtomicBool);

impl Drop for EndRun<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// A run that counts as under way until this value is gone.
#[derive(Debug)]
pub struct BegunRun(Arc<Runtime>);

impl BegunRun {
    /// The run itself, on the calling thread.
    ///
    /// # Errors
    ///
    /// As [`Runtime::run`].
    pub fn finish(
        self,
        inputs: &[RunInput],
        params: &RunParams,
        callback: &mut Callback<'_>,
    ) -> Result<(), Failure> {
        self.0.run_begun(inputs, params, callback)
    }
}

impl Drop for BegunRun {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::SeqCst);
    }
}

fn context_limit(header: &Header, opened: &OpenedModel) -> u32 {
    match header.max_context {
        0 => opened.context_limit(),
        limit => limit.min(opened.context_limit()),
    }
}

fn session_options(config: &Config) -> SessionOptions {
    SessionOptions {
        context: u32::try_from(config.max_context_len).unwrap_or(1),
        sequences: config.n_batch,
        threads: threads(config),
    }
}

/// As many threads as the NPU's helpers would be, but one less than there are processors: threads that
/// wait for each other on too few processors are slower than one.
fn threads(config: &Config) -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let most = u32::try_from(processors).unwrap_or(1).saturating_sub(1).max(1);
    u32::try_from(config.cpus.count).unwrap_or(1).clamp(1, most)
}

fn scripted_template() -> Fragments {
    Fragments { system: String::new(), prefix: "<|user|>".to_owned(), postfix: "<|assistant|>".to_owned() }
}
