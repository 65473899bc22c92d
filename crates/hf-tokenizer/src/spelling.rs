use serde_json::Value;

use crate::byte_alphabet;

/// How a vocabulary writes the bytes of a token, read from the `decoder` of `tokenizer.json`.
///
/// The library's own decoders turn tokens into text at once, which loses bytes that are half a
/// character; streams need each token's bytes by themselves.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Spelling {
    /// What is written for what, such as `▁` for a space.
    replacements: Vec<(String, String)>,
    /// `<0x41>` is a byte.
    byte_tokens: bool,
    /// Every character is a byte.
    byte_level: bool,
    /// Spaces at the start of a text that the vocabulary put there.
    added_spaces: usize,
}

impl Spelling {
    /// Reads a decoder.
    ///
    /// # Errors
    ///
    /// What it has that this does not do.
    pub(crate) fn read(decoder: &Value) -> Result<Self, String> {
        let mut spelling = Self::default();
        let mut fused = false;
        spelling.add(decoder, &mut fused)?;
        if spelling.byte_level && !spelling.replacements.is_empty() {
            return Err("its decoder has both bytes and replacements".to_owned());
        }
        Ok(spelling)
    }

    fn add(&mut self, decoder: &Value, fused: &mut bool) -> Result<(), String> {
        let kind = decoder.get("type").and_then(Value::as_str).unwrap_or("none");
        match kind {
            "Sequence" => {
                let steps = decoder.get("decoders").and_then(Value::as_array);
                steps.into_iter().flatten().try_for_each(|step| self.add(step, fused))?;
            }
            "ByteLevel" => self.byte_level = true,
            "ByteFallback" => self.byte_tokens = true,
            "Fuse" => *fused = true,
            "Metaspace" => self.add_metaspace(decoder),
            "Replace" if !*fused => {
                let from = decoder.pointer("/pattern/String").and_then(Value::as_str).unwrap_or_default();
                let to = decoder.get("content").and_then(Value::as_str).unwrap_or_default();
                if from.is_empty() {
                    return Err("its decoder replaces a regular expression or nothing".to_owned());
                }
                self.replacements.push((from.to_owned(), to.to_owned()));
            }
            "Strip" if *fused && is_strip_of_spaces(decoder) => {
                let start = decoder.get("start").and_then(Value::as_u64).unwrap_or(0);
                self.added_spaces = usize::try_from(start).unwrap_or(usize::MAX);
            }
            other => {
                return Err(format!(
                    "its decoder has the step {other:?}; ByteLevel, Metaspace, and Replace, ByteFallback, Fuse \
                     and Strip in this order are known"
                ));
            }
        }
        Ok(())
    }

    fn add_metaspace(&mut self, decoder: &Value) {
        let mark = decoder.get("replacement").and_then(Value::as_str).unwrap_or("▁");
        self.replacements.push((mark.to_owned(), " ".to_owned()));
        let never = match decoder.get("prepend_scheme").and_then(Value::as_str) {
            Some(scheme) => scheme == "never",
            None => decoder.get("add_prefix_space").and_then(Value::as_bool) == Some(false),
        };
        self.added_spaces = usize::from(!never);
    }

    /// The bytes of a token that the model's own vocabulary spells `text`.
    pub(crate) fn bytes(&self, text: &str) -> Vec<u8> {
        if self.byte_level {
            return byte_alphabet::bytes(text).unwrap_or_else(|| text.as_bytes().to_vec());
        }
        self.added_bytes(text)
    }

    /// The bytes of a token that was added to the vocabulary as `text`.
    pub(crate) fn added_bytes(&self, text: &str) -> Vec<u8> {
        if let (true, Some(byte)) = (self.byte_tokens, byte_token(text)) {
            return vec![byte];
        }
        let replaced =
            self.replacements.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
        replaced.into_bytes()
    }

    /// A text without the spaces in front that the vocabulary put there.
    pub(crate) fn without_added_spaces<'a>(&self, text: &'a str) -> &'a str {
        let spaces = text.bytes().take(self.added_spaces).take_while(|&byte| byte == b' ').count();
        text.get(spaces..).unwrap_or(text)
    }
}

fn is_strip_of_spaces(decoder: &Value) -> bool {
    let is_space = decoder.get("content").and_then(Value::as_str) == Some(" ");
    is_space && decoder.get("stop").and_then(Value::as_u64).unwrap_or(0) == 0
}

fn byte_token(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let plain = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    plain.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Spelling;

    #[test]
    fn sentencepiece_marks_are_spaces_and_byte_tokens_bytes() {
        let decoder = json!({ "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" }, { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ]});
        let spelling = Spelling::read(&decoder).expect("known");
        assert_eq!(spelling.bytes("▁▁a"), b"  a");
        assert_eq!(spelling.bytes("<0xE2>"), [0xE2]);
        for plain in ["<0x1>", "<0x+1>", "<0x123>", "<0xGG>"] {
            assert_eq!(spelling.bytes(plain), plain.as_bytes());
        }
        assert_eq!(spelling.without_added_spaces("  a"), " a");
        assert_eq!(spelling.without_added_spaces("a"), "a");
    }

    #[test]
    fn byte_level_characters_are_bytes_and_others_are_themselves() {
        let spelling = Spelling::read(&json!({ "type": "ByteLevel" })).expect("known");
        assert_eq!(spelling.bytes("Ġé"), b" \xE9");
        assert_eq!(spelling.bytes("▁"), "▁".as_bytes());
        assert_eq!(spelling.added_bytes("é"), "é".as_bytes());
        assert_eq!(spelling.without_added_spaces(" a"), " a");
    }

    #[test]
    fn a_metaspace_adds_a_space_unless_it_says_never() {
        let scheme = |scheme: &str| json!({ "type": "Metaspace", "prepend_scheme": scheme });
        assert_eq!(Spelling::read(&scheme("first")).expect("known").without_added_spaces(" a"), "a");
        assert_eq!(Spelling::read(&scheme("never")).expect("known").without_added_spaces(" a"), " a");
        let legacy = json!({ "type": "Metaspace", "replacement": "_", "add_prefix_space": false });
        let legacy = Spelling::read(&legacy).expect("known");
        assert_eq!(legacy.bytes("_a▁"), " a▁".as_bytes());
        assert_eq!(legacy.without_added_spaces(" a"), " a");
    }

    #[test]
    fn a_decoder_that_this_cannot_follow_is_refused() {
        for decoder in [
            json!(null),
            json!({ "type": "WordPiece" }),
            json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }),
            json!({ "type": "Replace", "pattern": { "Regex": "a" }, "content": " " }),
            json!({ "type": "Replace", "pattern": { "String": "" }, "content": " " }),
            json!({ "type": "Sequence", "decoders": [
                { "type": "Fuse" }, { "type": "Replace", "pattern": { "String": "a" }, "content": "b" },
            ]}),
            json!({ "type": "Sequence", "decoders": [{ "type": "ByteLevel" }, { "type": "Metaspace" }] }),
        ] {
            assert!(Spelling::read(&decoder).is_err(), "{decoder}");
        }
    }
}
