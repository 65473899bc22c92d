//! A GGUF file in memory, to be edited and then serialised.

use std::io::{self, Write};

use crate::decode;
use crate::encode::Preamble;
use crate::tensor::Tensor;
use crate::value::Value;

/// Alignment of tensor data where a file does not name its own.
pub(crate) const DEFAULT_ALIGNMENT: u64 = 32;

/// The contents of a GGUF file: what stands in it, in order, true or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Keys and values; nothing keeps a key from standing here twice.
    pub metadata: Vec<(String, Value)>,
    /// The tensors in file order.
    pub tensors: Vec<Tensor>,
    /// Alignment the data is laid out with, whatever `general.alignment` says.
    pub alignment: u64,
    /// Seed of generated weights.
    pub seed: u64,
}

impl Draft {
    /// A file with `general.architecture` and nothing else.
    #[must_use]
    pub fn new(architecture: &str, seed: u64) -> Self {
        Self {
            metadata: vec![("general.architecture".to_owned(), architecture.into())],
            tensors: Vec::new(),
            alignment: DEFAULT_ALIGNMENT,
            seed,
        }
    }

    /// Reads a well-formed file back.
    ///
    /// # Errors
    ///
    /// `InvalidData` when the bytes are not one.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        decode::draft(bytes).map(|(draft, _)| draft)
    }

    /// The value of the first entry with this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value of the first entry with this key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.metadata.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Changes the value of this key, or adds it at the end.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        match self.get_mut(key) {
            Some(place) => *place = value,
            None => self.metadata.push((key.to_owned(), value)),
        }
    }

    /// Removes every entry with this key and says whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.metadata.len();
        self.metadata.retain(|(name, _)| name != key);
        self.metadata.len() < before
    }

    /// The first tensor with this name, to be changed.
    pub fn tensor_mut(&mut self, name: &str) -> Option<&mut Tensor> {
        self.tensors.iter_mut().find(|tensor| tensor.name == name)
    }

    /// Serialises the file, generating weights on the way.
    ///
    /// # Errors
    ///
    /// What the writer reports, and `InvalidInput` for data that cannot be generated.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&Preamble::of(self)?.bytes)?;
        for tensor in &self.tensors {
            tensor.write_data(self.seed, out)?;
            let length = tensor.byte_len()?;
            let padding = length.next_multiple_of(self.alignment.max(1)) - length;
            out.write_all(&vec![0; usize::try_from(padding).unwrap_or(0)])?;
        }
        Ok(())
    }

    /// The whole file in memory.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for data that cannot be generated.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes)?;
        Ok(bytes)
    }
}
