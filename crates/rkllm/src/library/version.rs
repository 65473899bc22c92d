use std::cmp::Ordering;
use std::fmt;

/// A version of the runtime, such as 1.2.3 or 1.2.1b1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    /// First number.
    pub major: u16,
    /// Second number.
    pub minor: u16,
    /// Third number.
    pub patch: u16,
    /// The number after `b` of a release before the release.
    pub beta: Option<u16>,
}

/// Which of the two interfaces behind the same symbol names a library has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Abi {
    /// That of 1.2.1 to 1.2.3.
    V12,
    /// That of 1.3.0 and 1.3.1.
    V13,
}

/// What is known about a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    Known(Abi),
    TooOld,
    /// Newer than, or between, those whose layout is known.
    Unknown,
}

/// The releases whose layouts are known.
const KNOWN: [(u16, u16, u16, Abi); 5] =
    [(1, 2, 1, Abi::V12), (1, 2, 2, Abi::V12), (1, 2, 3, Abi::V12), (1, 3, 0, Abi::V13), (1, 3, 1, Abi::V13)];

/// The releases of the runtime that can be driven, for messages.
pub const SUPPORTED: &str = "1.2.1, 1.2.2, 1.2.3, 1.3.0 and 1.3.1";

impl Version {
    /// Reads `X.Y.Z` or `X.Y.ZbN` and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (numbers, beta) = match text.split_once('b') {
            Some((numbers, beta)) => (numbers, Some(number(beta)?)),
            None => (text, None),
        };
        let mut parts = numbers.split('.');
        let (major, minor, patch) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
        parts.next().is_none().then_some(Self { major, minor, patch, beta })
    }

    pub(super) fn support(self) -> Support {
        let numbers = (self.major, self.minor, self.patch);
        let known = KNOWN.iter().find(|&&(major, minor, patch, _)| numbers == (major, minor, patch));
        match known {
            Some(&(_, _, _, abi)) if self.beta.is_none() => Support::Known(abi),
            // A release before 1.2.1 had the layout of 1.2.0.
            _ if numbers < (1, 2, 1) || (numbers == (1, 2, 1) && self.beta.is_some()) => Support::TooOld,
            _ => Support::Unknown,
        }
    }
}

/// Digits alone: `parse` would take a sign.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl Ord for Version {
    /// A beta comes before its release.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |version: &Self| {
            let beta = version.beta.map_or(u32::MAX, u32::from);
            (version.major, version.minor, version.patch, beta)
        };
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        self.beta.map_or(Ok(()), |beta| write!(f, "b{beta}"))
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V12 => "1.2",
            Self::V13 => "1.3",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn support(text: &str) -> Support {
        Version::parse(text).unwrap().support()
    }

    #[test]
    fn every_release_has_its_interface() {
        for version in ["1.2.1", "1.2.2", "1.2.3"] {
            assert_eq!(support(version), Support::Known(Abi::V12), "{version}");
        }
        for version in ["1.3.0", "1.3.1"] {
            assert_eq!(support(version), Support::Known(Abi::V13), "{version}");
        }
        for version in ["0.9.9", "1.0.0", "1.0.1", "1.1.0", "1.1.4", "1.2.0", "1.2.1b1"] {
            assert_eq!(support(version), Support::TooOld, "{version}");
        }
        for version in ["1.2.4", "1.2.2b1", "1.3.0b1", "1.3.2", "1.4.0", "2.0.0"] {
            assert_eq!(support(version), Support::Unknown, "{version}");
        }
    }

    #[test]
    fn versions_are_read_and_written_alike() {
        for text in ["1.2.3", "1.2.1b1", "0.0.0", "65535.1.2"] {
            assert_eq!(Version::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn versions_are_in_the_order_of_their_release() {
        let texts = ["1.0.1", "1.1.4", "1.2.0", "1.2.1b1", "1.2.1b2", "1.2.1", "1.2.10", "1.3.0b1", "1.3.0"];
        assert!(texts.map(|text| Version::parse(text).unwrap()).is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn what_is_no_version_is_none() {
        for text in
            ["", "1", "1.2", "1.2.", "1.2.3.4", "1.2.3b", "1.2.x", "%s", "+1.2.3", "65536.0.0", "1.2.3 "]
        {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_list_in_messages_is_the_table() {
        for (major, minor, patch, _) in KNOWN {
            assert!(SUPPORTED.contains(&format!("{major}.{minor}.{patch}")));
        }
    }
}
