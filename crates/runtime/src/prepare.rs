use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};

use rkllmjs_core::{Error, ErrorCode};

/// Work for the thread; it gets the error if the thread does not take it.
type Job = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// Jobs that may wait besides those that hold a place in the scheduler's queue.
const OTHERS_MAX: usize = 64;

/// A thread that turns text into tokens, so that neither JavaScript nor the engine waits for it.
///
/// One thread a model keeps requests in the order of their calls.
#[derive(Debug)]
pub(crate) struct Prepare {
    sender: Mutex<Option<SyncSender<Job>>>,
}

impl Prepare {
    pub(crate) fn start(places: usize) -> Result<Self, Error> {
        let (sender, receiver) = sync_channel::<Job>(places.saturating_add(OTHERS_MAX));
        std::thread::Builder::new()
            .name("rkllmjs-prepare".to_owned())
            .stack_size(8 << 20)
            .spawn(move || run(&receiver))
            .map_err(|e| Error::new(ErrorCode::EngineFailed, format!("no thread to prepare prompts: {e}")))?;
        Ok(Self { sender: Mutex::new(Some(sender)) })
    }

    /// Queues `job`, or runs it at once with the reason why not.
    pub(crate) fn push(&self, job: impl FnOnce(Result<(), Error>) + Send + 'static) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = sender.as_ref() else {
            return job(Err(Error::new(ErrorCode::Closed, "the model is closed")));
        };
        let refused = match sender.try_send(Box::new(job)) {
            Ok(()) => return,
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => job,
        };
        refused(Err(Error::new(ErrorCode::Overloaded, "too many prompts wait to be prepared; try again")));
    }

    /// Ends the thread once it has done what is queued.
    pub(crate) fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn run(receiver: &Receiver<Job>) {
    while let Ok(job) = receiver.recv() {
        // A job that panics drops what it owns, which tells its caller; the thread lives on.
        let _ = catch_unwind(AssertUnwindSafe(|| job(Ok(()))));
    }
}
