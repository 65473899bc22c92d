use std::collections::HashSet;
use std::io::Read;

use crate::error::{Error, ErrorKind};
use crate::reader::Reader;
use crate::types::TensorType;

pub(crate) const MAX_TENSORS: u64 = 65_536;
/// ggml keeps a name in a buffer of 64 bytes that ends with a zero byte.
const NAME_BUFFER: usize = 64;
const MAX_DIMS: u32 = 4;
/// Name length field, dimension count, one dimension, type, offset.
const SMALLEST_INFO: u64 = 8 + 4 + 8 + 4 + 8;

/// What a file says about one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// The name, for example `blk.0.attn_q.weight`.
    pub name: Box<str>,
    /// How the elements are stored.
    pub kind: TensorType,
    /// The lengths of its one to four dimensions, innermost first; none is zero.
    pub dims: Box<[u64]>,
    /// Where its data begins, in bytes from the start of the data section.
    pub offset: u64,
    /// How many bytes its data takes.
    pub bytes: u64,
    /// Where the header describes it, in bytes from the start of the file.
    pub described_at: u64,
}

impl Tensor {
    /// How many elements it has.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.dims.iter().fold(1, |product: u64, &dim| product.saturating_mul(dim))
    }

    /// The length of dimension `axis`; 1 beyond the last one, as in ggml.
    #[must_use]
    pub fn dim(&self, axis: usize) -> u64 {
        self.dims.get(axis).copied().unwrap_or(1)
    }

    pub(crate) fn fault(&self, message: impl std::fmt::Display) -> Error {
        Error::corrupt(format!("tensor {:?}: {message}", self.name)).at(self.described_at)
    }
}

