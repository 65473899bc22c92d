use std::fmt;

/// Declares each type once: its number in the file, its name, how many elements a block holds and
/// how many bytes a block takes.
macro_rules! tensor_types {
    ($($variant:ident = $id:literal, $name:literal, $elements:literal in $bytes:literal;)*) => {
        /// How a tensor's elements are stored.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[expect(missing_docs, reason = "the variants are ggml's own names")]
        pub enum TensorType { $($variant,)* }

        impl TensorType {
            /// All types, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The type with number `id` in a file; nothing for removed and unknown numbers.
            #[must_use]
            pub fn from_id(id: u32) -> Option<Self> {
                match id { $($id => Some(Self::$variant),)* _ => None }
            }

            /// The number that stands for this type in a file.
            #[must_use]
            pub fn id(self) -> u32 {
                match self { $(Self::$variant => $id,)* }
            }

            /// The name as llama.cpp's tools print it, for example `Q4_K`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How many elements one block holds; 1 for plain numbers.
            #[must_use]
            pub fn block_elements(self) -> u64 {
                match self { $(Self::$variant => $elements,)* }
            }

            /// How many bytes one block takes.
            #[must_use]
            pub fn block_bytes(self) -> u64 {
                match self { $(Self::$variant => $bytes,)* }
            }
        }
    };
}

tensor_types! {
    F32 = 0, "F32", 1 in 4;
    F16 = 1, "F16", 1 in 2;
    Q4_0 = 2, "Q4_0", 32 in 18;
    Q4_1 = 3, "Q4_1", 32 in 20;
    Q5_0 = 6, "Q5_0", 32 in 22;
    Q5_1 = 7, "Q5_1", 32 in 24;
    Q8_0 = 8, "Q8_0", 32 in 34;
    Q8_1 = 9, "Q8_1", 32 in 36;
    Q2K = 10, "Q2_K", 256 in 84;
    Q3K = 11, "Q3_K", 256 in 110;
    Q4K = 12, "Q4_K", 256 in 144;
    Q5K = 13, "Q5_K", 256 in 176;
    Q6K = 14, "Q6_K", 256 in 210;
    Q8K = 15, "Q8_K", 256 in 292;
    Iq2Xxs = 16, "IQ2_XXS", 256 in 66;
    Iq2Xs = 17, "IQ2_XS", 256 in 74;
    Iq3Xxs = 18, "IQ3_XXS", 256 in 98;
    Iq1S = 19, "IQ1_S", 256 in 50;
    Iq4Nl = 20, "IQ4_NL", 32 in 18;
    Iq3S = 21, "IQ3_S", 256 in 110;
    Iq2S = 22, "IQ2_S", 256 in 82;
    Iq4Xs = 23, "IQ4_XS", 256 in 136;
    I8 = 24, "I8", 1 in 1;
    I16 = 25, "I16", 1 in 2;
    I32 = 26, "I32", 1 in 4;
    I64 = 27, "I64", 1 in 8;
    F64 = 28, "F64", 1 in 8;
    Iq1M = 29, "IQ1_M", 256 in 56;
    Bf16 = 30, "BF16", 1 in 2;
    Tq1_0 = 34, "TQ1_0", 256 in 54;
    Tq2_0 = 35, "TQ2_0", 256 in 66;
    Mxfp4 = 39, "MXFP4", 32 in 17;
    Nvfp4 = 40, "NVFP4", 64 in 36;
    Q1_0 = 41, "Q1_0", 128 in 18;
    Q2_0 = 42, "Q2_0", 64 in 18;
}

impl TensorType {
    /// The type whose [`name`](Self::name) is `name`, in upper or lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// How many bytes `elements` elements take, rounded up to whole blocks; nothing on overflow.
    #[must_use]
    pub fn bytes_for(self, elements: u64) -> Option<u64> {
        elements.div_ceil(self.block_elements()).checked_mul(self.block_bytes())
    }

    /// Whether `id` once stood for a type that llama.cpp dropped.
    pub(crate) fn is_removed(id: u32) -> bool {
        matches!(id, 4 | 5 | 31..=33 | 36..=38)
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_type_by_number_and_by_name() {
        for &kind in TensorType::ALL {
            assert_eq!(TensorType::from_id(kind.id()), Some(kind));
            assert_eq!(TensorType::from_name(&kind.name().to_lowercase()), Some(kind));
        }
    }

    #[test]
    fn knows_every_number_below_43_as_present_or_removed() {
        for id in 0..43 {
            assert_ne!(TensorType::from_id(id).is_some(), TensorType::is_removed(id), "{id}");
        }
        assert_eq!(TensorType::from_id(43), None);
    }

    #[test]
    fn counts_bytes_in_whole_blocks() {
        assert_eq!(TensorType::Q8_0.bytes_for(64), Some(68));
        assert_eq!(TensorType::Q8_0.bytes_for(65), Some(102));
        assert_eq!(TensorType::F32.bytes_for(u64::MAX), None);
    }
}
