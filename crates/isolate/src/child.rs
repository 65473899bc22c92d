//! The side that computes.

use std::fmt;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rkllmjs_core::{AbortSwitch, Engine, Error, ErrorCode, Scoring};
use serde::de::DeserializeOwned;

use crate::child_cells::ChildCells;
use crate::parent::LogLine;
use crate::wire::{FrameReader, FromChild, Received, StepEvents, ToChild, WireLimits, batch, write_frame};

/// Most messages that wait for the engine's thread. The parent waits for the answer to nearly each, so there
/// are hardly ever more than the sequences it lets go of at once.
const WAITING_MAX: usize = 4096;

/// What a load reports to.
#[derive(Clone)]
pub struct ChildHooks {
    /// Hears values from 0 to 1.
    pub progress: Arc<dyn Fn(f32) + Send + Sync>,
    /// Takes a line of the engine's log with its level.
    pub log: LogLine,
}

impl fmt::Debug for ChildHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildHooks").finish_non_exhaustive()
    }
}

/// What a loader gives.
pub struct Loaded {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// What the parent is to know besides, for [`IsolatedEngine::start`](crate::IsolatedEngine::start).
    pub facts: String,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// The way to the parent, shared by the thread that hears it and the engine's.
#[derive(Clone)]
struct Parent(Arc<Mutex<UnixStream>>);

impl Parent {
    fn tell(&self, message: &FromChild) {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match write_frame(&mut stream, message) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                let error = Error::new(ErrorCode::PayloadTooLarge, error.to_string());
                if write_frame(&mut stream, &FromChild::Failed { error: error.into(), lost: false }).is_err()
                {
                    end();
                }
            }
            Err(_) => end(),
        }
    }
}

/// Serves an engine to the parent, whose socket is this process's standard input. `load` makes the engine of
/// what the parent sent for it. Never returns: the process ends when the parent says so or is gone.
pub fn serve<Payload: DeserializeOwned>(
    load: impl Fn(Payload, &ChildHooks) -> Result<Loaded, Error> + Send + 'static,
) -> ! {
    let Ok(socket) = std::io::stdin().as_fd().try_clone_to_owned() else { end() };
    let stream = UnixStream::from(socket);
    let Ok(reading) = stream.try_clone() else { end() };
    let parent = Parent(Arc::new(Mutex::new(stream)));
    let switch = Arc::new(OnceLock::new());
    let (sender, receiver) = sync_channel(WAITING_MAX);
    let worker = Worker {
        parent: parent.clone(),
        switch: Arc::clone(&switch),
        engine: None,
        cells: ChildCells::default(),
        load,
    };
    // As in the parent: grammars of others recurse.
    let thread = std::thread::Builder::new()
        .name("rkllmjs-engine".to_owned())
        .stack_size(16 << 20)
        .spawn(move || worker.run(&receiver));
    if thread.is_ok() {
        hear(FrameReader::new(reading), &parent, &switch, &sender);
    }
    end()
}

/// Hears the parent until it is gone.
fn hear(
    mut reader: FrameReader,
    parent: &Parent,
    switch: &OnceLock<AbortSwitch>,
    engine: &SyncSender<ToChild<'static>>,
) {
    while let Ok(Received::Message(message)) = reader.next::<ToChild<'static>>() {
        match message {
            ToChild::Ping => parent.tell(&FromChild::Pong),
            ToChild::Abort => {
                if let Some(switch) = switch.get() {
                    switch.throw();
                }
            }
            message => {
                // An abort that is heard from here on is meant for this one.
                if let Some(switch) = switch.get() {
                    switch.reset();
                }
                if engine.try_send(message).is_err() {
                    return;
                }
            }
        }
    }
}

struct Worker<Load> {
    parent: Parent,
    switch: Arc<OnceLock<AbortSwitch>>,
    engine: Option<Box<dyn Engine>>,
    cells: ChildCells,
    load: Load,
}

