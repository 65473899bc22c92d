use rkllmjs_core::{Error, Special, SpecialToken, Token, Tokenizer};

/// The token that ends an answer.
pub(super) const END: Token = 256;
/// Tokens: a byte each, and the end.
pub(super) const VOCABULARY: u32 = 257;

/// A token is a byte.
#[derive(Debug)]
pub(crate) struct ByteTokenizer;

impl Tokenizer for ByteTokenizer {
    fn tokenize(&self, text: &str, _: Special) -> Result<Vec<Token>, Error> {
        Ok(text.bytes().map(Token::from).collect())
    }

    fn piece(&self, token: Token, special: Special) -> Vec<u8> {
        match u8::try_from(token) {
            Ok(byte) => vec![byte],
            Err(_) if token == END && special.parse => b"<|end|>".to_vec(),
            Err(_) => Vec::new(),
        }
    }

    fn detokenize(&self, tokens: &[Token]) -> String {
        let bytes: Vec<u8> = tokens.iter().filter_map(|&token| u8::try_from(token).ok()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn vocabulary_size(&self) -> u32 {
        VOCABULARY
    }

    fn is_end(&self, token: Token) -> bool {
        token == END
    }

    fn control_tokens(&self) -> &[SpecialToken] {
        &[]
    }

    fn start_text(&self) -> &str {
        ""
    }

    fn end_text(&self) -> &str {
        ""
    }
}
