//! The layers that make a score of what a model has read.

use crate::check::Keys;
use crate::families;
use crate::file::File;
use crate::tensor::Tensor;
use crate::value::Array;

/// What the head of a reranking model says of a query and a document that were read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RankHead {
    /// One number of any size: the logit of "it fits".
    Logit,
    /// The probability of "it fits", among those of several labels.
    Probability,
    /// Nothing that a score can be read from. Says why, as the end of a sentence.
    Unclear(String),
}

/// The key that names the outputs of a head.
const LABELS: &str = "classifier.output_labels";
/// The first label of a head whose labels are answers.
const FITS: &str = "yes";

/// The head of a file that ranks, if there is one. A model that only reads has nothing else to rank with, so
/// that its missing head is an unclear one.
pub(crate) fn rank_head(file: &File, keys: Keys<'_>) -> Option<RankHead> {
    const RANKS: u64 = 4;
    if keys.u64("pooling_type") != Some(RANKS) {
        return None;
    }
    let has_head = file.tensor("cls.output.weight").is_some() || file.tensor("cls.weight").is_some();
    if !has_head && !families::is_encoder_only(keys.architecture) {
        return None;
    }
    let unclear = |why: &str| Some(RankHead::Unclear(why.to_owned()));
    let Some(form) = families::rank_head(keys.architecture) else {
        return unclear("llama.cpp reads no head in models of this family");
    };
    if !has_head {
        return unclear("its file has no head (no tensor cls.output.weight)");
    }
    if file.tensor(form.last).is_none() {
        let why = format!("its head lacks the last layer (no tensor {})", form.last);
        return Some(RankHead::Unclear(why));
    }
    Some(meaning(&labels(keys), form.softmax))
}

fn meaning(labels: &[&str], softmax: bool) -> RankHead {
    let named = || labels.join(", ").chars().take(200).collect::<String>();
    match (softmax, labels) {
        (false, [] | [_]) => RankHead::Logit,
        (false, _) => RankHead::Unclear(format!(
            "its head tells {} labels apart ({}) and gives no single score",
            labels.len(),
            named()
        )),
        (true, [] | [_]) => RankHead::Unclear(
            "its head has one output, which llama.cpp scales to 1 whatever it reads".to_owned(),
        ),
        (true, [first, ..]) if first.eq_ignore_ascii_case(FITS) => RankHead::Probability,
        (true, _) => RankHead::Unclear(format!("the first label of its head is not \"yes\" ({})", named())),
    }
}

fn labels(keys: Keys<'_>) -> Vec<&str> {
    match keys.metadata.array(&keys.name(LABELS)) {
        Some(Array::Strings(labels)) => labels.iter().collect(),
        _ => Vec::new(),
    }
}

/// How many numbers the head of this model gives: one for each label, or one.
pub(crate) fn outputs(keys: Keys<'_>) -> u64 {
    keys.metadata.array(&keys.name(LABELS)).map_or(1, |labels| labels.len().max(1) as u64)
}

/// Whether a tensor is part of a head.
pub(crate) fn is_part(tensor: &Tensor) -> bool {
    tensor.name.starts_with("cls.")
}

#[cfg(test)]
mod tests {
    use super::RankHead;
    use crate::testing::{Builder, llama};
    use crate::{TensorType, facts};

    fn of(architecture: &str, change: impl Fn(Builder) -> Builder) -> Option<RankHead> {
        let model = llama().renamed("llama", architecture).u32(&format!("{architecture}.pooling_type"), 4);
        facts(&change(model).open().unwrap()).rank_head
    }

    fn with_head(rows: u64) -> impl Fn(Builder) -> Builder {
        move |model| model.tensor("cls.output.weight", TensorType::F32, &[64, rows])
    }

    fn why(head: Option<RankHead>) -> String {
        match head {
            Some(RankHead::Unclear(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_output_is_a_logit_and_yes_among_labels_a_probability() {
        assert_eq!(of("bert", with_head(1)), Some(RankHead::Logit));
        let labelled =
            of("qwen3", |model| with_head(2)(model).strs("qwen3.classifier.output_labels", &["yes", "no"]));
        assert_eq!(labelled, Some(RankHead::Probability));
    }

    #[test]
    fn a_head_that_gives_no_score_says_why() {
        let labels = |family: &'static str, labels: &'static [&'static str]| {
            of(family, |model| {
                with_head(labels.len() as u64)(model)
                    .strs(&format!("{family}.classifier.output_labels"), labels)
            })
        };
        assert!(
            why(labels("bert", &["entailment", "neutral"])).contains("2 labels apart (entailment, neutral)")
        );
        assert!(why(labels("qwen3", &["no", "yes"])).contains("is not \"yes\" (no, yes)"));
        assert!(why(of("qwen3", with_head(1))).contains("one output"));
        assert!(why(of("bert", |model| model)).contains("has no head"));
        assert!(why(of("eurobert", with_head(1))).contains("of this family"));
        let first = |model: Builder| model.tensor("cls.weight", TensorType::F32, &[64, 64]);
        assert!(why(of("bert", first)).contains("lacks the last layer"));
    }

    #[test]
    fn a_chat_model_without_one_and_a_model_that_embeds_have_none() {
        assert_eq!(of("qwen3", |model| model), None);
        let embeds = with_head(1)(llama().renamed("llama", "bert").u32("bert.pooling_type", 1));
        assert_eq!(facts(&embeds.open().unwrap()).rank_head, None);
    }
}
