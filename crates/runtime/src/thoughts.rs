use rkllmjs_chat::{RenderOptions, ThoughtMarks};
use rkllmjs_core::{Error, Special, ThoughtLimit, Tokenizer};

/// How long an answer may think that is told from its thoughts by `marks`, if that was limited. A model whose
/// template knows of no thoughts has none to limit.
pub(crate) fn thought_limit(
    marks: Option<&ThoughtMarks>,
    options: &RenderOptions,
    tokenizer: &dyn Tokenizer,
) -> Result<Option<ThoughtLimit>, Error> {
    let (Some(max_tokens), Some(marks)) = (options.thought_tokens_max, marks) else { return Ok(None) };
    let Some(end) = marks.ends.first() else { return Ok(None) };
    let close = tokenizer.tokenize(end, Special { add: false, parse: true })?;
    if close.is_empty() || close.iter().any(|&token| tokenizer.is_end(token)) {
        let message = "cannot limit the tokens of thoughts: what ends them would end the model's answer";
        return Err(Error::unsupported("reasoning", message));
    }
    let ThoughtMarks { begin, ends, start } = marks.clone();
    Ok(Some(ThoughtLimit { max_tokens, begin, ends, close, start }))
}
