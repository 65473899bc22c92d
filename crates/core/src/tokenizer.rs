use crate::Error;

/// A token's number in its model's vocabulary.
pub type Token = u32;

/// A token that means something to the model rather than spelling text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialToken {
    /// Its number.
    pub token: Token,
    /// How a template spells it, such as `<|im_end|>`.
    pub text: String,
}

/// Text to tokens and back, as the model's vocabulary defines it.
pub trait Tokenizer: Send + Sync {
    /// The tokens of `text`.
    ///
    /// `special.add` puts the vocabulary's own start and end tokens around it, where it has them.
    /// `special.parse` reads spellings of control tokens as those tokens: only for text that no
    /// user wrote.
    ///
    /// # Errors
    ///
    /// `invalid-request` if the text has more tokens than fit 31 bits; `engine-failed` if the
    /// vocabulary's own code fails.
    fn tokenize(&self, text: &str, special: Special) -> Result<Vec<Token>, Error>;

    /// The bytes a token adds to the text; none for control tokens unless `special.parse`.
    /// They need not be whole UTF-8 characters.
    fn piece(&self, token: Token, special: Special) -> Vec<u8>;

    /// The text of `tokens`, control tokens spelled out, without a space that only the vocabulary put
    /// in front. Bytes that are no UTF-8 become U+FFFD.
    fn detokenize(&self, tokens: &[Token]) -> String;

    /// How many tokens the vocabulary has; every valid token is below it.
    fn vocabulary_size(&self) -> u32;

    /// Whether the token ends an answer.
    fn is_end(&self, token: Token) -> bool;

    /// The control tokens with their spellings.
    fn control_tokens(&self) -> &[SpecialToken];

    /// The spelling of the vocabulary's start token, empty without one.
    fn start_text(&self) -> &str;

    /// The spelling of the vocabulary's end token, empty without one.
    fn end_text(&self) -> &str;

    /// The tokens that ask for the middle of a text; `None` for models that were not trained for it.
    fn fill_tokens(&self) -> Option<FillTokens> {
        None
    }

    /// The tokens around two texts that a model reads as a pair; `None` where nothing would part them.
    fn pair_tokens(&self) -> Option<PairTokens> {
        None
    }
}

/// The tokens around two texts that are read as a pair, such as a query and a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PairTokens {
    /// Before the first text.
    pub start: Vec<Token>,
    /// Between the two; at least one.
    pub between: Vec<Token>,
    /// After the second text.
    pub end: Vec<Token>,
}

/// The tokens around the parts of a prompt that asks for the middle of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillTokens {
    /// Before the text that comes first.
    pub prefix: Token,
    /// Before the text that comes last.
    pub suffix: Token,
    /// Before the answer.
    pub middle: Token,
}

/// What to do about control tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Special {
    /// Add the vocabulary's own start and end tokens.
    pub add: bool,
    /// Read (or write) spellings of control tokens.
    pub parse: bool,
}
