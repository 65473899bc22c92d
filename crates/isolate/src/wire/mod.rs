//! What the two processes say to each other.

mod bytes;
mod cells;
mod error;
mod frame;
mod limits;
mod message;
mod names;

pub(crate) use bytes::Bytes;
pub(crate) use cells::{CellsFromChild, CellsToChild, PIECE_BYTES};
pub(crate) use error::WireError;
pub(crate) use frame::{FrameReader, Received, write_frame};
pub(crate) use limits::WireLimits;
pub(crate) use message::{FromChild, OpenMessage, RunMessage, StepEvents, ToChild, batch};
