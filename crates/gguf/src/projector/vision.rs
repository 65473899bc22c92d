//! Towers for images.

use super::{ProjectorKind, number};
use crate::error::Error;
use crate::file::File;
use crate::metadata::Metadata;
use crate::value::Array;

/// The numbers that the shapes of its tensors follow from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) kind: ProjectorKind,
    /// Numbers of a patch inside.
    pub(super) width: u64,
    pub(super) feed_forward: u64,
    pub(super) layers: u64,
    pub(super) image: u64,
    pub(super) patch: u64,
    /// Patches of a side that become one row.
    pub(super) merge: u64,
}

impl Shape {
    pub(super) fn patches(&self) -> u64 {
        (self.image / self.patch).pow(2)
    }

    pub(super) fn rows(&self) -> u64 {
        self.patches() / self.merge.pow(2)
    }
}

/// Most tiles along a side of an image.
const TILES_OF_A_SIDE_MAX: u64 = 8;
/// With less, a long narrow image would be scaled to nothing.
const LONGEST_SIDE_LEAST: u64 = 128;
/// Most patches of an image; the largest known have 4096.
pub(super) const PATCHES_MAX: u64 = 16_384;
/// The pixels of an image of the most rows are counted in 31 bits.
const ANY_SHAPE_PATCH_MAX: u64 = 64;
/// Windows are 112 pixels wide, and hold at least one row.
const WINDOW_PATCH_MAX: u64 = 56;

/// The shape that the keys of a file tell.
pub(super) fn shape(file: &File, kind: ProjectorKind) -> Result<Shape, Error> {
    let metadata = &file.metadata;
    let width = number(metadata, "clip.vision.embedding_length", 1..=16_384)?;
    let shape = Shape {
        kind,
        width,
        feed_forward: feed_forward(file, kind, width)?,
        layers: number(metadata, "clip.vision.block_count", 1..=super::LAYERS_MAX)?,
        image: number(metadata, "clip.vision.image_size", 1..=4096)?,
        patch: number(metadata, "clip.vision.patch_size", 1..=patch_max(kind))?,
        merge: merge(metadata, kind)?,
    };
    number(metadata, "clip.vision.projection_dim", 0..=1 << 24)?;
    if !kind.has_any_shape() {
        check_square(metadata, &shape)?;
    }
    check_tiles(metadata, &shape)?;
    check_windows(metadata, kind)?;
    check_colours(metadata)?;
    Ok(shape)
}

fn patch_max(kind: ProjectorKind) -> u64 {
    match kind {
        ProjectorKind::Qwen25Vl => WINDOW_PATCH_MAX,
        _ if kind.has_any_shape() => ANY_SHAPE_PATCH_MAX,
        _ => 512,
    }
}

/// Old converters wrote 0 for Qwen2-VL, which llama.cpp does not mind.
fn feed_forward(file: &File, kind: ProjectorKind, width: u64) -> Result<u64, Error> {
    let key = "clip.vision.feed_forward_length";
    if kind != ProjectorKind::Qwen2Vl || file.metadata.u64(key) != Some(0) {
        return number(&file.metadata, key, 1..=131_072);
    }
    let up = file.tensor("v.blk.0.ffn_up.weight").ok_or_else(|| Metadata::missing(key))?;
    let inner = if up.dim(0) == width { up.dim(1) } else { up.dim(0) };
    if (1..=131_072).contains(&inner) { Ok(inner) } else { Err(up.fault("has an impossible size")) }
}

fn check_square(metadata: &Metadata, shape: &Shape) -> Result<(), Error> {
    let side = shape.image / shape.patch;
    if side == 0 || shape.patches() > PATCHES_MAX || !side.is_multiple_of(shape.merge) {
        let message = format!(
            "makes {side} × {side} patches; 1 to {PATCHES_MAX} in all are allowed, in squares of {} a side",
            shape.merge
        );
        return Err(metadata.fault("clip.vision.image_size", message));
    }
    Ok(())
}

fn merge(metadata: &Metadata, kind: ProjectorKind) -> Result<u64, Error> {
    let key = "clip.vision.projector.scale_factor";
    match (kind, metadata.u64(key)) {
        (ProjectorKind::Gemma3, None) => Ok(4),
        (ProjectorKind::Gemma3, Some(_)) => number(metadata, key, 1..=64),
        (ProjectorKind::Idefics3, _) => number(metadata, key, 2..=64),
        _ if kind.has_any_shape() => {
            let key = "clip.vision.spatial_merge_size";
            // What computes the rows is written for this one.
            if metadata.get(key).is_some() { number(metadata, key, 2..=2) } else { Ok(2) }
        }
        _ => Ok(1),
    }
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

/// llama.cpp leaves the table of windows unwritten for types that have none.
fn check_windows(metadata: &Metadata, kind: ProjectorKind) -> Result<(), Error> {
    let key = "clip.vision.n_wa_pattern";
    match kind {
        // With 1 no layer has windows, and llama.cpp looks in vain for their table.
        ProjectorKind::Qwen25Vl => match number(metadata, key, 0..=super::LAYERS_MAX)? {
            1 => Err(metadata.fault(key, "is 1; 0 or 2 and more is allowed")),
            _ => Ok(()),
        },
        _ if kind.has_any_shape() && metadata.get(key).is_some() => number(metadata, key, 0..=0).map(drop),
        _ => Ok(()),
    }
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
