//! Regular expressions as JavaScript knows them (with the flag `u`), in the notation of Rust's.

use std::iter::Peekable;
use std::str::Chars;

/// Most characters and classes of an expression when its repetitions are written out.
const SIZE_MAX: u64 = 10_000;
/// Most repetitions in it: what may be left out multiplies what may come next.
const REPETITIONS_MAX: u32 = 1000;
/// Deepest nesting of its groups.
const DEPTH_MAX: usize = 64;

/// What JavaScript takes for white space.
const BLANKS: &str =
    r"\t\n\x{B}\x{C}\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}";
const DIGITS: &str = "0-9";
const WORD: &str = "0-9A-Za-z_";

/// The same expression for Rust, without names and numbers of groups. The error says what cannot be done.
pub(crate) fn to_rust(pattern: &str) -> Result<String, String> {
    let mut translator = Translator::new(pattern);
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    /// Sizes of the sequences that are open, the innermost last.
    sizes: Vec<u64>,
    /// The size of what a repetition would repeat, if anything.
    last: Option<u64>,
    repetitions: u32,
}

/// A member of a class, or what an escape stands for.
enum Atom {
    One(char),
    /// A set, as it is written inside of a class.
    Set(String),
}

impl<'a> Translator<'a> {
    fn new(pattern: &'a str) -> Self {
        Self {
            rest: pattern.chars().peekable(),
            out: String::new(),
            sizes: vec![0],
            last: None,
            repetitions: 0,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.next() {
            match c {
                '(' => self.open()?,
                ')' => self.close()?,
                '[' => self.class()?,
                '{' => self.repetition()?,
                '*' | '+' | '?' => self.repeat(c)?,
                '\\' => self.escape()?,
                '.' => self.atom(r"[^\n\r\x{2028}\x{2029}]"),
                '|' | '^' | '$' => {
                    self.out.push(c);
                    self.last = None;
                }
                ']' | '}' => return Err(format!("{c} stands alone")),
                c => self.atom(&literal(c)),
            }
            if self.repetitions > REPETITIONS_MAX {
                return Err(format!("it has more than {REPETITIONS_MAX} repetitions"));
            }
            if self.sizes.last().is_some_and(|&size| size > SIZE_MAX) {
                return Err(format!("its repetitions come to more than {SIZE_MAX} characters"));
            }
        }
        if self.sizes.len() > 1 { Err("a group stays open".to_owned()) } else { Ok(()) }
    }

    fn atom(&mut self, text: &str) {
        self.out.push_str(text);
        self.grow(1);
    }

    fn grow(&mut self, size: u64) {
        if let Some(sum) = self.sizes.last_mut() {
            *sum = sum.saturating_add(size);
        }
        self.last = Some(size);
    }

    fn open(&mut self) -> Result<(), String> {
        if self.rest.next_if_eq(&'?').is_some() {
            match self.rest.next() {
                Some(':') => {}
                Some('<') if !matches!(self.rest.peek(), Some('=' | '!')) => {
                    // Nobody asks for the name.
                    if !self.rest.by_ref().any(|c| c == '>') {
                        return Err("the name of a group stays open".to_owned());
                    }
                }
                _ => return Err("it looks ahead or behind, or sets flags".to_owned()),
            }
        }
        if self.sizes.len() > DEPTH_MAX {
            return Err(format!("its groups nest more than {DEPTH_MAX} deep"));
        }
        self.out.push_str("(?:");
        self.sizes.push(0);
        self.last = None;
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let inner = self.sizes.pop().unwrap_or(0);
        if self.sizes.is_empty() {
            return Err("a group is closed that was not opened".to_owned());
        }
        self.out.push(')');
        self.grow(inner.max(1));
        Ok(())
    }

    fn repeat(&mut self, sign: char) -> Result<(), String> {
        self.repetitions += 1;
        self.last.take().ok_or_else(|| format!("{sign} repeats nothing"))?;
        self.out.push(sign);
        // Longest or shortest: the same texts match.
        self.rest.next_if_eq(&'?');
        Ok(())
    }

    fn repetition(&mut self) -> Result<(), String> {
        self.repetitions += 1;
        let inner: String = self.rest.by_ref().take_while(|&c| c != '}').collect();
        let (least, most) = inner.split_once(',').map_or((inner.as_str(), None), |(a, b)| (a, Some(b)));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
        };
        let wrong = || format!("{{{inner}}} is no repetition");
        let least_count = number(least).ok_or_else(wrong)?;
        let most_count = match most {
            None => least_count,
            Some("") => least_count.max(1),
            Some(text) => number(text).ok_or_else(wrong)?,
        };
        let size = self.last.take().ok_or_else(|| format!("{{{inner}}} repeats nothing"))?;
        if most_count < least_count {
            return Err(wrong());
        }
        self.grow(size.saturating_mul(most_count.saturating_sub(1)));
        self.last = None;
        if most_count > SIZE_MAX {
            return Err(format!("its repetitions come to more than {SIZE_MAX} characters"));
        }
        self.out.push_str(&format!("{{{inner}}}"));
        self.rest.next_if_eq(&'?');
        Ok(())
    }

