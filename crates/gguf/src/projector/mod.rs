//! Projectors: what turns images into rows of a text model.

mod tensors;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use crate::check::architecture;
use crate::check::types::{Want, check_key, check_shared};
use crate::error::Error;
use crate::file::{File, Kind};
use crate::metadata::Metadata;
use crate::value::Array;

/// How a projector makes rows. llama.cpp knows many more ways, and ends the process over most of what can be wrong
/// with them; these are the ones whose files are checked for all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectorKind {
    /// A layer or two over the patches of a CLIP tower: LLaVA 1.5.
    Mlp,
    /// Patches of a SigLIP tower, averaged in squares: Gemma 3.
    Gemma3,
    /// Patches of a SigLIP tower, put side by side, for an image and its tiles: Idefics 3, SmolVLM.
    Idefics3,
}

impl ProjectorKind {
    const ALL: [Self; 3] = [Self::Mlp, Self::Gemma3, Self::Idefics3];

    /// The name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mlp => "mlp",
            Self::Gemma3 => "gemma3",
            Self::Idefics3 => "idefics3",
        }
    }
}

/// What is known of a projector that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projector {
    /// How it makes rows.
    pub kind: ProjectorKind,
    /// Numbers of a row.
    pub width: u64,
    /// Rows of an image, or of each of its tiles.
    pub rows: u64,
    /// Whether these rows see each other, and so have to be computed at once.
    pub is_mutual: bool,
    /// Bytes of its weights.
    pub weights_bytes: u64,
    /// About how many bytes it computes with.
    pub compute_bytes: u64,
}

/// The numbers that the shapes of its tensors follow from.
#[derive(Debug, Clone, Copy)]
struct Shape {
    kind: ProjectorKind,
    /// Numbers of a patch inside.
    width: u64,
    feed_forward: u64,
    layers: u64,
    image: u64,
    patch: u64,
    /// Patches of a side that become one row.
    merge: u64,
}

impl Shape {
    fn patches(&self) -> u64 {
        (self.image / self.patch).pow(2)
    }

    fn rows(&self) -> u64 {
        self.patches() / self.merge.pow(2)
    }
}

/// llama.cpp asserts on the types of these.
const KEYS: [(&str, Want); 28] = [
    ("general.description", Want::Str),
    ("clip.projector_type", Want::Str),
    ("clip.vision.projector_type", Want::Str),
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
    ("clip.vision.mm_patch_merge_type", Want::Str),
    ("clip.vision.image_mean", Want::F32s),
    ("clip.vision.image_std", Want::F32s),
    ("clip.vision.image_grid_pinpoints", Want::I32s),
];

/// Most tiles along a side of an image.
const TILES_OF_A_SIDE_MAX: u64 = 8;
/// With less, a long narrow image would be scaled to nothing.
const LONGEST_SIDE_LEAST: u64 = 128;
/// Most patches of an image; the largest known have 4096.
const PATCHES_MAX: u64 = 16_384;
/// llama.cpp's graph of a projector has room for some 250.
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
    let shape = shape(metadata)?;
    check_colours(metadata)?;
    let width = tensors::check(file, &shape)?;
    if width != model_width {
        let message = format!(
            "its rows have {width} numbers, and the model reads {model_width}: it is for another model"
        );
        return Err(Error::unsupported(message));
    }
    Ok(Projector {
        kind: shape.kind,
        width,
        rows: shape.rows(),
        is_mutual: shape.kind == ProjectorKind::Gemma3,
        weights_bytes: file.tensors.iter().map(|tensor| tensor.bytes).sum(),
        compute_bytes: compute_bytes(&shape),
    })
}

fn compute_bytes(shape: &Shape) -> u64 {
    let of_patch = 12 * shape.width + 2 * shape.feed_forward + 6 * shape.patch.pow(2);
    shape.patches().saturating_mul(of_patch).saturating_mul(4)
}

fn shape(metadata: &Metadata) -> Result<Shape, Error> {
    let kind = kind(metadata)?;
    let shape = Shape {
        kind,
        width: number(metadata, "clip.vision.embedding_length", 1..=16_384)?,
        feed_forward: number(metadata, "clip.vision.feed_forward_length", 1..=131_072)?,
        layers: number(metadata, "clip.vision.block_count", 1..=LAYERS_MAX)?,
        image: number(metadata, "clip.vision.image_size", 1..=4096)?,
        patch: number(metadata, "clip.vision.patch_size", 1..=512)?,
        merge: merge(metadata, kind)?,
    };
    number(metadata, "clip.vision.projection_dim", 0..=1 << 24)?;
    let side = shape.image / shape.patch;
    if side == 0 || shape.patches() > PATCHES_MAX || !side.is_multiple_of(shape.merge) {
        let message = format!(
            "makes {side} × {side} patches; 1 to {PATCHES_MAX} in all are allowed, in squares of {} a side",
            shape.merge
        );
        return Err(metadata.fault("clip.vision.image_size", message));
    }
    check_heads(metadata, shape.width)?;
    check_tiles(metadata, &shape)?;
    let epsilon = "clip.vision.attention.layer_norm_epsilon";
    match metadata.f64(epsilon) {
        None => Err(Metadata::missing(epsilon)),
        Some(value) if value.is_finite() && value >= 0.0 => Ok(shape),
        Some(value) => Err(metadata.fault(epsilon, format_args!("is {value}"))),
    }
}

