//! A limit on the tokens that a model thinks with before it answers.

use serde::{Deserialize, Serialize};

use crate::Token;

/// How many tokens more than allowed thoughts may take to finish a character, or a mark of their end.
const GRACE_MAX: u32 = 8;
/// Most bytes of a character in UTF-8.
const CHARACTER_BYTES_MAX: usize = 4;

/// How long a model may think, and how its thoughts are told from its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThoughtLimit {
    /// Most tokens of thoughts in one answer. Then they are ended.
    pub max_tokens: u32,
    /// What thoughts begin with; empty where the prompt alone can open them.
    pub begin: String,
    /// What ends thoughts: any of these.
    pub ends: Vec<String>,
    /// The tokens that end them where the model does not.
    pub close: Vec<Token>,
    /// Where the answer begins.
    pub start: ThoughtStart,
}

/// Whether an answer begins in the middle of thoughts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ThoughtStart {
    /// It does: the prompt has opened them.
    Inside,
    /// It does not.
    #[default]
    Outside,
}

/// Follows one answer in and out of its thoughts, and says what has to come next where they are too long.
///
/// It reads the text and not the tokens: a mark may be written in several ways.
#[derive(Debug)]
pub struct ThoughtMeter {
    limit: ThoughtLimit,
    state: State,
    /// Tokens of thoughts so far.
    used: u32,
    /// The end of the text, as much as a mark may begin in.
    tail: Vec<u8>,
    longest: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Inside,
    /// So many tokens of the end have come.
    Closing(usize),
    /// The end did not come as it should; nothing is limited any more.
    Lost,
}

impl ThoughtMeter {
    /// Begins with an answer.
    pub fn new(limit: ThoughtLimit) -> Self {
        let state = match limit.start {
            ThoughtStart::Inside => State::Inside,
            ThoughtStart::Outside => State::Outside,
        };
        let marks = limit.ends.iter().chain([&limit.begin]);
        let longest = marks.map(String::len).max().unwrap_or(0).max(CHARACTER_BYTES_MAX);
        let mut this = Self { limit, state, used: 0, tail: Vec::new(), longest };
        this.settle();
        this
    }

    /// The token that has to come next, if thoughts are to end here.
    pub fn forced(&self) -> Option<Token> {
        match self.state {
            State::Closing(come) => self.limit.close.get(come).copied(),
            _ => None,
        }
    }

    /// Takes the token that came and its text, control tokens spelled out.
    pub fn accept(&mut self, token: Token, text: &[u8]) {
        match self.state {
            State::Closing(come) if self.limit.close.get(come) == Some(&token) => {
                let is_closed = come + 1 >= self.limit.close.len();
                self.state = if is_closed { State::Outside } else { State::Closing(come + 1) };
                self.tail.clear();
                return;
            }
            State::Closing(_) | State::Lost => {
                self.state = State::Lost;
                return;
            }
            State::Outside | State::Inside => {}
        }
        self.tail.extend_from_slice(text);
        let was_inside = self.state == State::Inside;
        while let Some(end) = self.next_mark() {
            self.tail.drain(..end);
            self.state = if self.state == State::Inside { State::Outside } else { State::Inside };
        }
        if was_inside && self.state == State::Inside {
            self.used = self.used.saturating_add(1);
        }
        self.settle();
        let beyond = self.tail.len().saturating_sub(self.longest);
        self.tail.drain(..beyond);
    }

    /// Where in the tail the next mark ends.
    fn next_mark(&self) -> Option<usize> {
        let end_of = |mark: &String| {
            let found = self.tail.windows(mark.len().max(1)).position(|window| window == mark.as_bytes());
            found.map(|at| at + mark.len())
        };
        match self.state {
            State::Inside => self.limit.ends.iter().filter_map(end_of).min(),
            _ => end_of(&self.limit.begin),
        }
    }

    /// Ends thoughts that have become too long, unless something is half written.
    fn settle(&mut self) {
        let over = self.used.checked_sub(self.limit.max_tokens);
        let Some(over) = over.filter(|_| self.state == State::Inside) else { return };
        if over >= GRACE_MAX || !(self.is_in_mark() || is_in_character(&self.tail)) {
            self.state = State::Closing(0);
        }
    }

    /// Whether the tail may be the beginning of a mark that ends thoughts.
    fn is_in_mark(&self) -> bool {
        let begins = |end: &String| {
            (1..end.len()).any(|length| self.tail.ends_with(end.as_bytes().get(..length).unwrap_or_default()))
        };
        self.limit.ends.iter().any(begins)
    }
}

