//! Builds GGUF files in memory for the tests.

use crate::error::Error;
use crate::file::File;
use crate::types::TensorType;

#[derive(Clone)]
pub(crate) struct Builder {
    version: u32,
    keys: Vec<(String, Vec<u8>)>,
    key_count: Option<u64>,
    tensors: Vec<(String, Vec<u8>)>,
    tensor_count: Option<u64>,
    alignment: usize,
    next_offset: u64,
    data: Vec<u8>,
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            version: 3,
            keys: Vec::new(),
            key_count: None,
            tensors: Vec::new(),
            tensor_count: None,
            alignment: 32,
            next_offset: 0,
            data: Vec::new(),
        }
    }

    pub(crate) fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    pub(crate) fn key_count(mut self, count: u64) -> Self {
        self.key_count = Some(count);
        self
    }

    pub(crate) fn tensor_count(mut self, count: u64) -> Self {
        self.tensor_count = Some(count);
        self
    }

    pub(crate) fn key(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend(value);
        self.keys.push((key.into(), bytes));
        self
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        self.keys.retain(|(name, _)| name != key);
        self
    }

    /// Replaces the value of a key that is already there.
    pub(crate) fn set(mut self, key: &str, change: impl Fn(Self) -> Self) -> Self {
        self = self.without(key);
        change(self)
    }

    /// The same model of another architecture, without a rotation.
    pub(crate) fn renamed(mut self, from: &str, to: &str) -> Self {
        self = self.without("general.architecture").without(&format!("{from}.rope.dimension_count"));
        for (key, _) in &mut self.keys {
            if let Some(rest) = key.strip_prefix(from) {
                *key = format!("{to}{rest}");
            }
        }
        self.str("general.architecture", to)
    }

    pub(crate) fn u16(self, key: &str, value: u16) -> Self {
        self.key(key, 2, &value.to_le_bytes())
    }

    pub(crate) fn u32(mut self, key: &str, value: u32) -> Self {
        if key == "general.alignment" && value.is_power_of_two() {
            self.alignment = value as usize;
        }
        self.key(key, 4, &value.to_le_bytes())
    }

    pub(crate) fn i32(self, key: &str, value: i32) -> Self {
        self.key(key, 5, &value.to_le_bytes())
    }

    pub(crate) fn f32(self, key: &str, value: f32) -> Self {
        self.key(key, 6, &value.to_le_bytes())
    }

    pub(crate) fn bool(self, key: &str, value: bool) -> Self {
        self.key(key, 7, &[value.into()])
    }

    pub(crate) fn str(self, key: &str, value: &str) -> Self {
        self.key(key, 8, &string(value))
    }

    pub(crate) fn array(self, key: &str, kind: u32, count: usize, elements: &[u8]) -> Self {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend((count as u64).to_le_bytes());
        bytes.extend(elements);
        self.key(key, 9, &bytes)
    }

    pub(crate) fn u32s(self, key: &str, values: &[u32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.array(key, 4, values.len(), &bytes)
    }

    pub(crate) fn i32s(self, key: &str, values: &[i32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.array(key, 5, values.len(), &bytes)
    }

    pub(crate) fn f32s(self, key: &str, values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.array(key, 6, values.len(), &bytes)
    }

    pub(crate) fn strs<T: AsRef<str>>(self, key: &str, values: &[T]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| string(value.as_ref())).collect();
        self.array(key, 8, values.len(), &bytes)
    }

    /// A tensor of zeros.
    pub(crate) fn tensor(self, name: &str, kind: TensorType, dims: &[u64]) -> Self {
        let elements = dims.iter().fold(1_u64, |product, &dim| product.saturating_mul(dim));
        let bytes = kind.bytes_for(elements).filter(|&bytes| bytes < 1 << 24).unwrap_or(0);
        self.tensor_with(name, kind, dims, &vec![0; bytes as usize])
    }

    pub(crate) fn tensor_with(self, name: &str, kind: TensorType, dims: &[u64], data: &[u8]) -> Self {
        let offset = self.next_offset;
        let mut builder = self.raw_tensor(name, kind.id(), dims, offset, 0);
        builder.data.extend(data);
        let padded = builder.data.len().next_multiple_of(builder.alignment);
        builder.data.resize(padded, 0);
        builder.next_offset = padded as u64;
        builder
    }

    /// A description as given, and `data` zero bytes more in the data section.
    pub(crate) fn raw_tensor(
        mut self,
        name: &str,
        kind: u32,
        dims: &[u64],
        offset: u64,
        data: usize,
    ) -> Self {
        let mut bytes = (dims.len() as u32).to_le_bytes().to_vec();
        bytes.extend(dims.iter().flat_map(|dim| dim.to_le_bytes()));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        self.tensors.push((name.into(), bytes));
        self.data.resize(self.data.len() + data, 0);
        self
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.tensor_count.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        bytes.extend(self.key_count.unwrap_or(self.keys.len() as u64).to_le_bytes());
        for (name, body) in self.keys.iter().chain(&self.tensors) {
            bytes.extend(string(name));
            bytes.extend(body);
        }
        bytes.resize(bytes.len().next_multiple_of(self.alignment), 0);
        bytes.extend(&self.data);
        bytes
    }

    pub(crate) fn open(&self) -> Result<File, Error> {
        let bytes = self.build();
        File::read(bytes.as_slice(), bytes.len() as u64)
    }
}

/// A sound llama model of two blocks and four tokens, for a test to spoil.
pub(crate) fn llama() -> Builder {
    let mut builder = Builder::new()
        .str("general.architecture", "llama")
        .u32("llama.context_length", 128)
        .u32("llama.embedding_length", 64)
        .u32("llama.block_count", 2)
        .u32("llama.feed_forward_length", 96)
        .u32("llama.attention.head_count", 4)
        .u32("llama.attention.head_count_kv", 2)
        .u32("llama.rope.dimension_count", 16)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .str("tokenizer.ggml.model", "gpt2")
        .strs("tokenizer.ggml.tokens", &["a", "b", "ab", "</s>"])
        .i32s("tokenizer.ggml.token_type", &[1, 1, 1, 3])
        .strs("tokenizer.ggml.merges", &["a b"])
        .u32("tokenizer.ggml.bos_token_id", 3)
        .u32("tokenizer.ggml.eos_token_id", 3)
        .tensor("token_embd.weight", TensorType::F32, &[64, 4])
        .tensor("output_norm.weight", TensorType::F32, &[64]);
    for block in 0..2 {
        builder = builder.tensor(&format!("blk.{block}.attn_norm.weight"), TensorType::F32, &[64]).tensor(
            &format!("blk.{block}.attn_q.weight"),
            TensorType::Q8_0,
            &[64, 64],
        );
    }
    builder
}
