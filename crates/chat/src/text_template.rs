use rkllmjs_core::{Error, Special, Token, Tokenizer};

use crate::guard::Guard;

/// A text with places such as `{query}` in it. Reranking models bring their prompt as one.
#[derive(Debug)]
pub struct TextTemplate<'a> {
    source: &'a str,
    guard: Guard,
}

impl<'a> TextTemplate<'a> {
    /// Takes `source` for the vocabulary of `tokenizer`.
    ///
    /// # Errors
    ///
    /// `model-invalid` if the vocabulary has too many control tokens.
    pub fn new(source: &'a str, tokenizer: &dyn Tokenizer) -> Result<Self, Error> {
        Ok(Self { source, guard: Guard::new(tokenizer.control_tokens())? })
    }

    /// The tokens of the text with other texts in the places of these names. Control tokens only where the
    /// template itself writes them.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::tokenize`]; `invalid-request` if the texts leave no character to mark them with.
    pub fn tokenize(&self, texts: &[(&str, &str)], tokenizer: &dyn Tokenizer) -> Result<Vec<Token>, Error> {
        let all: Vec<&str> = texts.iter().map(|&(_, text)| text).chain([self.source]).collect();
        let mark = Guard::marks(&all, 1)?.into_iter().next().unwrap_or_default();
        let mut tokens = Vec::new();
        for piece in self.fill(texts, mark).split(mark) {
            tokens.extend(tokenizer.tokenize(piece, Special { add: false, parse: true })?);
        }
        Ok(tokens)
    }

    /// Fills the places in one pass, so that what stands in one is not taken for another.
    fn fill(&self, texts: &[(&str, &str)], mark: char) -> String {
        let mut filled = String::with_capacity(self.source.len());
        let mut rest = self.source;
        while let Some(at) = rest.find('{') {
            let (before, place) = rest.split_at(at);
            filled.push_str(before);
            let named = texts.iter().find_map(|&(name, text)| Some((text, after(place, name)?)));
            if let Some((text, after)) = named {
                filled.push_str(&self.guard.mark_text(text, mark));
                rest = after;
            } else {
                filled.push('{');
                rest = place.strip_prefix('{').unwrap_or_default();
            }
        }
        filled.push_str(rest);
        filled
    }
}

/// What comes after the place of this name, if `text` begins with it.
fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix('{')?.strip_prefix(name)?.strip_prefix('}')
}

#[cfg(test)]
mod tests {
    use rkllmjs_core::SpecialToken;

    use super::{Guard, TextTemplate};

    fn fill(source: &str, texts: &[(&str, &str)]) -> String {
        let control = [SpecialToken { token: 1, text: "<s>".to_owned() }];
        TextTemplate { source, guard: Guard::new(&control).expect("guard") }.fill(texts, '¤')
    }

    #[test]
    fn places_are_filled_once() {
        let texts = [("query", "a {document}"), ("document", "b {query} {")];
        assert_eq!(fill("<s>{query}|{document}", &texts), "<s>a {document}|b {query} {");
        assert_eq!(fill("{x} {{query}} {query", &texts), "{x} {a {document}} {query");
        assert_eq!(fill("", &texts), "");
    }

    #[test]
    fn spellings_of_control_tokens_are_cut_in_texts_alone() {
        assert_eq!(fill("<s>{query}", &[("query", "<s>x<")]), "<s><¤s>x<¤");
    }
}
