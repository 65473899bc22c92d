//! The storage types of weights, in ggml's block layout.

use std::str::FromStr;

use crate::half;

/// Values per quantised block.
const BLOCK: usize = 32;

/// How the numbers of a matrix are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightType {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// 4-bit blocks of 32 with one scale.
    Q4_0,
    /// 8-bit blocks of 32 with one scale.
    Q8_0,
}

impl WeightType {
    /// Every type, in the order the usage text shows them.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Q4_0, Self::Q8_0];

    /// The name used on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q4_0 => "q4_0",
            Self::Q8_0 => "q8_0",
        }
    }

    /// The number that stands for this type in a tensor table.
    #[must_use]
    pub fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 8,
        }
    }

    /// The type with this number, if it is one that can be generated.
    #[must_use]
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }

    /// The number for `general.file_type`.
    pub(crate) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 7,
        }
    }

    /// Whether rows of this many values can be stored.
    pub(crate) fn fits(self, columns: u64) -> bool {
        matches!(self, Self::F32 | Self::F16) || columns.is_multiple_of(BLOCK as u64)
    }

    /// Bytes of a row that [fits](Self::fits).
    pub(crate) fn row_bytes(self, columns: u64) -> u64 {
        match self {
            Self::F32 => columns * 4,
            Self::F16 => columns * 2,
            Self::Q4_0 => columns / BLOCK as u64 * 18,
            Self::Q8_0 => columns / BLOCK as u64 * 34,
        }
    }

    /// Appends one row in this type.
    pub(crate) fn encode(self, row: &[f32], out: &mut Vec<u8>) {
        match self {
            Self::F32 => row.iter().for_each(|value| out.extend(value.to_le_bytes())),
            Self::F16 => row.iter().for_each(|&value| out.extend(half::bits(value).to_le_bytes())),
            Self::Q4_0 => row.chunks_exact(BLOCK).for_each(|block| encode_q4_0(block, out)),
            Self::Q8_0 => row.chunks_exact(BLOCK).for_each(|block| encode_q8_0(block, out)),
        }
    }

    /// A NaN where a row of this type begins: its first value, or the scale of its first block.
    pub(crate) fn nan(self) -> Vec<u8> {
        match self {
            Self::F32 => f32::NAN.to_le_bytes().to_vec(),
            Self::F16 | Self::Q4_0 | Self::Q8_0 => half::NAN.to_le_bytes().to_vec(),
        }
    }
}

impl FromStr for WeightType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| format!("unknown type {name:?}"))
    }
}

fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// A scale and 32 signed bytes.
fn encode_q8_0(block: &[f32], out: &mut Vec<u8>) {
    let largest = block.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    let inverse = inverse(scale);
    out.extend(half::bits(scale).to_le_bytes());
    out.extend(block.iter().map(|value| {
        let scaled = value * inverse;
        (scaled + 0.5_f32.copysign(scaled)) as i8 as u8
    }));
}

/// A scale and 16 bytes: the first half of the block in the low nibbles, the second in the high ones.
fn encode_q4_0(block: &[f32], out: &mut Vec<u8>) {
    let extreme = block
        .iter()
        .fold(0.0_f32, |extreme, &value| if value.abs() > extreme.abs() { value } else { extreme });
    let scale = extreme / -8.0;
    let inverse = inverse(scale);
    let nibble = |value: f32| ((value * inverse + 8.5) as u8).min(15);
    out.extend(half::bits(scale).to_le_bytes());
    let (low, high) = block.split_at(BLOCK / 2);
    out.extend(low.iter().zip(high).map(|(&low, &high)| nibble(low) | (nibble(high) << 4)));
}

#[cfg(test)]
mod tests {
    use super::WeightType;

    #[test]
    fn q8_0_is_a_half_scale_and_signed_bytes() {
        let row: Vec<f32> = (0..32).map(|i| i as f32 - 16.0 + if i == 31 { 112.0 } else { 0.0 }).collect();
        let mut out = Vec::new();
        WeightType::Q8_0.encode(&row, &mut out);
        assert_eq!(out.len(), 34);
        assert_eq!(out[..2], [0x00, 0x3c], "the largest value is 127, so the scale is 1");
        let values: Vec<i8> = out[2..].iter().map(|&byte| byte as i8).collect();
        assert_eq!(values[..3], [-16, -15, -14]);
        assert_eq!(values[31], 127);
    }

    #[test]
    fn q4_0_packs_the_two_halves_of_a_block_into_nibbles() {
        let mut row = vec![0.0_f32; 32];
        row[0] = -8.0;
        row[1] = 7.0;
        row[16] = 3.0;
        let mut out = Vec::new();
        WeightType::Q4_0.encode(&row, &mut out);
        assert_eq!(out.len(), 18);
        assert_eq!(out[..2], [0x00, 0x3c], "the extreme is -8, so the scale is 1");
        assert_eq!(out[2], 11 << 4, "value 0 is -8, value 16 is 3");
        assert_eq!(out[3], 15 | (8 << 4), "value 1 is 7, value 17 is 0");
    }

    #[test]
    fn a_row_of_zeros_stays_zero_in_every_type() {
        for kind in WeightType::ALL {
            let mut out = Vec::new();
            kind.encode(&[0.0; 64], &mut out);
            assert_eq!(out.len() as u64, kind.row_bytes(64));
            let scale_or_value = if kind == WeightType::F32 { 4 } else { 2 };
            assert!(out[..scale_or_value].iter().all(|&byte| byte & 0x7f == 0), "{kind:?}");
        }
    }
}