impl<Load> Worker<Load> {
    /// Does what it is told until the parent closes.
    fn run<Payload: DeserializeOwned>(mut self, inbox: &Receiver<ToChild<'static>>)
    where
        Load: Fn(Payload, &ChildHooks) -> Result<Loaded, Error>,
    {
        // A panic ends the process: what the engine holds is in no known state.
        let _end = EndOnDrop;
        while let Ok(message) = inbox.recv() {
            let answered = match message {
                ToChild::Load(payload) => self.load(&payload),
                ToChild::Close => {
                    self.engine = None;
                    return;
                }
                message => match (self.engine.as_deref_mut(), message) {
                    (Some(engine), ToChild::Cells(message)) => {
                        self.cells.obey(engine, message).map(|answer| Some(FromChild::Cells(answer)))
                    }
                    (Some(engine), message) => obey(engine, message),
                    (None, _) => Err(Error::new(ErrorCode::Internal, "no model was loaded")),
                },
            };
            match answered {
                Ok(Some(answer)) => self.parent.tell(&answer),
                Ok(None) => {}
                Err(error) => {
                    let lost = self.engine.as_ref().is_some_and(|engine| engine.is_lost());
                    self.parent.tell(&FromChild::Failed { error: error.into(), lost });
                }
            }
        }
    }

    fn load<Payload: DeserializeOwned>(&mut self, payload: &[u8]) -> Result<Option<FromChild>, Error>
    where
        Load: Fn(Payload, &ChildHooks) -> Result<Loaded, Error>,
    {
        let payload = postcard::from_bytes(payload).map_err(|e| {
            Error::new(ErrorCode::Internal, format!("the engine's process is of another version: {e}"))
        })?;
        let (for_progress, for_log) = (self.parent.clone(), self.parent.clone());
        let hooks = ChildHooks {
            progress: Arc::new(move |fraction| for_progress.tell(&FromChild::Progress(fraction))),
            log: Arc::new(move |level, line| {
                for_log.tell(&FromChild::Log { level: level.to_owned(), line: line.to_owned() });
            }),
        };
        let Loaded { engine, facts } = (self.load)(payload, &hooks)?;
        let limits = Box::new(WireLimits::from(engine.limits()));
        let _ = self.switch.set(engine.abort_switch());
        self.engine = Some(engine);
        Ok(Some(FromChild::Loaded { limits, facts }))
    }
}

fn obey(engine: &mut dyn Engine, message: ToChild<'_>) -> Result<Option<FromChild>, Error> {
    match message {
        ToChild::Open(message) => {
            engine.open(message.sequence, message.opening())?;
            Ok(Some(FromChild::Done))
        }
        ToChild::Step { runs, adapters } => {
            let mut events = StepEvents::default();
            let outcome = engine.step(&batch(&runs, adapters.into_owned()), &mut events)?;
            Ok(Some(FromChild::Stepped { events: events.0, outcome }))
        }
        ToChild::Propose(wanted) => engine.propose(&wanted).map(|drafts| Some(FromChild::Proposed(drafts))),
        ToChild::Share { from, to, tokens } => Ok(Some(FromChild::Shared(engine.share(from, to, tokens)))),
        ToChild::Park(sequence) => {
            engine.park(sequence);
            Ok(None)
        }
        ToChild::Release(sequence) => {
            engine.release(sequence);
            Ok(None)
        }
        ToChild::Flush => Ok(Some(FromChild::Done)),
        ToChild::Embed(inputs) => engine.embed(&inputs).map(|vectors| Some(FromChild::Vectors(vectors))),
        ToChild::Rank(inputs) => engine.rank(&inputs).map(|outputs| Some(FromChild::Scores(outputs))),
        ToChild::Score { window, start, tokens, targets } => {
            let piece = Scoring { window, start, tokens: &tokens, targets: &targets };
            engine.score(piece).map(|scores| Some(FromChild::Scores(scores)))
        }
        ToChild::EndScoring => {
            engine.end_scoring();
            Ok(None)
        }
        ToChild::Native(call) => {
            engine.native(call.into_owned()).map(|reply| Some(FromChild::Replied(reply)))
        }
        ToChild::LoadAdapter { name, path, scale } => {
            engine.load_adapter(&name, path.as_ref().as_ref(), scale)?;
            Ok(Some(FromChild::Done))
        }
        ToChild::UnloadAdapter(name) => {
            engine.unload_adapter(&name).map(|was_there| Some(FromChild::Unloaded(was_there)))
        }
        ToChild::Load(_) | ToChild::Cells(_) | ToChild::Abort | ToChild::Ping | ToChild::Close => Ok(None),
    }
}

struct EndOnDrop;

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        end();
    }
}

/// Ends this process at once. Its destructors are left out: the engine's thread may be inside foreign code,
/// and nothing here outlives the process.
fn end() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}
