use std::borrow::Cow;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rkllmjs_core::{Detail, Error, ErrorCode};

/// Most bytes of an image or a sound as a file has it.
const BYTES_MAX: u64 = 20 << 20;

/// What a medium is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediumKind {
    /// An image.
    Image,
    /// Sound.
    Audio,
}

impl MediumKind {
    /// As `info.media` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Audio => "audio",
        }
    }
}

/// An image or a sound that a conversation holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediumSource {
    /// What it is.
    pub kind: MediumKind,
    /// Where it stands, for messages: `messages[0].content[1]`.
    pub place: String,
    /// The medium itself.
    pub data: MediumData,
}

/// Where the bytes of a medium are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediumData {
    /// Here.
    Bytes(Vec<u8>),
    /// In a file.
    Path(PathBuf),
}

impl MediumSource {
    /// Its bytes.
    ///
    /// # Errors
    ///
    /// `payload-too-large`; `invalid-request` for a file that cannot be read.
    pub(super) fn bytes(&self) -> Result<Cow<'_, [u8]>, Error> {
        match &self.data {
            MediumData::Bytes(bytes) if bytes.len() as u64 > BYTES_MAX => {
                Err(self.too_large(bytes.len() as u64))
            }
            MediumData::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            MediumData::Path(path) => self.read(path).map(Cow::Owned),
        }
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, Error> {
        let unreadable = |why: &str| self.wrong(&format!("{} {why}", path.display()));
        let refused = |error: std::io::Error| unreadable(&format!("cannot be read: {error}"));
        // Opening a pipe would wait for somebody to write to it.
        let facts = fs::metadata(path).map_err(refused)?;
        if !facts.is_file() {
            return Err(unreadable("is no regular file"));
        }
        if facts.len() > BYTES_MAX {
            return Err(self.too_large(facts.len()));
        }
        let mut bytes = Vec::new();
        // It may have grown since.
        File::open(path).map_err(refused)?.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(refused)?;
        if bytes.len() as u64 > BYTES_MAX { Err(self.too_large(bytes.len() as u64)) } else { Ok(bytes) }
    }

    /// An error about this medium.
    pub(super) fn wrong(&self, what: &str) -> Error {
        Error::new(ErrorCode::InvalidRequest, format!("{}: {what}", self.place))
    }

    /// The same for one with too much of something.
    pub(super) fn too_much(&self, what: &str) -> Error {
        Error::new(ErrorCode::PayloadTooLarge, format!("{}: {what}", self.place))
    }

    fn too_large(&self, bytes: u64) -> Error {
        let what = format!("the {} has {bytes} bytes, at most {BYTES_MAX} are allowed", self.kind.name());
        self.too_much(&what).with("bytes", Detail::Number(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, MediumData, MediumKind, MediumSource};
    use rkllmjs_core::ErrorCode;

    fn of(data: MediumData) -> MediumSource {
        MediumSource { kind: MediumKind::Image, place: "messages[0].content[1]".to_owned(), data }
    }

    #[test]
    fn what_is_too_large_is_refused_with_its_place() {
        let bytes = vec![0; usize::try_from(BYTES_MAX).unwrap() + 1];
        let error = of(MediumData::Bytes(bytes)).bytes().unwrap_err();
        assert_eq!(error.code, ErrorCode::PayloadTooLarge);
        assert!(error.message.starts_with("messages[0].content[1]: the image has 20971521 bytes"), "{error}");
    }

    #[test]
    fn what_is_no_file_is_refused_without_opening_it() {
        for path in ["no/such/file.png", "/dev/zero", env!("CARGO_MANIFEST_DIR")] {
            let error = of(MediumData::Path(path.into())).bytes().unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidRequest);
            assert!(error.message.contains(path), "{error}");
        }
    }

    #[test]
    fn a_file_is_read_whole() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let bytes = of(MediumData::Path(path.into())).bytes().unwrap().into_owned();
        assert_eq!(bytes, std::fs::read(path).unwrap());
    }
}
