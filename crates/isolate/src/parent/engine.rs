use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rkllmjs_core::{
    AbortSwitch, Adapters, Batch, Engine, Error, ErrorCode, Limits, NativeCall, NativeReply, Opening,
    Proposal, Run, Scoring, SequenceId, Sink, StepOutcome, Token,
};
use serde::Serialize;

use super::connection::{Connection, Trouble, Waiting};
use super::link::Link;
use super::process::Process;
use super::replay::Replay;
use super::{Launch, Watch};
use crate::wire::{FromChild, OpenMessage, RunMessage, ToChild};

/// How often a load looks whether it was cancelled.
const LOAD_LOOK_EVERY: Duration = Duration::from_millis(20);

/// A sequence, as it must be opened again in another child.
#[derive(Debug)]
struct Known {
    opening: OpenMessage<'static>,
    /// Which child has it.
    child: u64,
    /// Whether anything of it was computed there.
    begun: bool,
}

/// An engine in a child process, which is started again when it has died.
pub struct IsolatedEngine {
    launch: Launch,
    payload: Vec<u8>,
    watch: Watch,
    link: Arc<Link>,
    connection: Option<Connection>,
    /// Numbers the children.
    child: u64,
    limits: Limits,
    switch: AbortSwitch,
    sequences: HashMap<SequenceId, Known>,
    /// Those that only hold cache, and which child has them.
    holders: HashMap<SequenceId, u64>,
    replay: Replay,
}

impl fmt::Debug for IsolatedEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IsolatedEngine").field("child", &self.child).finish_non_exhaustive()
    }
}

impl IsolatedEngine {
    /// Starts a child and has it load what `payload` says, which the child's loader understands. Blocks for
    /// as long as that takes. Gives what the loader found out, too.
    ///
    /// # Errors
    ///
    /// The loader's own; `engine-failed` if the child cannot be started or dies; `unavailable` if `watch`
    /// cancelled it.
    pub fn start(launch: Launch, payload: &impl Serialize, watch: Watch) -> Result<(Self, String), Error> {
        let payload = postcard::to_allocvec(payload)
            .map_err(|e| Error::new(ErrorCode::Internal, format!("load options cannot be sent: {e}")))?;
        let link = Arc::new(Link::default());
        let cancelled = Arc::clone(&watch.cancelled);
        let stop = move || cancelled.load(Ordering::SeqCst);
        let (connection, limits, facts) = launch_child(&launch, &payload, &watch, &link, &stop)?;
        let for_switch = Arc::clone(&link);
        let engine = Self {
            switch: AbortSwitch::waking(move || for_switch.abort()),
            launch,
            payload,
            watch,
            link,
            connection: Some(connection),
            child: 1,
            limits,
            sequences: HashMap::new(),
            holders: HashMap::new(),
            replay: Replay::default(),
        };
        Ok((engine, facts))
    }

    /// Makes sure that there is a child, with everything that was set up in the last one.
    pub(super) fn revive(&mut self) -> Result<(), Error> {
        if let Some(connection) = &mut self.connection {
            if connection.is_running() {
                return Ok(());
            }
            self.connection = None;
        }
        // Thrown for an earlier step, it must not stop this.
        self.switch.reset();
        self.log("warn", "the engine's process has ended and is started again");
        let switch = self.switch.clone();
        let stop = move || switch.is_thrown();
        let (connection, limits, _) =
            launch_child(&self.launch, &self.payload, &self.watch, &self.link, &stop)
                .map_err(|error| Error { message: format!("restarting: {}", error.message), ..error })?;
        self.child += 1;
        self.log("info", &format!("the engine's process is {}", connection.process_id()));
        self.connection = Some(connection);
        if (limits.sequences, limits.context) != (self.limits.sequences, self.limits.context) {
            self.connection = None;
            let message = "the model was not restarted: its file has changed; close it and load it again";
            return Err(Error::new(ErrorCode::EngineFailed, message));
        }
        let messages: Vec<ToChild<'_>> = self.replay.messages().collect();
        for message in messages {
            ask(&mut self.connection, &self.watch, &self.switch, &message)?;
        }
        Ok(())
    }