/// Whether bytes break off inside of a character.
fn is_in_character(bytes: &[u8]) -> bool {
    let near = bytes.get(bytes.len().saturating_sub(CHARACTER_BYTES_MAX)..).unwrap_or_default();
    let continued = near.iter().rev().take_while(|&&byte| byte & 0xC0 == 0x80).count();
    let lead = near.iter().rev().nth(continued).copied().unwrap_or(0);
    let needed = match lead {
        0xC0..=0xDF => 1,
        0xE0..=0xEF => 2,
        0xF0..=0xF7 => 3,
        _ => 0,
    };
    continued < needed
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSE: [Token; 2] = [900, 901];

    fn limit(max_tokens: u32, start: ThoughtStart) -> ThoughtLimit {
        let ends = vec!["</think>".to_owned(), "<call>".to_owned()];
        ThoughtLimit { max_tokens, begin: "<think>".to_owned(), ends, close: CLOSE.to_vec(), start }
    }

    /// What comes of a model that wants to write `pieces`: its pieces, and `!` for each forced token.
    fn write(limit: ThoughtLimit, pieces: &[&[u8]]) -> Vec<u8> {
        let mut meter = ThoughtMeter::new(limit);
        let mut written = Vec::new();
        for piece in pieces {
            while let Some(token) = meter.forced() {
                meter.accept(token, b"x");
                written.push(b'!');
            }
            meter.accept(1, piece);
            written.extend_from_slice(piece);
        }
        written
    }

    fn text(limit: ThoughtLimit, pieces: &[&str]) -> String {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        String::from_utf8(write(limit, &pieces)).expect("UTF-8")
    }

    #[test]
    fn thoughts_end_after_as_many_tokens_as_are_allowed() {
        let outside = |max| limit(max, ThoughtStart::Outside);
        assert_eq!(text(outside(3), &["<think>", "a", "b", "c", "d", "e"]), "<think>abc!!de");
        assert_eq!(text(outside(0), &["<think>", "a"]), "<think>!!a");
        assert_eq!(text(outside(3), &["a", "b", "c", "d", "e"]), "abcde");
        let inside = |max| limit(max, ThoughtStart::Inside);
        assert_eq!(text(inside(2), &["a", "b", "c"]), "ab!!c");
        assert_eq!(text(inside(0), &["a", "b"]), "!!ab");
    }

    #[test]
    fn thoughts_that_end_in_time_are_left_alone() {
        let pieces = ["<th", "ink>a", "b</", "think>c", "d", "e", "f"];
        assert_eq!(text(limit(4, ThoughtStart::Outside), &pieces), pieces.concat());
        assert_eq!(text(limit(2, ThoughtStart::Inside), &["a", "<call>", "b", "c", "d"]), "a<call>bcd");
    }

    #[test]
    fn later_thoughts_have_what_the_earlier_ones_left() {
        let pieces = ["a", "b", "</think>", "x", "<think>", "c", "d", "e", "f"];
        assert_eq!(text(limit(4, ThoughtStart::Inside), &pieces), "ab</think>x<think>cd!!ef");
        let pieces = ["a", "b", "x", "<think>", "c"];
        assert_eq!(text(limit(2, ThoughtStart::Inside), &pieces), "ab!!x<think>!!c");
    }

    #[test]
    fn neither_a_character_nor_a_mark_is_cut_in_two() {
        let inside = |max| limit(max, ThoughtStart::Inside);
        let mountain = "🏔".as_bytes();
        let pieces: Vec<&[u8]> = mountain.chunks(1).chain([b"a".as_slice()]).collect();
        assert_eq!(write(inside(2), &pieces), "🏔!!a".as_bytes());
        assert_eq!(text(inside(2), &["a", "<", "/think", ">b", "c"]), "a</think>bc");
        assert_eq!(text(inside(2), &["a", "<", "b", "c"]), "a<b!!c");
    }

    #[test]
    fn a_model_that_writes_nothing_but_beginnings_of_marks_is_ended_all_the_same() {
        let written = text(limit(2, ThoughtStart::Inside), &["<"; 40]);
        assert_eq!(written.find('!'), Some(2 + GRACE_MAX as usize));
    }

    #[test]
    fn an_end_that_cannot_come_ends_the_limit() {
        let mut meter = ThoughtMeter::new(limit(0, ThoughtStart::Inside));
        assert_eq!(meter.forced(), Some(900));
        meter.accept(7, b"other");
        assert_eq!(meter.forced(), None);
        meter.accept(7, b"<think>");
        assert_eq!(meter.forced(), None);
    }

    #[test]
    fn thoughts_without_a_beginning_are_those_of_the_prompt() {
        let open = ThoughtLimit { begin: String::new(), ..limit(1, ThoughtStart::Inside) };
        assert_eq!(text(open, &["a", "b", "c", "d"]), "a!!bcd");
    }
}
