use crate::Token;

/// How likely a token was, by the model's own distribution before any sampling option.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub token: Token,
    /// The bytes it adds to the text.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability, at most 0.
    pub logprob: f32,
    /// The most likely tokens at this place, best first; each with an empty `top`.
    pub top: Vec<TokenLogprob>,
}