    fn log(&self, level: &str, line: &str) {
        if let Some(log) = &self.watch.log {
            log(level, line);
        }
    }

    /// Whether this child has cells of a sequence.
    pub(super) fn child_holds(&self, sequence: SequenceId) -> bool {
        let of_sequence = self.sequences.get(&sequence).filter(|known| known.begun).map(|known| known.child);
        let holder = of_sequence.or_else(|| self.holders.get(&sequence).copied());
        self.connection.is_some() && holder == Some(self.child)
    }

    /// Notes that this child has cells of a sequence now.
    pub(super) fn note_holder(&mut self, sequence: SequenceId) {
        match self.sequences.get_mut(&sequence) {
            Some(known) => known.begun = true,
            None => drop(self.holders.insert(sequence, self.child)),
        }
    }

    /// Whether a sequence was opened in a child that has ended since.
    pub(super) fn is_of_another_child(&self, sequence: SequenceId) -> bool {
        self.sequences.get(&sequence).is_some_and(|known| known.child != self.child)
    }

    /// Says `message` to a living child and waits for the answer.
    fn ask_living(&mut self, message: &ToChild<'_>) -> Result<FromChild, Error> {
        self.revive()?;
        self.ask_child(message)
    }

    /// The same, unless the child has ended.
    pub(super) fn ask_child(&mut self, message: &ToChild<'_>) -> Result<FromChild, Error> {
        ask(&mut self.connection, &self.watch, &self.switch, message)
    }

    /// Says something without an answer. A child that does not hear it has nothing to forget.
    fn tell(&mut self, message: &ToChild<'_>) {
        if let Some(connection) = &mut self.connection
            && matches!(connection.tell(message), Err(Trouble::Gone(_)))
        {
            self.connection = None;
        }
    }

    /// The runs whose sequences this child has. The others died with theirs, but for those of which nothing
    /// was computed yet.
    fn living<'a>(&mut self, batch: &'a Batch<'_>, sink: &mut dyn Sink) -> Result<Vec<&'a Run<'a>>, Error> {
        let mut living = Vec::with_capacity(batch.runs.len());
        for run in &batch.runs {
            let Some(known) = self.sequences.get_mut(&run.sequence) else {
                // The child says what is wrong with it.
                living.push(run);
                continue;
            };
            if known.child != self.child {
                if known.begun {
                    sink.failed(run.sequence, died("ended while it computed other answers"));
                    continue;
                }
                let message = ToChild::Open(Box::new(known.opening.clone()));
                ask(&mut self.connection, &self.watch, &self.switch, &message)?;
                known.child = self.child;
            }
            known.begun = true;
            living.push(run);
        }
        Ok(living)
    }
}

impl Engine for IsolatedEngine {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn abort_switch(&self) -> AbortSwitch {
        self.switch.clone()
    }

    fn open(&mut self, sequence: SequenceId, opening: Opening<'_>) -> Result<(), Error> {
        if !opening.media.is_empty() {
            return Err(Error::unsupported("isolate", "cannot be combined with images"));
        }
        let message = OpenMessage::new(sequence, opening);
        let kept = message.clone().into_owned();
        self.ask_living(&ToChild::Open(Box::new(message)))?;
        self.sequences.insert(sequence, Known { opening: kept, child: self.child, begun: false });
        Ok(())
    }

    fn step(&mut self, batch: &Batch<'_>, sink: &mut dyn Sink) -> Result<StepOutcome, Error> {
        if self.connection.is_none() {
            self.revive()?;
        }
        if self.switch.is_thrown() {
            return Ok(StepOutcome::Aborted);
        }
        let living = self.living(batch, sink)?;
        if living.is_empty() {
            return Ok(StepOutcome::Done);
        }
        let runs = living.into_iter().map(RunMessage::from).collect();
        let message = ToChild::Step { runs, adapters: Cow::Borrowed(&batch.adapters) };
        let until = batch.time_left.map(|left| Instant::now() + left);
        match ask_until(&mut self.connection, &self.watch, &self.switch, &message, until)? {
            FromChild::Stepped { events, outcome } => {
                for event in events {
                    event.tell(sink);
                }
                Ok(outcome)
            }
            other => Err(unexpected(&other)),
        }
    }

