use std::fs;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::magic;
use crate::metadata::Metadata;
use crate::reader::Reader;
use crate::tensor::{self, Tensor};
use crate::value::Value;

const DEFAULT_ALIGNMENT: u64 = 32;
const MAX_ALIGNMENT: u64 = 1024 * 1024;

/// The header of a GGUF file whose structure has been checked.
///
/// Sizes and offsets are consistent with the file's length at the time of reading. What the
/// values mean is checked by [`check_model`](crate::check_model) and
/// [`check_adapter`](crate::check_adapter).
#[derive(Debug, Clone)]
pub struct File {
    /// The GGUF version: 2 or 3.
    pub version: u32,
    /// What tensor data is aligned to, in bytes.
    pub alignment: u64,
    /// The key-value pairs.
    pub metadata: Metadata,
    /// The tensors, in the file's order.
    pub tensors: Vec<Tensor>,
    /// Where the data section begins, in bytes from the start of the file.
    pub data_offset: u64,
    /// The length of the file in bytes.
    pub file_bytes: u64,
}

/// What a file is for, from `general.type` and, in older files, from the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A model that generates or embeds.
    Model,
    /// A LoRA adapter, useless without its base model.
    Adapter,
    /// A projector that turns images or sound into embeddings.
    Mmproj,
    /// A vocabulary without weights.
    Vocab,
    /// Something else, as the file names it.
    Other(Box<str>),
}

/// The part that this file is of a model in several files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Which part, counted from 0. Part 0 holds the metadata.
    pub number: u16,
    /// How many parts there are.
    pub count: u16,
    /// How many tensors all parts hold together, where the file says so.
    pub tensors: Option<u64>,
}

impl File {
    /// Reads and checks the header of the file at `path`; tensor data is not read.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, is not a regular file, or is not a sound GGUF file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let (file, length) = open_regular(path.as_ref())?;
        Self::read(file, length)
    }

    /// Reads and checks a header from `source`, which has `length` bytes in all.
    ///
    /// # Errors
    ///
    /// When reading fails or the bytes are not a sound GGUF file.
    pub fn read(source: impl Read, length: u64) -> Result<Self, Error> {
        let mut reader = Reader::new(source, length);
        let version = read_version(&mut reader)?;
        let tensor_count = reader.u64().map_err(|error| error.within("number of tensors"))?;
        let key_count = reader.u64().map_err(|error| error.within("number of keys"))?;
        let metadata = Metadata::read(&mut reader, key_count)?;
        let alignment = alignment(&metadata)?;
        let tensors = tensor::read_tensors(&mut reader, tensor_count)?;
        let end = reader.position();
        let data_offset = end
            .checked_next_multiple_of(alignment)
            .ok_or_else(|| Error::corrupt("the data section's start overflows").at(end))?;
        tensor::check_layout(&tensors, data_offset, alignment, length)?;
        Ok(Self { version, alignment, metadata, tensors, data_offset, file_bytes: length })
    }

    /// What the file is for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.metadata.str("general.type") {
            Some("model") => Kind::Model,
            Some("adapter") => Kind::Adapter,
            Some("mmproj") => Kind::Mmproj,
            Some("vocab") => Kind::Vocab,
            Some(other) => Kind::Other(other.into()),
            None if self.architecture() == Some("clip") => Kind::Mmproj,
            None if self.tensors.is_empty() && self.split().is_none() => Kind::Vocab,
            None => Kind::Model,
        }
    }

    /// The value of `general.architecture`, for example `llama`.
    #[must_use]
    pub fn architecture(&self) -> Option<&str> {
        self.metadata.str("general.architecture")
    }

    /// The tensor named `name`. The search is linear.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| &*tensor.name == name)
    }

    /// Which part of a model this file is, when the model is spread over several files.
    #[must_use]
    pub fn split(&self) -> Option<Split> {
        let count = self.metadata.u64("split.count").and_then(|count| u16::try_from(count).ok())?;
        let number = self.metadata.u64("split.no").and_then(|number| u16::try_from(number).ok())?;
        let tensors = self.metadata.u64("split.tensors.count");
        (count > 1).then_some(Split { number, count, tensors })
    }
}

/// Opens `path` for reading if it is a regular file, and gives its length in bytes.
///
/// # Errors
///
/// When it cannot be opened, or is something else, whose opening might wait for ever.
pub fn open_regular(path: &Path) -> Result<(fs::File, u64), Error> {
    // Looked at before opening: to open a named pipe would wait for a writer.
    let before = fs::metadata(path).map_err(|error| Error::io("cannot open the file", &error))?;
    refuse_special(&before)?;
    let file = fs::File::open(path).map_err(|error| Error::io("cannot open the file", &error))?;
    let after = file.metadata().map_err(|error| Error::io("cannot open the file", &error))?;
    refuse_special(&after)?;
    Ok((file, after.len()))
}

