//! Heads of reranking models that do not fit their model. For bases that have one.

use crate::corpus::case::{Base, Case, Made, edited, loads, refused, tensor};
use crate::corpus::tensor_table::resized;
use crate::tensor::{Data, Tensor};
use crate::value::Value;

const DENSE: &str = "cls.weight";
const DENSE_BIAS: &str = "cls.bias";
const OUTPUT: &str = "cls.output.weight";
const OUTPUT_BIAS: &str = "cls.output.bias";
const LABELS: &str = "classifier.output_labels";

pub(super) fn cases() -> Vec<Case> {
    [shapes(), types(), labels(), presence()].into_iter().flatten().collect()
}

fn shapes() -> Vec<Case> {
    vec![
        refused("rank-head-dense-halved", "half the rows of the first layer", tensor(DENSE, halved)),
        refused("rank-head-dense-bias-halved", "half a bias", tensor(DENSE_BIAS, halved)),
        refused(
            "rank-head-dense-flat",
            "a matrix as one long row",
            tensor(DENSE, |it| it.dims = vec![it.dims.iter().product()]),
        ),
        refused("rank-head-output-doubled", "more scores than labels", tensor(OUTPUT, doubled)),
        refused(
            "rank-head-output-narrow",
            "rows of half the width",
            tensor(OUTPUT, |it| {
                resized(it, |dims| {
                    if let [columns, ..] = dims {
                        *columns /= 2
                    }
                });
            }),
        ),
        refused("rank-head-output-bias-doubled", "more biases than labels", tensor(OUTPUT_BIAS, doubled)),
    ]
}

fn types() -> Vec<Case> {
    let of = |which: &'static str, type_id: u32, bytes: usize| {
        tensor(which, move |it| {
            let count: u64 = it.dims.iter().product();
            it.type_id = type_id;
            it.data = Data::Bytes(vec![0; usize::try_from(count).unwrap_or(0) * bytes]);
        })
    };
    vec![
        refused("rank-head-dense-as-i32", "a layer of whole numbers", of(DENSE, 26, 4)),
        refused("rank-head-output-as-f64", "a layer in a type nothing multiplies", of(OUTPUT, 28, 8)),
        refused("rank-head-bias-as-f16", "a bias in a type nothing adds", of(DENSE_BIAS, 1, 2)),
    ]
}

fn labels() -> Vec<Case> {
    vec![
        refused("rank-head-labels-5", "more labels than scores", with_labels(names(5))),
        refused("rank-head-labels-as-numbers", "labels that are no names", with_labels(Value::I32s(vec![0]))),
        refused("rank-head-labels-as-text", "labels that are no list", with_labels("yes".into())),
        loads("rank-head-labels-none", "an empty list of labels", with_labels(names(0))),
        loads("rank-head-labels-2", "a score for each of two labels", |base| {
            base.edit(|draft| {
                draft.set(&base.key(LABELS), names(2));
                draft.tensor_mut(OUTPUT_BIAS).map(doubled)?;
                draft.tensor_mut(OUTPUT).map(doubled)
            })
        }),
    ]
}

fn presence() -> Vec<Case> {
    vec![
        loads(
            "rank-head-gone",
            "a reranker without its head",
            edited(|draft| {
                let before = draft.tensors.len();
                draft.tensors.retain(|tensor| !tensor.name.starts_with("cls."));
                (draft.tensors.len() < before).then_some(())
            }),
        ),
        loads(
            "rank-head-without-output",
            "a head without its last layer",
            edited(|draft| {
                draft.tensor_mut(DENSE)?;
                draft.tensors.retain(|tensor| !tensor.name.starts_with("cls.output."));
                Some(())
            }),
        ),
    ]
}

/// Labels, for a base that has a head.
fn with_labels(labels: Value) -> impl Fn(&Base) -> Made {
    move |base| {
        base.edit(|draft| {
            draft.tensor_mut(OUTPUT)?;
            draft.set(&base.key(LABELS), labels.clone());
            Some(())
        })
    }
}

fn names(count: usize) -> Value {
    Value::Strings((0..count).map(|index| format!("label {index}")).collect())
}

/// Drops the second half of the rows.
fn halved(tensor: &mut Tensor) {
    resized(tensor, |dims| {
        if let [.., rows] = dims {
            *rows /= 2
        }
    });
}

/// Gives it every row twice.
fn doubled(tensor: &mut Tensor) {
    if let [.., rows] = tensor.dims.as_mut_slice() {
        *rows *= 2;
    }
    if let Data::Bytes(bytes) = &mut tensor.data {
        bytes.extend_from_within(..);
    }
}
