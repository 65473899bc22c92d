use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use rkllmjs_core::{Detail, Error, ErrorCode};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A file that lies beside a model, read whole.
#[derive(Debug)]
pub(crate) struct CompanionFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl CompanionFile {
    /// Reads `name` in `folder`, of at most `bytes_max` bytes; `None` if there is no such file.
    pub(crate) fn read(folder: &Path, name: &str, bytes_max: u64) -> Result<Option<Self>, Error> {
        let path = folder.join(name);
        let facts = match std::fs::metadata(&path) {
            Ok(facts) => facts,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(e) => return Err(invalid(&path, format!("cannot be looked at: {e}"))),
        };
        if !facts.is_file() {
            return Err(invalid(&path, "is not a file"));
        }
        let mut bytes = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes))
            .map_err(|e| invalid(&path, format!("cannot be read: {e}")))?;
        if bytes.len() as u64 > bytes_max {
            return Err(invalid(&path, format!("has more than {bytes_max} bytes, the most that is allowed")));
        }
        Ok(Some(Self { path, bytes }))
    }

    /// A file that is already in memory; `path` is for messages.
    pub(crate) fn from_bytes(path: &Path, bytes: &[u8]) -> Self {
        Self { path: path.to_owned(), bytes: bytes.to_owned() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.bytes).map_err(|e| self.invalid(format!("is not valid UTF-8: {e}")))
    }

    /// The file's JSON as `T`, which may borrow from it.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes).map_err(|e| self.invalid(e.to_string()))
    }

    /// The fields of a file that is one JSON object.
    pub(crate) fn fields(&self) -> Result<Map<String, Value>, Error> {
        self.json()
    }

    /// What is wrong with this file; `message` continues its name.
    #[cold]
    pub(crate) fn invalid(&self, message: impl AsRef<str>) -> Error {
        invalid(&self.path, message)
    }

    /// What this file needs and this library does not have; `message` continues its name.
    #[cold]
    pub(crate) fn unsupported(&self, message: impl AsRef<str>) -> Error {
        Error { code: ErrorCode::Unsupported, ..self.invalid(message) }
    }
}

#[cold]
fn invalid(path: &Path, message: impl AsRef<str>) -> Error {
    let message = format!("{}: {}", path.display(), message.as_ref());
    Error::new(ErrorCode::ModelInvalid, message).with("path", Detail::Text(path.display().to_string()))
}
