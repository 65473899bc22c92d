//! Models whose images have two dimensions: the rows of an image stand at one place, and what follows it behind its
//! longer side. What they say is held against llama.cpp's own way through a prompt.

use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;

use llama_cpp_sys_2 as sys;
use rkllmjs_core::{
    Engine, ErrorCode, FIRST_ROW_TOKEN, GenerateOptions, Medium, Request, RowAttention, RowPlaces, Run,
    SequenceId, StepOutcome, Token, Tokenizer,
};
use rkllmjs_llama::{EngineOptions, MediumPart, Model, Pixels, Projector, ProjectorOptions};
use rkllmjs_synthetic::{Kind, Options};

use crate::support::{Bench, SyntheticModel, Taken, engine_options, greedy};

const HOLDER: SequenceId = SequenceId(1 << 63);

/// A model, its projector, and images of other shapes.
const FAMILIES: [(Kind, Kind, u32); 4] = [
    (Kind::MicroPlaced, Kind::ProjectorQwen2Vl, 64),
    (Kind::MicroPlaced, Kind::ProjectorQwen25Vl, 64),
    (Kind::MicroDeep, Kind::ProjectorQwen3Vl, 128),
    (Kind::MicroPlaced, Kind::Projector, 64),
];

struct Family {
    model: SyntheticModel,
    projector: SyntheticModel,
}

impl Family {
    fn new((model, projector, width): (Kind, Kind, u32)) -> Self {
        let projector = SyntheticModel::new(projector, &Options { width, ..Options::default() });
        Self { model: SyntheticModel::new(model, &Options::default()), projector }
    }

    fn bench(&self) -> Bench {
        let options = EngineOptions { cells: 2048, sequences: 4, batch: 512, ..engine_options() };
        Bench::new(self.model.load(), options)
    }

    fn projector(&self, model: &Arc<Model>) -> Projector {
        let options = ProjectorOptions { threads: 1, gpu: false, rows: Some(64), log: None };
        Projector::load(model, self.projector.path(), &options, &|| false).expect("the projector loads")
    }
}

/// The pixels of a picture of this size.
fn picture(width: u32, height: u32) -> Vec<u8> {
    let colour = |x: u32, y: u32| [(x * 7) as u8, (y * 5) as u8, (x + 3 * y) as u8];
    (0..height).flat_map(|y| (0..width).flat_map(move |x| colour(x, y))).collect()
}

/// A prompt with pictures in it: its tokens, and what they stand for; where each stretch of it begins.
struct Prompt {
    tokens: Vec<Token>,
    media: Vec<Arc<Medium>>,
    stretches: Vec<usize>,
}

impl Prompt {
    /// Five tokens from `text` on before each picture and behind the last.
    fn new(projector: &mut Projector, width: usize, sizes: &[(u32, u32)], text: Token) -> Self {
        let mut prompt = Self { tokens: Vec::new(), media: Vec::new(), stretches: Vec::new() };
        let words = |number: usize| (0..5).map(move |i| text + 11 * number as Token + 3 * i);
        for (number, &(across, down)) in sizes.iter().enumerate() {
            prompt.add_text(words(number));
            let bytes = picture(across, down);
            let pixels = Pixels::new(across, down, &bytes).expect("an image");
            for part in projector.read(pixels, 1000, &|| false).expect("it is read") {
                prompt.add(part, width);
            }
        }
        prompt.add_text(words(sizes.len()));
        prompt
    }

    fn add_text(&mut self, tokens: impl IntoIterator<Item = Token>) {
        let is_after_text = self.tokens.last().is_some_and(|&token| token < FIRST_ROW_TOKEN);
        if !is_after_text {
            self.stretches.push(self.tokens.len());
        }
        self.tokens.extend(tokens);
    }

    fn add(&mut self, part: MediumPart, width: usize) {
        let (values, attention, places) = match part {
            MediumPart::Tokens(tokens) => return self.add_text(tokens),
            MediumPart::Rows(values, attention, places) => (values, attention, places),
        };
        let first = self.media.last().map_or(FIRST_ROW_TOKEN, |medium| medium.tokens().end);
        let medium = Medium::new(first, width, values, attention).and_then(|medium| medium.placed(places));
        let medium = Arc::new(medium.expect("rows"));
        self.stretches.push(self.tokens.len());
        self.tokens.extend(medium.tokens());
        self.media.push(medium);
    }

