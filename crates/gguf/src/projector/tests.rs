use super::{ProjectorKind, check_projector};
use crate::testing::{Builder, llama};
use crate::{Error, ErrorKind, TensorType};

const WIDTH: u64 = 32;
const MODEL_WIDTH: u64 = 64;

fn header(kind: ProjectorKind) -> Builder {
    let header = Builder::new()
        .str("general.architecture", "clip")
        .str("general.type", "mmproj")
        .str("clip.projector_type", kind.name())
        .bool("clip.has_vision_encoder", true)
        .u32("clip.vision.embedding_length", WIDTH as u32)
        .u32("clip.vision.feed_forward_length", 48)
        .u32("clip.vision.block_count", 2)
        .u32("clip.vision.projection_dim", MODEL_WIDTH as u32)
        .u32("clip.vision.attention.head_count", 4)
        .f32("clip.vision.attention.layer_norm_epsilon", 1e-6)
        .u32("clip.vision.image_size", 16)
        .u32("clip.vision.patch_size", 4)
        .f32s("clip.vision.image_mean", &[0.5; 3])
        .f32s("clip.vision.image_std", &[0.5; 3]);
    if kind == ProjectorKind::Mlp { header } else { header.u32("clip.vision.projector.scale_factor", 2) }
}

fn projector(kind: ProjectorKind) -> Builder {
    let mut builder = header(kind).tensor("v.patch_embd.weight", TensorType::F16, &[4, 4, 3, WIDTH]).tensor(
        "v.position_embd.weight",
        TensorType::F32,
        &[WIDTH, 16],
    );
    for layer in 0..2 {
        let name = |part: &str| format!("v.blk.{layer}.{part}");
        for part in ["attn_q", "attn_k", "attn_v", "attn_out"] {
            builder = builder.tensor(&name(&format!("{part}.weight")), TensorType::F16, &[WIDTH, WIDTH]);
        }
        builder = builder
            .tensor(&name("ln1.weight"), TensorType::F32, &[WIDTH])
            .tensor(&name("ln2.weight"), TensorType::F32, &[WIDTH])
            .tensor(&name("ffn_up.weight"), TensorType::F16, &[WIDTH, 48])
            .tensor(&name("ffn_up.bias"), TensorType::F32, &[48])
            .tensor(&name("ffn_down.weight"), TensorType::F16, &[48, WIDTH]);
    }
    match kind {
        ProjectorKind::Mlp => builder
            .tensor("mm.0.weight", TensorType::F16, &[WIDTH, 40])
            .tensor("mm.0.bias", TensorType::F32, &[40])
            .tensor("mm.2.weight", TensorType::F16, &[40, MODEL_WIDTH])
            .tensor("mm.2.bias", TensorType::F32, &[MODEL_WIDTH]),
        ProjectorKind::Gemma3 => builder.tensor("mm.soft_emb_norm.weight", TensorType::F32, &[WIDTH]).tensor(
            "mm.input_projection.weight",
            TensorType::F16,
            &[MODEL_WIDTH, WIDTH],
        ),
        ProjectorKind::Idefics3 => {
            builder.tensor("mm.model.fc.weight", TensorType::F16, &[4 * WIDTH, MODEL_WIDTH])
        }
    }
}

fn refusal(builder: &Builder) -> Error {
    check_projector(&builder.open().unwrap(), MODEL_WIDTH).unwrap_err()
}

fn with_u32(key: &str, value: u32) -> Builder {
    projector(ProjectorKind::Mlp).set(key, |builder| builder.u32(key, value))
}

#[test]
fn a_sound_projector_of_each_type_passes_with_its_rows() {
    for (kind, rows, is_mutual) in [
        (ProjectorKind::Mlp, 16, false),
        (ProjectorKind::Gemma3, 4, true),
        (ProjectorKind::Idefics3, 4, false),
    ] {
        let checked = check_projector(&projector(kind).open().unwrap(), MODEL_WIDTH).unwrap();
        assert_eq!((checked.kind, checked.rows, checked.is_mutual), (kind, rows, is_mutual));
        assert_eq!(checked.width, MODEL_WIDTH);
        assert!(checked.weights_bytes > 0 && checked.compute_bytes > 0);
    }
}

