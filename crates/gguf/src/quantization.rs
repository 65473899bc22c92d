use crate::file::File;
use crate::types::TensorType;

/// Names for `general.file_type`, as llama.cpp's quantizing tool takes them.
fn file_type(id: u64) -> Option<&'static str> {
    Some(match id {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        32 => "BF16",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4_MOE",
        39 => "NVFP4",
        40 => "Q1_0",
        41 => "Q2_0",
        _ => return None,
    })
}

/// The file's own name for its quantization, else the type that takes the most bytes.
pub(crate) fn name(file: &File) -> Option<&'static str> {
    let declared = file.metadata.u64("general.file_type").and_then(file_type);
    declared.or_else(|| dominant(file).map(TensorType::name))
}

fn dominant(file: &File) -> Option<TensorType> {
    let bytes = |kind: TensorType| {
        let of_kind = file.tensors.iter().filter(|tensor| tensor.kind == kind);
        of_kind.fold(0_u64, |sum, tensor| sum.saturating_add(tensor.bytes))
    };
    TensorType::ALL.iter().copied().filter(|&kind| bytes(kind) > 0).max_by_key(|&kind| bytes(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::llama;

    #[test]
    fn prefers_what_the_file_declares() {
        assert_eq!(name(&llama().u32("general.file_type", 15).open().unwrap()), Some("Q4_K_M"));
    }

    #[test]
    fn falls_back_on_the_type_that_takes_the_most_bytes() {
        for model in [llama(), llama().u32("general.file_type", 999)] {
            assert_eq!(name(&model.open().unwrap()), Some("Q8_0"));
        }
    }
}