    fn request(&self, bench: &Bench) -> Request {
        let options = GenerateOptions { logprobs: Some(true), top_logprobs: Some(5.0), ..greedy() };
        let support = &bench.engine.limits().options;
        let built = options.build(support, bench.model.vocabulary_size(), 0).expect("the options");
        Request { media: self.media.clone(), ..built }
    }

    fn open(&self, bench: &mut Bench) -> SequenceId {
        let request = self.request(bench);
        bench.open_request(&request, &self.tokens).expect("it opens")
    }

    /// Computes the prompt from `start` on; what follows it.
    fn compute(&self, bench: &mut Bench, sequence: SequenceId, start: usize) -> Taken {
        self.compute_to(bench, sequence, start, self.tokens.len()).expect("a token")
    }

    fn compute_to(&self, bench: &mut Bench, sequence: SequenceId, start: usize, end: usize) -> Option<Taken> {
        let cuts = self.stretches.iter().copied().chain([self.tokens.len()]);
        let ends: Vec<usize> = cuts.filter(|cut| (start + 1..end).contains(cut)).chain([end]).collect();
        let (mut start, mut taken) = (start, None);
        for end in ends {
            let tokens = &self.tokens[start..end];
            let sample = end == self.tokens.len();
            let run = Run { sequence, start: start as u32, tokens, sample, drafted: 0 };
            let (outcome, mut tray) = bench.step(vec![run]);
            assert_eq!(outcome, StepOutcome::Done);
            taken = tray.0.pop();
            start = end;
        }
        taken.map(|(_, taken)| taken.expect("no failure"))
    }

    /// What follows the prompt and two tokens after it, computed by itself.
    fn answer(&self, bench: &mut Bench) -> Vec<Taken> {
        let sequence = self.open(bench);
        let first = self.compute(bench, sequence, 0);
        self.go_on(bench, sequence, first)
    }

    fn go_on(&self, bench: &mut Bench, sequence: SequenceId, first: Taken) -> Vec<Taken> {
        let mut answer = vec![first];
        for more in 0..2 {
            let token = answer.last().expect("a token").token;
            answer.push(bench.next(sequence, self.tokens.len() + more, &[token]).expect("a token"));
        }
        bench.engine.release(sequence);
        answer
    }
}

fn logprobs(taken: &Taken) -> Vec<(Token, f32)> {
    let known = taken.logprob.as_ref().expect("log probabilities");
    known.top.iter().map(|top| (top.token, top.logprob)).collect()
}

fn assert_same(found: &[Taken], expected: &[Taken], what: &str) {
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        let (found, expected) = (logprobs(found), logprobs(expected));
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                found.0 == expected.0 && (found.1 - expected.1).abs() < 2e-3,
                "{what}, {number}: {found:?} {expected:?}"
            );
        }
    }
}

/// The log probabilities of all tokens behind a prompt as llama.cpp's helper computes it, and behind `answer` after
/// that: `parts` are text as tokens' spellings, and pictures between them.
struct Helper {
    model: *mut sys::llama_model,
    context: *mut sys::llama_context,
    projector: *mut sys::mtmd_context,
    past: sys::llama_pos,
}

fn c_path(path: &Path) -> CString {
    CString::new(path.to_str().expect("UTF-8")).expect("no NUL")
}

impl Helper {
    fn new(family: &Family) -> Self {
        let (model_path, projector_path) = (c_path(family.model.path()), c_path(family.projector.path()));
        // SAFETY: a plain function that returns a struct.
        let model_params = unsafe { sys::llama_model_default_params() };
        // SAFETY: the path ends in NUL; the file is good.
        let model = unsafe { sys::llama_model_load_from_file(model_path.as_ptr(), model_params) };
        // SAFETY: a plain function that returns a struct.
        let mut params = unsafe { sys::llama_context_default_params() };
        (params.n_ctx, params.n_threads, params.n_threads_batch) = (1024, 1, 1);
        // SAFETY: the model is alive.
        let context = unsafe { sys::llama_init_from_model(model, params) };
        // SAFETY: a plain function that returns a struct.
        let mut params = unsafe { sys::mtmd_context_params_default() };
        (params.use_gpu, params.print_timings, params.n_threads, params.image_max_tokens) =
            (false, false, 1, 64);
        // SAFETY: path and model are alive.
        let projector = unsafe { sys::mtmd_init_from_file(projector_path.as_ptr(), model, params) };
        assert!(!model.is_null() && !context.is_null() && !projector.is_null());
        Self { model, context, projector, past: 0 }
    }

