use rkllmjs_core::{SpecialToken, Token};

/// Control tokens that end a turn in the models that use them, for repositories without
/// `generation_config.json`.
const USUAL: [&str; 9] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<end_of_turn>",
    "<|end|>",
    "<｜end▁of▁sentence｜>",
    "</s>",
];

/// The tokens that end an answer, sorted: those that the files name and, if the generation settings
/// name none, the vocabulary's usual ones.
pub(crate) fn end_tokens(
    end: Option<Token>,
    configured: &[Token],
    generation: &[Token],
    control: &[SpecialToken],
) -> Vec<Token> {
    let mut tokens: Vec<Token> = configured.iter().chain(generation).copied().chain(end).collect();
    if generation.is_empty() {
        let usual = control.iter().filter(|special| USUAL.contains(&special.text.as_str()));
        tokens.extend(usual.map(|special| special.token));
    }
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

#[cfg(test)]
mod tests {
    use rkllmjs_core::SpecialToken;

    use super::end_tokens;

    #[test]
    fn usual_names_count_only_where_the_generation_settings_are_silent() {
        let control = [(7, "<|end|>"), (8, "<|im_end|>"), (9, "<|im_start|>")];
        let control = control.map(|(token, text)| SpecialToken { token, text: text.to_owned() });
        assert_eq!(end_tokens(Some(1), &[2], &[], &control), [1, 2, 7, 8]);
        assert_eq!(end_tokens(Some(1), &[2], &[3, 2], &control), [1, 2, 3]);
    }
}
