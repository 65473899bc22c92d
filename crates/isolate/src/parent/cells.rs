//! Saved cells on their way, in the process of the caller.

use std::borrow::Cow;

use rkllmjs_core::{Adapters, Error, ErrorCode, SequenceId};

use super::engine::{IsolatedEngine, died, unexpected};
use crate::wire::{Bytes, CellsFromChild, CellsToChild, FromChild, PIECE_BYTES, ToChild};

impl IsolatedEngine {
    /// See [`Engine::save`](rkllmjs_core::Engine::save).
    pub(super) fn save_cells(&mut self, sequence: SequenceId, tokens: u32) -> Result<Option<Vec<u8>>, Error> {
        // What another child held went with it.
        if !self.child_holds(sequence) {
            return Ok(None);
        }
        let total = match self.ask_for_cells(CellsToChild::Save { sequence, tokens })? {
            CellsFromChild::Saved(Some(total)) => usize::try_from(total).unwrap_or(usize::MAX),
            CellsFromChild::Saved(None) => return Ok(None),
            other => return Err(unexpected(&other)),
        };
        let mut saved = Vec::new();
        saved.try_reserve_exact(total).map_err(|_| {
            Error::new(
                ErrorCode::InsufficientMemory,
                format!("there is no memory for {total} bytes of cells"),
            )
        })?;
        while saved.len() < total {
            match self.ask_for_cells(CellsToChild::Piece { from: saved.len() as u64 })? {
                CellsFromChild::Piece(Bytes(piece)) if !piece.is_empty() => saved.extend_from_slice(&piece),
                other => return Err(unexpected(&other)),
            }
        }
        Ok(Some(saved))
    }

    /// See [`Engine::restore`](rkllmjs_core::Engine::restore).
    pub(super) fn restore_cells(
        &mut self,
        sequence: SequenceId,
        tokens: u32,
        adapters: &Adapters,
        saved: &[u8],
    ) -> Result<bool, Error> {
        self.revive()?;
        if self.is_of_another_child(sequence) {
            return Err(died("ended while a request began"));
        }
        let mut from = 0;
        // One without bytes, where there are none: what was brought before counts no more.
        let pieces = saved.chunks(PIECE_BYTES).chain(saved.is_empty().then_some(saved));
        for piece in pieces {
            let bytes = Bytes(Cow::Borrowed(piece));
            self.ask_for_cells(CellsToChild::Bring { from, total: saved.len() as u64, piece: bytes })?;
            from += piece.len() as u64;
        }
        match self.ask_for_cells(CellsToChild::Restore {
            sequence,
            tokens,
            adapters: Cow::Borrowed(adapters),
        })? {
            CellsFromChild::Restored(restored) => {
                if restored {
                    self.note_holder(sequence);
                }
                Ok(restored)
            }
            other => Err(unexpected(&other)),
        }
    }

    fn ask_for_cells(&mut self, message: CellsToChild<'_>) -> Result<CellsFromChild, Error> {
        match self.ask_child(&ToChild::Cells(message))? {
            FromChild::Cells(answer) => Ok(answer),
            other => Err(unexpected(&other)),
        }
    }
}
