use std::fs;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::error::Error;
use crate::file::File;
use crate::types::TensorType;

/// What a control vector must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlShape {
    /// The model's embedding length.
    pub width: u64,
    /// The model's number of layers.
    pub layers: u64,
}

/// Reads the control vector in the file at `path`: a row of `width` numbers for each layer from the second on,
/// zeros where the file has none.
///
/// # Errors
///
/// As [`File::open`]; when the file is no control vector, or has directions of other layers, lengths or types
/// than the model's, or numbers that are not finite.
pub fn read_control_vector(path: impl AsRef<Path>, shape: ControlShape) -> Result<Vec<f32>, Error> {
    let path = path.as_ref();
    let file = File::open(path)?;
    if file.architecture() != Some("controlvector") {
        let message = "the file is no control vector: \"general.architecture\" is not \"controlvector\"";
        return Err(Error::unsupported(message));
    }
    let rows = shape.layers.saturating_sub(1);
    let size = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let mut values = vec![0.0; size(rows.saturating_mul(shape.width))];
    let opened = fs::File::open(path).map_err(|error| Error::io("cannot open the file", &error))?;
    let mut source = BufReader::new(opened);
    for tensor in &file.tensors {
        let layer = tensor.name.strip_prefix("direction.").and_then(|digits| digits.parse::<u64>().ok());
        let Some(layer) = layer else { return Err(tensor.fault("is no direction of a layer")) };
        if layer == 0 || layer > rows {
            return Err(tensor.fault(format_args!("is for layer {layer}; directions are for 1 to {rows}")));
        }
        if tensor.kind != TensorType::F32 || *tensor.dims != [shape.width] {
            let (kind, dims) = (tensor.kind, &tensor.dims);
            let message = format_args!("is {kind} {dims:?}, not F32 [{}] as the model needs", shape.width);
            return Err(tensor.fault(message));
        }
        let start = size((layer - 1).saturating_mul(shape.width));
        let row = values.get_mut(start..start.saturating_add(size(shape.width))).unwrap_or_default();
        let place = SeekFrom::Start(file.data_offset.saturating_add(tensor.offset));
        source.seek(place).map_err(|error| Error::io("cannot read the file", &error))?;
        for value in row {
            let mut bytes = [0; 4];
            source.read_exact(&mut bytes).map_err(|error| Error::io("cannot read the file", &error))?;
            *value = f32::from_le_bytes(bytes);
            if !value.is_finite() {
                return Err(tensor.fault("holds a number that is not finite"));
            }
        }
    }
    if file.tensors.is_empty() {
        return Err(Error::corrupt("the file has no directions"));
    }
    Ok(values)
}
