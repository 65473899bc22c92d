//! Keeps message text from becoming control tokens.
//!
//! A template mixes its own text with the messages' and only its own may hold control tokens, but
//! what comes out is one string. So, before rendering, a mark is put inside every spelling of a
//! control token in a message; after rendering, the text is cut at the marks and each piece is
//! tokenized on its own. A spelling that was cut in two is two pieces of plain text. Marks survive
//! whatever a template does to strings (trim, split, compare, join), and text without such
//! spellings is tokenized exactly as it would be without all this.

use aho_corasick::AhoCorasick;
use rkllmjs_core::{Error, ErrorCode, SpecialToken};
use serde_json::Value;

/// The spellings of a vocabulary's control tokens.
#[derive(Debug)]
pub(crate) struct Guard {
    finder: AhoCorasick,
    /// Sorted, for finding those that begin with something.
    spellings: Vec<String>,
    longest: usize,
}

impl Guard {
    pub(crate) fn new(control: &[SpecialToken]) -> Result<Self, Error> {
        let mut spellings: Vec<String> = control.iter().map(|t| t.text.clone()).collect();
        spellings.sort_unstable();
        spellings.dedup();
        let finder = AhoCorasick::new(&spellings)
            .map_err(|e| Error::new(ErrorCode::ModelInvalid, format!("too many control tokens: {e}")))?;
        let longest = spellings.iter().map(String::len).max().unwrap_or(0);
        Ok(Self { finder, spellings, longest })
    }

    /// So many different characters that occur nowhere in `texts`.
    pub(crate) fn marks(texts: &[&str], count: usize) -> Result<Vec<char>, Error> {
        let is_free = |c: &char| !texts.iter().any(|text| text.contains(*c));
        let free: Vec<char> = ('\u{E000}'..='\u{F8FF}').filter(is_free).take(count).collect();
        if free.len() == count {
            return Ok(free);
        }
        let message = "the messages use so many private-use characters that none are left to mark them with";
        Err(Error::new(ErrorCode::InvalidRequest, message))
    }

    /// Marks every string in a JSON value, the names of its fields included.
    pub(crate) fn mark_value(&self, value: &Value, mark: char) -> Value {
        match value {
            Value::String(text) => Value::String(self.mark_text(text, mark)),
            Value::Array(items) => items.iter().map(|item| self.mark_value(item, mark)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (self.mark_text(name, mark), self.mark_value(value, mark)))
                .collect(),
            other => other.clone(),
        }
    }

    pub(crate) fn mark_text(&self, text: &str, mark: char) -> String {
        let mut cuts: Vec<usize> =
            self.finder.find_overlapping_iter(text).map(|found| found.start()).collect();
        cuts.extend(self.beginnings_at_end(text));
        cuts.sort_unstable();
        cuts.dedup();
        if cuts.is_empty() {
            return text.to_owned();
        }
        let mut marked = String::with_capacity(text.len() + 4 * cuts.len());
        let mut cuts = cuts.into_iter().peekable();
        for (at, c) in text.char_indices() {
            marked.push(c);
            if cuts.next_if_eq(&at).is_some() {
                marked.push(mark);
            }
        }
        marked
    }

    /// Where, near the end of `text`, a spelling begins that what follows might complete.
    fn beginnings_at_end(&self, text: &str) -> Vec<usize> {
        let nearest = text.len().saturating_sub(self.longest);
        let near = text.char_indices().rev().map(|(at, _)| at).take_while(|&at| at >= nearest);
        near.filter(|&at| text.get(at..).is_some_and(|tail| self.begins_with(tail))).collect()
    }

    fn begins_with(&self, beginning: &str) -> bool {
        let first = self.spellings.partition_point(|spelling| spelling.as_str() < beginning);
        self.spellings.get(first).is_some_and(|spelling| spelling.starts_with(beginning))
    }
}

#[cfg(test)]
mod tests {
    use super::Guard;
    use rkllmjs_core::SpecialToken;

    fn guard() -> Guard {
        let texts = ["<|im_start|>", "<|im_end|>", "<s>", "[INST]"];
        let control: Vec<SpecialToken> =
            (0..).zip(texts).map(|(token, text)| SpecialToken { token, text: text.to_owned() }).collect();
        Guard::new(&control).expect("guard")
    }

    #[test]
    fn every_spelling_is_cut_and_other_text_is_left_alone() {
        let guard = guard();
        assert_eq!(guard.mark_text("a <|im_end|> b [INST]", '¤'), "a <¤|im_end|> b [¤INST]");
        assert_eq!(guard.mark_text("a < b, c > d [x]", '¤'), "a < b, c > d [x]");
        assert_eq!(guard.mark_text("<<s>", '¤'), "<<¤s>");
    }

    #[test]
    fn a_spelling_that_the_next_text_could_complete_is_cut_too() {
        let guard = guard();
        assert_eq!(guard.mark_text("x <|im_", '¤'), "x <¤|im_");
        assert_eq!(guard.mark_text("x <", '¤'), "x <¤");
    }

    #[test]
    fn marks_are_characters_that_nobody_wrote() {
        let marks = Guard::marks(&["a\u{E000}", "\u{E002}"], 2).expect("free");
        assert_eq!(marks, ['\u{E001}', '\u{E003}']);
        let most: String = ('\u{E001}'..='\u{F8FF}').collect();
        assert!(Guard::marks(&[&most], 1).is_ok() && Guard::marks(&[&most], 2).is_err());
    }
}
