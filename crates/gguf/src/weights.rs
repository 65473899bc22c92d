use std::fs;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::file::{File, open_regular};
use crate::tensor::Tensor;
use crate::types::TensorType;

/// What [`check_weights_finite`] found in a file without fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// Every number that was looked at is finite.
    Finite,
    /// The file is longer than the limit; nothing was looked at.
    TooLong,
}

const CHUNK: usize = 1 << 20;

/// Looks for NaN and infinite weights in the file at `path`, if it has at most `limit` bytes.
///
/// Looks at every number of `F32`, `F16` and `BF16` tensors and at the scales of quantized
/// blocks. Tensors of other types pass unseen. Memory use does not depend on the file's size.
///
/// # Errors
///
/// When the file cannot be read or is no sound GGUF file, and for the first number that is not
/// finite; that error names the tensor and the number's index in it.
pub fn check_weights_finite(path: impl AsRef<Path>, limit: u64) -> Result<Scan, Error> {
    let (source, length) = open_regular(path.as_ref())?;
    if length > limit {
        return Ok(Scan::TooLong);
    }
    let header = File::read(&source, length)?;
    let mut source = BufReader::with_capacity(CHUNK, source);
    let mut chunk = vec![0; CHUNK];
    for tensor in &header.tensors {
        if let Some(layout) = Layout::of(tensor.kind) {
            scan(&mut source, &header, tensor, layout, &mut chunk)?;
        }
    }
    Ok(Scan::Finite)
}

/// Where the floating-point numbers of a block lie, and in which width.
#[derive(Clone, Copy)]
struct Layout {
    stride: usize,
    elements: u64,
    /// Offsets in the block; only the first is looked at when both are equal.
    fields: [usize; 2],
    width: Width,
}

#[derive(Clone, Copy)]
enum Width {
    F32,
    F16,
    Bf16,
}

impl Layout {
    /// The layouts are those of the `block_*` structures of `ggml-common.h`.
    fn of(kind: TensorType) -> Option<Self> {
        let (fields, width) = match kind {
            TensorType::F32 => ([0, 0], Width::F32),
            TensorType::F16 => ([0, 0], Width::F16),
            TensorType::Bf16 => ([0, 0], Width::Bf16),
            TensorType::Q4_0
            | TensorType::Q5_0
            | TensorType::Q8_0
            | TensorType::Iq2Xxs
            | TensorType::Iq2Xs
            | TensorType::Iq2S
            | TensorType::Iq3Xxs
            | TensorType::Iq3S
            | TensorType::Iq1S
            | TensorType::Iq4Nl
            | TensorType::Iq4Xs => ([0, 0], Width::F16),
            TensorType::Q4_1 | TensorType::Q5_1 | TensorType::Q4K | TensorType::Q5K => ([0, 2], Width::F16),
            TensorType::Q2K => ([80, 82], Width::F16),
            TensorType::Q3K => ([108, 108], Width::F16),
            TensorType::Q6K => ([208, 208], Width::F16),
            TensorType::Tq1_0 => ([52, 52], Width::F16),
            TensorType::Tq2_0 => ([64, 64], Width::F16),
            _ => return None,
        };
        let stride = usize::try_from(kind.block_bytes()).ok()?;
        Some(Self { stride, elements: kind.block_elements(), fields, width })
    }

    /// The index of the first block in `bytes` that holds a number that is not finite.
    fn first_bad(self, bytes: &[u8]) -> Option<usize> {
        match (self.width, self.stride) {
            // Plain numbers in fixed strides: the compiler makes vector code of these.
            (Width::F32, 4) => find(bytes, |number| is_bad_f32(u32::from_le_bytes(*number))),
            (Width::F16, 2) => find(bytes, |number| is_bad_f16(u16::from_le_bytes(*number))),
            (Width::Bf16, 2) => find(bytes, |number| is_bad_bf16(u16::from_le_bytes(*number))),
            _ => bytes.chunks_exact(self.stride).position(|block| self.is_bad_block(block)),
        }
    }

    fn is_bad_block(self, block: &[u8]) -> bool {
        self.fields.iter().any(|&field| {
            let half = block.get(field..).and_then(|rest| rest.first_chunk::<2>());
            half.is_some_and(|half| is_bad_f16(u16::from_le_bytes(*half)))
        })
    }
}

fn is_bad_f32(bits: u32) -> bool {
    bits & 0x7f80_0000 == 0x7f80_0000
}

fn is_bad_f16(bits: u16) -> bool {
    bits & 0x7c00 == 0x7c00
}

fn is_bad_bf16(bits: u16) -> bool {
    bits & 0x7f80 == 0x7f80
}

/// Sound weights are the rule: sums up a run without branches and searches only a run that failed.
fn find<const N: usize>(bytes: &[u8], is_bad: impl Fn(&[u8; N]) -> bool) -> Option<usize> {
    const RUN: usize = 1024;
    let (numbers, _) = bytes.as_chunks::<N>();
    let bad_run =
        numbers.chunks(RUN).position(|run| run.iter().fold(false, |bad, number| bad | is_bad(number)))?;
    let start = bad_run * RUN;
    let within = numbers.get(start..)?.iter().position(is_bad)?;
    Some(start + within)
}

