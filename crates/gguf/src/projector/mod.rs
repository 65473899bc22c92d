//! Projectors: what turns images and sound into rows of a text model.

mod audio;
mod kind;
mod merger;
mod tensors;
#[cfg(test)]
mod tests;
mod vision;

use std::ops::RangeInclusive;

pub use kind::{ProjectorKind, Sense};

use crate::check::architecture;
use crate::check::types::{Want, check_key, check_shared};
use crate::error::Error;
use crate::file::{File, Kind};
use crate::metadata::Metadata;

/// What is known of a projector that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projector {
    /// How it makes rows.
    pub kind: ProjectorKind,
    /// Numbers of a row.
    pub width: u64,
    /// Rows of an image, or of each of its tiles, or of thirty seconds of sound. The most of an image where it has any
    /// shape; see [`ProjectorKind::rows_max`].
    pub rows: u64,
    /// Whether these rows see each other, and so have to be computed at once.
    pub is_mutual: bool,
    /// Bytes of its weights.
    pub weights_bytes: u64,
    /// Patches, or moments of sound, that become a row.
    patches_of_row: u64,
    /// Bytes that it computes with for each of them.
    patch_bytes: u64,
}

/// The numbers of the table that windows take, for each two patches: as it is made, and as it is used.
const WINDOW_BYTES: u64 = 10;

impl Projector {
    /// About how many bytes it computes with, where an image has at most `rows` rows if that can be chosen.
    #[must_use]
    pub fn compute_bytes(&self, rows: u64) -> u64 {
        let rows = if self.kind.has_any_shape() { rows } else { self.rows };
        let patches = rows.saturating_mul(self.patches_of_row);
        let windows = if self.kind == ProjectorKind::Qwen25Vl { WINDOW_BYTES } else { 0 };
        let table = patches.saturating_mul(patches).saturating_mul(windows);
        patches.saturating_mul(self.patch_bytes).saturating_add(table)
    }
}

/// llama.cpp asserts on the types of these.
const KEYS: [(&str, Want); 43] = [
    ("general.description", Want::Str),
    ("clip.projector_type", Want::Str),
    ("clip.vision.projector_type", Want::Str),
    ("clip.audio.projector_type", Want::Str),
    ("clip.has_vision_encoder", Want::Bool),
    ("clip.has_audio_encoder", Want::Bool),
    ("clip.has_gen_audio_encoder", Want::Bool),
    ("clip.use_gelu", Want::Bool),
    ("clip.use_silu", Want::Bool),
    ("clip.minicpmv_version", Want::I32),
    ("clip.minicpmv_query_num", Want::U32),
    ("clip.vision.embedding_length", Want::U32),
    ("clip.vision.feed_forward_length", Want::U32),
    ("clip.vision.block_count", Want::U32),
    ("clip.vision.projection_dim", Want::U32),
    ("clip.vision.attention.head_count", Want::U32),
    ("clip.vision.attention.head_count_kv", Want::U32),
    ("clip.vision.attention.head_dim", Want::U32),
    ("clip.vision.attention.layer_norm_epsilon", Want::F32),
    ("clip.vision.image_size", Want::U32),
    ("clip.vision.patch_size", Want::U32),
    ("clip.vision.image_min_pixels", Want::U32),
    ("clip.vision.image_max_pixels", Want::U32),
    ("clip.vision.preproc_image_size", Want::U32),
    ("clip.vision.projector.scale_factor", Want::U32),
    ("clip.vision.spatial_merge_size", Want::U32),
    ("clip.vision.n_wa_pattern", Want::U32),
    ("clip.vision.mm_patch_merge_type", Want::Str),
    ("clip.vision.image_mean", Want::F32s),
    ("clip.vision.image_std", Want::F32s),
    ("clip.vision.image_grid_pinpoints", Want::I32s),
    ("clip.audio.embedding_length", Want::U32),
    ("clip.audio.feed_forward_length", Want::U32),
    ("clip.audio.block_count", Want::U32),
    ("clip.audio.projection_dim", Want::U32),
    ("clip.audio.attention.head_count", Want::U32),
    ("clip.audio.attention.head_count_kv", Want::U32),
    ("clip.audio.attention.head_dim", Want::U32),
    ("clip.audio.attention.layer_norm_epsilon", Want::F32),
    ("clip.audio.num_mel_bins", Want::U32),
    ("clip.audio.projector.stack_factor", Want::U32),
    ("clip.audio.projector.window_size", Want::U32),
    ("clip.audio.projector.downsample_rate", Want::U32),
];

