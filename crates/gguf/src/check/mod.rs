//! What a model must say about itself so that llama.cpp neither aborts nor misreads it.

mod attention;
mod byte_tokens;
mod experts;
mod hyperparameters;
mod rank_head;
mod special_tokens;
mod tensors;
pub(crate) mod types;
mod vocabulary;

use crate::error::Error;
use crate::file::{File, Kind};
use crate::metadata::Metadata;

/// Checks that `file` is a model that llama.cpp can load and run without aborting.
///
/// llama.cpp trusts many values of a model file and ends the process when one is off. This looks
/// at those that are known: layer, head and expert counts, the vocabulary and its special tokens,
/// the embedding matrix, tensor names and types. Families differ, so what may be legitimate for
/// some family passes; llama.cpp then reports it as an ordinary load error.
///
/// # Errors
///
/// When the file is not a model, is a part of a split model other than the first, or holds a
/// value that would be misused. The error names the key or tensor.
pub fn check_model(file: &File) -> Result<(), Error> {
    types::check_shared(&file.metadata)?;
    refuse_other_kinds(file)?;
    let architecture = architecture(&file.metadata)?;
    types::check(&file.metadata, architecture)?;
    refuse_later_parts(file)?;
    let keys = Keys { metadata: &file.metadata, architecture };
    hyperparameters::check(keys)?;
    attention::check(keys)?;
    experts::check(keys)?;
    let tokens = vocabulary::check(keys)?;
    tensors::check(file, keys, tokens)?;
    rank_head::check(file, keys)
}

/// Reads keys of the model's own architecture, such as `llama.block_count`.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    pub(crate) metadata: &'a Metadata,
    pub(crate) architecture: &'a str,
}

impl Keys<'_> {
    pub(crate) fn name(self, suffix: &str) -> String {
        format!("{}.{suffix}", self.architecture)
    }

    pub(crate) fn u64(self, suffix: &str) -> Option<u64> {
        self.metadata.u64(&self.name(suffix))
    }

    fn fault(self, suffix: &str, message: impl std::fmt::Display) -> Error {
        self.metadata.fault(&self.name(suffix), message)
    }

    /// The value of a key that must be there and lie in `range`.
    fn required(self, suffix: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, Error> {
        let value = self.u64(suffix).ok_or_else(|| Metadata::missing(&self.name(suffix)))?;
        self.in_range(suffix, value, range)
    }

    /// The value of a key that may be absent but must lie in `range`.
    fn optional(self, suffix: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, Error> {
        self.u64(suffix).map(|value| self.in_range(suffix, value, range)).transpose()
    }

    fn in_range(self, suffix: &str, value: u64, range: std::ops::RangeInclusive<u64>) -> Result<u64, Error> {
        if range.contains(&value) {
            return Ok(value);
        }
        let (least, most) = (range.start(), range.end());
        Err(self.fault(suffix, format_args!("is {value}; {least} to {most} is allowed")))
    }

    /// A number per layer: an array of one element per layer, or one number for all.
    pub(crate) fn per_layer(self, suffix: &str, layers: u64) -> Option<Vec<u64>> {
        let key = self.name(suffix);
        if let Some(array) = self.metadata.array(&key) {
            return (0..array.len()).map(|index| array.u64(index)).collect();
        }
        let value = self.metadata.u64(&key)?;
        Some((0..layers).map(|_| value).collect())
    }
}

pub(crate) fn architecture(metadata: &Metadata) -> Result<&str, Error> {
    let key = "general.architecture";
    let name = metadata.str(key).ok_or_else(|| Metadata::missing(key))?;
    if name.is_empty() || name.len() > 64 || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(metadata.fault(key, "is not a name of 1 to 64 visible ASCII characters"));
    }
    Ok(name)
}

fn refuse_other_kinds(file: &File) -> Result<(), Error> {
    let what = match file.kind() {
        Kind::Model => return Ok(()),
        Kind::Adapter => "a LoRA adapter, not a model; load it together with its base model".to_owned(),
        Kind::Mmproj => "a projector, not a model; name it as mmproj when its model is loaded".to_owned(),
        Kind::Vocab => "a vocabulary without weights, not a model".to_owned(),
        Kind::Other(other) => format!("of type {other:?}, not a model"),
    };
    Err(Error::unsupported(format!("the file is {what}")))
}

fn refuse_later_parts(file: &File) -> Result<(), Error> {
    match file.split() {
        Some(split) if split.number != 0 => {
            let (part, count) = (u32::from(split.number) + 1, split.count);
            Err(Error::unsupported(format!(
                "the file is part {part} of {count} of a model; open the first part"
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::testing::{Builder, llama};

    #[test]
    fn accepts_a_sound_model() {
        check_model(&llama().open().unwrap()).unwrap();
    }

    #[test]
    fn refuses_files_that_are_not_models() {
        for kind in ["adapter", "mmproj", "vocab", "imatrix"] {
            let error = check_model(&llama().str("general.type", kind).open().unwrap()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsupported, "{error}");
        }
    }

    #[test]
    fn refuses_a_model_without_an_architecture() {
        let error = check_model(&llama().without("general.architecture").open().unwrap()).unwrap_err();
        assert_eq!(error.message, "key \"general.architecture\" is missing");
    }

    #[test]
    fn refuses_an_architecture_that_is_no_name() {
        for name in ["", "l lama", "ll\u{7f}ama", &"l".repeat(65)] {
            let model = llama().set("general.architecture", |model| model.str("general.architecture", name));
            assert!(check_model(&model.open().unwrap()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn asks_for_the_first_part_of_a_split_model() {
        let part = |number: u16| llama().u16("split.count", 2).u16("split.no", number).open().unwrap();
        assert!(check_model(&part(1)).unwrap_err().message.contains("part 2 of 2"));
        check_model(&part(0)).unwrap();
    }

    #[test]
    fn refuses_a_vocabulary_file() {
        let error =
            check_model(&Builder::new().str("general.architecture", "llama").open().unwrap()).unwrap_err();
        assert!(error.message.contains("vocabulary"), "{error}");
    }
}
