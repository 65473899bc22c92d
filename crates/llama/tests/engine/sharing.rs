//! Cells that several sequences share.

use std::ops::Range;

use rkllmjs_core::{Engine, SequenceId, Token};
use rkllmjs_llama::{EngineOptions, KvType, kept_prefixes};
use rkllmjs_synthetic::{Kind, Options};

use crate::support::{Bench, SyntheticModel, engine_options, greedy, tiny, tiny_file};

const QUESTION: &str = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n";
const HOLDER: SequenceId = SequenceId(1 << 63);

fn all(prompt: &[Token]) -> Range<u32> {
    0..u32::try_from(prompt.len()).expect("a short prompt")
}

/// Computes `prompt` in a sequence that stays.
fn computed(bench: &mut Bench, prompt: &[Token]) -> SequenceId {
    let sequence = bench.open(&greedy(), 0, prompt).expect("it opens");
    bench.next(sequence, 0, prompt).expect("a token");
    sequence
}

#[test]
fn cells_of_an_adapter_are_shared_until_it_is_unloaded_and_not_with_the_next_of_its_name() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens(QUESTION);
    let path = tiny_file("rkllmjs-tiny-lora-pirate-f16.gguf");
    let plain = computed(&mut bench, &prompt);
    bench.engine.load_adapter("pirate", &path, 1.0).expect("the adapter loads");
    bench.adapters = vec![("pirate".to_owned(), 1.0)];
    let pirate = computed(&mut bench, &prompt);
    assert!(bench.engine.share(pirate, HOLDER, all(&prompt)));
    bench.engine.load_adapter("other", &path, 1.0).expect("the adapter loads");
    let copy = SequenceId(HOLDER.0 + 1);
    assert!(bench.engine.share(HOLDER, copy, 0..4), "another adapter changes nothing");
    assert_eq!(bench.engine.unload_adapter("pirate"), Ok(true));
    assert_eq!(bench.engine.unload_adapter("pirate"), Ok(false));
    for _ in 0..2 {
        for gone in [pirate, HOLDER, copy] {
            assert!(!bench.engine.share(gone, SequenceId(HOLDER.0 + 2), 0..4), "{gone:?}");
        }
        assert!(bench.engine.share(plain, SequenceId(HOLDER.0 + 3), all(&prompt)), "it had no adapter");
        bench.engine.release(SequenceId(HOLDER.0 + 3));
        let _ = bench.engine.load_adapter("pirate", &path, 1.0);
    }
    let renewed = computed(&mut bench, &prompt);
    assert!(bench.engine.share(renewed, SequenceId(HOLDER.0 + 4), all(&prompt)));
}

#[test]
fn a_sequence_that_lacks_what_comes_before_gets_nothing() {
    let mut bench = Bench::tiny();
    let prompt = bench.tokens(QUESTION);
    let whole = computed(&mut bench, &prompt);
    let part = bench.open(&greedy(), 0, &prompt).expect("it opens");
    assert!(!bench.engine.share(whole, part, 2..4), "there is nothing before 2");
    assert!(!bench.engine.share(whole, part, 3..3));
    assert!(bench.engine.share(whole, part, 0..4));
    assert!(!bench.engine.share(whole, part, 0..6), "0 to 4 are there already");
    assert!(!bench.engine.share(whole, whole, all(&prompt)));
    assert!(bench.engine.share(whole, part, 4..6));
    let expected = bench.first(&greedy(), 0, &prompt).expect("a token").token;
    assert_eq!(bench.next(part, 6, prompt.get(6..).expect("more")).expect("a token").token, expected);
}

#[test]
fn a_quantized_cache_is_shared_as_it_is() {
    let options = EngineOptions { kv_type: KvType::Q8_0, ..engine_options() };
    let mut bench = Bench::new(tiny(), options);
    let prompt = bench.tokens(QUESTION);
    let expected = bench.text(&greedy(), 0, &prompt, 12);
    let whole = computed(&mut bench, &prompt);
    let sequence = bench.open(&greedy(), 0, &prompt).expect("it opens");
    let shared = prompt.len() - 1;
    assert!(bench.engine.share(whole, sequence, 0..u32::try_from(shared).expect("short")));
    let mut taken = bench.next(sequence, shared, prompt.get(shared..).expect("the last")).expect("a token");
    let mut text = Vec::new();
    let mut at = prompt.len();
    while !taken.end && at < prompt.len() + 11 {
        text.extend_from_slice(&taken.bytes);
        taken = bench.next(sequence, at, &[taken.token]).expect("a token");
        at += 1;
    }
    assert!(expected.starts_with(String::from_utf8_lossy(&text).as_ref()) && text.len() > 4, "{expected}");
}

#[test]
fn as_many_prefixes_are_kept_as_ids_are_left() {
    assert_eq!([1, 16, 224, 250, 256].map(kept_prefixes), [32, 32, 32, 6, 0]);
    for sequences in [1, 4, 256] {
        // A batch smaller than the number of ids.
        let options = EngineOptions { sequences, batch: sequences.max(8), cells: 1024, ..engine_options() };
        let mut bench = Bench::new(tiny(), options);
        let limits = bench.engine.limits().clone();
        assert_eq!((limits.shares, limits.kept), (true, kept_prefixes(sequences)));
        let prompt: Vec<Token> = bench.tokens("capital of").into_iter().take(8).collect();
        let whole = computed(&mut bench, &prompt);
        for n in 0..u64::from(limits.kept) {
            assert!(bench.engine.share(whole, SequenceId(HOLDER.0 + n), all(&prompt)), "prefix {n}");
        }
    }
}

#[test]
fn a_cache_of_a_few_cells_keeps_fewer_prefixes() {
    let options = EngineOptions { context: 24, cells: 24, sequences: 4, batch: 4, ..engine_options() };
    let mut bench = Bench::new(tiny(), options);
    assert_eq!(bench.engine.limits().kept, 20);
    let prompt = bench.tokens("capital of");
    for token in prompt.iter().take(4) {
        bench.first(&greedy(), 0, &[*token]).expect("a token");
    }
}

#[test]
fn a_model_that_only_reads_shares_nothing() {
    let file = SyntheticModel::new(Kind::Embed, &Options::default());
    let options = EngineOptions { encoder_only: true, embeds_with_encoder: true, ..engine_options() };
    let bench = Bench::new(file.load(), options);
    assert_eq!((bench.engine.limits().shares, bench.engine.limits().kept), (false, 0));
}
