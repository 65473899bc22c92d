use std::collections::HashMap;

use crate::Token;

/// So many tokens in a row are taken for the beginning of a repetition. Two are alike too often by chance; four
/// are seen one token later.
pub(super) const GRAM: usize = 3;

/// Finds in a sequence what it is about to repeat: it follows one earlier place for as long as that goes on like
/// the end does, and looks for the latest such place when there is none.
///
/// It holds an entry for each different row of tokens, so the context bounds it, and a new token costs one look
/// and one entry however long the sequence is.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// After which token each row ended last.
    ends: HashMap<[Token; GRAM], usize>,
    seen: usize,
    /// The place of the token that is expected next.
    expected: Option<usize>,
    /// How many tokens before that place are those at the end.
    matched: usize,
}

impl Lookup {
    /// Takes in what `tokens` has more than the last time. `observe` hears of each new token for which another was
    /// expected, or this one: how many tokens had matched before it, and whether it was right.
    pub(super) fn follow(&mut self, tokens: &[Token], mut observe: impl FnMut(usize, bool)) {
        if tokens.len() < self.seen {
            // Tokens were dropped from the middle, so that no place is what it was.
            *self = Self::default();
        }
        for end in self.seen + 1..=tokens.len() {
            let Some((&last, _)) = tokens.get(..end).and_then(<[Token]>::split_last) else { continue };
            self.expected = self.expected.and_then(|place| {
                let is_right = tokens.get(place) == Some(&last);
                observe(self.matched, is_right);
                self.matched += 1;
                is_right.then_some(place + 1)
            });
            let Some(&row) = tokens.get(..end).and_then(<[Token]>::last_chunk::<GRAM>) else { continue };
            let before = self.ends.insert(row, end);
            if self.expected.is_none() {
                (self.expected, self.matched) = (before, GRAM);
            }
        }
        self.seen = tokens.len();
    }

    /// How many tokens at the end have come before, if the next one can be guessed from that.
    pub(super) fn matched(&self) -> Option<usize> {
        self.expected.map(|_| self.matched)
    }

    /// Adds what is expected to follow `tokens`, which were followed to their end, to `drafts`: `count` tokens.
    pub(super) fn guess(&self, tokens: &[Token], count: usize, drafts: &mut Vec<Token>) {
        let Some(expected) = self.expected else { return };
        let first = drafts.len();
        for place in expected..expected + count {
            // A repetition may repeat itself.
            let token = match place.checked_sub(tokens.len()) {
                None => tokens.get(place),
                Some(guessed) => drafts.get(first + guessed),
            };
            let Some(&token) = token else { return };
            drafts.push(token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lookup;

    fn guess(tokens: &[u32], count: usize) -> Vec<u32> {
        let mut lookup = Lookup::default();
        lookup.follow(tokens, |_, _| {});
        let mut drafts = Vec::new();
        lookup.guess(tokens, count, &mut drafts);
        drafts
    }

    #[test]
    fn what_followed_the_same_three_tokens_is_expected_again() {
        assert_eq!(guess(&[7, 1, 2, 3, 4, 5, 6, 9, 1, 2, 3], 3), [4, 5, 6]);
        assert_eq!(guess(&[1, 2, 3, 4, 9, 2, 3], 3), [0; 0]);
    }

    #[test]
    fn a_cycle_is_expected_to_go_on_for_ever() {
        assert_eq!(guess(&[1, 2, 3, 1, 2, 3], 7), [1, 2, 3, 1, 2, 3, 1]);
        assert_eq!(guess(&[5, 5, 5, 5], 4), [5, 5, 5, 5]);
    }

    #[test]
    fn the_place_that_proved_right_is_kept_and_a_wrong_one_left_for_the_latest() {
        assert_eq!(guess(&[1, 2, 3, 4, 5, 8, 2, 3, 4, 6, 9, 1, 2, 3, 4], 1), [5]);
        assert_eq!(guess(&[1, 2, 3, 4, 5, 8, 2, 3, 4, 6, 9, 1, 2, 3, 4, 7, 2, 3, 4], 1), [7]);
    }

    #[test]
    fn tokens_that_come_one_by_one_are_followed_like_those_that_come_at_once() {
        let tokens: Vec<u32> = (0..300_u32).map(|i| (i * i) % 17).collect();
        let mut lookup = Lookup::default();
        for end in 1..=tokens.len() {
            lookup.follow(&tokens[..end], |_, _| {});
            let mut drafts = Vec::new();
            lookup.guess(&tokens[..end], 5, &mut drafts);
            assert_eq!(drafts, guess(&tokens[..end], 5), "{end}");
        }
    }

    #[test]
    fn it_hears_how_right_it_was_and_forgets_dropped_tokens() {
        let mut lookup = Lookup::default();
        let mut heard = Vec::new();
        lookup.follow(&[1, 2, 3, 4, 1, 2, 3, 4, 9], |matched, right| heard.push((matched, right)));
        assert_eq!(heard, [(3, true), (4, false)]);
        lookup.follow(&[1, 2, 3], |_, _| {});
        assert_eq!(lookup.matched(), None);
    }
}