    /// Computes tokens after what is there.
    fn text(&mut self, tokens: &[Token]) {
        let mut tokens: Vec<i32> = tokens.iter().map(|token| token.cast_signed()).collect();
        let count = tokens.len() as i32;
        let mut positions: Vec<i32> = (self.past..).take(tokens.len()).collect();
        // SAFETY: the batch points into `tokens`, which outlives it.
        let mut batch = unsafe { sys::llama_batch_get_one(tokens.as_mut_ptr(), count) };
        batch.pos = positions.as_mut_ptr();
        // SAFETY: context and batch are valid.
        let status = unsafe { sys::llama_decode(self.context, batch) };
        assert_eq!(status, 0);
        self.past += count;
    }

    /// Computes a picture with what stands round it.
    fn picture(&mut self, (across, down): (u32, u32)) {
        let pixels = picture(across, down);
        // SAFETY: there are three bytes for each pixel.
        let bitmap = unsafe { sys::mtmd_bitmap_init(across, down, pixels.as_ptr()) };
        self.medium(bitmap);
    }

    /// The same with sound.
    fn sound(&mut self, samples: &[f32]) {
        // SAFETY: there are so many samples.
        let bitmap = unsafe { sys::mtmd_bitmap_init_from_audio(samples.len(), samples.as_ptr()) };
        self.medium(bitmap);
    }

    /// Computes a medium, and frees it.
    fn medium(&mut self, bitmap: *mut sys::mtmd_bitmap) {
        // SAFETY: a plain function.
        let chunks = unsafe { sys::mtmd_input_chunks_init() };
        let part = sys::mtmd_input_part { text: std::ptr::null(), bitmap };
        let parts = [std::ptr::from_ref(&part)];
        // SAFETY: all of these are alive.
        let status = unsafe {
            sys::mtmd_tokenize_from_parts(self.projector, chunks, parts.as_ptr().cast_mut(), 1, false)
        };
        assert_eq!(status, 0);
        let mut past = self.past;
        // SAFETY: all of these are alive.
        let status = unsafe {
            sys::mtmd_helper_eval_chunks(
                self.projector,
                self.context,
                chunks,
                self.past,
                0,
                512,
                false,
                &raw mut past,
            )
        };
        assert_eq!(status, 0);
        self.past = past;
        // SAFETY: freed once.
        unsafe { sys::mtmd_input_chunks_free(chunks) };
        // SAFETY: freed once.
        unsafe { sys::mtmd_bitmap_free(bitmap) };
    }

    /// The log probabilities of what follows.
    fn logprobs(&self, vocabulary: usize) -> Vec<f64> {
        // SAFETY: the last token of the batch has logits.
        let values = unsafe { sys::llama_get_logits_ith(self.context, -1) };
        // SAFETY: one float for each token of the vocabulary, alive until the context is used again.
        let logits = unsafe { std::slice::from_raw_parts(values, vocabulary) };
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
        logits.iter().map(|logit| f64::from(logit - highest) - total.ln()).collect()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // SAFETY: freed once, before its model.
        unsafe { sys::mtmd_free(self.projector) };
        // SAFETY: freed once, before its model.
        unsafe { sys::llama_free(self.context) };
        // SAFETY: freed once, after everything that used it.
        unsafe { sys::llama_model_free(self.model) };
    }
}

#[test]
fn what_follows_images_is_what_llama_cpp_itself_computes() {
    for kinds in FAMILIES {
        let family = Family::new(kinds);
        let mut bench = family.bench();
        let vocabulary = bench.model.vocabulary_size() as usize;
        let mut projector = family.projector(&Arc::clone(&bench.model));
        for sizes in [vec![(96, 40)], vec![(30, 120), (64, 64)], vec![(16, 16), (200, 20), (16, 16)]] {
            let prompt = Prompt::new(&mut projector, kinds.2 as usize, &sizes, 300);
            let answer = prompt.answer(&mut bench);
            let mut helper = Helper::new(&family);
            for (number, &size) in sizes.iter().enumerate() {
                helper.text(&(0..5).map(|i| 300 + 11 * number as Token + 3 * i).collect::<Vec<_>>());
                helper.picture(size);
            }
            helper.text(&(0..5).map(|i| 300 + 11 * sizes.len() as Token + 3 * i).collect::<Vec<_>>());
            for (number, taken) in answer.iter().enumerate() {
                let expected = helper.logprobs(vocabulary);
                for (token, logprob) in logprobs(taken) {
                    let other = expected[token as usize];
                    assert!(
                        (f64::from(logprob) - other).abs() < 2e-3,
                        "{kinds:?} {sizes:?} {number}: {logprob} {other}"
                    );
                }
                helper.text(&[taken.token]);
            }
        }
    }
}

