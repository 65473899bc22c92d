//! Everything before the tensor data.

use std::io;

use crate::draft::Draft;
use crate::value::put_bytes;

/// Bytes of magic, version and the two counts.
pub(crate) const HEADER_BYTES: usize = 24;

/// Header, metadata and tensor table, with the places where the parts begin.
pub(crate) struct Preamble {
    /// Everything up to the first tensor's data, padding included.
    pub(crate) bytes: Vec<u8>,
    /// Where the tensor table begins.
    pub(crate) table: usize,
    /// Where the tensor table ends; the data begins at the end of `bytes`.
    pub(crate) table_end: usize,
}

impl Preamble {
    pub(crate) fn of(draft: &Draft) -> io::Result<Self> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend((draft.tensors.len() as u64).to_le_bytes());
        bytes.extend((draft.metadata.len() as u64).to_le_bytes());
        for (key, value) in &draft.metadata {
            put_bytes(key.as_bytes(), &mut bytes);
            value.encode(&mut bytes);
        }
        let table = bytes.len();
        let mut offset = 0;
        for tensor in &draft.tensors {
            put_bytes(tensor.name.as_bytes(), &mut bytes);
            bytes.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| bytes.extend(dim.to_le_bytes()));
            bytes.extend(tensor.type_id.to_le_bytes());
            bytes.extend(tensor.offset.unwrap_or(offset).to_le_bytes());
            offset += tensor.byte_len()?.next_multiple_of(draft.alignment.max(1));
        }
        let table_end = bytes.len();
        if !draft.tensors.is_empty() {
            let alignment = usize::try_from(draft.alignment).unwrap_or(1);
            bytes.resize(table_end.next_multiple_of(alignment.max(1)), 0);
        }
        Ok(Self { bytes, table, table_end })
    }
}
