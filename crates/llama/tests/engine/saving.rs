//! Cells that were saved and are restored, and bytes that are no such cells.

use rkllmjs_core::{Adapters, Engine, Error, ErrorCode, SequenceId, Token};
use rkllmjs_llama::{EngineOptions, KvType};
use rkllmjs_synthetic::{Kind, Options};

use crate::support::{Bench, SyntheticModel, engine_options, greedy, tiny, tiny_file};

const QUESTION: &str = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n";
const HOLDER: SequenceId = SequenceId(1 << 63);

fn small() -> EngineOptions {
    EngineOptions { context: 256, cells: 512, sequences: 4, batch: 128, ..engine_options() }
}

/// Every way in which the cache of the tiny model can be laid out.
fn layouts() -> [EngineOptions; 4] {
    let of = |kv_type, flash_attention| EngineOptions { kv_type, flash_attention, ..small() };
    [
        of(KvType::F16, None),
        // Its values are transposed.
        of(KvType::F16, Some(false)),
        of(KvType::Q8_0, None),
        of(KvType::Q4_0, None),
    ]
}

fn count(tokens: &[Token]) -> u32 {
    u32::try_from(tokens.len()).expect("a short prompt")
}

/// Computes `prompt` and gives what was saved of it.
fn saved(bench: &mut Bench, prompt: &[Token]) -> Vec<u8> {
    let sequence = bench.open(&greedy(), 0, prompt).expect("it opens");
    bench.next(sequence, 0, prompt).expect("a token");
    let saved = bench.engine.save(sequence, count(prompt)).expect("it saves").expect("it is there");
    bench.engine.release(sequence);
    saved
}

fn restore(bench: &mut Bench, tokens: &[Token], saved: &[u8]) -> Result<bool, Error> {
    bench.engine.restore(HOLDER, count(tokens), &Adapters::new(), saved)
}

/// What follows `prompt` where all of it but its last token is restored.
fn continued(bench: &mut Bench, prompt: &[Token], saved: &[u8]) -> Token {
    let (last, rest) = prompt.split_last().expect("a token");
    let sequence = bench.open(&greedy(), 0, prompt).expect("it opens");
    let restored = bench.engine.restore(sequence, count(rest), &Adapters::new(), saved);
    assert_eq!(restored, Ok(true));
    let next = bench.next(sequence, rest.len(), &[*last]).expect("a token").token;
    bench.engine.release(sequence);
    next
}

#[test]
fn another_engine_goes_on_where_one_has_ended_however_its_cache_is_laid_out() {
    for options in layouts() {
        let mut bench = Bench::new(tiny(), options.clone());
        let prompt = bench.tokens(QUESTION);
        let expected = bench.first(&greedy(), 0, &prompt).expect("a token").token;
        let saved = saved(&mut bench, &prompt);
        assert_eq!(continued(&mut bench, &prompt, &saved), expected);
        let mut other = Bench::new(tiny(), options);
        assert_eq!(continued(&mut other, &prompt, &saved), expected);
    }
}

#[test]
fn cells_of_another_layout_are_refused_and_change_nothing() {
    for (place, options) in layouts().into_iter().enumerate() {
        let mut bench = Bench::new(tiny(), options);
        let prompt = bench.tokens(QUESTION);
        let own = saved(&mut bench, &prompt);
        let expected = bench.first(&greedy(), 0, &prompt).expect("a token").token;
        for (_, other) in layouts().into_iter().enumerate().filter(|(other, _)| *other != place) {
            let foreign = saved(&mut Bench::new(tiny(), other), &prompt);
            let error = restore(&mut bench, &prompt, &foreign).expect_err("another layout");
            assert_eq!(error.code, ErrorCode::ModelInvalid, "{}", error.message);
        }
        assert_eq!(continued(&mut bench, &prompt, &own), expected);
    }
    let other = SyntheticModel::new(Kind::Tiny, &Options::default());
    let mut other = Bench::new(other.load(), small());
    let foreign = saved(&mut other, &[5, 6, 7, 8, 9, 10]);
    let mut bench = Bench::new(tiny(), small());
    let error = restore(&mut bench, &[1; 6], &foreign).expect_err("another model");
    assert_eq!(error.code, ErrorCode::ModelInvalid);
}

