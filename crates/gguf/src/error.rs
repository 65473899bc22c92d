use std::fmt;
use std::io;

/// What class of failure an [`Error`] is, for a caller that decides rather than prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused: not found, no permission, a failing disk.
    Io(io::ErrorKind),
    /// The file is something else: a Git LFS pointer, a web page, an RKLLM model.
    NotGguf,
    /// A GGUF file of a kind that is not supported here.
    Unsupported,
    /// The file contradicts itself or the format.
    Corrupt,
    /// The file ends before its contents do; most often an interrupted download.
    Truncated,
    /// A count or size is beyond what this reader accepts.
    TooLarge,
}

/// Why a file was refused.
///
/// The message names what is wrong (a key, a tensor, a field) in one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The class of failure.
    pub kind: ErrorKind,
    /// Where in the file, in bytes from its start, where that is known.
    pub offset: Option<u64>,
    /// What is wrong.
    pub message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, offset: None, message: message.into() }
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    pub(crate) fn io(doing: &str, error: &io::Error) -> Self {
        Self::new(ErrorKind::Io(error.kind()), format!("{doing}: {error}"))
    }

    /// Keeps an offset that is already there: the innermost place is the most exact one.
    pub(crate) fn at(mut self, offset: u64) -> Self {
        self.offset.get_or_insert(offset);
        self
    }

    pub(crate) fn within(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.offset {
            Some(offset) => write!(f, " (offset {offset:#x})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_place_before_the_fault_and_the_offset_after_it() {
        let error = Error::corrupt("is empty").within("tensor \"a\"").at(0x1a40).at(7);
        assert_eq!(error.to_string(), "tensor \"a\": is empty (offset 0x1a40)");
    }
}
