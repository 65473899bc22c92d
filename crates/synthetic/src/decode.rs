//! A small reader of well-formed files, for round trips and for editing an existing model.

use std::io;

use crate::draft::{DEFAULT_ALIGNMENT, Draft};
use crate::options::Options;
use crate::tensor::{Data, Tensor};
use crate::value::{Value, type_id};

/// The draft, and where its last tensor's data ends.
pub(crate) fn draft(bytes: &[u8]) -> io::Result<(Draft, usize)> {
    let mut cursor = Cursor { bytes, at: 0 };
    if cursor.take(4)? != b"GGUF" {
        return Err(invalid("not a GGUF file"));
    }
    if cursor.u32()? != 3 {
        return Err(invalid("not version 3"));
    }
    let tensor_count = cursor.u64()?;
    let metadata_count = cursor.u64()?;
    let mut metadata = Vec::new();
    for _ in 0..metadata_count {
        metadata.push((cursor.string()?, cursor.value()?));
    }
    let mut tensors = Vec::new();
    let mut offsets = Vec::new();
    for _ in 0..tensor_count {
        let (tensor, offset) = cursor.table_entry()?;
        tensors.push(tensor);
        offsets.push(offset);
    }
    let mut draft = Draft { metadata, tensors, alignment: DEFAULT_ALIGNMENT, seed: Options::default().seed };
    if let Some(&Value::U32(alignment)) = draft.get("general.alignment") {
        draft.alignment = u64::from(alignment).max(1);
    }
    let start = (cursor.at as u64).next_multiple_of(draft.alignment);
    let mut end = start;
    for (tensor, offset) in draft.tensors.iter_mut().zip(offsets) {
        let from = start.checked_add(offset).ok_or_else(|| invalid("offset too large"))?;
        end = from.checked_add(stored_bytes(tensor)?).ok_or_else(|| invalid("tensor too large"))?;
        let range = usize::try_from(from).ok().zip(usize::try_from(end).ok());
        let data = range.and_then(|(from, end)| bytes.get(from..end));
        tensor.data = Data::Bytes(data.ok_or_else(|| invalid("tensor beyond the end"))?.to_vec());
    }
    Ok((draft, usize::try_from(end).unwrap_or(bytes.len())))
}

fn stored_bytes(tensor: &Tensor) -> io::Result<u64> {
    // The length of generated data of the same type and dimensions is the length of stored data.
    Tensor { data: Data::Constant(0.0), ..tensor.clone() }
        .byte_len()
        .map_err(|_| invalid("a tensor of another type or shape than this reader knows"))
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let end = self.at.checked_add(count).ok_or_else(|| invalid("too long"))?;
        let taken = self.bytes.get(self.at..end).ok_or_else(|| invalid("cut short"))?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| invalid("cut short"))
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn byte_string(&mut self) -> io::Result<&'a [u8]> {
        let length = self.u64()?;
        self.take(usize::try_from(length).map_err(|_| invalid("too long"))?)
    }

    fn string(&mut self) -> io::Result<String> {
        String::from_utf8(self.byte_string()?.to_vec()).map_err(|_| invalid("a string is not UTF-8"))
    }

    fn value(&mut self) -> io::Result<Value> {
        Ok(match self.u32()? {
            type_id::U32 => Value::U32(self.u32()?),
            type_id::I32 => Value::I32(self.array().map(i32::from_le_bytes)?),
            type_id::F32 => Value::F32(self.array().map(f32::from_le_bytes)?),
            type_id::BOOL => Value::Bool(self.take(1)? != [0]),
            type_id::STRING => Value::String(self.string()?),
            type_id::ARRAY => self.array_value()?,
            other => Value::Raw { type_id: other, payload: self.take(scalar_bytes(other)?)?.to_vec() },
        })
    }

    fn array_value(&mut self) -> io::Result<Value> {
        let (element, count) = (self.u32()?, self.u64()?);
        Ok(match element {
            type_id::STRING => Value::Strings((0..count).map(|_| self.string()).collect::<io::Result<_>>()?),
            type_id::F32 => Value::F32s(
                (0..count).map(|_| self.array().map(f32::from_le_bytes)).collect::<io::Result<_>>()?,
            ),
            type_id::I32 => Value::I32s(
                (0..count).map(|_| self.array().map(i32::from_le_bytes)).collect::<io::Result<_>>()?,
            ),
            other => {
                let length =
                    usize::try_from(count).ok().and_then(|n| n.checked_mul(scalar_bytes(other).ok()?));
                let elements = self.take(length.ok_or_else(|| invalid("bad array"))?)?;
                Value::raw_array(other, count, elements)
            }
        })
    }

    fn table_entry(&mut self) -> io::Result<(Tensor, u64)> {
        let name = self.string()?;
        let dims = (0..self.u32()?).map(|_| self.u64()).collect::<io::Result<_>>()?;
        let type_id = self.u32()?;
        let tensor =
            Tensor { name, dims, type_id, data: Data::Bytes(Vec::new()), offset: None, poisoned: false };
        Ok((tensor, self.u64()?))
    }
}

fn scalar_bytes(type_id: u32) -> io::Result<usize> {
    match type_id {
        0 | 1 | 7 => Ok(1),
        2 | 3 => Ok(2),
        4..=6 => Ok(4),
        10..=12 => Ok(8),
        _ => Err(invalid("unknown value type")),
    }
}