#[test]
fn images_of_such_models_stand_in_grids_of_their_shape() {
    let family = Family::new(FAMILIES[0]);
    let bench = family.bench();
    let mut projector = family.projector(&bench.model);
    // Sixteen pixels a row, so many of them that 8 to 64 rows come out.
    for ((across, down), columns, rows) in [((96, 48), 6, 18), ((48, 96), 3, 18), ((16, 128), 1, 8)] {
        let bytes = picture(across, down);
        let parts = projector.read(Pixels::new(across, down, &bytes).expect("an image"), 1000, &|| false);
        let parts = parts.expect("it is read");
        let found = parts.iter().find_map(|part| match part {
            MediumPart::Rows(values, RowAttention::Causal, places) => Some((values.len() / 64, *places)),
            _ => None,
        });
        assert_eq!(found, Some((rows, RowPlaces::Grid { columns })), "{across} × {down}");
    }
    let large = picture(1000, 800);
    let parts = projector.read(Pixels::new(1000, 800, &large).expect("an image"), 1000, &|| false);
    let rows = parts.expect("it is read").into_iter().find_map(|part| match part {
        MediumPart::Rows(values, ..) => Some(values.len() / 64),
        MediumPart::Tokens(_) => None,
    });
    assert!(rows.is_some_and(|rows| (40..=64).contains(&rows)), "it is scaled down to 64 rows: {rows:?}");
}

#[test]
fn an_image_computed_in_pieces_is_the_same_image() {
    let family = Family::new(FAMILIES[0]);
    let mut bench = family.bench();
    let mut projector = family.projector(&Arc::clone(&bench.model));
    let prompt = Prompt::new(&mut projector, 64, &[(96, 48), (48, 96)], 400);
    let expected = prompt.answer(&mut bench);
    let rows = prompt.stretches[1];
    for cuts in [vec![rows + 1], vec![rows + 7, rows + 8], vec![rows + 17]] {
        let sequence = prompt.open(&mut bench);
        let mut start = 0;
        for cut in cuts {
            prompt.compute_to(&mut bench, sequence, start, cut);
            start = cut;
        }
        let first = prompt.compute(&mut bench, sequence, start);
        assert_same(&prompt.go_on(&mut bench, sequence, first), &expected, "in pieces");
    }
}

#[test]
fn cells_of_images_are_shared_at_their_ends_and_not_between() {
    let family = Family::new(FAMILIES[0]);
    let mut bench = family.bench();
    let mut projector = family.projector(&Arc::clone(&bench.model));
    let prompt = Prompt::new(&mut projector, 64, &[(96, 48), (48, 96)], 500);
    let expected = prompt.answer(&mut bench);
    let whole = prompt.open(&mut bench);
    prompt.compute(&mut bench, whole, 0);
    let (rows, end) = (prompt.stretches[1] as u32, prompt.stretches[2] as u32);
    let all = prompt.tokens.len() as u32;
    // To one that is opened, in stretches that end where an image begins, where it ends, and in text.
    for ends in [vec![rows], vec![end], vec![rows, end, end + 1], vec![all - 1]] {
        let sequence = prompt.open(&mut bench);
        let mut start = 0;
        for end in ends {
            assert!(bench.engine.share(whole, sequence, start..end), "{start}..{end}");
            start = end;
        }
        let first = prompt.compute(&mut bench, sequence, start as usize);
        assert_same(&prompt.go_on(&mut bench, sequence, first), &expected, "shared");
    }
    let part = prompt.open(&mut bench);
    for cut in [rows + 1, rows + 9, end - 1] {
        assert!(!bench.engine.share(whole, part, 0..cut), "{cut} is between rows");
    }
    bench.engine.release(part);
    // To a holder that outlives it, and from that to another.
    assert!(bench.engine.share(whole, HOLDER, 0..all));
    bench.engine.release(whole);
    for start in [rows, end, all - 1] {
        let sequence = prompt.open(&mut bench);
        assert!(bench.engine.share(HOLDER, sequence, 0..start), "{start}");
        let first = prompt.compute(&mut bench, sequence, start as usize);
        assert_same(&prompt.go_on(&mut bench, sequence, first), &expected, "from a holder");
    }
}

