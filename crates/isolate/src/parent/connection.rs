use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::link::Link;
use super::process::{LogLine, Process};
use crate::wire::{FrameReader, FromChild, Received, ToChild};

/// How long a child may be silent before it is asked whether it lives.
const SILENCE_MOST: Duration = Duration::from_secs(5);
/// How long it may take to say so. Its answer does not wait for the engine.
const PONG_MOST: Duration = Duration::from_secs(15);
/// How often whoever waits looks up.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a child that was told to close may take to free its engine.
const CLOSE_MOST: Duration = Duration::from_secs(3);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The child is of no use any more: the end of a sentence that begins with "the engine's process".
    Gone(String),
    /// What was to be said cannot be; the child lives.
    Unsaid(io::Error),
}

/// What whoever waits for an answer does besides.
pub(super) struct Waiting<'a> {
    /// Hears how much of a load is done.
    pub(super) progress: &'a dyn Fn(f32),
    /// Called every now and then; false gives up.
    pub(super) look_up: &'a dyn Fn() -> bool,
    /// How often `look_up` is called.
    pub(super) every: Duration,
}

impl Default for Waiting<'_> {
    fn default() -> Self {
        Self { progress: &|_| {}, look_up: &|| true, every: LOOK_EVERY }
    }
}

/// A child and the way to and from it.
#[derive(Debug)]
pub(super) struct Connection {
    process: Process,
    stream: UnixStream,
    reader: FrameReader,
    link: Arc<Link>,
    every: Option<Duration>,
}

impl Connection {
    pub(super) fn new(process: Process, stream: UnixStream, link: Arc<Link>) -> io::Result<Self> {
        let reader = FrameReader::new(stream.try_clone()?);
        link.lead_to(Some(stream.try_clone()?));
        Ok(Self { process, stream, reader, link, every: None })
    }

    pub(super) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Whether the child has not ended, as far as the system knows.
    pub(super) fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Says something that has no answer.
    pub(super) fn tell(&mut self, message: &ToChild<'_>) -> Result<(), Trouble> {
        self.link.send(message).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => Trouble::Unsaid(error),
            _ => self.why(&error),
        })
    }

    /// Waits for the answer to what was said last; `None` if `waiting` gave up.
    pub(super) fn answer(
        &mut self,
        waiting: &Waiting<'_>,
        log: Option<&LogLine>,
    ) -> Result<Option<FromChild>, Trouble> {
        if self.every != Some(waiting.every) {
            self.stream.set_read_timeout(Some(waiting.every)).map_err(|error| self.why(&error))?;
            self.every = Some(waiting.every);
        }
        let mut heard = Instant::now();
        let mut asked: Option<Instant> = None;
        loop {
            match self.reader.next::<FromChild>() {
                Ok(Received::Message(message)) => {
                    heard = Instant::now();
                    asked = None;
                    match message {
                        FromChild::Progress(fraction) => (waiting.progress)(fraction),
                        FromChild::Log { level, line } => {
                            if let Some(log) = log {
                                log(&level, &line);
                            }
                        }
                        FromChild::Pong => {}
                        answer => return Ok(Some(answer)),
                    }
                }
                Ok(Received::TimedOut) => {
                    if asked.is_some_and(|asked| asked.elapsed() > PONG_MOST) {
                        self.process.end();
                        let silent = SILENCE_MOST + PONG_MOST;
                        let silent = silent.as_secs();
                        return Err(Trouble::Gone(format!(
                            "hung: it said nothing for {silent} s and was ended"
                        )));
                    }
                    if asked.is_none() && heard.elapsed() > SILENCE_MOST {
                        self.tell(&ToChild::Ping)?;
                        asked = Some(Instant::now());
                    }
                    if !(waiting.look_up)() {
                        return Ok(None);
                    }
                }
                Ok(Received::Ended) => return Err(self.ended()),
                Err(error) => return Err(self.why(&error)),
            }
        }
    }

    /// Ends the child, and says how it ended.
    fn ended(&mut self) -> Trouble {
        // It closes its end a moment before the system knows how it ended.
        self.process.wait(Duration::from_millis(500));
        Trouble::Gone(self.process.end())
    }

    fn why(&mut self, error: &io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected => {
                self.ended()
            }
            _ => {
                let how = self.process.end();
                Trouble::Gone(format!("cannot be spoken to ({error}) and {how}"))
            }
        }
    }

    /// Lets the child free its engine; ends it if it does not.
    pub(super) fn close(&mut self) {
        if self.tell(&ToChild::Close).is_ok() {
            self.process.wait(CLOSE_MOST);
        }
        self.process.end();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.link.lead_to(None);
    }
}
