/// Turns bytes that arrive in arbitrary cuts into text, never showing half a character.
///
/// Holds back at most three bytes: the start of a character whose rest has not come. Bytes that
/// can never become a character turn into U+FFFD, as `String::from_utf8_lossy` does.
#[derive(Debug, Default)]
pub(crate) struct Utf8Decoder {
    held: Vec<u8>,
}

impl Utf8Decoder {
    /// Adds `bytes` and appends to `text` what is certain by now.
    pub(crate) fn push(&mut self, bytes: &[u8], text: &mut String) {
        if self.held.is_empty()
            && let Ok(whole) = std::str::from_utf8(bytes)
        {
            text.push_str(whole);
            return;
        }
        self.held.extend_from_slice(bytes);
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(whole) => {
                    text.push_str(whole);
                    return;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(bad) = error.error_len() else {
                        self.held = after.to_vec();
                        return;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = after.get(bad..).unwrap_or_default();
                }
            }
        }
    }

    /// Appends what is still held, as one U+FFFD, and forgets it.
    pub(crate) fn finish(&mut self, text: &mut String) {
        if !self.held.is_empty() {
            text.push_str(&String::from_utf8_lossy(&self.held));
            self.held.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Utf8Decoder;

    fn decode(cuts: &[&[u8]]) -> String {
        let (mut decoder, mut text) = (Utf8Decoder::default(), String::new());
        for cut in cuts {
            decoder.push(cut, &mut text);
        }
        decoder.finish(&mut text);
        text
    }

    #[test]
    fn a_character_cut_anywhere_comes_out_whole() {
        let bytes = "a€😀é".as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let cuts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(decode(&cuts), "a€😀é");
            }
        }
    }

    #[test]
    fn any_bytes_in_any_cut_equal_the_lossy_text_of_the_whole() {
        let mut state = 7_u64;
        for _ in 0..5_000 {
            let mut bytes = Vec::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let pick = [0x41, 0xF0, 0x9F, 0x98, 0x80, 0xE2, 0x82, 0xAC, 0xC3, 0xFF, 0xED, 0xA0];
                bytes.push(pick[(state >> 33) as usize % pick.len()]);
            }
            let cuts: Vec<&[u8]> = bytes.chunks(1 + (state >> 60) as usize % 5).collect();
            assert_eq!(decode(&cuts), String::from_utf8_lossy(&bytes), "{bytes:x?}");
        }
    }
}
