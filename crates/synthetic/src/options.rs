//! What a caller may change about a model.

use crate::shape::Kind;
use crate::weight_type::WeightType;

/// Changes to a model's standard form; the default changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How matrices are stored; vectors are always f32, and so is a whole LoRA adapter.
    pub weight_type: WeightType,
    /// Context length instead of the kind's own.
    pub context: Option<u32>,
    /// Number of layers instead of the kind's own.
    pub layers: Option<u32>,
    /// The same seed gives the same bytes on every machine.
    pub seed: u64,
    /// Name of one tensor in which every row shall start with a NaN.
    pub nan: Option<String>,
    /// The model whose shape a LoRA adapter fits; other kinds ignore it.
    pub lora_base: Kind,
    /// Length of the rows that a projector makes; other kinds ignore it.
    pub width: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            weight_type: WeightType::F16,
            context: None,
            layers: None,
            seed: 42,
            nan: None,
            lora_base: Kind::Tiny,
            width: 64,
        }
    }
}
