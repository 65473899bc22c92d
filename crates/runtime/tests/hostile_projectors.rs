//! Projectors with something wrong in them, in one process: a typed error or an answer to an image.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

mod folder;

use std::path::{Path, PathBuf};

use folder::Folder;
use rkllmjs_chat::{Messages, RenderOptions};
use rkllmjs_core::{ErrorCode, GenerateOptions, Outcome};
use rkllmjs_runtime::{Hooks, LoadOptions, MediumData, MediumKind, MediumSource, Model, PromptInput, load};
use rkllmjs_synthetic::{Data, Draft, Kind, Options, Value, draft};

const KINDS: [Kind; 7] = [
    Kind::Projector,
    Kind::ProjectorGemma3,
    Kind::ProjectorQwen2Vl,
    Kind::ProjectorQwen25Vl,
    Kind::ProjectorQwen3Vl,
    Kind::ProjectorUltravox,
    Kind::ProjectorQwen2Audio,
];

/// The text model of a projector, and how long its rows are.
fn family(kind: Kind) -> (Kind, u32) {
    match kind {
        Kind::ProjectorQwen2Vl | Kind::ProjectorQwen25Vl => (Kind::MicroPlaced, 64),
        Kind::ProjectorQwen3Vl => (Kind::MicroDeep, 128),
        _ => (Kind::Micro, 64),
    }
}

impl Folder {
    /// The text model of a projector.
    fn model(&self, projector: Kind) -> PathBuf {
        let bytes = draft(family(projector).0, &Options::default()).and_then(|draft| draft.to_bytes());
        self.write("model.gguf", &bytes.expect("a small model"))
    }
}

fn projector(kind: Kind) -> Draft {
    draft(kind, &Options { width: family(kind).1, ..Options::default() }).expect("a projector")
}

fn image() -> Vec<u8> {
    let mut png = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbImage::from_fn(20, 30, |x, y| image::Rgb([x as u8 * 9, y as u8 * 5, 77]));
    pixels.write_to(&mut png, image::ImageFormat::Png).expect("an image");
    png.into_inner()
}

