//! Directions that are added to what a model's layers compute.

use std::path::{Path, PathBuf};

use rkllmjs_core::{CONTROL_VECTOR_PREFIX, Error, ErrorCode};
use rkllmjs_gguf::{self as gguf, ControlShape, Parts};

use crate::file;

/// A control vector to be loaded.
#[derive(Debug, Clone)]
pub struct ControlVector {
    /// What requests call it.
    pub name: String,
    /// Its GGUF file.
    pub path: PathBuf,
    /// The first and the last layer it applies to, counted from 1; all where nobody says.
    pub layers: Option<(f64, f64)>,
}

/// How the engine calls the control vector `name`.
pub(crate) fn engine_name(name: &str) -> String {
    format!("{CONTROL_VECTOR_PREFIX}{name}")
}

/// Reads a control vector that fits the model in `base`: the rows of its layers, those out of range zero.
pub(crate) fn read(vector: &ControlVector, base: &Path) -> Result<Vec<f32>, Error> {
    let parts = Parts::open(base).map_err(|e| file::refused(base, &e))?;
    let facts = gguf::facts(&parts.whole);
    let (Some(width), Some(layers)) = (facts.embedding_length, facts.block_count) else {
        return Err(Error::new(ErrorCode::Unsupported, "the model does not say how many layers it has"));
    };
    let (first, last) = layer_range(vector.layers, layers)?;
    let shape = ControlShape { width, layers };
    let mut rows = gguf::read_control_vector(&vector.path, shape).map_err(|e| {
        // Whatever is wrong with its contents, it is no control vector for this model.
        match file::refused(&vector.path, &e) {
            error if error.code == ErrorCode::ModelNotFound => error,
            error => Error { code: ErrorCode::ModelInvalid, ..error },
        }
    })?;
    let width = usize::try_from(width).unwrap_or(usize::MAX).max(1);
    for (layer, row) in (1_u64..).zip(rows.chunks_mut(width)) {
        if layer < first || layer > last {
            row.fill(0.0);
        }
    }
    Ok(rows)
}

fn layer_range(asked: Option<(f64, f64)>, layers: u64) -> Result<(u64, u64), Error> {
    let most = layers.saturating_sub(1);
    let Some((first, last)) = asked else { return Ok((1, most)) };
    let is_layer = |layer: f64| layer.fract() == 0.0 && layer >= 1.0 && layer <= most as f64;
    if is_layer(first) && is_layer(last) && first <= last {
        return Ok((first as u64, last as u64));
    }
    let message = format!("must be a first and a last layer from 1 to {most}, got {first} and {last}");
    Err(Error::option("layers", message))
}

#[cfg(test)]
mod tests {
    use super::layer_range;

    #[test]
    fn a_range_of_layers_lies_within_the_model() {
        assert_eq!(layer_range(None, 8), Ok((1, 7)));
        assert_eq!(layer_range(Some((2.0, 7.0)), 8), Ok((2, 7)));
        for wrong in [(0.0, 3.0), (1.0, 8.0), (3.0, 2.0), (1.5, 2.0), (f64::NAN, 2.0)] {
            assert!(layer_range(Some(wrong), 8).is_err(), "{wrong:?}");
        }
    }
}
