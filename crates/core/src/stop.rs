/// Finds stop strings in text that arrives in pieces.
///
/// Text that might be the beginning of a stop string is held back until it is certain, so a
/// reader never sees part of one. Holds at most the longest stop string.
#[derive(Debug)]
pub(crate) struct StopStrings {
    stops: Vec<String>,
    held: String,
}

impl StopStrings {
    pub(crate) fn new(stops: Vec<String>) -> Self {
        Self { stops, held: String::new() }
    }

    /// Adds `text` and appends to `out` what may be shown. True once a stop string was found:
    /// it and everything after it are dropped.
    pub(crate) fn push(&mut self, text: &str, out: &mut String) -> bool {
        if self.stops.is_empty() {
            out.push_str(text);
            return false;
        }
        self.held.push_str(text);
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        if let Some(at) = found {
            out.push_str(self.held.get(..at).unwrap_or_default());
            self.held.clear();
            return true;
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let show = self.held.len().saturating_sub(keep);
        out.extend(self.held.drain(..show));
        false
    }

    /// Appends what was held back in vain.
    pub(crate) fn finish(&mut self, out: &mut String) {
        out.push_str(&self.held);
        self.held.clear();
    }
}

/// Bytes at the end of `text` that begin `stop`, short of the whole of it.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len().saturating_sub(1));
    let (text, stop) = (text.as_bytes(), stop.as_bytes());
    (1..=longest).rev().find(|&n| text.get(text.len() - n..) == stop.get(..n)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::StopStrings;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut matcher = StopStrings::new(stops.iter().map(ToString::to_string).collect());
        let mut out = String::new();
        for piece in pieces {
            if matcher.push(piece, &mut out) {
                return (out, true);
            }
        }
        matcher.finish(&mut out);
        (out, false)
    }

    #[test]
    fn a_stop_string_is_found_under_every_cut() {
        let text = "one ENDtwo";
        for cut in 0..=text.len() {
            assert_eq!(run(&["END"], &[&text[..cut], &text[cut..]]), ("one ".to_owned(), true));
        }
        let letters: Vec<String> = text.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        assert_eq!(run(&["END"], &letters), ("one ".to_owned(), true));
    }

    #[test]
    fn text_that_only_began_a_stop_string_is_shown_in_the_end() {
        assert_eq!(run(&["END!"], &["the EN", "D"]), ("the END".to_owned(), false));
        assert_eq!(run(&["aab"], &["aa", "aa", "c"]), ("aaaac".to_owned(), false));
    }

    #[test]
    fn the_earliest_of_several_wins() {
        assert_eq!(run(&["later", "la"], &["a la", "ter"]), ("a ".to_owned(), true));
    }

    #[test]
    fn characters_are_never_cut() {
        assert_eq!(run(&["é!"], &["caf", "é", "?"]), ("café?".to_owned(), false));
    }
}
