//! What the two processes say to each other.

mod error;
mod frame;
mod limits;
mod message;
mod names;

pub(crate) use error::WireError;
pub(crate) use frame::{FrameReader, Received, write_frame};
pub(crate) use limits::WireLimits;
pub(crate) use message::{FromChild, OpenMessage, RunMessage, StepEvents, ToChild, batch};
