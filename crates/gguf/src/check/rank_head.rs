use super::Keys;
use crate::error::Error;
use crate::families;
use crate::file::File;
use crate::rank_head;

/// Refuses a head whose layers do not fit the model: llama.cpp copies as many scores as there are labels out of
/// whatever the last layer gives.
pub(super) fn check(file: &File, keys: Keys<'_>) -> Result<(), Error> {
    let Some(form) = families::rank_head(keys.architecture) else { return Ok(()) };
    let width = keys.u64("embedding_length").unwrap_or_default();
    let outputs = rank_head::outputs(keys);
    // A head of one layer has its scores where others have a layer as wide as the model.
    let dense = if form.last == "cls.weight" { outputs } else { width };
    let shapes = [
        ("cls.weight", width, dense),
        ("cls.bias", dense, 1),
        ("cls.norm.weight", width, 1),
        ("cls.output.weight", width, outputs),
        ("cls.output.bias", outputs, 1),
    ];
    for tensor in file.tensors.iter().filter(|tensor| rank_head::is_part(tensor)) {
        let Some(&(_, columns, rows)) = shapes.iter().find(|(name, ..)| *name == &*tensor.name) else {
            continue;
        };
        let found = [0, 1, 2, 3].map(|axis| tensor.dim(axis));
        if found != [columns, rows, 1, 1] {
            return Err(tensor.fault(format_args!(
                "is {} × {} but a head for {} and {outputs} {} has {columns} × {rows}",
                tensor.dim(0),
                tensor.elements() / tensor.dim(0).max(1),
                keys.name("embedding_length"),
                if outputs == 1 { "output" } else { "labels" },
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Builder, llama};
    use crate::{ErrorKind, TensorType, check_model};

    /// An encoder with a head of these tensors.
    fn bert(tensors: &[(&str, &[u64])]) -> Builder {
        let model = llama().renamed("llama", "bert").without("bert.attention.head_count_kv");
        let model = model.u32("bert.attention.head_count_kv", 4).u32("bert.pooling_type", 4);
        tensors.iter().fold(model, |model, (name, dims)| model.tensor(name, TensorType::F32, dims))
    }

    fn message(model: &Builder) -> String {
        check_model(&model.open().unwrap()).unwrap_err().message
    }

    const SOUND: &[(&str, &[u64])] = &[
        ("cls.weight", &[64, 64]),
        ("cls.bias", &[64]),
        ("cls.output.weight", &[64, 1]),
        ("cls.output.bias", &[1]),
    ];

    #[test]
    fn accepts_a_sound_head() {
        check_model(&bert(SOUND).open().unwrap()).unwrap();
    }

    #[test]
    fn refuses_layers_that_do_not_fit() {
        let wrong: [(&str, &[u64]); 6] = [
            ("cls.weight", &[64, 32]),
            ("cls.weight", &[64, 64, 2]),
            ("cls.bias", &[1]),
            ("cls.output.weight", &[64, 2]),
            ("cls.output.weight", &[32]),
            ("cls.output.bias", &[2]),
        ];
        for (name, dims) in wrong {
            let found = message(&bert(&[(name, dims)]));
            assert!(found.contains(name) && found.contains("but a head for"), "{name} {dims:?}: {found}");
        }
    }

    #[test]
    fn asks_for_one_output_a_label() {
        let labels = |model: Builder| model.strs("bert.classifier.output_labels", &["a", "b", "c"]);
        assert!(message(&labels(bert(SOUND))).contains("3 labels has 64 × 3"));
        check_model(&labels(bert(&[("cls.output.weight", &[64, 3])])).open().unwrap()).unwrap();
    }

    #[test]
    fn refuses_layers_that_ggml_cannot_compute_with() {
        let model = bert(&[]).tensor("cls.weight", TensorType::I32, &[64, 64]);
        assert_eq!(check_model(&model.open().unwrap()).unwrap_err().kind, ErrorKind::Unsupported);
        let model = bert(&[]).tensor("cls.bias", TensorType::F16, &[64]);
        assert!(message(&model).contains("must be F32"));
    }
}