fn kind(metadata: &Metadata) -> Result<ProjectorKind, Error> {
    if metadata.bool("clip.has_vision_encoder") != Some(true) {
        return Err(Error::unsupported("the projector reads no images"));
    }
    for (key, what) in [("clip.has_audio_encoder", "reads"), ("clip.has_gen_audio_encoder", "makes")] {
        if metadata.bool(key) == Some(true) {
            return Err(Error::unsupported(format!("the projector {what} sound, which is not supported")));
        }
    }
    let name = metadata.str("clip.projector_type").filter(|name| !name.is_empty());
    let name = name.or_else(|| metadata.str("clip.vision.projector_type"));
    let name = name.ok_or_else(|| Metadata::missing("clip.projector_type"))?;
    ProjectorKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let known = ProjectorKind::ALL.map(ProjectorKind::name).join(", ");
        let name: String = name.chars().take(64).collect();
        Error::unsupported(format!("projectors of type {name:?} are not supported; these are: {known}"))
    })
}

fn number(metadata: &Metadata, key: &str, range: RangeInclusive<u64>) -> Result<u64, Error> {
    let value = metadata.u64(key).ok_or_else(|| Metadata::missing(key))?;
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (range.start(), range.end());
    Err(metadata.fault(key, format_args!("is {value}; {least} to {most} is allowed")))
}

fn merge(metadata: &Metadata, kind: ProjectorKind) -> Result<u64, Error> {
    let key = "clip.vision.projector.scale_factor";
    match (kind, metadata.u64(key)) {
        (ProjectorKind::Mlp, _) => Ok(1),
        (ProjectorKind::Gemma3, None) => Ok(4),
        (ProjectorKind::Gemma3, Some(_)) => number(metadata, key, 1..=64),
        (ProjectorKind::Idefics3, _) => number(metadata, key, 2..=64),
    }
}

fn check_heads(metadata: &Metadata, width: u64) -> Result<(), Error> {
    let key = "clip.vision.attention.head_count";
    let heads = number(metadata, key, 1..=1024)?;
    if !width.is_multiple_of(heads) {
        return Err(
            metadata.fault(key, format_args!("is {heads}, by which the width {width} cannot be divided"))
        );
    }
    let same =
        [("clip.vision.attention.head_count_kv", heads), ("clip.vision.attention.head_dim", width / heads)];
    for (key, expected) in same {
        if let Some(value) = metadata.u64(key).filter(|&value| value != expected) {
            return Err(metadata.fault(key, format_args!("is {value} but must be {expected}")));
        }
    }
    Ok(())
}

/// What an image may be cut into.
fn check_tiles(metadata: &Metadata, shape: &Shape) -> Result<(), Error> {
    for key in ["clip.vision.image_grid_pinpoints", "clip.vision.feature_layer"] {
        if metadata.get(key).is_some() {
            let message = format!("projectors with {key:?} are not supported");
            return Err(Error::unsupported(message));
        }
    }
    let longest = "clip.vision.preproc_image_size";
    if shape.kind == ProjectorKind::Idefics3 && metadata.get(longest).is_some() {
        let least = shape.image.max(LONGEST_SIDE_LEAST);
        number(metadata, longest, least..=shape.image.saturating_mul(TILES_OF_A_SIDE_MAX))?;
    }
    Ok(())
}

fn check_colours(metadata: &Metadata) -> Result<(), Error> {
    for key in ["clip.vision.image_mean", "clip.vision.image_std"] {
        let values = match metadata.array(key) {
            Some(Array::F32(values)) => values,
            _ => return Err(Metadata::missing(key)),
        };
        let is_std = key.ends_with("std");
        let is_sound = |value: &f32| value.is_finite() && (!is_std || *value > 0.0);
        if values.len() != 3 || !values.iter().all(is_sound) {
            return Err(metadata.fault(key, "must be three finite numbers, and those of image_std above 0"));
        }
    }
    Ok(())
}
