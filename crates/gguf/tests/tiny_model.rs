//! Reads the model that ships with the project, whole and damaged.

#![expect(clippy::unwrap_used, reason = "what a test builds upon may fail as loudly as the test")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rkllmjs_gguf::memory::{self, Plan};
use rkllmjs_gguf::{File, Kind, Scan, TensorType, check_model, check_weights_finite, facts};

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tiny/rkllmjs-tiny-q8_0.gguf")
}

#[test]
fn accepts_the_tiny_model_and_tells_its_facts() {
    let file = File::open(path()).unwrap();
    check_model(&file).unwrap();
    assert_eq!(file.kind(), Kind::Model);
    assert_eq!((file.version, file.alignment, file.file_bytes), (3, 32, 3_978_016));
    let facts = facts(&file);
    assert_eq!(facts.architecture, "llama");
    assert_eq!(facts.name, Some("rkllmjs-tiny"));
    assert_eq!(facts.size_label, Some("3.7M"));
    assert_eq!(facts.parameters, 3_705_600);
    assert_eq!(facts.quantization, Some("Q8_0"));
    assert_eq!(facts.context_length_trained, Some(1024));
    assert_eq!(facts.embedding_length, Some(256));
    assert_eq!(facts.feed_forward_length, Some(640));
    assert_eq!(facts.block_count, Some(5));
    assert_eq!(facts.head_count, [4; 5]);
    assert_eq!(facts.head_count_kv, [2; 5]);
    assert_eq!((facts.key_length, facts.value_length), (Some(64), Some(64)));
    assert_eq!(facts.vocabulary_size, Some(1024));
    assert!(facts.chat_template.unwrap().contains("messages"));
    assert!(!facts.is_recurrent_or_hybrid && !facts.is_encoder_only);
    assert_eq!(facts.sliding_window, None);
}

#[test]
fn estimates_the_cache_of_the_tiny_model() {
    let file = File::open(path()).unwrap();
    let (kv_type_k, kv_type_v) = (TensorType::F16, TensorType::F16);
    let plan = Plan { cells: 1024, kv_type_k, kv_type_v, batch: 512, micro_batch: 512, sequences: 1 };
    let estimate = memory::estimate(&facts(&file), &plan);
    assert_eq!(estimate.kv_bytes, 1024 * 5 * 2 * (64 + 64) * 2);
    assert_eq!(estimate.weights_bytes, file.tensors.iter().map(|tensor| tensor.bytes).sum::<u64>());
}

#[test]
fn finds_the_tiny_models_weights_finite() {
    assert_eq!(check_weights_finite(path(), 1 << 24).unwrap(), Scan::Finite);
}

/// Marsaglia's generator: deterministic, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// Opens and checks damaged bytes; the result does not matter, a panic or a hang does.
fn survives(bytes: &[u8], length: u64) {
    if let Ok(file) = File::read(bytes, length) {
        let _ = check_model(&file);
        let plan_type = TensorType::F16;
        let plan = Plan {
            cells: u64::MAX,
            kv_type_k: plan_type,
            kv_type_v: plan_type,
            batch: 1,
            micro_batch: 1,
            sequences: 1,
        };
        let _ = memory::estimate(&facts(&file), &plan);
    }
}

/// The most memory this process has held, in bytes; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes * 1024)
}

#[test]
fn survives_twenty_thousand_damaged_headers() {
    let whole = std::fs::read(path()).unwrap();
    let data_offset = usize::try_from(File::open(path()).unwrap().data_offset).unwrap();
    let header = &whole[..data_offset];
    let length = whole.len() as u64;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let started = Instant::now();
    let before = peak_memory();
    let mut damaged = header.to_vec();
    for round in 0..20_000 {
        let place = random.below(data_offset);
        match round % 4 {
            0 => damaged[place] ^= 1 << random.below(8),
            1 => damaged[place] = [0, 0x7f, 0x80, 0xff][random.below(4)],
            2 => damaged[place..].iter_mut().take(8).for_each(|byte| *byte = 0xff),
            _ => {
                survives(&damaged[..place], place as u64);
                survives(&damaged[..place], length);
            }
        }
        survives(&damaged, length);
        // Faults pile up for a few rounds, so that later fields are reached with earlier ones damaged.
        if random.below(3) > 0 {
            damaged.copy_from_slice(header);
        }
    }
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
    let grown = peak_memory().saturating_sub(before);
    assert!(grown < 64 * 1024 * 1024, "memory grew by {grown} bytes");
}
