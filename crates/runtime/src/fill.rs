use rkllmjs_core::{Error, Special, Token, Tokenizer};

use crate::PromptInput;

/// The prompt that asks for what stands between `before` and `after`, in the order that most models were
/// trained on: prefix, suffix, middle.
///
/// Text is read without control tokens: it is a file being written, which may well spell some.
pub(crate) fn prompt(
    tokenizer: &dyn Tokenizer,
    before: &PromptInput,
    after: &str,
) -> Result<Vec<Token>, Error> {
    let fill = tokenizer.fill_tokens().ok_or_else(|| {
        Error::unsupported(
            "suffix",
            "needs a model with tokens for filling in the middle, and the vocabulary of this one has none",
        )
    })?;
    let plain = |text: &str| tokenizer.tokenize(text, Special::default());
    let before = match before {
        PromptInput::Text(text) => plain(text)?,
        PromptInput::Tokens(tokens) => tokens.clone(),
        _ => return Err(Error::unsupported("suffix", "needs a prompt that is text or tokens")),
    };
    let mut tokens: Vec<Token> = start_token(tokenizer)?.into_iter().collect();
    tokens.push(fill.prefix);
    tokens.extend(before);
    tokens.push(fill.suffix);
    tokens.extend(plain(after)?);
    tokens.push(fill.middle);
    Ok(tokens)
}

/// The token that the vocabulary puts in front of every text, if it puts one there.
pub(crate) fn start_token(tokenizer: &dyn Tokenizer) -> Result<Option<Token>, Error> {
    let add = Special { add: true, parse: false };
    let (empty, text) = (tokenizer.tokenize("", add)?, tokenizer.tokenize("a", add)?);
    Ok(empty.first().filter(|first| text.len() > 1 && text.first() == Some(first)).copied())
}
