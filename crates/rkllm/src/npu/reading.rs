use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// A value the system tells, or why it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    /// The value.
    pub value: Option<T>,
    /// Why there is none.
    pub reason: Option<String>,
}

impl<T> Reading<T> {
    pub(super) const fn of(value: T) -> Self {
        Self { value: Some(value), reason: None }
    }

    pub(super) fn none(reason: impl Into<String>) -> Self {
        Self { value: None, reason: Some(reason.into()) }
    }

    /// The same reading in another form; one that has no such form is none.
    pub(super) fn and_then<U>(self, convert: impl FnOnce(T) -> Result<U, String>) -> Reading<U> {
        match self.value.map(convert) {
            Some(Ok(value)) => Reading::of(value),
            Some(Err(reason)) => Reading::none(reason),
            None => Reading { value: None, reason: self.reason },
        }
    }

    /// This, or else what another place tells; the reason that says more than absence wins.
    pub(super) fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if self.value.is_some() {
            return self;
        }
        let other = other();
        if other.value.is_some() || self.is_absent() { other } else { self }
    }

    fn is_absent(&self) -> bool {
        self.reason.as_ref().is_some_and(|reason| reason.ends_with(ABSENT))
    }
}

const ABSENT: &str = "does not exist";

/// What the kernel writes into such files fits a page.
const FILE_BYTES_MAX: u64 = 4096;

/// No folder of `/sys/class` that is looked into has more entries than that; the rest is not looked at.
const ENTRIES_MAX: usize = 512;

/// A tree of files like the system's. Tests have their own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree<'a>(pub(super) &'a Path);

impl Tree<'_> {
    pub(super) fn path(self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    pub(super) fn exists(self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The bytes of a small file.
    pub(super) fn bytes(self, path: &str) -> Reading<Vec<u8>> {
        let read = || {
            let mut bytes = Vec::new();
            File::open(self.path(path))?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        read().map_or_else(|error| Reading::none(why(path, &error)), Reading::of)
    }

    /// The text of a small file, without the white space around it.
    pub(super) fn text(self, path: &str) -> Reading<String> {
        self.bytes(path).and_then(|bytes| Ok(String::from_utf8_lossy(&bytes).trim().to_owned()))
    }

    /// A file that holds one number.
    pub(super) fn number(self, path: &str) -> Reading<u64> {
        self.text(path).and_then(|text| text.parse().map_err(|_| odd(path, &text)))
    }

    /// The names in a folder, in order; none if it cannot be read.
    pub(super) fn names(self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten().take(ENTRIES_MAX);
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// The last name of what a link points at.
    pub(super) fn link_name(self, path: &str) -> Option<String> {
        let target = fs::read_link(self.path(path)).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }
}

/// Says that a file holds something else than it should.
pub(super) fn odd(path: &str, text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    format!("{path} holds \"{}\", which is not understood", start.escape_debug())
}

fn why(path: &str, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => format!("{path} {ABSENT}"),
        ErrorKind::PermissionDenied => format!("{path} may only be read by root"),
        _ => format!("{path} cannot be read: {error}"),
    }
}