fn refuse_special(metadata: &fs::Metadata) -> Result<(), Error> {
    if metadata.is_dir() {
        return Err(Error::unsupported("the path is a directory, not a file"));
    }
    if !metadata.is_file() {
        return Err(Error::unsupported("the path is a pipe, socket or device, not a regular file"));
    }
    Ok(())
}

fn read_version<R: Read>(reader: &mut Reader<R>) -> Result<u32, Error> {
    let mut start = Vec::new();
    while start.len() < 4 && reader.remaining() > 0 {
        start.extend(reader.array::<1>()?);
    }
    if start != b"GGUF" {
        while start.len() < 64 && reader.remaining() > 0 {
            start.extend(reader.array::<1>()?);
        }
        return Err(magic::not_gguf(&start));
    }
    let version = reader.u32().map_err(|error| error.within("GGUF version"))?;
    match version {
        2 | 3 => Ok(version),
        1 => Err(Error::unsupported("GGUF version 1 is no longer supported; convert the model again").at(4)),
        0 => Err(Error::corrupt("GGUF version 0 does not exist").at(4)),
        swapped if swapped & 0xffff == 0 => {
            Err(Error::unsupported("the file is big-endian; only little-endian GGUF is supported").at(4))
        }
        4..=255 => Err(Error::unsupported(format!("GGUF version {version} is newer than 3")).at(4)),
        none => Err(Error::corrupt(format!("GGUF version {none} does not exist")).at(4)),
    }
}

fn alignment(metadata: &Metadata) -> Result<u64, Error> {
    let key = "general.alignment";
    let alignment = match metadata.get(key) {
        None => return Ok(DEFAULT_ALIGNMENT),
        Some(Value::U32(alignment)) => u64::from(*alignment),
        Some(other) => return Err(metadata.fault(key, format_args!("is {}, not u32", other.type_name()))),
    };
    if alignment.is_power_of_two() && (8..=MAX_ALIGNMENT).contains(&alignment) {
        return Ok(alignment);
    }
    let message = format!("is {alignment}, not a power of two from 8 to {MAX_ALIGNMENT}");
    Err(Error { kind: ErrorKind::Corrupt, ..metadata.fault(key, message) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TensorType;
    use crate::testing::Builder;

    #[test]
    fn refuses_versions_other_than_2_and_3() {
        for (version, words) in
            [(0, "does not exist"), (1, "version 1"), (4, "newer"), (3_u32.swap_bytes(), "big-endian")]
        {
            let error = Builder::new().version(version).open().unwrap_err();
            assert!(error.message.contains(words), "{error}");
            assert_eq!(error.offset, Some(4));
        }
        assert_eq!(Builder::new().version(2).open().unwrap().version, 2);
    }

    #[test]
    fn refuses_alignments_that_ggml_cannot_use() {
        for alignment in [0, 4, 24, 1 << 21] {
            let error = Builder::new().u32("general.alignment", alignment).open().unwrap_err();
            assert!(error.message.contains("general.alignment"), "{error}");
        }
        let error = Builder::new().str("general.alignment", "32").open().unwrap_err();
        assert!(error.message.contains("is str, not u32"), "{error}");
    }

    #[test]
    fn places_the_data_section_by_the_alignment() {
        let builder = Builder::new().u32("general.alignment", 4096).tensor("a", TensorType::F32, &[4]);
        assert_eq!(builder.open().unwrap().data_offset, 4096);
    }

    #[test]
    fn refuses_directories_devices_and_missing_files() {
        let directory = File::open(env!("CARGO_MANIFEST_DIR")).unwrap_err();
        assert_eq!(directory.kind, ErrorKind::Unsupported);
        let missing = File::open("no/such/file.gguf").unwrap_err();
        assert_eq!(missing.kind, ErrorKind::Io(std::io::ErrorKind::NotFound));
        #[cfg(unix)]
        assert_eq!(File::open("/dev/null").unwrap_err().kind, ErrorKind::Unsupported);
    }

    #[test]
    fn tells_what_a_file_is_for() {
        let of = |kind| Builder::new().str("general.type", kind).open().unwrap().kind();
        assert_eq!(of("adapter"), Kind::Adapter);
        assert_eq!(of("imatrix"), Kind::Other("imatrix".into()));
        let old = Builder::new().str("general.architecture", "clip").tensor("a", TensorType::F32, &[1]);
        assert_eq!(old.open().unwrap().kind(), Kind::Mmproj);
        assert_eq!(Builder::new().open().unwrap().kind(), Kind::Vocab);
    }

    #[test]
    fn exposes_the_part_of_a_split_model() {
        let file = Builder::new().u16("split.count", 3).u16("split.no", 1).open().unwrap();
        assert_eq!(file.split(), Some(Split { number: 1, count: 3, tensors: None }));
        let whole = Builder::new().u16("split.count", 1).u16("split.no", 0).open().unwrap();
        assert_eq!(whole.split(), None);
    }
}
