//! What every case is made of: a change to a good file.

use std::io;

use crate::corpus::Expect;
use crate::decode;
use crate::draft::Draft;
use crate::encode::Preamble;
use crate::tensor::Tensor;
use crate::value::Value;

/// A file, or nothing where the change does not apply to the base.
pub(super) type Made = Option<Vec<u8>>;

/// A change with its name, its reason and what a loader shall do with the result.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) why: &'static str,
    pub(super) expect: Expect,
    pub(super) make: Box<dyn Fn(&Base) -> Made>,
}

/// A case that must be refused.
pub(super) fn refused(
    name: impl Into<String>,
    why: &'static str,
    make: impl Fn(&Base) -> Made + 'static,
) -> Case {
    Case { name: name.into(), why, expect: Expect::Refused, make: Box::new(make) }
}

/// A case that may load.
pub(super) fn loads(
    name: impl Into<String>,
    why: &'static str,
    make: impl Fn(&Base) -> Made + 'static,
) -> Case {
    Case { name: name.into(), why, expect: Expect::Loads, make: Box::new(make) }
}

/// Sets one key; see [`Base::key`] for how it is spelled.
pub(super) fn with(key: &'static str, value: impl Into<Value>) -> impl Fn(&Base) -> Made {
    let value = value.into();
    move |base| {
        base.edit(|draft| {
            draft.set(&base.key(key), value.clone());
            Some(())
        })
    }
}

/// Removes one key.
pub(super) fn without(key: &'static str) -> impl Fn(&Base) -> Made {
    move |base| base.edit(|draft| draft.remove(&base.key(key)).then_some(()))
}

/// Changes one tensor.
pub(super) fn tensor(name: &'static str, change: impl Fn(&mut Tensor)) -> impl Fn(&Base) -> Made {
    move |base| base.edit(|draft| draft.tensor_mut(name).map(&change))
}

/// Changes the draft.
pub(super) fn edited(change: impl Fn(&mut Draft) -> Option<()>) -> impl Fn(&Base) -> Made {
    move |base| base.edit(&change)
}

/// The good file: its bytes, and the same as a draft.
pub(super) struct Base {
    pub(super) bytes: Vec<u8>,
    pub(super) draft: Draft,
    /// Where the tensor table begins.
    pub(super) table: usize,
    /// Where the tensor table ends.
    pub(super) table_end: usize,
    /// Where the data begins.
    pub(super) data: usize,
    /// Where the last tensor's data ends.
    pub(super) end: usize,
    architecture: String,
}

impl Base {
    pub(super) fn parse(bytes: &[u8]) -> io::Result<Self> {
        let (draft, end) = decode::draft(bytes)?;
        let preamble = Preamble::of(&draft)?;
        let Some(Value::String(architecture)) = draft.get("general.architecture").cloned() else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the base names no architecture"));
        };
        Ok(Self {
            bytes: bytes.to_vec(),
            draft,
            table: preamble.table,
            table_end: preamble.table_end,
            data: preamble.bytes.len(),
            end,
            architecture,
        })
    }

    /// A whole key as it is; any other key belongs to the architecture and gets its prefix.
    pub(super) fn key(&self, key: &str) -> String {
        let whole = ["general.", "tokenizer.", "split."].iter().any(|prefix| key.starts_with(prefix));
        if whole { key.to_owned() } else { format!("{}.{key}", self.architecture) }
    }

    /// The file after a change to its draft.
    pub(super) fn edit(&self, change: impl FnOnce(&mut Draft) -> Option<()>) -> Made {
        let mut draft = self.draft.clone();
        change(&mut draft)?;
        draft.to_bytes().ok()
    }

    /// The file with some of its bytes replaced.
    pub(super) fn patch(&self, at: usize, with: &[u8]) -> Made {
        let mut bytes = self.bytes.clone();
        bytes.get_mut(at..at.checked_add(with.len())?)?.copy_from_slice(with);
        Some(bytes)
    }
}
