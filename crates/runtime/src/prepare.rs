use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use rkllmjs_core::{Error, ErrorCode};

type Job = Box<dyn FnOnce() + Send>;

/// A thread that turns text into tokens, so that neither JavaScript nor the engine waits for it.
///
/// One thread a model keeps requests in the order of their calls. Its queue is bounded by the
/// places the scheduler gives out, because a job is only pushed with such a place.
#[derive(Debug)]
pub(crate) struct Prepare {
    sender: Mutex<Option<SyncSender<Job>>>,
}

impl Prepare {
    pub(crate) fn start(most: usize) -> Result<Self, Error> {
        let (sender, receiver) = sync_channel::<Job>(most);
        std::thread::Builder::new()
            .name("rkllmjs-prepare".to_owned())
            .stack_size(8 << 20)
            .spawn(move || run(&receiver))
            .map_err(|e| Error::new(ErrorCode::EngineFailed, format!("no thread to prepare prompts: {e}")))?;
        Ok(Self { sender: Mutex::new(Some(sender)) })
    }

    /// Queues `job`. After [`close`](Self::close), or if the queue is full, it is dropped, which
    /// whatever it owns must take as a failure.
    pub(crate) fn push(&self, job: impl FnOnce() + Send + 'static) {
        if let Some(sender) = self.sender.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            let _ = sender.try_send(Box::new(job));
        }
    }

    /// Ends the thread once it has done what is queued.
    pub(crate) fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn run(receiver: &Receiver<Job>) {
    while let Ok(job) = receiver.recv() {
        // A job that panics drops what it owns, which tells its caller; the thread lives on.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}
