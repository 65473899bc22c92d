//! The child: a scripted engine that also does what no engine should.

use std::ffi::OsString;
use std::ops::Range;
use std::process::Command;
use std::sync::{Arc, Mutex};

use rkllmjs_core::scripted::{Gate, ScriptedEngine};
use rkllmjs_core::{
    AbortSwitch, Batch, Engine, Error, ErrorCode, GenerateOptions, Limits, ModelHandle, ModelSettings,
    NativeCall, NativeReply, Opening, Request, SequenceId, Sink, StepOutcome, Token,
};
use rkllmjs_isolate::{IsolatedEngine, Launch, Loaded, Watch, serve};

/// Set in the child.
const VARIABLE: &str = "RKLLMJS_ISOLATE_CHILD";

/// A prompt with this token aborts the process.
pub(crate) const ABORTS: Token = 901;
/// A prompt with this token stops the process, as a hung machine would.
pub(crate) const STOPS: Token = 902;
/// A prompt with this token makes the engine fail for good.
pub(crate) const LOSES: Token = 903;
/// A prompt with this token makes a step that lasts until it is aborted.
pub(crate) const LASTS: Token = 904;

struct Faulty {
    engine: ScriptedEngine,
    switch: AbortSwitch,
    adapters: Vec<String>,
    lost: bool,
}

impl Engine for Faulty {
    fn limits(&self) -> &Limits {
        self.engine.limits()
    }

    fn abort_switch(&self) -> AbortSwitch {
        self.switch.clone()
    }

    fn is_lost(&self) -> bool {
        self.lost
    }

    fn open(&mut self, sequence: SequenceId, opening: Opening<'_>) -> Result<(), Error> {
        self.engine.open(sequence, opening)
    }

    fn step(&mut self, batch: &Batch<'_>, sink: &mut dyn Sink) -> Result<StepOutcome, Error> {
        let has = |token: Token| batch.runs.iter().any(|run| run.tokens.contains(&token));
        if has(ABORTS) {
            println!("assertion failed: told to");
            std::process::abort();
        }
        if has(STOPS) {
            Command::new("kill").args(["-STOP", &std::process::id().to_string()]).status().expect("kill");
            // The signal stops the process once another of its threads has seen it.
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        if has(LOSES) {
            self.lost = true;
        }
        if self.lost {
            return Err(Error::new(ErrorCode::EngineFailed, "lost for good"));
        }
        while has(LASTS) && !self.switch.is_thrown() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        if self.switch.is_thrown() {
            return Ok(StepOutcome::Aborted);
        }
        self.engine.step(batch, sink)
    }

    fn share(&mut self, from: SequenceId, to: SequenceId, tokens: Range<u32>) -> bool {
        self.engine.share(from, to, tokens)
    }

    fn park(&mut self, sequence: SequenceId) {
        self.engine.park(sequence);
    }

    fn release(&mut self, sequence: SequenceId) {
        self.engine.release(sequence);
    }

    fn embed(&mut self, inputs: &[Vec<Token>]) -> Result<Vec<Vec<f32>>, Error> {
        if inputs.iter().flatten().any(|&token| token == ABORTS) {
            std::process::abort();
        }
        Ok(inputs.iter().map(|input| vec![input.len() as f32, f32::NEG_INFINITY]).collect())
    }

    fn rank(&mut self, inputs: &[Vec<Token>]) -> Result<Vec<f32>, Error> {
        Ok(inputs.iter().map(|input| input.len() as f32 - 0.5).collect())
    }

    fn native(&mut self, call: NativeCall) -> Result<NativeReply, Error> {
        match call {
            NativeCall::CacheSize => {
                Ok(NativeReply::Count(u32::try_from(self.adapters.len()).unwrap_or(u32::MAX)))
            }
            // More than fits a frame.
            NativeCall::Logits(_) => Ok(NativeReply::Rows { values: vec![0.0; 80 << 20], row: 1 }),
            _ => Ok(NativeReply::Done),
        }
    }

    fn load_adapter(&mut self, name: &str, _: &std::path::Path, _: f32) -> Result<(), Error> {
        self.adapters.push(name.to_owned());
        Ok(())
    }

    fn unload_adapter(&mut self, name: &str) -> Result<bool, Error> {
        let before = self.adapters.len();
        self.adapters.retain(|other| other != name);
        Ok(self.adapters.len() < before)
    }
}

/// Becomes the child, where this process is one.
pub(crate) fn be_child_if_told() {
    if std::env::var_os(VARIABLE).is_none() {
        return;
    }
    serve(|payload: String, hooks| {
        match payload.as_str() {
            "aborts" => std::process::abort(),
            "fails" => return Err(Error::new(ErrorCode::ModelInvalid, "no such model")),
            "lasts" => std::thread::sleep(std::time::Duration::from_secs(3600)),
            _ => {}
        }
        (hooks.progress)(0.5);
        (hooks.log)("warn", "loading");
        let engine = Faulty {
            engine: ScriptedEngine::new(ScriptedEngine::sharing(), Gate::open()),
            switch: AbortSwitch::default(),
            adapters: Vec::new(),
            lost: false,
        };
        Ok(Loaded { engine: Box::new(engine), facts: format!("{payload} {}", std::process::id()) })
    })
}

/// How this program becomes the child.
pub(crate) fn launch() -> Launch {
    let test: Vec<OsString> =
        ["child::a_child_without_a_parent_ends_itself", "--exact", "--nocapture"].map(OsString::from).into();
    Launch {
        program: std::env::current_exe().expect("this program"),
        arguments: test,
        without: Vec::new(),
        with: vec![(VARIABLE.into(), "1".into())],
    }
}

/// What was logged.
pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// An engine whose child loads `payload`.
pub(crate) fn start(payload: &str) -> Result<(IsolatedEngine, String, Log), Error> {
    let log = Log::default();
    let lines = Arc::clone(&log);
    let watch = Watch {
        log: Some(Arc::new(move |level: &str, line: &str| {
            lines.lock().expect("the log").push(format!("{level} {line}"));
        })),
        ..Watch::default()
    };
    let (engine, facts) = IsolatedEngine::start(launch(), &payload, watch)?;
    Ok((engine, facts, log))
}

pub(crate) fn handle() -> ModelHandle {
    handle_and_child().0
}

/// A model and the number of its first process.
pub(crate) fn handle_and_child() -> (ModelHandle, String) {
    let (engine, facts, _) = start("plain").expect("an engine");
    let child = facts.split(' ').next_back().expect("its number").to_owned();
    (ModelHandle::start(Box::new(engine), ModelSettings::default()).expect("a model"), child)
}

/// A request whose answer has `max_tokens`.
pub(crate) fn request(model: &ModelHandle, prompt: &[Token], max_tokens: u32) -> Request {
    let options = GenerateOptions { max_tokens: Some(f64::from(max_tokens)), ..GenerateOptions::default() };
    let built = options.build(&model.limits().options, 100_000, 0).expect("the defaults");
    Request { prompt: prompt.to_vec(), ..built }
}

#[test]
fn a_child_without_a_parent_ends_itself() {
    be_child_if_told();
    let Launch { program, arguments, with, .. } = launch();
    let mut child = Command::new(program)
        .args(arguments)
        .envs(with)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("a process");
    drop(child.stdin.take());
    let status = child.wait().expect("its end");
    assert!(!status.success(), "it was not served but ended: {status}");
}
