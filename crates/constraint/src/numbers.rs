//! Keeps the numbers of a JSON text short. A schema seldom says how many digits a number may have, and a model
//! that is asked for surprises can go on with digits for ever; one with 400 of them is no number any more.

/// Most digits of a number, apart from its exponent: as many as all numbers of so many digits can be told apart by.
const DIGITS_MAX: u8 = 15;
/// Most digits of an exponent.
const EXPONENT_DIGITS_MAX: u8 = 2;

/// Where in a JSON text one is, as far as numbers go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Between,
    Text {
        escaped: bool,
    },
    Digits(u8),
    Exponent(u8),
}

impl Numbers {
    /// Whether all numbers stay short when `bytes` follow.
    pub(crate) fn permit(self, bytes: &[u8]) -> bool {
        let mut next = self;
        bytes.iter().all(|&byte| {
            next.push(byte);
            match next.state {
                State::Digits(count) => count <= DIGITS_MAX,
                State::Exponent(count) => count <= EXPONENT_DIGITS_MAX,
                State::Between | State::Text { .. } => true,
            }
        })
    }

    /// Goes on past `bytes`.
    pub(crate) fn advance(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.push(byte));
    }

    fn push(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Text { escaped: true }, _) => State::Text { escaped: false },
            (State::Text { .. }, b'\\') => State::Text { escaped: true },
            (State::Text { .. }, b'"') => State::Between,
            (State::Text { .. }, _) => self.state,
            (_, b'"') => State::Text { escaped: false },
            (State::Digits(count), b'0'..=b'9') => State::Digits(count.saturating_add(1)),
            (State::Digits(_), b'.') => self.state,
            (State::Digits(_), b'e' | b'E') => State::Exponent(0),
            (State::Exponent(count), b'0'..=b'9') => State::Exponent(count.saturating_add(1)),
            (State::Exponent(_), b'+' | b'-') => self.state,
            (_, b'0'..=b'9') => State::Digits(1),
            _ => State::Between,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;

    fn after(text: &str) -> Numbers {
        let mut numbers = Numbers::default();
        numbers.advance(text.as_bytes());
        numbers
    }

    #[test]
    fn a_number_has_so_many_digits_and_no_more() {
        let numbers = after("[1, -12345678901234");
        assert!(numbers.permit(b"5"));
        assert!(numbers.permit(b"5, 5"));
        assert!(!numbers.permit(b"56"));
        assert!(!after("[1.234567890123").permit(b"456"));
        assert!(after("1e").permit(b"-99"));
        assert!(!after("1e").permit(b"-100"));
    }

    #[test]
    fn digits_of_a_text_are_no_number() {
        assert!(after(r#"{"a\"1": "12345678901234"#).permit(b"567890"));
        assert!(!after(r#"{"a\"1": "x", "b": 12345678901234"#).permit(b"567890"));
    }
}
