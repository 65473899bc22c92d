//! The bytes of tokens as the callback sees them: whole characters, or a state that says wait.

use crate::run::State;

/// Turns the pieces of one answer into callback texts.
#[derive(Debug, Default)]
pub(crate) struct TextStream {
    held: Vec<u8>,
    /// Hold text back although it is complete: the trap `waiting`.
    stalls: bool,
    pieces: usize,
    stalled: bool,
}

impl TextStream {
    pub(crate) fn new(stalls: bool) -> Self {
        Self { stalls, ..Self::default() }
    }

    /// Adds the bytes of a token: the state to report and the text to show.
    pub(crate) fn push(&mut self, piece: &[u8]) -> (State, Option<Vec<u8>>) {
        self.held.extend_from_slice(piece);
        self.pieces += 1;
        if self.stalls {
            return self.push_stalling();
        }
        let text = self.take_whole();
        if text.is_empty() && !self.held.is_empty() {
            return (State::Waiting, None);
        }
        (State::Normal, Some(text))
    }

    /// As a model would whose tokens cut every character of more than one byte, and some others. What
    /// is held back comes with the next token, and never twice in a row. The text shown while waiting
    /// is half a character: whoever passes it on notices.
    fn push_stalling(&mut self) -> (State, Option<Vec<u8>>) {
        let ends_long = self.held.last().is_some_and(|&byte| byte >= 0x80);
        let due = (ends_long || self.pieces.is_multiple_of(3)) && !self.held.is_empty();
        if due && !self.stalled {
            self.stalled = true;
            let half = self.held.len().saturating_sub(1).max(1);
            return (State::Waiting, self.held.get(..half).map(<[u8]>::to_vec));
        }
        self.stalled = false;
        let text = self.take_whole();
        if text.is_empty() && !self.held.is_empty() {
            return (State::Waiting, Some(self.held.clone()));
        }
        (State::Normal, Some(text))
    }

    /// Complete text that was held back; bytes that never became a character are dropped.
    pub(crate) fn finish(&mut self) -> Option<Vec<u8>> {
        let text = self.take_whole();
        self.held.clear();
        (!text.is_empty()).then_some(text)
    }

    /// Takes everything up to an incomplete character at the end. Bytes that are no UTF-8 at all pass.
    fn take_whole(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let incomplete = incomplete_bytes(&held);
        let whole = held.len() - incomplete;
        self.held = held.get(whole..).unwrap_or_default().to_vec();
        let mut text = held;
        text.truncate(whole);
        text
    }
}

/// How many bytes at the end begin a character that is not complete.
fn incomplete_bytes(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Err(error) = std::str::from_utf8(rest) {
        let after = rest.get(error.valid_up_to()..).unwrap_or_default();
        match error.error_len() {
            None => return after.len(),
            Some(bad) => rest = after.get(bad..).unwrap_or_default(),
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(stream: &mut TextStream, pieces: &[&[u8]]) -> (String, usize) {
        let (mut text, mut waits) = (Vec::new(), 0);
        for piece in pieces {
            match stream.push(piece) {
                (State::Normal, Some(bytes)) => text.extend(bytes),
                _ => waits += 1,
            }
        }
        text.extend(stream.finish().unwrap_or_default());
        (String::from_utf8_lossy(&text).into_owned(), waits)
    }

    #[test]
    fn a_character_cut_in_two_waits_once() {
        let cut = [&b"a"[..], &[0xC3], &[0xA9], b"b"];
        assert_eq!(shown(&mut TextStream::new(false), &cut), ("aéb".to_owned(), 1));
    }

    #[test]
    fn stalling_changes_no_text() {
        for text in ["plain text that is long enough", "schön Größe", "日本語日本語", "😀"] {
            let pieces: Vec<String> = text.chars().map(String::from).collect();
            let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
            let (said, waits) = shown(&mut TextStream::new(true), &pieces);
            assert_eq!(said, text);
            assert!(waits > 0, "{text}");
        }
    }
}
