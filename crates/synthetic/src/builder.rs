//! Builds a draft tensor by tensor.

use crate::draft::Draft;
use crate::options::Options;
use crate::shape::Shape;
use crate::tensor::{Data, Tensor};
use crate::value::Value;
use crate::weight_type::WeightType;

/// A draft in the making, with the architecture that prefixes its keys.
pub(crate) struct Builder {
    pub(crate) draft: Draft,
    architecture: &'static str,
    weight_type: WeightType,
}

impl Builder {
    pub(crate) fn new(architecture: &'static str, options: &Options) -> Self {
        Self { draft: Draft::new(architecture, options.seed), architecture, weight_type: options.weight_type }
    }

    /// Sets a key of the architecture's own.
    pub(crate) fn set_own(&mut self, key: &str, value: impl Into<Value>) {
        self.draft.set(&format!("{}.{key}", self.architecture), value);
    }

    /// The metadata every model has, in the order converters write it.
    pub(crate) fn common_metadata(&mut self, name: &str, shape: &Shape) {
        self.draft.set("general.name", name);
        self.set_own("context_length", shape.context);
        self.set_own("embedding_length", shape.width);
        self.set_own("block_count", shape.layers);
        self.set_own("feed_forward_length", shape.feed_forward);
        self.set_own("attention.head_count", shape.heads);
        self.set_own("attention.head_count_kv", shape.kv_heads);
        self.set_own("vocab_size", shape.vocabulary);
        self.draft.set("general.file_type", self.weight_type.file_type());
    }

    /// Adds a random matrix in the model's type, or in f16 where its rows do not fill blocks.
    pub(crate) fn matrix(&mut self, name: &str, [rows, columns]: [u32; 2], deviation: f32) {
        let fits = self.weight_type.fits(u64::from(columns));
        let weight_type = if fits { self.weight_type } else { WeightType::F16 };
        self.matrix_as(weight_type, name, [rows, columns], deviation);
    }

    /// Adds a random matrix in a type of its own.
    pub(crate) fn matrix_as(
        &mut self,
        weight_type: WeightType,
        name: &str,
        [rows, columns]: [u32; 2],
        deviation: f32,
    ) {
        let dims = [u64::from(columns), u64::from(rows)];
        let data = Data::Random { deviation, zero_rows: 0 };
        self.draft.tensors.push(Tensor::new(name, &dims, weight_type, data));
    }

    /// Makes the first rows of the latest matrix zero.
    pub(crate) fn zero_first_rows(&mut self, count: u64) {
        if let Some(Tensor { data: Data::Random { zero_rows, .. }, .. }) = self.draft.tensors.last_mut() {
            *zero_rows = count;
        }
    }

    /// Adds an f32 vector with the same number everywhere.
    pub(crate) fn vector(&mut self, name: &str, length: u32, value: f32) {
        let data = Data::Constant(value);
        self.draft.tensors.push(Tensor::new(name, &[u64::from(length)], WeightType::F32, data));
    }
}

/// The deviation that keeps the size of what a matrix with this many columns multiplies.
pub(crate) fn unit_gain(columns: u32) -> f32 {
    1.0 / (columns as f32).sqrt()
}