pub(crate) fn read_tensors<R: Read>(reader: &mut Reader<R>, count: u64) -> Result<Vec<Tensor>, Error> {
    if count > MAX_TENSORS {
        let message = format!("the header promises {count} tensors; at most {MAX_TENSORS} are accepted");
        return Err(Error::new(ErrorKind::TooLarge, message).at(8));
    }
    reader
        .require(count.saturating_mul(SMALLEST_INFO))
        .map_err(|error| error.within(format_args!("descriptions of {count} tensors")))?;
    let mut names = HashSet::new();
    let mut tensors = Vec::new();
    for number in 0..count {
        let tensor = read_tensor(reader, number)?;
        if !names.insert(tensor.name.clone()) {
            return Err(tensor.fault("the name appears twice"));
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn read_tensor<R: Read>(reader: &mut Reader<R>, number: u64) -> Result<Tensor, Error> {
    let described_at = reader.position();
    let name = read_name(reader).map_err(|error| error.within(format_args!("tensor number {number}")))?;
    let mut tensor =
        Tensor { name, kind: TensorType::F32, dims: Box::default(), offset: 0, bytes: 0, described_at };
    read_shape(reader, &mut tensor)
        .map_err(|error| error.within(format_args!("tensor {:?}", tensor.name)))?;
    Ok(tensor)
}

fn read_shape<R: Read>(reader: &mut Reader<R>, tensor: &mut Tensor) -> Result<(), Error> {
    tensor.dims = read_dims(reader)?;
    tensor.kind = read_kind(reader)?;
    tensor.bytes = size_in_bytes(&tensor.dims, tensor.kind).map_err(|error| error.at(tensor.described_at))?;
    tensor.offset = reader.u64()?;
    Ok(())
}

fn read_name<R: Read>(reader: &mut Reader<R>) -> Result<Box<str>, Error> {
    let offset = reader.position();
    let name = reader.string()?;
    if name.is_empty() {
        return Err(Error::corrupt("the name is empty").at(offset));
    }
    if name.len() >= NAME_BUFFER {
        let message = format!("the name has {} bytes; at most {} are allowed", name.len(), NAME_BUFFER - 1);
        return Err(Error::corrupt(message).at(offset));
    }
    // C reads a name up to its first zero byte, so it would see another name than we checked.
    if name.contains('\0') {
        return Err(Error::corrupt(format!("name {name:?} contains a zero byte")).at(offset));
    }
    Ok(name)
}

fn read_dims<R: Read>(reader: &mut Reader<R>) -> Result<Box<[u64]>, Error> {
    let offset = reader.position();
    let count = reader.u32()?;
    if count == 0 || count > MAX_DIMS {
        return Err(Error::corrupt(format!("{count} dimensions; 1 to {MAX_DIMS} are allowed")).at(offset));
    }
    let dims = reader.elements(count.into(), u64::from_le_bytes)?;
    let mut elements: u64 = 1;
    for &dim in &dims {
        if dim == 0 {
            return Err(Error::corrupt("a dimension is zero").at(offset));
        }
        elements = elements
            .checked_mul(dim)
            .filter(|&product| i64::try_from(product).is_ok())
            .ok_or_else(|| Error::corrupt(format!("dimensions {dims:?} overflow")).at(offset))?;
    }
    Ok(dims)
}

fn read_kind<R: Read>(reader: &mut Reader<R>) -> Result<TensorType, Error> {
    let offset = reader.position();
    let id = reader.u32()?;
    TensorType::from_id(id).ok_or_else(|| {
        let error = if TensorType::is_removed(id) {
            Error::unsupported(format!("type {id} is no longer supported by llama.cpp"))
        } else {
            Error::unsupported(format!("type {id} is unknown"))
        };
        error.at(offset)
    })
}

fn size_in_bytes(dims: &[u64], kind: TensorType) -> Result<u64, Error> {
    let row = dims.first().copied().unwrap_or_default();
    let block = kind.block_elements();
    if !row.is_multiple_of(block) {
        return Err(Error::corrupt(format!(
            "rows of {row} elements do not divide into {kind} blocks of {block}"
        )));
    }
    let elements = dims.iter().try_fold(1, |product: u64, &dim| product.checked_mul(dim));
    elements
        .and_then(|elements| kind.bytes_for(elements))
        .filter(|&bytes| i64::try_from(bytes).is_ok())
        .ok_or_else(|| Error::corrupt(format!("dimensions {dims:?} of {kind} overflow")))
}

/// Checks that the tensors lie back to back as ggml demands, and inside the file.
pub(crate) fn check_layout(
    tensors: &[Tensor],
    data_offset: u64,
    alignment: u64,
    length: u64,
) -> Result<(), Error> {
    let mut expected: u64 = 0;
    for tensor in tensors {
        if !tensor.offset.is_multiple_of(alignment) {
            return Err(tensor.fault(format_args!(
                "data offset {} is not a multiple of the alignment {alignment}",
                tensor.offset
            )));
        }
        if tensor.offset != expected {
            let relation = if tensor.offset < expected { "overlaps" } else { "leaves a gap after" };
            return Err(tensor.fault(format_args!(
                "data offset {} {relation} the tensor before it, which ends at {expected}",
                tensor.offset
            )));
        }
        let start = data_offset.saturating_add(tensor.offset);
        let left = length.saturating_sub(start);
        if tensor.bytes > left {
            let count = tensor.dims.len();
            let bytes = tensor.bytes;
            let message = format!(
                "{count} dimensions promise {bytes} bytes but the file ends {left} bytes after its start"
            );
            return Err(Error { kind: ErrorKind::Truncated, ..tensor.fault(message) });
        }
        expected = tensor
            .offset
            .checked_add(tensor.bytes)
            .and_then(|end| end.checked_next_multiple_of(alignment))
            .ok_or_else(|| tensor.fault("the end of its data overflows"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Builder;
    use crate::{ErrorKind, TensorType};

    #[test]
    fn reads_a_tensor() {
        let file =
            Builder::new().tensor("a", TensorType::Q8_0, &[64, 3]).tensor("b", TensorType::F32, &[5]).open();
        let tensors = file.unwrap().tensors;
        assert_eq!(tensors.len(), 2);
        assert_eq!((tensors[0].bytes, tensors[0].elements(), tensors[0].offset), (204, 192, 0));
        assert_eq!((tensors[1].bytes, tensors[1].dim(1), tensors[1].offset), (20, 1, 224));
    }

    #[test]
    fn refuses_bad_names() {
        for name in ["", "a\0b", &"n".repeat(64)] {
            let error = Builder::new().tensor(name, TensorType::F32, &[1]).open().unwrap_err();
            assert_eq!(error.kind, ErrorKind::Corrupt, "{name:?}");
        }
        assert!(Builder::new().tensor(&"n".repeat(63), TensorType::F32, &[1]).open().is_ok());
    }

    #[test]
    fn refuses_a_name_that_appears_twice() {
        let builder = Builder::new().tensor("a", TensorType::F32, &[1]).tensor("a", TensorType::F32, &[1]);
        assert!(builder.open().unwrap_err().message.contains("appears twice"));
    }

    #[test]
    fn refuses_no_dimension_five_dimensions_and_zero_lengths() {
        for dims in [&[][..], &[1; 5], &[4, 0]] {
            let error = Builder::new().tensor("a", TensorType::F32, dims).open().unwrap_err();
            assert_eq!(error.kind, ErrorKind::Corrupt, "{dims:?}");
        }
    }

    #[test]
    fn refuses_dimensions_that_overflow() {
        for dims in [&[1 << 62, 2][..], &[u64::MAX], &[1 << 32, 1 << 32, 2]] {
            let error = Builder::new().tensor("a", TensorType::F32, dims).open().unwrap_err();
            assert!(error.message.contains("overflow"), "{error}");
        }
    }

    #[test]
    fn refuses_rows_that_cut_a_block() {
        let error = Builder::new().tensor("a", TensorType::Q8_0, &[33]).open().unwrap_err();
        assert!(error.message.contains("blocks of 32"), "{error}");
    }

    #[test]
    fn refuses_removed_and_unknown_types() {
        for id in [4, 31, 38, 43, u32::MAX] {
            let error = Builder::new().raw_tensor("a", id, &[1], 0, 4).open().unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unsupported, "{id}");
        }
    }

    #[test]
    fn refuses_tensors_that_overlap_leave_gaps_or_are_not_aligned() {
        for (offset, word) in [(0, "overlaps"), (64, "gap"), (33, "alignment")] {
            let builder = Builder::new().raw_tensor("a", 0, &[4], 0, 32).raw_tensor("b", 0, &[4], offset, 96);
            let error = builder.open().unwrap_err();
            assert!(error.message.contains(word), "{error}");
        }
    }

    #[test]
    fn refuses_data_that_ends_outside_the_file() {
        let error = Builder::new().raw_tensor("a", 0, &[1024], 0, 4095).open().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Truncated);
        assert!(error.to_string().starts_with("tensor \"a\": 1 dimensions promise 4096 bytes"), "{error}");
        assert!(Builder::new().raw_tensor("a", 0, &[1024], 0, 4096).open().is_ok());
    }

    #[test]
    fn refuses_more_tensors_than_the_cap_or_than_fit() {
        assert_eq!(Builder::new().tensor_count(65_537).open().unwrap_err().kind, ErrorKind::TooLarge);
        assert_eq!(Builder::new().tensor_count(3).open().unwrap_err().kind, ErrorKind::Truncated);
    }
}
