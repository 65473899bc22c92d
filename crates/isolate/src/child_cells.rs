//! Saved cells on their way, in the process that computes.

use rkllmjs_core::{Engine, Error, ErrorCode};

use crate::wire::{Bytes, CellsFromChild, CellsToChild, PIECE_BYTES};

/// What was saved and not fetched, and what was brought and not restored.
#[derive(Debug, Default)]
pub(crate) struct ChildCells {
    saved: Vec<u8>,
    brought: Vec<u8>,
}

impl ChildCells {
    pub(crate) fn obey(
        &mut self,
        engine: &mut dyn Engine,
        message: CellsToChild<'_>,
    ) -> Result<CellsFromChild, Error> {
        match message {
            CellsToChild::Save { sequence, tokens } => {
                self.saved = Vec::new();
                let saved = engine.save(sequence, tokens)?;
                Ok(CellsFromChild::Saved(saved.map(|saved| {
                    self.saved = saved;
                    self.saved.len() as u64
                })))
            }
            CellsToChild::Piece { from } => Ok(CellsFromChild::Piece(self.piece(from)?)),
            CellsToChild::Bring { from, total, piece } => {
                self.take(from, total, &piece)?;
                Ok(CellsFromChild::Taken)
            }
            CellsToChild::Restore { sequence, tokens, adapters } => {
                let brought = std::mem::take(&mut self.brought);
                engine.restore(sequence, tokens, &adapters, &brought).map(CellsFromChild::Restored)
            }
        }
    }

    fn piece(&mut self, from: u64) -> Result<Bytes<'static>, Error> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let end = from.saturating_add(PIECE_BYTES).min(self.saved.len());
        let piece = self.saved.get(from..end).ok_or_else(out_of_order)?.to_vec();
        if end == self.saved.len() {
            self.saved = Vec::new();
        }
        Ok(Bytes(piece.into()))
    }

    fn take(&mut self, from: u64, total: u64, piece: &Bytes<'_>) -> Result<(), Error> {
        if from == 0 {
            self.brought = Vec::new();
            let total = usize::try_from(total).unwrap_or(usize::MAX);
            self.brought.try_reserve_exact(total).map_err(|_| {
                Error::new(
                    ErrorCode::InsufficientMemory,
                    format!("there is no memory for {total} bytes of cells"),
                )
            })?;
        }
        if self.brought.len() as u64 != from {
            return Err(out_of_order());
        }
        self.brought.extend_from_slice(&piece.0);
        Ok(())
    }
}

fn out_of_order() -> Error {
    Error::new(ErrorCode::Internal, "saved cells came out of order")
}