#[test]
fn an_image_that_was_stopped_half_way_is_computed_whole_again() {
    let family = Family::new(FAMILIES[0]);
    let mut bench = family.bench();
    let mut projector = family.projector(&Arc::clone(&bench.model));
    let prompt = Prompt::new(&mut projector, 64, &[(96, 48)], 600);
    let expected = prompt.answer(&mut bench);
    let (rows, end) = (prompt.stretches[1], prompt.stretches[2]);
    let switch = bench.engine.abort_switch();
    for cut in [rows, rows + 5, end - 1, end] {
        let sequence = prompt.open(&mut bench);
        prompt.compute_to(&mut bench, sequence, 0, cut);
        let next = if cut < end { end } else { prompt.tokens.len() };
        let tokens = &prompt.tokens[cut..next];
        switch.throw();
        let run = Run { sequence, start: cut as u32, tokens, sample: false, drafted: 0 };
        assert_eq!(bench.step(vec![run]).0, StepOutcome::Aborted);
        switch.reset();
        let first = prompt.compute(&mut bench, sequence, cut);
        assert_same(&prompt.go_on(&mut bench, sequence, first), &expected, &format!("stopped at {cut}"));
    }
}

#[test]
fn images_of_several_sequences_are_computed_beside_text() {
    let family = Family::new(FAMILIES[0]);
    let mut bench = family.bench();
    let mut projector = family.projector(&Arc::clone(&bench.model));
    let first = Prompt::new(&mut projector, 64, &[(96, 48)], 700);
    let second = Prompt::new(&mut projector, 64, &[(16, 128)], 720);
    let plain: Vec<Token> = (0..9).map(|i| 800 + i).collect();
    let alone = [first.answer(&mut bench), second.answer(&mut bench)];
    let expected = bench.first(&greedy(), 0, &plain).expect("a token").token;
    let ids = [first.open(&mut bench), second.open(&mut bench)];
    let text = bench.open(&greedy(), 0, &plain).expect("it opens");
    for (prompt, &sequence) in [&first, &second].into_iter().zip(&ids) {
        prompt.compute_to(&mut bench, sequence, 0, prompt.stretches[1]);
    }
    let rows = |sequence, from: usize, tokens| Run {
        sequence,
        start: from as u32,
        tokens,
        sample: false,
        drafted: 0,
    };
    let (one, two) = (first.stretches[1]..first.stretches[2], second.stretches[1]..second.stretches[2]);
    let (outcome, tray) = bench.step(vec![
        rows(ids[0], one.start, &first.tokens[one.clone()]),
        Run { sequence: text, start: 0, tokens: &plain, sample: true, drafted: 0 },
        rows(ids[1], two.start, &second.tokens[two.clone()]),
    ]);
    assert_eq!((outcome, tray.0.len()), (StepOutcome::Done, 1));
    assert_eq!(tray.0[0].1.as_ref().expect("a token").token, expected);
    for ((prompt, sequence), expected) in [&first, &second].into_iter().zip(ids).zip(&alone) {
        let taken = prompt.compute(&mut bench, sequence, prompt.stretches[2]);
        assert_same(&prompt.go_on(&mut bench, sequence, taken), expected, "beside others");
    }
}

#[test]
fn text_before_an_image_is_saved_and_the_image_is_not() {
    let family = Family::new(FAMILIES[0]);
    let mut bench = family.bench();
    let mut projector = family.projector(&Arc::clone(&bench.model));
    let prompt = Prompt::new(&mut projector, 64, &[(96, 48)], 350);
    let expected = prompt.answer(&mut bench);
    let sequence = prompt.open(&mut bench);
    prompt.compute(&mut bench, sequence, 0);
    let (rows, end) = (prompt.stretches[1] as u32, prompt.stretches[2] as u32);
    for count in [rows + 1, end, end + 2] {
        assert_eq!(
            bench.engine.save(sequence, count).expect_err("rows").code,
            ErrorCode::Unsupported,
            "{count}"
        );
    }
    let saved = bench.engine.save(sequence, rows).expect("it saves").expect("it is there");
    bench.engine.release(sequence);
    let sequence = prompt.open(&mut bench);
    assert_eq!(bench.engine.restore(sequence, rows, &Vec::new(), &saved), Ok(true));
    let first = prompt.compute(&mut bench, sequence, rows as usize);
    assert_same(&prompt.go_on(&mut bench, sequence, first), &expected, "restored");
}

