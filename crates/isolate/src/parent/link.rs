use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use crate::wire::{ToChild, write_frame};

/// The way to the child, which the engine's thread and whoever aborts share.
#[derive(Debug, Default)]
pub(super) struct Link(Mutex<Option<UnixStream>>);

impl Link {
    /// Leads to another child from now on, or to none.
    pub(super) fn lead_to(&self, stream: Option<UnixStream>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stream;
    }

    pub(super) fn send(&self, message: &ToChild<'_>) -> io::Result<()> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stream.as_mut().map_or_else(|| Err(io::ErrorKind::NotConnected.into()), |s| write_frame(s, message))
    }

    /// Tells the child to stop its step; never waits. Whoever holds the lock sends a message at this moment
    /// and looks at the switch afterwards.
    pub(super) fn abort(&self) {
        if let Ok(mut stream) = self.0.try_lock()
            && let Some(stream) = stream.as_mut()
        {
            // A few bytes, for which there is room: at most one message is under way besides. If the child
            // is gone, whoever waits for it sees that.
            let _ = write_frame(stream, &ToChild::Abort);
        }
    }
}
