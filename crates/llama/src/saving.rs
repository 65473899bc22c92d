//! The cells of a sequence as bytes, and back.

use rkllmjs_core::{Adapters, Error, ErrorCode, SequenceId, Tokenizer as _};

use crate::LlamaEngine;
use crate::context::Context;
use crate::log;
use crate::saved_cells::{Layout, SavedCells};

/// The version of the layout in which llama.cpp writes the cells of a sequence. The shim compiles with no other.
pub const STATE_VERSION: u32 = 4;

impl LlamaEngine {
    /// See [`Engine::save`](rkllmjs_core::Engine::save).
    pub(crate) fn save_cells(&mut self, sequence: SequenceId, tokens: u32) -> Result<Option<Vec<u8>>, Error> {
        let layout = self.layout()?;
        if !self.places(sequence).is_plain(tokens) {
            return Err(not_saved("rows of an image stand at one place"));
        }
        let Some(holder) = self.holders.find(sequence) else { return Ok(None) };
        let Some(context) = self.context.as_mut().filter(|_| !holder.is_stale(self.adapters_age)) else {
            return Ok(None);
        };
        let bytes = context.try_save(holder.slot)?;
        let cells = SavedCells::parse_beginning(&bytes, layout, tokens).map_err(|why| not_saved(&why))?;
        let count = tokens as usize;
        match cells.len() {
            _ if !cells.begins_with(count) => Ok(None),
            there if there == count => Ok(Some(bytes)),
            _ => Ok(Some(cells.first(count).into_owned())),
        }
    }

    /// See [`Engine::restore`](rkllmjs_core::Engine::restore).
    pub(crate) fn restore_cells(
        &mut self,
        sequence: SequenceId,
        tokens: u32,
        adapters: &Adapters,
        saved: &[u8],
    ) -> Result<bool, Error> {
        let layout = self.layout()?;
        if self.holders.find(sequence).is_some() {
            let message = format!("sequence {} holds cache already", sequence.0);
            return Err(Error::new(ErrorCode::Internal, message));
        }
        let cells = SavedCells::parse(saved, layout).map_err(|why| refused(&why))?;
        if tokens == 0 || cells.len() < tokens as usize {
            return Err(refused(&format!("they are {} where {tokens} are wanted", cells.len())));
        }
        cells.check_numbers().map_err(|why| refused(&why))?;
        let has_room = self.context.as_mut().is_some_and(|context| context.free_cells() >= tokens);
        let Some(holder) = has_room.then(|| self.holders.take(sequence)).flatten() else { return Ok(false) };
        log::take_error();
        let first = cells.first(tokens as usize);
        if !self.context.as_mut().is_some_and(|context| context.restore(holder.slot, &first)) {
            self.free(sequence);
            return Err(refused(
                &log::take_error().unwrap_or_else(|| "llama.cpp does not say why".to_owned()),
            ));
        }
        if let Some(holder) = self.holders.find_mut(sequence).filter(|_| !adapters.is_empty()) {
            holder.adapters_of = Some(self.adapters_age);
        }
        Ok(true)
    }

    fn layout(&mut self) -> Result<Layout, Error> {
        let unsupported = "the cache of this model cannot be taken apart";
        let context = self.context.as_mut().filter(|_| self.limits.shares);
        let extra = context.and_then(Context::extra_cell_bytes);
        let extra = extra.ok_or_else(|| Error::new(ErrorCode::Unsupported, unsupported))?;
        Ok(Layout { extra, vocabulary: self.model.vocabulary_size() })
    }
}

fn refused(why: &str) -> Error {
    Error::new(ErrorCode::ModelInvalid, format!("these are no cells of this model: {why}"))
}

fn not_saved(why: &str) -> Error {
    Error::new(ErrorCode::Unsupported, format!("the cells of this model cannot be saved: {why}"))
}
