use super::vocabulary::{TOKENS, Texts};
use crate::error::Error;
use crate::metadata::Metadata;
use crate::value::{Array, Strings};

/// `LLAMA_TOKEN_TYPE_BYTE`.
const BYTE: i32 = 6;

/// SentencePiece falls back to one token per byte; llama.cpp throws through C when one is absent.
pub(super) fn check_sentencepiece(metadata: &Metadata, texts: &Texts<'_>) -> Result<(), Error> {
    for byte in 0..=u8::MAX {
        let itself = byte.is_ascii() && texts.contains_key(&*char::from(byte).to_string());
        if !itself && !texts.contains_key(format!("<0x{byte:02X}>").as_str()) {
            let message = format!("has no token <0x{byte:02X}> for the byte {byte}");
            return Err(metadata.fault(TOKENS, message));
        }
    }
    Ok(())
}

/// WordPiece knows no byte tokens; llama.cpp aborts when it turns one into text.
pub(super) fn check_wordpiece(metadata: &Metadata) -> Result<(), Error> {
    let key = "tokenizer.ggml.token_type";
    let Some(Array::I32(types)) = metadata.array(key) else { return Ok(()) };
    match types.iter().position(|&kind| kind == BYTE) {
        Some(token) => {
            Err(metadata.fault(key, format_args!("calls token {token} a byte in a WordPiece vocabulary")))
        }
        None => Ok(()),
    }
}

/// llama.cpp looks for the longest token at a place. Where one begins but none is complete it
/// stays in that place for ever, so each byte that begins a token must be a token too.
pub(super) fn check_rwkv(metadata: &Metadata, tokens: &Strings) -> Result<(), Error> {
    let mut begins = [None; 256];
    let mut complete = [false; 256];
    for (index, token) in tokens.iter().enumerate() {
        let (first, length) = unescaped(token);
        let Some(first) = first.map(usize::from) else { continue };
        if let Some(slot) = begins.get_mut(first) {
            slot.get_or_insert(index);
        }
        if let Some(slot) = complete.get_mut(first).filter(|_| length == 1) {
            *slot = true;
        }
    }
    for (byte, (begins, complete)) in begins.iter().zip(complete).enumerate() {
        if let (Some(index), false) = (begins, complete) {
            let message = format!(
                "has token {index}, which begins with the byte {byte:#04x}, but no token of that byte alone"
            );
            return Err(metadata.fault(TOKENS, message));
        }
    }
    Ok(())
}

/// The first byte and the length of an RWKV token, which may hold `\\t`, `\\n`, `\\r`, `\\xHH`.
fn unescaped(token: &str) -> (Option<u8>, usize) {
    let mut bytes = token.bytes();
    let (mut first, mut length) = (None, 0_usize);
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'\\' => match bytes.next() {
                Some(b't') => b'\t',
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b'x') => match (bytes.next(), bytes.next()) {
                    (Some(high), Some(low)) => (nibble(high) << 4).wrapping_add(nibble(low)),
                    _ => break,
                },
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        first.get_or_insert(byte);
        length += 1;
    }
    (first, length)
}

/// Reads a hexadecimal digit as llama.cpp does, including what is none.
fn nibble(digit: u8) -> u8 {
    if digit >= b'a' { digit.wrapping_sub(b'a').wrapping_add(10) } else { digit.wrapping_sub(b'0') }
}

#[cfg(test)]
mod tests {
    use super::unescaped;
    use crate::check_model;
    use crate::testing::{Builder, llama};

    const MODEL: &str = "tokenizer.ggml.model";
    const TOKENS: &str = "tokenizer.ggml.tokens";

    fn message(model: &Builder) -> String {
        check_model(&model.open().unwrap()).unwrap_err().message
    }

    fn with_tokenizer(name: &str) -> Builder {
        llama().set(MODEL, |model| model.str(MODEL, name))
    }

    #[test]
    fn refuses_a_sentencepiece_vocabulary_without_byte_tokens() {
        assert!(message(&with_tokenizer("llama")).contains("<0x00>"));
    }

    #[test]
    fn refuses_byte_tokens_in_a_wordpiece_vocabulary() {
        let key = "tokenizer.ggml.token_type";
        let model = with_tokenizer("bert").set(key, |model| model.i32s(key, &[1, 6, 1, 1]));
        assert!(message(&model).contains("token 1 a byte"));
    }

    #[test]
    fn refuses_an_rwkv_vocabulary_in_which_llama_cpp_would_not_advance() {
        let of = |tokens: &[&str]| with_tokenizer("rwkv").set(TOKENS, |model| model.strs(TOKENS, tokens));
        assert!(message(&of(&["a", "b", "ab", "cd"])).contains("token 3, which begins with the byte 0x63"));
        let model = of(&["a", "b", "\\x63", "cd"]);
        check_model(&model.open().unwrap()).unwrap();
    }

    #[test]
    fn reads_escapes_as_llama_cpp_does() {
        for (token, first, length) in [
            ("", None, 0),
            ("\\n", Some(b'\n'), 1),
            ("\\xe4\\xbd", Some(0xe4), 2),
            ("\\\\a", Some(b'\\'), 2),
            ("\\x4", None, 0),
        ] {
            assert_eq!(unescaped(token), (first, length), "{token:?}");
        }
    }
}
