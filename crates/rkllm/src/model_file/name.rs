//! What the name of a model's file tells, by the custom of those who publish such files.

use crate::npu::Platform;

/// What a name tells; nothing of it is certain.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameHints {
    /// The chip it is made for.
    pub platform: Option<Platform>,
    /// How its weights are stored, such as `w8a8` or `w4a16_g128`.
    pub dtype: Option<String>,
    /// The NPU cores it uses.
    pub npu_cores: Option<u32>,
}

const DTYPES: [&str; 4] = ["w8a8", "w4a16", "w4a8", "fp16"];
const GROUPS: [u32; 5] = [32, 64, 128, 256, 512];

/// Reads the name of a file, without its folder.
pub(super) fn hints(name: &str) -> NameHints {
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
    NameHints { platform: platform(&words), dtype: dtype(&words), npu_cores: npu_cores(&words) }
}

/// The one platform that is named; a name with two tells nothing.
fn platform(words: &[&str]) -> Option<Platform> {
    let mut named =
        Platform::ALL.into_iter().filter(|platform| words.iter().any(|word| names(word, *platform)));
    named.next().filter(|_| named.next().is_none())
}

fn names(word: &str, platform: Platform) -> bool {
    // Only of RK3588 are there two chips.
    word == platform.as_str() || (platform == Platform::Rk3588 && word == "rk3588s")
}

fn dtype(words: &[&str]) -> Option<String> {
    let at = words.iter().position(|word| DTYPES.contains(word))?;
    let group = words.get(at + 1).and_then(|word| word.strip_prefix('g')).and_then(|size| size.parse().ok());
    let dtype = words.get(at)?;
    Some(match group.filter(|size| GROUPS.contains(size)) {
        Some(size) => format!("{dtype}_g{size}"),
        None => (*dtype).to_owned(),
    })
}

/// `npu3`, or `npu` and `3`.
fn npu_cores(words: &[&str]) -> Option<u32> {
    let at = words.iter().position(|word| word.starts_with("npu"))?;
    let number = words.get(at)?.strip_prefix("npu").filter(|rest| !rest.is_empty());
    let cores = number.or_else(|| words.get(at + 1).copied())?.parse().ok()?;
    (1..=3).contains(&cores).then_some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> (Option<Platform>, Option<String>, Option<u32>) {
        let hints = hints(name);
        (hints.platform, hints.dtype, hints.npu_cores)
    }

    #[test]
    fn the_names_that_people_give_are_read() {
        let rk3588 = Some(Platform::Rk3588);
        for (name, expected) in [
            ("Qwen3-1.7B-rk3588-w8a8-opt-1-hybrid-ratio-0.0.rkllm", (rk3588, Some("w8a8".into()), None)),
            ("gemma-2b_W8A8_G256_RK3588S_npu3.rkllm", (rk3588, Some("w8a8_g256".into()), Some(3))),
            (
                "tiny_rk3576_w4a16_g128_npu_2.rkllm",
                (Some(Platform::Rk3576), Some("w4a16_g128".into()), Some(2)),
            ),
            ("m.rv1126b.w4a16.rkllm", (Some(Platform::Rv1126b), Some("w4a16".into()), None)),
            ("m-rk3562-w4a8-g32.rkllm", (Some(Platform::Rk3562), Some("w4a8_g32".into()), None)),
            ("rk3588-rk3576.rkllm", (None, None, None)),
            ("rk35880-npu9-npux-w8a80.rkllm", (None, None, None)),
            ("", (None, None, None)),
        ] {
            assert_eq!(read(name), expected, "{name}");
        }
    }
}
