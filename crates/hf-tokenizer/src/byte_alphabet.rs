//! The characters by which byte-level vocabularies write bytes.
//!
//! GPT-2 chose them so that every byte is a visible character: a printable byte of Latin-1 is its own
//! character, the others follow one another from U+0100 on.

/// The bytes that `text` stands for, or `None` if one of its characters stands for none.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    text.chars().map(byte).collect()
}

fn byte(character: char) -> Option<u8> {
    let code = u32::from(character);
    match u8::try_from(code) {
        Ok(byte) => is_itself(byte).then_some(byte),
        Err(_) => {
            let place = usize::try_from(code).ok()?.checked_sub(0x100)?;
            (0..=u8::MAX).filter(|&byte| !is_itself(byte)).nth(place)
        }
    }
}

fn is_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn every_byte_has_exactly_one_character() {
        let mut found = [0; 256];
        for character in '\0'..='\u{FFFF}' {
            if let Some(bytes) = bytes(character.encode_utf8(&mut [0; 4])) {
                assert_eq!(bytes.len(), 1);
                found[usize::from(bytes[0])] += 1;
            }
        }
        assert_eq!(found, [1; 256]);
    }

    #[test]
    fn the_known_characters_are_right() {
        assert_eq!(bytes("Ġa").as_deref(), Some(b" a".as_slice()));
        assert_eq!(bytes("Ċ").as_deref(), Some(b"\n".as_slice()));
        assert_eq!(bytes("ä½ł").as_deref(), Some("你".as_bytes()));
        assert_eq!(bytes("Ń").as_deref(), Some([0xAD].as_slice()));
        assert_eq!(bytes("a b"), None);
        assert_eq!(bytes("▁a"), None);
    }
}
