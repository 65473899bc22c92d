use std::borrow::Cow;

use rkllmjs_core::{Adapters, SequenceId};
use serde::{Deserialize, Serialize};

use super::bytes::Bytes;

/// Saved cells are large, so they travel in pieces of at most this many bytes.
pub(crate) const PIECE_BYTES: usize = 4 << 20;

/// What the parent says of saved cells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CellsToChild<'a> {
    /// Saves those of a sequence, to be asked for in pieces.
    Save { sequence: SequenceId, tokens: u32 },
    /// Asks for the piece that begins here.
    Piece { from: u64 },
    /// Brings a piece of those to restore, which have so many bytes.
    Bring { from: u64, total: u64, piece: Bytes<'a> },
    /// Restores what was brought.
    Restore { sequence: SequenceId, tokens: u32, adapters: Cow<'a, Adapters> },
}

/// What the child answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum CellsFromChild {
    /// How many bytes were saved, if the sequence has such cells.
    Saved(Option<u64>),
    Piece(Bytes<'static>),
    Taken,
    Restored(bool),
}