/// llama.cpp's graph of a projector has room for some 170.
const LAYERS_MAX: u64 = 128;

/// Checks that `file` is a projector that llama.cpp can load and run without aborting, and that its rows fit a text
/// model which reads rows of `model_width`.
///
/// # Errors
///
/// When the file is no projector, or one of another kind than those of [`ProjectorKind`], or holds a value or a
/// tensor that would be misused. The error names the key or tensor.
pub fn check_projector(file: &File, model_width: u64) -> Result<Projector, Error> {
    let metadata = &file.metadata;
    check_shared(metadata)?;
    if file.kind() != Kind::Mmproj || architecture(metadata)? != "clip" {
        return Err(Error::unsupported("the file is no projector: \"general.architecture\" is not \"clip\""));
    }
    if file.split().is_some() {
        return Err(Error::unsupported("the file is part of a projector in several files"));
    }
    KEYS.iter().try_for_each(|(key, want)| check_key(metadata, key, *want))?;
    let kind = kind::kind(metadata)?;
    let projector = match kind.sense() {
        Sense::Sight => of_images(file, kind)?,
        Sense::Hearing => of_sound(file, kind)?,
    };
    if projector.width != model_width {
        let message = format!(
            "its rows have {} numbers, and the model reads {model_width}: it is for another model",
            projector.width
        );
        return Err(Error::unsupported(message));
    }
    Ok(projector)
}

fn of_images(file: &File, kind: ProjectorKind) -> Result<Projector, Error> {
    let shape = vision::shape(file, kind)?;
    check_attention(&file.metadata, "clip.vision", shape.width, if kind.has_any_shape() { 4 } else { 1 })?;
    Ok(Projector {
        kind,
        width: tensors::check(file, &shape)?,
        rows: kind.rows_max(u64::MAX).unwrap_or_else(|| shape.rows()),
        is_mutual: kind == ProjectorKind::Gemma3,
        weights_bytes: weights_bytes(file),
        patches_of_row: shape.merge.pow(2),
        patch_bytes: 4 * (12 * shape.width + 2 * shape.feed_forward + 6 * shape.patch.pow(2)),
    })
}

fn of_sound(file: &File, kind: ProjectorKind) -> Result<Projector, Error> {
    let shape = audio::shape(file, kind)?;
    check_attention(&file.metadata, "clip.audio", shape.width, 1)?;
    Ok(Projector {
        kind,
        width: audio::check(file, &shape)?,
        rows: shape.rows(),
        is_mutual: false,
        weights_bytes: weights_bytes(file),
        patches_of_row: shape.moments().div_ceil(shape.rows().max(1)),
        patch_bytes: 4 * (20 * shape.width + 2 * shape.feed_forward),
    })
}

fn weights_bytes(file: &File) -> u64 {
    file.tensors.iter().map(|tensor| tensor.bytes).sum()
}

fn number(metadata: &Metadata, key: &str, range: RangeInclusive<u64>) -> Result<u64, Error> {
    let value = metadata.u64(key).ok_or_else(|| Metadata::missing(key))?;
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    Err(metadata.fault(key, format_args!("is {value}; {least} to {most} is allowed")))
}

/// Checks what attention and norms take from the keys of a tower: heads whose size is a multiple of `of`.
fn check_attention(metadata: &Metadata, tower: &str, width: u64, of: u64) -> Result<(), Error> {
    let key = format!("{tower}.attention.head_count");
    let heads = number(metadata, &key, 1..=1024)?;
    if !width.is_multiple_of(heads * of) {
        let message = format!("is {heads}, by which the width {width} cannot be divided");
        return Err(metadata.fault(&key, message));
    }
    for (part, expected) in [("head_count_kv", heads), ("head_dim", width / heads)] {
        let key = format!("{tower}.attention.{part}");
        if let Some(value) = metadata.u64(&key).filter(|&value| value != expected) {
            return Err(metadata.fault(&key, format_args!("is {value} but must be {expected}")));
        }
    }
    let epsilon = format!("{tower}.attention.layer_norm_epsilon");
    match metadata.f64(&epsilon) {
        None => Err(Metadata::missing(&epsilon)),
        Some(value) if value.is_finite() && value >= 0.0 => Ok(()),
        Some(value) => Err(metadata.fault(&epsilon, format_args!("is {value}"))),
    }
}
