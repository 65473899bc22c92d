//! Runs a chat template on a thread of its own, so that one which does not come back holds nobody up.
//!
//! llama.cpp's engine is stopped where it takes memory. One operation between two of those, a replacement in a
//! long text for example, may take minutes without any; nothing can end it, but nobody has to wait for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rkllmjs_core::{Error, ErrorCode};
use rkllmjs_llama_common::{Answers, ChatError, Templates, ThreadClock};

/// How long a rendering may take, and more for a long conversation: several times what is allowed to it in
/// processor time, which other programs may want too.
const WAIT: Duration = Duration::from_secs(4);
const BYTES_PER_WAITING_MS: usize = 1024;
/// How much more than is allowed to it a rendering may work before nobody waits for it any more.
const GRACE: Duration = Duration::from_millis(100);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Renderings that may be left behind unfinished before there are no new ones.
const LEFT_BEHIND_MAX: usize = 2;
/// The limits on recursion are for a stack larger than this.
const STACK_BYTES: usize = 4 << 20;

/// Why there is no rendering.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The template fails, refuses the request, or runs into a limit.
    Template(ChatError),
    /// It could not even be tried.
    Untried(Error),
}

impl From<ChatError> for Failure {
    fn from(error: ChatError) -> Self {
        Self::Template(error)
    }
}

/// A template that renders one request at a time: nothing says that llama.cpp's engine may run it on two threads.
#[derive(Debug)]
pub(crate) struct Renderer {
    source: String,
    start_text: String,
    end_text: String,
    threads: Mutex<Threads>,
}

#[derive(Debug, Default)]
struct Threads {
    worker: Option<Worker>,
    left_behind: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Worker {
    requests: SyncSender<(String, Answers)>,
    renderings: Receiver<Result<String, ChatError>>,
    clock: Option<ThreadClock>,
    thread: JoinHandle<()>,
}

impl Renderer {
    /// Parses the template when it is first needed. The texts are how it spells the tokens that begin and end a
    /// text.
    pub(crate) fn new(source: &str, start_text: &str, end_text: &str) -> Self {
        Self {
            source: source.to_owned(),
            start_text: start_text.to_owned(),
            end_text: end_text.to_owned(),
            threads: Mutex::default(),
        }
    }

    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// As [`Templates::apply`], or an error once that takes too long.
    pub(crate) fn apply(&self, request: String, answers: Answers) -> Result<String, Failure> {
        let wait = WAIT + Duration::from_millis((request.len() / BYTES_PER_WAITING_MS) as u64);
        let work = GRACE + Duration::from_millis(answers.cpu_ms(request.len()));
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let worker = match threads.worker.take() {
            Some(worker) => worker,
            None => {
                threads.left_behind.retain(|thread| !thread.is_finished());
                if threads.left_behind.len() >= LEFT_BEHIND_MAX {
                    return Err(Failure::Untried(still_busy()));
                }
                self.start().map_err(Failure::Untried)?
            }
        };
        // Whether it is there to take the request shows in what comes back.
        let _ = worker.requests.send((request, answers));
        match worker.next_rendering(work, wait) {
            Ok(rendering) => {
                threads.worker = Some(worker);
                Ok(rendering?)
            }
            Err(RecvTimeoutError::Timeout) => {
                threads.left_behind.push(worker.thread);
                Err(ChatError::PassedLimit("runs for too long".to_owned()).into())
            }
            Err(RecvTimeoutError::Disconnected) => Err(Failure::Untried(Error::new(
                ErrorCode::Internal,
                "the thread of the chat template ended",
            ))),
        }
    }

    fn start(&self) -> Result<Worker, Error> {
        let (requests, waiting) = sync_channel::<(String, Answers)>(1);
        let (finished, renderings) = sync_channel(1);
        let (started, clock) = sync_channel(1);
        let (source, start, end) = (self.source.clone(), self.start_text.clone(), self.end_text.clone());
        let thread = std::thread::Builder::new()
            .name("rkllmjs-template".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let _ = started.send(ThreadClock::of_this_thread());
                let mut parsed = None;
                while let Ok((request, answers)) = waiting.recv() {
                    let rendering = match parsed.take() {
                        Some(templates) => Ok(templates),
                        None => Templates::new(&source, &start, &end),
                    }
                    .and_then(|templates| parsed.insert(templates).apply(&request, answers));
                    if finished.send(rendering).is_err() {
                        return;
                    }
                }
            })
            .map_err(|e| Error::new(ErrorCode::Internal, format!("cannot start a thread: {e}")))?;
        let clock = clock.recv().ok().flatten();
        Ok(Worker { requests, renderings, clock, thread })
    }
}

impl Worker {
    /// The next rendering, unless it takes more than so much work or time.
    fn next_rendering(
        &self,
        work: Duration,
        wait: Duration,
    ) -> Result<Result<String, ChatError>, RecvTimeoutError> {
        let used = || self.clock.and_then(ThreadClock::used).unwrap_or_default();
        let (began, used_before) = (Instant::now(), used());
        loop {
            match self.renderings.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout)
                    if used().saturating_sub(used_before) < work && began.elapsed() < wait => {}
                rendering => return rendering,
            }
        }
    }
}

impl Drop for Renderer {
    fn drop(&mut self) {
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        // It only waits for requests, of which there are no more.
        if let Some(Worker { requests, thread, .. }) = threads.worker.take() {
            drop(requests);
            let _ = thread.join();
        }
    }
}

fn still_busy() -> Error {
    let message = "the model's chat template is still at work on earlier requests, which took too long; ask again \
                   later, and with shorter messages";
    Error::new(ErrorCode::Overloaded, message)
}