/// A second of a tone.
fn sound() -> Vec<u8> {
    let data: Vec<u8> = (0..16_000_i16).flat_map(|i| (i % 40 * 300).to_le_bytes()).collect();
    let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    wav.extend(16_000_u32.to_le_bytes());
    wav.extend(32_000_u32.to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend((data.len() as u32).to_le_bytes());
    wav.extend(data);
    wav
}

fn options(mmproj: &Path) -> LoadOptions {
    LoadOptions {
        context_size: Some(1024.0),
        max_sequences: Some(2.0),
        threads: Some(1.0),
        mmproj: Some(mmproj.display().to_string()),
        ..Default::default()
    }
}

fn take_in(model: &Model, kind: MediumKind) -> Outcome {
    let name = kind.name();
    let json =
        format!(r#"[{{"role":"user","content":[{{"type":"text","text":"What is "}},{{"type":"{name}"}}]}}]"#);
    let messages = Messages::from_json(&json).expect("messages");
    let bytes = if kind == MediumKind::Audio { sound() } else { image() };
    let media = vec![MediumSource { kind, place: "messages[0]".to_owned(), data: MediumData::Bytes(bytes) }];
    let options = GenerateOptions { max_tokens: Some(2.0), ..Default::default() };
    let prompt = PromptInput::Messages(messages, RenderOptions::default(), media);
    model.generate(prompt, &options, Box::new(|| {})).expect("a place in the queue").wait()
}

/// Loads a projector and uses it, if it can be loaded. True if an image was answered.
fn try_projector(model: &Path, mmproj: &Path, what: &str) -> bool {
    match load(model, &options(mmproj), &Hooks::default()) {
        Err(error) => {
            let typed = [ErrorCode::ModelInvalid, ErrorCode::Unsupported, ErrorCode::InsufficientMemory];
            assert!(typed.contains(&error.code), "{what}: {error:?}");
            false
        }
        Ok(model) => {
            let hears = model.info()["media"][0] == "audio";
            let error = take_in(&model, if hears { MediumKind::Audio } else { MediumKind::Image }).error;
            model.close();
            model.wait_closed();
            error.is_none()
        }
    }
}

#[test]
fn sound_projectors_answer() {
    let folder = Folder::new("projectors");
    for kind in KINDS {
        let model = folder.model(kind);
        let mmproj = folder.write("mmproj.gguf", &projector(kind).to_bytes().expect("bytes"));
        assert!(try_projector(&model, &mmproj, "sound"), "{kind}");
    }
}

/// What a key may be instead of what it is.
fn other_values() -> Vec<Value> {
    let mut values: Vec<Value> = [0, 1, 3, 7, 1 << 16, i32::MAX as u32, u32::MAX].map(Value::U32).into();
    values.extend([0.0, -1.0, f32::NAN, f32::INFINITY].map(Value::F32));
    values.extend([Value::Bool(false), Value::Bool(true), Value::I32(-1), Value::String("x".into())]);
    values.extend([Value::F32s(Vec::new()), Value::F32s(vec![0.0; 3]), Value::I32s(vec![-1, 1 << 30])]);
    values
}

#[test]
fn keys_that_are_missing_or_say_something_else_are_typed_errors() {
    let folder = Folder::new("projector-keys");
    for kind in KINDS {
        let model = folder.model(kind);
        let sound = projector(kind);
        let more = [
            "clip.vision.image_grid_pinpoints",
            "clip.vision.feature_layer",
            "clip.minicpmv_version",
            "clip.vision.spatial_merge_size",
            "clip.vision.n_wa_pattern",
            "clip.audio.feature_layer",
            "clip.audio.attention.head_dim",
        ];
        let keys: Vec<String> =
            sound.metadata.iter().map(|(key, _)| key.clone()).chain(more.map(str::to_owned)).collect();
        for key in keys {
            let mut without = sound.clone();
            without.remove(&key);
            let mmproj = folder.write("mmproj.gguf", &without.to_bytes().expect("bytes"));
            try_projector(&model, &mmproj, &format!("{kind} without {key}"));
            for value in other_values() {
                let mut other = sound.clone();
                other.set(&key, value.clone());
                let mmproj = folder.write("mmproj.gguf", &other.to_bytes().expect("bytes"));
                try_projector(&model, &mmproj, &format!("{kind}: {key} = {value:?}"));
            }
        }
    }
}

#[test]
fn tensors_that_are_missing_or_of_another_shape_are_typed_errors() {
    let folder = Folder::new("projector-tensors");
    for kind in KINDS {
        let model = folder.model(kind);
        let sound = projector(kind);
        for place in 0..sound.tensors.len() {
            let name = &sound.tensors[place].name;
            let changes: [fn(&mut Draft, usize); 6] = [
                |draft, place| drop(draft.tensors.remove(place)),
                |draft, place| draft.tensors[place].dims.push(2),
                |draft, place| draft.tensors[place].dims[0] *= 2,
                |draft, place| draft.tensors[place].dims.reverse(),
                |draft, place| draft.tensors[place].name.push('x'),
                |draft, place| {
                    // 32-bit integers, of which there are as many as bytes for them.
                    let elements: u64 = draft.tensors[place].dims.iter().product();
                    draft.tensors[place].type_id = 26;
                    draft.tensors[place].data = Data::Bytes(vec![0; elements as usize * 4]);
                },
            ];
            for (number, change) in changes.into_iter().enumerate() {
                let mut other = sound.clone();
                change(&mut other, place);
                let mmproj = folder.write("mmproj.gguf", &other.to_bytes().expect("bytes"));
                try_projector(&model, &mmproj, &format!("{kind}: {name}, change {number}"));
            }
            let mut poisoned = sound.clone();
            poisoned.tensors[place].poisoned = true;
            let mmproj = folder.write("mmproj.gguf", &poisoned.to_bytes().expect("bytes"));
            assert!(!try_projector(&model, &mmproj, "poisoned"), "{kind}: {name} holds no numbers");
        }
    }
}

#[test]
fn files_that_are_cut_off_or_are_something_else_are_typed_errors() {
    let folder = Folder::new("projector-files");
    let model = folder.model(Kind::Projector);
    let whole = projector(Kind::Projector).to_bytes().expect("bytes");
    for length in [0, 3, 4, 24, 100, 1000, whole.len() / 2, whole.len() - 1] {
        let mmproj = folder.write("mmproj.gguf", &whole[..length]);
        assert!(!try_projector(&model, &mmproj, "cut off"), "{length} bytes");
    }
    assert!(!try_projector(&model, &model, "a model"));
    let text = folder.write("text", b"not a model");
    assert!(!try_projector(&model, &text, "text"));
    let missing = load(&model, &options(Path::new("no/such/file.gguf")), &Hooks::default());
    assert_eq!(missing.expect_err("no file").code, ErrorCode::ModelNotFound);
    let wide = draft(Kind::Projector, &Options { width: 128, ..Options::default() });
    let wide = folder.write("wide.gguf", &wide.and_then(|draft| draft.to_bytes()).expect("bytes"));
    let error = load(&model, &options(&wide), &Hooks::default()).expect_err("another width");
    assert!(error.message.contains("128") && error.message.contains("64"), "{error}");
}
