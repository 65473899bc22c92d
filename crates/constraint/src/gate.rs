use rkllmjs_core::Thoughts;

/// Most bytes of new lines between thoughts and the answer.
const BLANKS_MAX: usize = 4;

/// Where an answer is on its way past thoughts.
///
/// A model that thinks writes its thoughts first, in marks of their own; what is constrained begins after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gate {
    opens: Vec<u8>,
    closes: Vec<Vec<u8>>,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// So many bytes of the mark that opens thoughts were written; with none the answer may begin as well.
    Opening(usize),
    /// Thoughts, and the end of what was written of them.
    Inside(Vec<u8>),
    /// After thoughts; so many bytes of blanks may still come before the answer.
    Behind(usize),
    /// The answer has begun.
    Passed,
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The answer alone.
    Answer,
    /// The answer, or what [`Gate::lets_pass`].
    Either,
    /// What [`Gate::lets_pass`] alone.
    Gate,
}

impl Gate {
    pub(crate) fn new(thoughts: Option<&Thoughts>) -> Self {
        let Some(thoughts) =
            thoughts.filter(|thoughts| thoughts.closes.iter().any(|close| !close.is_empty()))
        else {
            return Self { opens: Vec::new(), closes: Vec::new(), state: State::Passed };
        };
        let closes = thoughts.closes.iter().filter(|close| !close.is_empty());
        Self {
            opens: thoughts.opens.clone().into_bytes(),
            closes: closes.map(|close| close.clone().into_bytes()).collect(),
            state: if thoughts.opens.is_empty() { State::Inside(Vec::new()) } else { State::Opening(0) },
        }
    }

    pub(crate) fn way(&self) -> Way {
        match self.state {
            State::Opening(0) | State::Behind(1..) => Way::Either,
            State::Opening(_) | State::Inside(_) => Way::Gate,
            State::Behind(0) | State::Passed => Way::Answer,
        }
    }

    /// Whether a token with these bytes, control tokens spelled out, can come before the answer.
    pub(crate) fn lets_pass(&self, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return false;
        }
        match &self.state {
            State::Opening(written) => {
                let missing = self.opens.get(*written..).unwrap_or_default();
                missing.starts_with(bytes)
                    || bytes.strip_prefix(missing).is_some_and(|more| self.keeps_in(&[], more))
            }
            State::Inside(before) => self.keeps_in(before, bytes),
            State::Behind(left) => bytes.len() <= *left && is_blank(bytes),
            State::Passed => false,
        }
    }

    /// Goes on past a token that [`Gate::lets_pass`].
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        self.state = match std::mem::replace(&mut self.state, State::Passed) {
            State::Opening(written) if written + bytes.len() < self.opens.len() => {
                State::Opening(written + bytes.len())
            }
            State::Opening(written) => {
                self.inside(Vec::new(), bytes.get(self.opens.len() - written..).unwrap_or_default())
            }
            State::Inside(before) => self.inside(before, bytes),
            State::Behind(left) => State::Behind(left.saturating_sub(bytes.len())),
            State::Passed => State::Passed,
        };
    }

    /// The answer begins with a token that no gate has to let pass.
    pub(crate) fn begin(&mut self) {
        self.state = State::Passed;
    }

    fn inside(&self, mut text: Vec<u8>, bytes: &[u8]) -> State {
        text.extend_from_slice(bytes);
        if let Some(end) = self.end_of(&text) {
            let blanks = text.len() - end;
            return State::Behind(BLANKS_MAX.saturating_sub(blanks));
        }
        let longest = self.closes.iter().map(Vec::len).max().unwrap_or(0);
        text.drain(..text.len().saturating_sub(longest));
        State::Inside(text)
    }

    /// Whether thoughts that end within these bytes are followed by nothing but blanks.
    fn keeps_in(&self, before: &[u8], bytes: &[u8]) -> bool {
        let text = [before, bytes].concat();
        self.end_of(&text).is_none_or(|end| is_blank(text.get(end..).unwrap_or_default()))
    }

    /// Where the first mark that closes thoughts ends.
    fn end_of(&self, text: &[u8]) -> Option<usize> {
        let end = |close: &Vec<u8>| {
            text.windows(close.len()).position(|part| part == close).map(|at| at + close.len())
        };
        self.closes.iter().filter_map(end).min()
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use rkllmjs_core::Thoughts;

    use super::{Gate, Way};

    fn gate(opens: &str) -> Gate {
        Gate::new(Some(&Thoughts { opens: opens.to_owned(), closes: vec!["</think>".to_owned()] }))
    }

    #[test]
    fn without_thoughts_there_is_the_answer_alone() {
        assert_eq!(Gate::new(None).way(), Way::Answer);
    }

    #[test]
    fn thoughts_may_come_first_and_are_free_until_they_close() {
        let mut gate = gate("<think>");
        assert_eq!(gate.way(), Way::Either);
        assert!(gate.lets_pass(b"<") && gate.lets_pass(b"<think>") && gate.lets_pass(b"<think>\nI"));
        assert!(!gate.lets_pass(b"{") && !gate.lets_pass(b"<thought") && !gate.lets_pass(b""));
        gate.pass(b"<th");
        assert_eq!(gate.way(), Way::Gate);
        assert!(gate.lets_pass(b"ink") && !gate.lets_pass(b"<th"));
        gate.pass(b"ink>so");
        for piece in [b" {\"a\": 1}".as_slice(), b"</thi", b"nk"] {
            assert!(gate.lets_pass(piece));
            gate.pass(piece);
            assert_eq!(gate.way(), Way::Gate);
        }
        assert!(!gate.lets_pass(b">{"), "an answer in the token that closes thoughts would not be seen");
        gate.pass(b">\n");
        assert_eq!(gate.way(), Way::Either);
        assert!(gate.lets_pass(b"\n") && !gate.lets_pass(b"x") && !gate.lets_pass(b"\n\n\n\n"));
        gate.pass(b"\n\n\n");
        assert_eq!(gate.way(), Way::Answer);
    }

    #[test]
    fn thoughts_that_the_prompt_began_must_close() {
        let mut gate = gate("");
        assert_eq!(gate.way(), Way::Gate);
        gate.pass(b"hm</think>");
        assert_eq!(gate.way(), Way::Either);
        gate.begin();
        assert_eq!(gate.way(), Way::Answer);
    }
}