#[test]
fn no_change_of_the_bytes_ends_the_process_or_harms_another_sequence() {
    let mut random = 1_u64;
    let mut draw = move |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below.max(1)
    };
    for options in layouts() {
        let mut bench = Bench::new(tiny(), options);
        let prompt = bench.tokens(QUESTION);
        let good = saved(&mut bench, &prompt);
        let expected = bench.first(&greedy(), 0, &prompt).expect("a token").token;
        let head = 16 + 12 * prompt.len() + 16 + 12;
        let mut taken = 0;
        for round in 0..1500 {
            let mut bytes = good.clone();
            match round % 3 {
                // What says how to read the rest, where damage does most.
                0 => bytes[draw(head)] ^= 1 << draw(8),
                1 => {
                    let at = draw(head - 4);
                    let value = [0, 1, 0x7fff_ffff, u32::MAX, draw(1 << 20) as u32][draw(5)];
                    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                }
                _ => bytes[draw(good.len())] = draw(256) as u8,
            }
            match restore(&mut bench, &prompt, &bytes) {
                Ok(true) => taken += 1,
                Err(Error { code: ErrorCode::ModelInvalid, .. }) => {}
                other => panic!("round {round}: {other:?}"),
            }
            bench.engine.release(HOLDER);
        }
        assert!(taken > 0, "nothing got as far as the cache");
        assert_eq!(bench.first(&greedy(), 0, &prompt).expect("a token").token, expected);
        assert_eq!(continued(&mut bench, &prompt, &good), expected);
    }
}

#[test]
fn what_finds_no_room_changes_nothing() {
    let mut bench = Bench::new(tiny(), EngineOptions { cells: 256, batch: 256, ..small() });
    let prompt: Vec<Token> = (300..450).collect();
    let good = saved(&mut bench, &prompt);
    let other: Vec<Token> = (500..650).collect();
    let sequence = bench.open(&greedy(), 0, &other).expect("it opens");
    let next = bench.next(sequence, 0, &other).expect("a token").token;
    assert_eq!(restore(&mut bench, &prompt, &good), Ok(false));
    assert_eq!(restore(&mut bench, &prompt[..100], &good), Ok(true), "so many cells are free");
    bench.engine.release(HOLDER);
    bench.engine.park(sequence);
    assert_eq!(bench.next(sequence, 0, &other).expect("a token").token, next);
    bench.engine.release(sequence);
    assert_eq!(restore(&mut bench, &prompt, &good), Ok(true));
    let again = restore(&mut bench, &prompt, &good).expect_err("it has cells");
    assert_eq!(again.code, ErrorCode::Internal);
}

#[test]
fn cells_of_an_adapter_are_saved_until_it_is_unloaded_and_restored_as_its() {
    let mut bench = Bench::new(tiny(), small());
    let prompt = bench.tokens(QUESTION);
    bench
        .engine
        .load_adapter("pirate", &tiny_file("rkllmjs-tiny-lora-pirate-f16.gguf"), 1.0)
        .expect("it loads");
    bench.adapters = vec![("pirate".to_owned(), 1.0)];
    let pirate = bench.open(&greedy(), 0, &prompt).expect("it opens");
    bench.next(pirate, 0, &prompt).expect("a token");
    let saved = bench.engine.save(pirate, count(&prompt)).expect("it saves").expect("it is there");
    let adapters = bench.adapters.clone();
    assert_eq!(bench.engine.restore(HOLDER, count(&prompt), &adapters, &saved), Ok(true));
    assert!(bench.engine.share(HOLDER, SequenceId(HOLDER.0 + 1), 0..4));
    bench.engine.unload_adapter("pirate").expect("it unloads");
    for gone in [pirate, HOLDER] {
        assert_eq!(bench.engine.save(gone, 4), Ok(None));
        assert!(!bench.engine.share(gone, SequenceId(HOLDER.0 + 2), 0..4));
    }
}

#[test]
fn models_whose_memory_cannot_be_cut_save_nothing() {
    let options = EngineOptions { encoder_only: true, embeds_with_encoder: true, ..small() };
    let file = SyntheticModel::new(Kind::Embed, &Options::default());
    let mut bench = Bench::new(file.load(), options);
    let code = |result: Result<(), Error>| result.expect_err("it reads only").code;
    assert_eq!(code(bench.engine.save(HOLDER, 1).map(drop)), ErrorCode::Unsupported);
    assert_eq!(code(restore(&mut bench, &[1], &[]).map(drop)), ErrorCode::Unsupported);
}