    fn propose(&mut self, wanted: &[Proposal]) -> Result<Vec<Vec<Token>>, Error> {
        if self.connection.is_none() {
            // A step starts the next child.
            return Ok(vec![Vec::new(); wanted.len()]);
        }
        let message = ToChild::Propose(Cow::Borrowed(wanted));
        match ask(&mut self.connection, &self.watch, &self.switch, &message)? {
            FromChild::Proposed(drafts) => Ok(drafts),
            other => Err(unexpected(&other)),
        }
    }

    fn share(&mut self, from: SequenceId, to: SequenceId, tokens: Range<u32>) -> bool {
        // What another child held went with it.
        if self.connection.is_none() || self.is_of_another_child(to) {
            return false;
        }
        let message = ToChild::Share { from, to, tokens };
        let answer = ask(&mut self.connection, &self.watch, &self.switch, &message);
        if !matches!(answer, Ok(FromChild::Shared(true))) {
            return false;
        }
        self.note_holder(to);
        true
    }

    fn save(&mut self, sequence: SequenceId, tokens: u32) -> Result<Option<Vec<u8>>, Error> {
        self.save_cells(sequence, tokens)
    }

    fn restore(
        &mut self,
        sequence: SequenceId,
        tokens: u32,
        adapters: &Adapters,
        saved: &[u8],
    ) -> Result<bool, Error> {
        self.restore_cells(sequence, tokens, adapters, saved)
    }

    fn park(&mut self, sequence: SequenceId) {
        self.tell(&ToChild::Park(sequence));
    }

    fn release(&mut self, sequence: SequenceId) {
        if self.holders.remove(&sequence) == Some(self.child) {
            self.tell(&ToChild::Release(sequence));
        }
        let Some(known) = self.sequences.remove(&sequence) else { return };
        if known.child != self.child {
            return;
        }
        self.tell(&ToChild::Release(sequence));
        if known.opening.saves() {
            // Whoever asked for the file finds it there. A child that dies now shows at the next call.
            let _ = ask(&mut self.connection, &self.watch, &self.switch, &ToChild::Flush);
        }
    }

    fn embed(&mut self, inputs: &[Vec<Token>]) -> Result<Vec<Vec<f32>>, Error> {
        self.switch.reset();
        match self.ask_living(&ToChild::Embed(Cow::Borrowed(inputs)))? {
            FromChild::Vectors(vectors) => Ok(vectors),
            other => Err(unexpected(&other)),
        }
    }

    fn rank(&mut self, inputs: &[Vec<Token>]) -> Result<Vec<f32>, Error> {
        self.switch.reset();
        match self.ask_living(&ToChild::Rank(Cow::Borrowed(inputs)))? {
            FromChild::Scores(outputs) => Ok(outputs),
            other => Err(unexpected(&other)),
        }
    }

    fn score(&mut self, piece: Scoring<'_>) -> Result<Vec<f32>, Error> {
        self.switch.reset();
        let Scoring { window, start, tokens, targets } = piece;
        let message = ToChild::Score { window, start, tokens: tokens.into(), targets: targets.into() };
        match self.ask_living(&message)? {
            FromChild::Scores(scores) => Ok(scores),
            other => Err(unexpected(&other)),
        }
    }

    fn end_scoring(&mut self) {
        self.tell(&ToChild::EndScoring);
    }

    fn native(&mut self, call: NativeCall) -> Result<NativeReply, Error> {
        self.switch.reset();
        match self.ask_living(&ToChild::Native(Cow::Borrowed(&call)))? {
            FromChild::Replied(reply) => {
                self.replay.add_call(&call);
                Ok(reply)
            }
            other => Err(unexpected(&other)),
        }
    }

    fn load_adapter(&mut self, name: &str, path: &Path, scale: f32) -> Result<(), Error> {
        let path = path.to_str().ok_or_else(|| Error::option("path", "must be valid UTF-8"))?;
        self.ask_living(&ToChild::LoadAdapter { name: name.into(), path: path.into(), scale })?;
        self.replay.add_adapter(name, path, scale);
        Ok(())
    }