#[test]
fn such_models_drop_no_tokens_and_others_take_no_grids() {
    let family = Family::new(FAMILIES[0]);
    let bench = family.bench();
    assert!(!bench.engine.can_shift());
    let options = EngineOptions { cells: 1024, sequences: 4, batch: 512, ..engine_options() };
    let file = SyntheticModel::new(Kind::Micro, &Options::default());
    let mut other = Bench::new(file.load(), options);
    let medium = Medium::new(FIRST_ROW_TOKEN, 64, vec![0.0; 256], RowAttention::Causal);
    let medium = medium.and_then(|medium| medium.placed(RowPlaces::Grid { columns: 2 })).expect("rows");
    let prompt = Prompt { tokens: vec![5], media: vec![Arc::new(medium)], stretches: vec![0] };
    let request = prompt.request(&other);
    assert_eq!(other.open_request(&request, &prompt.tokens).expect_err("a grid").code, ErrorCode::Internal);
}

/// So many seconds of a tone, sixteen thousand samples each.
fn tone(seconds: usize, step: f32) -> Vec<f32> {
    (0..16_000 * seconds).map(|i| (i as f32 * step).sin() / 2.0).collect()
}

#[test]
fn what_follows_sound_is_what_llama_cpp_itself_computes() {
    for kinds in [
        (Kind::Micro, Kind::ProjectorUltravox, 64),
        (Kind::MicroPlaced, Kind::ProjectorUltravox, 64),
        (Kind::MicroPlaced, Kind::ProjectorQwen2Audio, 64),
    ] {
        let family = Family::new(kinds);
        let mut bench = family.bench();
        let vocabulary = bench.model.vocabulary_size() as usize;
        let mut projector = family.projector(&Arc::clone(&bench.model));
        assert_eq!((projector.sees(), projector.sound_rate()), (false, Some(16_000)));
        let samples = tone(2, 0.05);
        let mut prompt = Prompt { tokens: Vec::new(), media: Vec::new(), stretches: Vec::new() };
        prompt.add_text(300..305);
        let parts = projector.listen(&samples, 1000, &|| false).expect("it is heard");
        let rows: Vec<_> =
            parts.iter().filter(|part| matches!(part, MediumPart::Rows(.., RowPlaces::Line))).collect();
        assert_eq!(rows.len(), 1);
        parts.into_iter().for_each(|part| prompt.add(part, 64));
        prompt.add_text(310..315);
        assert_eq!(prompt.media[0].rows(), 750);
        let answer = prompt.answer(&mut bench);
        let mut helper = Helper::new(&family);
        helper.text(&(300..305).collect::<Vec<_>>());
        helper.sound(&samples);
        helper.text(&(310..315).collect::<Vec<_>>());
        for taken in &answer {
            let expected = helper.logprobs(vocabulary);
            for (token, logprob) in logprobs(taken) {
                let other = expected[token as usize];
                assert!((f64::from(logprob) - other).abs() < 2e-3, "{kinds:?}: {logprob} {other}");
            }
            helper.text(&[taken.token]);
        }
    }
}

#[test]
fn sound_becomes_the_same_rows_every_time_and_another_one_others() {
    let family = Family::new((Kind::Micro, Kind::ProjectorUltravox, 64));
    let model = family.model.load();
    let mut projector = family.projector(&model);
    let first = projector.listen(&tone(1, 0.05), 1000, &|| false).expect("it is heard");
    assert_eq!(projector.listen(&tone(1, 0.05), 1000, &|| false).expect("again"), first);
    assert_ne!(projector.listen(&tone(1, 0.2), 1000, &|| false).expect("another"), first);
    let long = projector.listen(&tone(31, 0.05), 2000, &|| false).expect("two pieces");
    assert_eq!(long.iter().filter(|part| matches!(part, MediumPart::Rows(..))).count(), 2);
    let refused = projector.listen(&tone(31, 0.05), 1499, &|| false).expect_err("1500 rows");
    assert_eq!(refused.code, ErrorCode::ContextExceeded);
    assert!(
        projector.listen(&[0.5], 1000, &|| false).is_err() && projector.listen(&[], 1000, &|| false).is_err()
    );
    let stopped = projector.listen(&tone(1, 0.3), 1000, &|| true).expect_err("it was stopped");
    assert_eq!(stopped.code, ErrorCode::Unavailable);
    let pixels = picture(16, 16);
    let blind = projector.read(Pixels::new(16, 16, &pixels).expect("an image"), 1000, &|| false);
    assert_eq!(blind.expect_err("it does not see").code, ErrorCode::EngineFailed);
}