    fn class(&mut self) -> Result<(), String> {
        let is_negated = self.rest.next_if_eq(&'^').is_some();
        if self.rest.next_if_eq(&']').is_some() {
            if !is_negated {
                return Err("[] matches nothing".to_owned());
            }
            self.atom("(?s:.)");
            return Ok(());
        }
        let mut members = String::new();
        loop {
            match self.member()? {
                None => break,
                Some(Atom::Set(set)) => members.push_str(&set),
                Some(Atom::One(first)) => {
                    members.push_str(&literal(first));
                    if let Some(last) = self.range_end()? {
                        if last < first {
                            return Err("a range of a class is backward".to_owned());
                        }
                        members.push('-');
                        members.push_str(&literal(last));
                    }
                }
            }
        }
        let sign = if is_negated { "^" } else { "" };
        self.atom(&format!("[{sign}{members}]"));
        Ok(())
    }

    /// The next member of a class, or its end.
    fn member(&mut self) -> Result<Option<Atom>, String> {
        match self.rest.next() {
            None => Err("a class stays open".to_owned()),
            Some(']') => Ok(None),
            Some('\\') if self.rest.next_if_eq(&'b').is_some() => Ok(Some(Atom::One('\x08'))),
            Some('\\') => self.escaped().map(Some),
            Some(c) => Ok(Some(Atom::One(c))),
        }
    }

    /// What follows a hyphen between two characters of a class.
    fn range_end(&mut self) -> Result<Option<char>, String> {
        let mut ahead = self.rest.clone();
        let is_range = ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']');
        if !is_range {
            return Ok(None);
        }
        self.rest.next();
        match self.member()? {
            Some(Atom::One(last)) => Ok(Some(last)),
            _ => Err("a range of a class ends in a set".to_owned()),
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        if matches!(self.rest.peek(), Some('b' | 'B')) {
            return Err("word boundaries are not supported".to_owned());
        }
        match self.escaped()? {
            Atom::One(c) => self.atom(&literal(c)),
            Atom::Set(set) => self.atom(&format!("[{set}]")),
        }
        Ok(())
    }

    /// What stands after a backslash.
    fn escaped(&mut self) -> Result<Atom, String> {
        let c = self.rest.next().ok_or("it ends in a backslash")?;
        Ok(match c {
            'd' => Atom::Set(DIGITS.to_owned()),
            'D' => Atom::Set(format!("[^{DIGITS}]")),
            'w' => Atom::Set(WORD.to_owned()),
            'W' => Atom::Set(format!("[^{WORD}]")),
            's' => Atom::Set(BLANKS.to_owned()),
            'S' => Atom::Set(format!("[^{BLANKS}]")),
            'p' | 'P' => Atom::Set(self.property(c)?),
            't' => Atom::One('\t'),
            'n' => Atom::One('\n'),
            'r' => Atom::One('\r'),
            'v' => Atom::One('\x0b'),
            'f' => Atom::One('\x0c'),
            '0' => Atom::One('\0'),
            'x' => Atom::One(self.hexadecimal(2).and_then(char::from_u32).ok_or(r"\x needs two digits")?),
            'u' => Atom::One(self.unicode().ok_or(r"\u names no character")?),
            '1'..='9' | 'k' => return Err("references to groups are not supported".to_owned()),
            c if c.is_ascii_alphanumeric() => return Err(format!("\\{c} means nothing")),
            c => Atom::One(c),
        })
    }