    fn unload_adapter(&mut self, name: &str) -> Result<bool, Error> {
        match self.ask_living(&ToChild::UnloadAdapter(name.into()))? {
            FromChild::Unloaded(was_there) => {
                self.replay.remove_adapter(name);
                Ok(was_there)
            }
            other => Err(unexpected(&other)),
        }
    }
}

impl Drop for IsolatedEngine {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.close();
        }
    }
}

/// Starts a child and waits until it has loaded its model.
fn launch_child(
    launch: &Launch,
    payload: &[u8],
    watch: &Watch,
    link: &Arc<Link>,
    stop: &dyn Fn() -> bool,
) -> Result<(Connection, Limits, String), Error> {
    let cannot = |e| {
        let program = launch.program.display();
        Error::new(
            ErrorCode::EngineFailed,
            format!("a process for the engine ({program}) cannot be started: {e}"),
        )
    };
    let (process, stream) = Process::start(launch, watch.log.clone()).map_err(cannot)?;
    let mut connection = Connection::new(process, stream, Arc::clone(link)).map_err(cannot)?;
    let waiting = Waiting { progress: watch.progress.as_ref(), look_up: &|| !stop(), every: LOAD_LOOK_EVERY };
    let answer = connection
        .tell(&ToChild::Load(Cow::Borrowed(payload)))
        .and_then(|()| connection.answer(&waiting, watch.log.as_ref()));
    match answer {
        Ok(Some(FromChild::Loaded { limits, facts })) => Ok((connection, (*limits).into(), facts)),
        Ok(Some(FromChild::Failed { error, .. })) => Err(error.into()),
        Ok(Some(other)) => Err(unexpected(&other)),
        Ok(None) => Err(Error::new(ErrorCode::Unavailable, "the load was stopped")),
        Err(Trouble::Gone(how)) => {
            let message = format!("the engine's process {how}, while it loaded the model");
            Err(Error::new(ErrorCode::EngineFailed, message))
        }
        Err(Trouble::Unsaid(error)) => Err(Error::new(ErrorCode::PayloadTooLarge, error.to_string())),
    }
}

/// Says `message` and waits for the answer. A child that is of no use any more is let go of.
fn ask(
    connection: &mut Option<Connection>,
    watch: &Watch,
    switch: &AbortSwitch,
    message: &ToChild<'_>,
) -> Result<FromChild, Error> {
    ask_until(connection, watch, switch, message, None)
}

/// The same, and aborts what it asked for when time is up.
fn ask_until(
    connection: &mut Option<Connection>,
    watch: &Watch,
    switch: &AbortSwitch,
    message: &ToChild<'_>,
    until: Option<Instant>,
) -> Result<FromChild, Error> {
    let Some(child) = connection else { return Err(died("is gone")) };
    let answer = child.tell(message).and_then(|()| {
        // Whoever threw the switch while the message was sent could not say so.
        let abort = |child: &mut Connection| child.tell(&ToChild::Abort);
        if switch.is_thrown() {
            abort(child)?;
        }
        loop {
            // What was said just before the engine began is lost, so it is said again.
            let is_over = || switch.is_thrown() || until.is_some_and(|until| Instant::now() >= until);
            let waiting = Waiting { look_up: &|| !is_over(), ..Waiting::default() };
            if let Some(answer) = child.answer(&waiting, watch.log.as_ref())? {
                return Ok(answer);
            }
            abort(child)?;
        }
    });
    match answer {
        Ok(FromChild::Failed { error, lost }) => {
            if lost {
                *connection = None;
            }
            Err(error.into())
        }
        Ok(answer) => Ok(answer),
        Err(Trouble::Gone(how)) => {
            *connection = None;
            Err(died(&how))
        }
        Err(Trouble::Unsaid(error)) => Err(Error::new(ErrorCode::PayloadTooLarge, error.to_string())),
    }
}

pub(super) fn died(how: &str) -> Error {
    let message = format!("the engine's process {how}; it is started again for the next request");
    Error::new(ErrorCode::EngineFailed, message)
}

pub(super) fn unexpected<Answer>(answer: &Answer) -> Error {
    let name = std::any::type_name_of_val(answer);
    Error::new(ErrorCode::Internal, format!("the engine's process gave an answer to something else ({name})"))
}