fn scan(
    source: &mut BufReader<fs::File>,
    header: &File,
    tensor: &Tensor,
    layout: Layout,
    chunk: &mut [u8],
) -> Result<(), Error> {
    let start = header.data_offset.saturating_add(tensor.offset);
    source
        .seek(SeekFrom::Start(start))
        .map_err(|error| Error::io(&format!("tensor {:?}", tensor.name), &error).at(start))?;
    let whole_blocks = chunk.len() - chunk.len() % layout.stride;
    let mut done: u64 = 0;
    while done < tensor.bytes {
        let left = tensor.bytes - done;
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(whole_blocks);
        let part = chunk.get_mut(..step).unwrap_or_default();
        source
            .read_exact(part)
            .map_err(|error| read_failed(tensor, &error).at(start.saturating_add(done)))?;
        if let Some(block) = layout.first_bad(part) {
            let bytes_before = done.saturating_add((block * layout.stride) as u64);
            let index = bytes_before / layout.stride as u64 * layout.elements;
            return Err(not_finite(tensor, layout, index).at(start.saturating_add(bytes_before)));
        }
        done = done.saturating_add(step as u64);
    }
    Ok(())
}

fn read_failed(tensor: &Tensor, error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::UnexpectedEof {
        return Error::new(
            ErrorKind::Truncated,
            format!("tensor {:?}: the file became shorter", tensor.name),
        );
    }
    Error::io(&format!("tensor {:?}", tensor.name), error)
}

fn not_finite(tensor: &Tensor, layout: Layout, index: u64) -> Error {
    let name = &tensor.name;
    let kind = tensor.kind;
    Error::corrupt(if layout.elements == 1 {
        format!("tensor {name:?}: element {index} is NaN or infinite")
    } else {
        format!("tensor {name:?}: the {kind} block from element {index} has a scale that is NaN or infinite")
    })
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::path::PathBuf;
    use std::process;

    use super::*;
    use crate::testing::Builder;

    /// A file that goes away with the test.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str, bytes: &[u8]) -> Self {
            let path = env::temp_dir().join(format!("rkllmjs-gguf-{}-{name}.gguf", process::id()));
            fs::write(&path, bytes).unwrap();
            Self(path)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            drop(fs::remove_file(&self.0));
        }
    }

    fn check(name: &str, kind: TensorType, dims: &[u64], data: &[u8]) -> Result<Scan, Error> {
        let good = vec![0; 64];
        let builder = Builder::new().tensor_with("good", TensorType::F32, &[16], &good);
        let file = Temporary::new(name, &builder.tensor_with("bad", kind, dims, data).build());
        check_weights_finite(&file.0, u64::MAX)
    }

    #[test]
    fn finds_a_nan_in_plain_numbers_and_names_its_place() {
        let mut data = vec![0; 4 * 600_000];
        data[4 * 599_999..].copy_from_slice(&f32::NAN.to_le_bytes());
        let error = check("f32", TensorType::F32, &[600_000], &data).unwrap_err();
        assert_eq!(error.message, "tensor \"bad\": element 599999 is NaN or infinite");
    }

    #[test]
    fn finds_infinity_in_half_precision() {
        for (name, kind, bits) in [("f16", TensorType::F16, 0x7c00_u16), ("bf16", TensorType::Bf16, 0xff80)] {
            let mut data = vec![0; 2 * 40];
            data[2 * 17..2 * 18].copy_from_slice(&bits.to_le_bytes());
            let error = check(name, kind, &[40], &data).unwrap_err();
            assert!(error.message.contains("element 17 "), "{error}");
        }
    }

    #[test]
    fn finds_bad_scales_of_blocks_and_not_bad_looking_quants() {
        for kind in [TensorType::Q8_0, TensorType::Q4_1, TensorType::Q6K, TensorType::Q2K] {
            let layout = Layout::of(kind).unwrap();
            let mut data = vec![0xff; layout.stride * 3];
            for block in data.chunks_exact_mut(layout.stride) {
                for field in layout.fields {
                    block[field..field + 2].copy_from_slice(&[0, 0]);
                }
            }
            let dims = [kind.block_elements() * 3];
            assert_eq!(check(kind.name(), kind, &dims, &data).unwrap(), Scan::Finite);
            let last = layout.stride * 2 + layout.fields[1];
            data[last..last + 2].copy_from_slice(&0x7e00_u16.to_le_bytes());
            let error = check(kind.name(), kind, &dims, &data).unwrap_err();
            assert!(
                error.message.contains(&format!("from element {} ", kind.block_elements() * 2)),
                "{error}"
            );
        }
    }

    #[test]
    fn leaves_files_beyond_the_limit_alone() {
        let file = Temporary::new("limit", &Builder::new().build());
        assert_eq!(check_weights_finite(&file.0, 3).unwrap(), Scan::TooLong);
    }

    #[test]
    fn keeps_every_scale_inside_its_block() {
        for &kind in TensorType::ALL {
            if let Some(layout) = Layout::of(kind) {
                assert!(layout.fields.iter().all(|field| field + 2 <= layout.stride), "{kind}");
            }
        }
    }
}
