use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::Arc;

use rkllmjs_core::{Error, Sampling, Special, Token, Tokenizer};

use super::raw::RawSampler;
use super::repetition;
use crate::{Model, ffi, log};

/// A grammar that binds from the start, or from a word on.
#[derive(Debug)]
pub(super) struct Grammar {
    sampler: RawSampler,
    state: State,
}

#[derive(Debug)]
enum State {
    /// None of its words was met yet.
    Waiting(Waiting),
    Binding,
    /// The token that completed a word went on in a way that the grammar does not.
    Lost,
}

impl Grammar {
    pub(super) fn new(model: &Arc<Model>, text: &str, sampling: &Sampling) -> Result<Self, Error> {
        if !sampling.grammar_triggers.is_empty() {
            let sampler = lazy_sampler(model, text, &sampling.grammar_triggers)?;
            let waiting = Waiting::new(Arc::clone(model), sampling.grammar_triggers.clone());
            let mut this = Self { sampler, state: State::Waiting(waiting) };
            // A word may begin in the prompt.
            sampling.grammar_prefix.iter().try_for_each(|&token| this.accept(token))?;
            return Ok(this);
        }
        let mut sampler = sampler(model, text)?;
        for &token in &sampling.grammar_prefix {
            // llama.cpp ends the process over the end of an answer where its grammar has none.
            if model.is_end(token) {
                let message = "ends an answer before it begins; a tool cannot be demanded of it";
                return Err(Error::unsupported(
                    "tool_choice",
                    format!("the model's chat template {message}"),
                ));
            }
            sampler.accept(token)?;
        }
        Ok(Self { sampler, state: State::Binding })
    }

    /// Whether it holds the next token.
    pub(super) fn binds(&self) -> bool {
        matches!(self.state, State::Binding)
    }

    /// What masks the next token, if anything does yet.
    pub(super) fn binding(&mut self) -> Option<&mut RawSampler> {
        matches!(self.state, State::Binding).then_some(&mut self.sampler)
    }

    pub(super) fn accept(&mut self, token: Token) -> Result<(), Error> {
        let waiting = match &mut self.state {
            State::Binding => return self.sampler.accept(token),
            State::Lost => return Ok(()),
            State::Waiting(waiting) => waiting,
        };
        if waiting.push(token) {
            // The sampler looks for the word itself, and takes the text from there on.
            let taken = waiting.tokens.iter().try_for_each(|&token| self.sampler.accept(token));
            self.state = if taken.is_ok() { State::Binding } else { State::Lost };
        }
        Ok(())
    }
}

/// Looks for words in the text of an answer.
///
/// llama.cpp could do so too, but it would search the whole answer again after each token.
#[derive(Debug)]
struct Waiting {
    model: Arc<Model>,
    words: Vec<String>,
    longest: usize,
    /// The last tokens, whose text holds as much as a word may still need.
    tokens: VecDeque<Token>,
    lengths: VecDeque<usize>,
    text: Vec<u8>,
}

impl Waiting {
    fn new(model: Arc<Model>, words: Vec<String>) -> Self {
        let longest = words.iter().map(String::len).max().unwrap_or(0);
        Self { model, words, longest, tokens: VecDeque::new(), lengths: VecDeque::new(), text: Vec::new() }
    }

    /// Adds a token. Whether the text now holds a word.
    fn push(&mut self, token: Token) -> bool {
        let piece = self.model.piece(token, Special { add: false, parse: true });
        self.text.extend_from_slice(&piece);
        self.tokens.push_back(token);
        self.lengths.push_back(piece.len());
        let holds = |word: &String| {
            !word.is_empty() && self.text.windows(word.len()).any(|window| window == word.as_bytes())
        };
        if self.words.iter().any(holds) {
            return true;
        }
        while let Some(&first) =
            self.lengths.front().filter(|&&first| self.text.len() - first >= self.longest)
        {
            self.text.drain(..first);
            self.lengths.pop_front();
            self.tokens.pop_front();
        }
        false
    }
}

fn bad(why: &str) -> Error {
    Error::option("grammar", format!("is not valid GBNF: {why}"))
}

fn c_string(text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| bad("it holds a NUL character"))
}

fn sampler(model: &Model, text: &str) -> Result<RawSampler, Error> {
    repetition::check(text).map_err(|why| bad(&why))?;
    let text = c_string(text)?;
    log::take_error();
    // SAFETY: the vocabulary lives as long as the model; the strings end in NUL.
    let raw = unsafe { ffi::rkllmjs_llama_grammar_new(model.raw_vocab(), text.as_ptr(), c"root".as_ptr()) };
    made(raw)
}

/// A sampler that lets everything pass until it was given one of `words`.
fn lazy_sampler(model: &Model, text: &str, words: &[String]) -> Result<RawSampler, Error> {
    repetition::check(text).map_err(|why| bad(&why))?;
    let text = c_string(text)?;
    let patterns: Vec<CString> =
        words.iter().map(|word| c_string(&escaped(word))).collect::<Result<_, _>>()?;
    let mut pointers: Vec<_> = patterns.iter().map(|pattern| pattern.as_ptr()).collect();
    log::take_error();
    // SAFETY: the vocabulary lives as long as the model; the strings end in NUL and are copied; `pointers` has
    // as many entries as its length says.
    let raw = unsafe {
        ffi::rkllmjs_llama_grammar_lazy_new(
            model.raw_vocab(),
            text.as_ptr(),
            c"root".as_ptr(),
            pointers.as_mut_ptr(),
            pointers.len(),
        )
    };
    made(raw)
}

fn made(raw: *mut llama_cpp_sys_2::llama_sampler) -> Result<RawSampler, Error> {
    let made = RawSampler::from_raw(raw, "grammar");
    // A left-recursive grammar leaves a sampler without a grammar behind, and a line in the log.
    match log::take_error() {
        Some(line) => Err(bad(&line)),
        None => made.map_err(|_| bad(&ffi::message())),
    }
}

/// A regular expression for just this word.
fn escaped(word: &str) -> String {
    let mut escaped = String::with_capacity(2 * word.len());
    for c in word.chars() {
        if r"^$\.*+?()[]{}|/".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_word_is_no_pattern() {
        assert_eq!(escaped("<tool_call>\n"), "<tool_call>\n");
        assert_eq!(escaped("[x]|."), "\\[x\\]\\|\\.");
    }
}
