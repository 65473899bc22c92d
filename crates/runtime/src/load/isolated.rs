//! Engines in a child process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rkllmjs_core::{Engine, Error, ErrorCode};
use rkllmjs_isolate::{ChildHooks, IsolatedEngine, Launch, Loaded, LogLine, Watch, serve};
use rkllmjs_llama::{LogLevel, LogSink};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Hooks, LoadOptions, gguf, rkllm};
use crate::file::{self, Kind};

/// What the child process runs: something that comes to call [`serve_engine`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineProgram {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// What the child is told to load.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    path: PathBuf,
    options: LoadOptions,
}

/// Whether the engine is to run in a child, `by_default` where the caller does not say.
///
/// # Errors
///
/// `unsupported` if the caller wants one and there is no program for it.
pub(super) fn is_wanted(options: &LoadOptions, by_default: bool) -> Result<bool, Error> {
    match (options.isolate, &options.engine_program) {
        (Some(true), None) => {
            Err(Error::unsupported("isolate", "needs a program for the engine's process, and none was given"))
        }
        (wanted, program) => Ok(wanted.unwrap_or(by_default && program.is_some())),
    }
}

/// Starts the engine for `path` in a child. Gives the facts that only the child can know, too.
pub(super) fn start(
    path: &Path,
    options: LoadOptions,
    hooks: &Hooks,
) -> Result<(Box<dyn Engine>, Value), Error> {
    let EngineProgram { program, arguments } = options.engine_program.clone().unwrap_or_default();
    let launch = Launch {
        program,
        arguments: arguments.into_iter().map(OsString::from).collect(),
        // What the user's own Node is to do (debug, trace, load hooks) is not meant for the child.
        without: ["NODE_OPTIONS", "NODE_V8_COVERAGE"].map(OsString::from).into(),
        // In Electron the program is the browser unless it is told to be Node.
        with: vec![("ELECTRON_RUN_AS_NODE".into(), "1".into())],
    };
    let payload = Payload { path: path.to_owned(), options: LoadOptions { isolate: Some(false), ..options } };
    let watch = Watch {
        progress: Arc::clone(&hooks.progress),
        log: hooks.log.clone().map(log_line),
        cancelled: Arc::clone(&hooks.cancelled),
    };
    let (engine, facts) = IsolatedEngine::start(launch, &payload, watch)?;
    let facts = serde_json::from_str(&facts)
        .map_err(|e| Error::new(ErrorCode::Internal, format!("the engine's process told no facts: {e}")))?;
    Ok((Box::new(engine), facts))
}

fn log_line(sink: LogSink) -> LogLine {
    Arc::new(move |level, line| sink(LogLevel::from_name(level), line))
}

/// Becomes the engine of the process that has started this one. Never returns.
pub fn serve_engine() -> ! {
    serve(|payload: Payload, hooks: &ChildHooks| {
        let log = Arc::clone(&hooks.log);
        let sink: LogSink = Arc::new(move |level: LogLevel, line: &str| log(level.as_str(), line));
        let hooks =
            Hooks { progress: Arc::clone(&hooks.progress), log: Some(sink), cancelled: Arc::default() };
        let Payload { path, options } = payload;
        let (engine, facts): (Box<dyn Engine>, Value) = match file::kind(&path) {
            Kind::Gguf => (Box::new(gguf::engine_alone(&path, &options, &hooks)?), Value::Null),
            Kind::Rkllm => {
                let (engine, facts) = rkllm::engine_alone(&path, &options, &hooks)?;
                (Box::new(engine), facts)
            }
        };
        Ok(Loaded { engine, facts: facts.to_string() })
    })
}
