use llama_cpp_sys_2 as sys;
use rkllmjs_core::Token;

use crate::places::Position;

/// The arrays of a `llama_batch`, kept between steps.
#[derive(Debug, Default)]
pub(crate) struct BatchBuffer {
    tokens: Vec<sys::llama_token>,
    positions: Vec<sys::llama_pos>,
    /// The same with all their numbers.
    places: Vec<Position>,
    /// The numbers of `places`: the first ones of all, then the second ones.
    sections: Vec<sys::llama_pos>,
    counts: Vec<i32>,
    sequences: Vec<sys::llama_seq_id>,
    sequence_pointers: Vec<*mut sys::llama_seq_id>,
    outputs: Vec<i8>,
}

// SAFETY: the pointers lead into this value's own `sequences`, and are rebuilt before every use.
unsafe impl Send for BatchBuffer {}

impl BatchBuffer {
    pub(crate) fn clear(&mut self) {
        self.tokens.clear();
        self.positions.clear();
        self.places.clear();
        self.sequences.clear();
        self.outputs.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Adds a token; its index in the batch.
    pub(crate) fn push(&mut self, token: Token, position: u32, slot: i32, output: bool) -> i32 {
        self.push_at(token, [position; 4], slot, output)
    }

    /// The same for one that stands in two dimensions.
    pub(crate) fn push_at(&mut self, token: Token, place: Position, slot: i32, output: bool) -> i32 {
        let index = i32::try_from(self.tokens.len()).unwrap_or(i32::MAX);
        let [position, ..] = place;
        self.tokens.push(token.cast_signed());
        self.positions.push(position.cast_signed());
        self.places.push(place);
        self.sequences.push(slot);
        self.outputs.push(i8::from(output));
        index
    }

    /// The C view of the arrays, valid until this buffer changes.
    pub(crate) fn as_raw(&mut self) -> sys::llama_batch {
        self.counts.resize(self.tokens.len(), 1);
        self.sequence_pointers.clear();
        self.sequence_pointers.extend(self.sequences.iter_mut().map(std::ptr::from_mut));
        sys::llama_batch {
            n_tokens: i32::try_from(self.tokens.len()).unwrap_or(i32::MAX),
            token: self.tokens.as_mut_ptr(),
            embd: std::ptr::null_mut(),
            pos: self.positions.as_mut_ptr(),
            n_seq_id: self.counts.as_mut_ptr(),
            seq_id: self.sequence_pointers.as_mut_ptr(),
            logits: self.outputs.as_mut_ptr(),
        }
    }

    /// The same where every row is a vector and its token counts for nothing, for a model that reads so many
    /// numbers of the place of each.
    pub(crate) fn as_raw_vectors(&mut self, vectors: &mut [f32], numbers: usize) -> sys::llama_batch {
        self.sections.clear();
        for number in 0..numbers {
            let numbers = self.places.iter().filter_map(|place| place.get(number));
            self.sections.extend(numbers.map(|number| number.cast_signed()));
        }
        let pos = self.sections.as_mut_ptr();
        sys::llama_batch { token: std::ptr::null_mut(), embd: vectors.as_mut_ptr(), pos, ..self.as_raw() }
    }
}

#[cfg(test)]
mod tests {
    use super::BatchBuffer;

    #[test]
    fn the_places_of_rows_are_laid_out_number_by_number() {
        let mut batch = BatchBuffer::default();
        batch.push_at(0, [7, 8, 9, 0], 0, false);
        batch.push(0, 12, 0, false);
        for (numbers, expected) in [(1, vec![7, 12]), (4, vec![7, 12, 8, 12, 9, 12, 0, 12])] {
            batch.as_raw_vectors(&mut [0.0; 2], numbers);
            assert_eq!(batch.sections, expected);
        }
        assert_eq!(batch.positions, [7, 12]);
    }
}