#[test]
fn other_files_and_other_types_are_unsupported() {
    let error = refusal(&llama());
    assert_eq!((error.kind, error.message.contains("no projector")), (ErrorKind::Unsupported, true));
    for other in ["qwen2vl_merger", "minicpmv", "\u{1}"] {
        let key = "clip.projector_type";
        let error = refusal(&projector(ProjectorKind::Mlp).set(key, |builder| builder.str(key, other)));
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.message.contains("these are: mlp, gemma3, idefics3"), "{error}");
    }
    for key in ["clip.has_audio_encoder", "clip.has_gen_audio_encoder"] {
        assert!(refusal(&projector(ProjectorKind::Mlp).bool(key, true)).message.contains("sound"), "{key}");
    }
    let blind = projector(ProjectorKind::Mlp).without("clip.has_vision_encoder");
    assert!(refusal(&blind).message.contains("reads no images"));
}

#[test]
fn a_projector_of_another_width_is_for_another_model() {
    let error = check_projector(&projector(ProjectorKind::Mlp).open().unwrap(), 128).unwrap_err();
    assert_eq!(error.message, "its rows have 64 numbers, and the model reads 128: it is for another model");
}

#[test]
fn keys_of_another_type_are_refused_before_llama_cpp_asserts_on_them() {
    for key in ["clip.has_vision_encoder", "clip.use_gelu", "general.description", "clip.vision.image_size"] {
        let wrong = projector(ProjectorKind::Mlp).without(key).f32(key, 1.0);
        assert!(refusal(&wrong).message.contains("is f32 but must be"), "{key}");
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    for (key, value) in [
        ("clip.vision.patch_size", 0),
        ("clip.vision.image_size", 0),
        ("clip.vision.image_size", u32::MAX),
        ("clip.vision.block_count", 0),
        ("clip.vision.block_count", 4096),
        ("clip.vision.attention.head_count", 0),
        ("clip.vision.attention.head_count", 5),
        ("clip.vision.attention.head_count_kv", 2),
        ("clip.vision.attention.head_dim", 7),
        ("clip.vision.embedding_length", 0),
        ("clip.vision.feed_forward_length", 0),
    ] {
        assert!(refusal(&with_u32(key, value)).message.contains(key), "{key} {value}");
    }
    let key = "clip.vision.projector.scale_factor";
    for (kind, factor) in
        [(ProjectorKind::Gemma3, 0), (ProjectorKind::Gemma3, 3), (ProjectorKind::Idefics3, 1)]
    {
        let wrong = projector(kind).set(key, |builder| builder.u32(key, factor));
        assert!(check_projector(&wrong.open().unwrap(), MODEL_WIDTH).is_err(), "{kind:?} {factor}");
    }
}

#[test]
fn colours_must_be_three_numbers_that_can_be_divided_by() {
    let key = "clip.vision.image_std";
    for wrong in [&[0.5_f32, 0.5][..], &[0.5, 0.0, 0.5], &[0.5, f32::NAN, 0.5]] {
        let wrong = projector(ProjectorKind::Mlp).set(key, |builder| builder.f32s(key, wrong));
        assert!(refusal(&wrong).message.contains(key));
    }
}

#[test]
fn tensors_that_are_missing_unknown_or_of_another_shape_are_refused() {
    let many = with_u32("clip.vision.block_count", 3);
    assert_eq!(refusal(&many).message, "tensor \"v.blk.2.attn_q.weight\" is missing");
    let extra = projector(ProjectorKind::Mlp).tensor("v.blk.0.ls1.weight", TensorType::F32, &[7]);
    assert!(refusal(&extra).message.contains("no tensor of this type"));
    let other = with_u32("clip.vision.embedding_length", 64);
    assert!(refusal(&other).message.contains("dimensions"));
    let positions = with_u32("clip.vision.image_size", 20);
    assert!(refusal(&positions).message.contains("v.position_embd.weight"));
    let class = projector(ProjectorKind::Mlp).tensor("v.class_embd", TensorType::F32, &[WIDTH]);
    assert!(refusal(&class).message.contains("v.position_embd.weight"), "the class has a position too");
}

#[test]
fn types_that_llama_cpp_cannot_compute_with_are_refused() {
    let integers =
        header(ProjectorKind::Mlp).tensor("v.patch_embd.weight", TensorType::I32, &[4, 4, 3, WIDTH]);
    assert_eq!(refusal(&integers).kind, ErrorKind::Unsupported);
    let norm = projector(ProjectorKind::Mlp).tensor("v.post_ln.weight", TensorType::F16, &[WIDTH]);
    assert_eq!(refusal(&norm).kind, ErrorKind::Unsupported);
}

#[test]
fn tiles_of_images_are_bounded() {
    let with = |size| projector(ProjectorKind::Idefics3).u32("clip.vision.preproc_image_size", size);
    assert!(check_projector(&with(128).open().unwrap(), MODEL_WIDTH).is_ok());
    for size in [0, 16, 129, u32::MAX] {
        assert!(refusal(&with(size)).message.contains("preproc_image_size"), "{size}");
    }
}
