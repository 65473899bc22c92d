//! One tensor: its table entry and where its bytes come from.

use std::io::{self, Write};

use crate::invalid_input;
use crate::random::Random;
use crate::weight_type::WeightType;

/// Where a tensor's bytes come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Normal numbers of this standard deviation; the first rows may be zero.
    Random {
        /// Standard deviation.
        deviation: f32,
        /// How many rows at the start are zero.
        zero_rows: u64,
    },
    /// The same number everywhere.
    Constant(f32),
    /// These bytes, whatever the dimensions say.
    Bytes(Vec<u8>),
}

/// A tensor as it will stand in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Name in the table.
    pub name: String,
    /// Dimensions in the file's order: columns first.
    pub dims: Vec<u64>,
    /// The number written as the type; generated data needs one that [`WeightType`] knows.
    pub type_id: u32,
    /// The contents.
    pub data: Data,
    /// An offset to write instead of the true one.
    pub offset: Option<u64>,
    /// Whether every generated row shall start with a NaN.
    pub poisoned: bool,
}

impl Tensor {
    /// A tensor with a true offset and sound data.
    #[must_use]
    pub fn new(name: &str, dims: &[u64], weight_type: WeightType, data: Data) -> Self {
        Self {
            name: name.to_owned(),
            dims: dims.to_vec(),
            type_id: weight_type.id(),
            data,
            offset: None,
            poisoned: false,
        }
    }

    /// Bytes of contents, without padding.
    pub(crate) fn byte_len(&self) -> io::Result<u64> {
        if let Data::Bytes(bytes) = &self.data {
            return Ok(bytes.len() as u64);
        }
        let (weight_type, columns, rows) = self.generated()?;
        weight_type.row_bytes(columns).checked_mul(rows).ok_or_else(|| self.unfit())
    }

    /// Writes the contents row by row.
    pub(crate) fn write_data(&self, seed: u64, out: &mut impl Write) -> io::Result<()> {
        let (deviation, zero_rows) = match &self.data {
            Data::Bytes(bytes) => return out.write_all(bytes),
            Data::Constant(_) => (0.0, 0),
            Data::Random { deviation, zero_rows } => (*deviation, *zero_rows),
        };
        let (weight_type, columns, rows) = self.generated()?;
        let mut random = Random::for_name(seed, &self.name);
        let mut values = vec![0.0; usize::try_from(columns).map_err(|_| self.unfit())?];
        if let Data::Constant(value) = self.data {
            values.fill(value);
        }
        let mut encoded = Vec::new();
        for row in 0..rows {
            if deviation != 0.0 && row >= zero_rows {
                values.fill_with(|| random.normal() * deviation);
            }
            encoded.clear();
            weight_type.encode(&values, &mut encoded);
            if self.poisoned {
                let nan = weight_type.nan();
                encoded.splice(..nan.len().min(encoded.len()), nan);
            }
            out.write_all(&encoded)?;
        }
        Ok(())
    }

    /// Type, columns and rows of data that can be generated.
    fn generated(&self) -> io::Result<(WeightType, u64, u64)> {
        let weight_type = WeightType::from_id(self.type_id).ok_or_else(|| self.unfit())?;
        let (&columns, higher) = self.dims.split_first().ok_or_else(|| self.unfit())?;
        let rows =
            higher.iter().try_fold(1_u64, |rows, &dim| rows.checked_mul(dim)).ok_or_else(|| self.unfit())?;
        if weight_type.fits(columns) { Ok((weight_type, columns, rows)) } else { Err(self.unfit()) }
    }

    fn unfit(&self) -> io::Error {
        invalid_input(format!(
            "cannot generate tensor {:?}: type {}, dimensions {:?}",
            self.name, self.type_id, self.dims
        ))
    }
}