    fn property(&mut self, sign: char) -> Result<String, String> {
        let is_open = self.rest.next_if_eq(&'{').is_some();
        let name: String = self.rest.by_ref().take_while(|&c| c != '}').collect();
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '='));
        if is_open && is_name && !name.is_empty() && name.len() < 64 {
            return Ok(format!("\\{sign}{{{name}}}"));
        }
        Err(format!("\\{sign} needs the name of a property in braces"))
    }

    fn hexadecimal(&mut self, digits: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..digits {
            value = value * 16 + self.rest.next()?.to_digit(16)?;
        }
        Some(value)
    }

    fn unicode(&mut self) -> Option<char> {
        if self.rest.next_if_eq(&'{').is_some() {
            let digits: String = self.rest.by_ref().take_while(|&c| c != '}').collect();
            return char::from_u32(u32::from_str_radix(&digits, 16).ok()?);
        }
        let first = self.hexadecimal(4)?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        // The first half of a pair.
        self.rest.next_if_eq(&'\\')?;
        self.rest.next_if_eq(&'u')?;
        let second = self.hexadecimal(4).filter(|second| (0xdc00..0xe000).contains(second))?;
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
    }
}

/// A character that stands for itself.
fn literal(c: char) -> String {
    if c.is_ascii_alphanumeric() || c == '_' || (!c.is_ascii() && !c.is_control()) {
        return c.to_string();
    }
    format!("\\x{{{:X}}}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::to_rust;

    #[test]
    fn an_expression_keeps_its_meaning() {
        for (javascript, rust) in [
            ("^abc$", "^abc$"),
            ("a/b", r"a\x{2F}b"),
            (r"\d{3}-\d+", r"[0-9]{3}\x{2D}[0-9]+"),
            ("(a|(?:b)|(?<name>c))*?", "(?:a|(?:b)|(?:c))*"),
            ("[a-c&&[-]", r"[a-c\x{26}\x{26}\x{5B}\x{2D}]"),
            (r"[\w\-.]", r"[0-9A-Za-z_\x{2D}\x{2E}]"),
            (r"[^\D]", "[^[^0-9]]"),
            ("[^]", "(?s:.)"),
            (".", r"[^\n\r\x{2028}\x{2029}]"),
            (r"\u00e9\x41\u{1F600}\ud83d\ude00", "éA😀😀"),
            (r"\p{L}\P{Script=Greek}", r"[\p{L}][\P{Script=Greek}]"),
            (r"\$\^\.\\", r"\x{24}\x{5E}\x{2E}\x{5C}"),
            ("a{2,}?b{0,3}", "a{2,}b{0,3}"),
        ] {
            assert_eq!(to_rust(javascript).as_deref(), Ok(rust), "{javascript}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for pattern in [
            "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?i)a", r"\ba", r"a\B", r"(a)\1", r"\k<a>", "(a", "a)",
            "[a", "a]", "a{", "a{x}", "a{3,2}", "*a", "a|+", "[]", "[b-a]", r"[a-\d]", r"\", r"\q",
            r"\ud83d", r"\p{", r"\pL", "(?<name", "a}",
        ] {
            assert!(to_rust(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn repetitions_are_bounded_however_they_nest() {
        assert!(to_rust("(a{100}){100}").is_ok());
        for pattern in [
            "(a{1000}){1000}",
            "a{30000}",
            "((a{100}){100}){100}",
            "(a{200}b){200}",
            "a?".repeat(1001).as_str(),
            "a{99999999999999999999}",
        ] {
            assert!(to_rust(pattern).is_err_and(|why| why.contains("repetitions")), "{pattern}");
        }
        assert!(to_rust(&"(".repeat(100)).is_err_and(|why| why.contains("deep")));
    }
}
