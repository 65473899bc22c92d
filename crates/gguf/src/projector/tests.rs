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
    match kind {
        ProjectorKind::Gemma3 | ProjectorKind::Idefics3 => {
            header.u32("clip.vision.projector.scale_factor", 2)
        }
        ProjectorKind::Qwen25Vl => header.u32("clip.vision.n_wa_pattern", 2),
        _ => header,
    }
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
        other => panic!("{other:?}"),
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
        assert!(checked.weights_bytes > 0 && checked.compute_bytes(0) > 0);
    }
}

#[test]
fn other_files_and_other_types_are_unsupported() {
    let error = refusal(&llama());
    assert_eq!((error.kind, error.message.contains("no projector")), (ErrorKind::Unsupported, true));
    for other in ["ultravox", "minicpmv", "\u{1}"] {
        let key = "clip.projector_type";
        let error = refusal(&projector(ProjectorKind::Mlp).set(key, |builder| builder.str(key, other)));
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.message.contains("these are: mlp, gemma3, idefics3, qwen2vl_merger"), "{error}");
    }
    for key in ["clip.has_audio_encoder", "clip.has_gen_audio_encoder"] {
        assert!(refusal(&projector(ProjectorKind::Mlp).bool(key, true)).message.contains("sound"), "{key}");
    }
    let blind = projector(ProjectorKind::Mlp).without("clip.has_vision_encoder");
    assert!(refusal(&blind).message.contains("reads neither images nor sound"));
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

/// A projector for images of any shape, of one layer.
fn merger(kind: ProjectorKind) -> Builder {
    let mut builder =
        header(kind).set("clip.vision.block_count", |builder| builder.u32("clip.vision.block_count", 1));
    for name in ["v.patch_embd.weight", "v.patch_embd.weight.1"] {
        builder = builder.tensor(name, TensorType::F16, &[4, 4, 3, WIDTH]);
    }
    let is_deep = kind == ProjectorKind::Qwen3Vl;
    if is_deep {
        builder = linear(builder, "v.deepstack.0.fc1", 4 * WIDTH, 40);
        builder = linear(builder, "v.deepstack.0.fc2", 40, MODEL_WIDTH)
            .tensor("v.deepstack.0.norm.weight", TensorType::F32, &[4 * WIDTH])
            .tensor("v.patch_embd.bias", TensorType::F32, &[WIDTH])
            .tensor("v.position_embd.weight", TensorType::F32, &[WIDTH, 25]);
    }
    let attention: &[(&str, u64)] =
        if is_deep { &[("attn_qkv", 3)] } else { &[("attn_q", 1), ("attn_k", 1), ("attn_v", 1)] };
    for (part, times) in attention.iter().chain(&[("attn_out", 1)]) {
        builder = linear(builder, &format!("v.blk.0.{part}"), WIDTH, times * WIDTH);
    }
    for norm in ["ln1", "ln2"] {
        builder = builder.tensor(&format!("v.blk.0.{norm}.weight"), TensorType::F32, &[WIDTH]);
    }
    builder = linear(builder, "v.blk.0.ffn_up", WIDTH, 48);
    builder = linear(builder, "v.blk.0.ffn_down", 48, WIDTH);
    builder = linear(builder, "mm.0", 4 * WIDTH, 40);
    linear(builder, "mm.2", 40, MODEL_WIDTH)
}

fn linear(builder: Builder, name: &str, inputs: u64, outputs: u64) -> Builder {
    builder.tensor(&format!("{name}.weight"), TensorType::F16, &[inputs, outputs]).tensor(
        &format!("{name}.bias"),
        TensorType::F32,
        &[outputs],
    )
}

const MERGERS: [ProjectorKind; 3] = [ProjectorKind::Qwen2Vl, ProjectorKind::Qwen25Vl, ProjectorKind::Qwen3Vl];

fn merger_refusal(builder: &Builder) -> Error {
    let file = builder.open().unwrap();
    check_projector(&file, MODEL_WIDTH).or_else(|_| check_projector(&file, 2 * MODEL_WIDTH)).unwrap_err()
}

#[test]
fn sound_projectors_for_images_of_any_shape_pass_with_the_rows_they_may_make() {
    for (kind, width, most) in [
        (ProjectorKind::Qwen2Vl, MODEL_WIDTH, 4096),
        (ProjectorKind::Qwen25Vl, MODEL_WIDTH, 2048),
        (ProjectorKind::Qwen3Vl, 2 * MODEL_WIDTH, 4096),
    ] {
        let checked = check_projector(&merger(kind).open().unwrap(), width).unwrap();
        assert_eq!((checked.kind, checked.rows, checked.is_mutual), (kind, most, false));
        assert_eq!(
            [0, 100, 4096, 1 << 20].map(|context| kind.rows_max(context)),
            [8, 50, 2048, most].map(Some)
        );
        assert!(checked.compute_bytes(2048) > checked.compute_bytes(8));
    }
    assert_eq!(ProjectorKind::Mlp.rows_max(4096), None);
    let windows = check_projector(&merger(ProjectorKind::Qwen25Vl).open().unwrap(), MODEL_WIDTH).unwrap();
    assert!(windows.compute_bytes(2048) > 640 << 20, "the table of windows is most of it");
}

#[test]
fn numbers_that_images_of_any_shape_do_not_bear_are_refused() {
    for (kind, key, value) in [
        (ProjectorKind::Qwen2Vl, "clip.vision.spatial_merge_size", 1),
        (ProjectorKind::Qwen3Vl, "clip.vision.spatial_merge_size", 4),
        (ProjectorKind::Qwen2Vl, "clip.vision.n_wa_pattern", 2),
        (ProjectorKind::Qwen25Vl, "clip.vision.n_wa_pattern", 1),
        (ProjectorKind::Qwen25Vl, "clip.vision.n_wa_pattern", u32::MAX),
        (ProjectorKind::Qwen25Vl, "clip.vision.patch_size", 57),
        (ProjectorKind::Qwen2Vl, "clip.vision.patch_size", 65),
        (ProjectorKind::Qwen25Vl, "clip.vision.projection_dim", 63),
        (ProjectorKind::Qwen2Vl, "clip.vision.attention.head_count", 16),
    ] {
        let wrong = merger(kind).without(key).u32(key, value);
        assert!(merger_refusal(&wrong).message.contains(key), "{kind:?} {key} {value}");
    }
    let none = merger(ProjectorKind::Qwen25Vl).without("clip.vision.n_wa_pattern");
    assert!(merger_refusal(&none).message.contains("n_wa_pattern"));
    for kind in MERGERS {
        let same = merger(kind).u32("clip.vision.spatial_merge_size", 2);
        let width = if kind == ProjectorKind::Qwen3Vl { 2 * MODEL_WIDTH } else { MODEL_WIDTH };
        assert!(check_projector(&same.open().unwrap(), width).is_ok(), "{kind:?}");
    }
}

#[test]
fn old_files_of_qwen2_vl_leave_out_a_length_and_swap_two_names() {
    let key = "clip.vision.feed_forward_length";
    let old = merger(ProjectorKind::Qwen2Vl).set(key, |builder| builder.u32(key, 0));
    assert!(check_projector(&old.open().unwrap(), MODEL_WIDTH).is_ok());
    let other = merger(ProjectorKind::Qwen3Vl).set(key, |builder| builder.u32(key, 0));
    assert!(merger_refusal(&other).message.contains(key));
}

/// A projector for sound, of one layer.
fn listener(kind: ProjectorKind, stack: u32) -> Builder {
    let mut builder = Builder::new()
        .str("general.architecture", "clip")
        .str("general.type", "mmproj")
        .str("clip.projector_type", kind.name())
        .bool("clip.has_audio_encoder", true)
        .u32("clip.audio.embedding_length", WIDTH as u32)
        .u32("clip.audio.feed_forward_length", 48)
        .u32("clip.audio.block_count", 1)
        .u32("clip.audio.projection_dim", MODEL_WIDTH as u32)
        .u32("clip.audio.attention.head_count", 4)
        .f32("clip.audio.attention.layer_norm_epsilon", 1e-6)
        .u32("clip.audio.num_mel_bins", 8)
        .u32("clip.audio.projector.stack_factor", stack)
        .tensor("a.conv1d.1.weight", TensorType::F16, &[3, 8, WIDTH])
        .tensor("a.conv1d.1.bias", TensorType::F32, &[1, WIDTH])
        .tensor("a.conv1d.2.weight", TensorType::F16, &[3, WIDTH, WIDTH])
        .tensor("a.conv1d.2.bias", TensorType::F32, &[1, WIDTH])
        .tensor("a.position_embd.weight", TensorType::F32, &[WIDTH, 1500])
        .tensor("a.blk.0.attn_k.weight", TensorType::F16, &[WIDTH, WIDTH]);
    for part in ["attn_q", "attn_v", "attn_out"] {
        builder = linear(builder, &format!("a.blk.0.{part}"), WIDTH, WIDTH);
    }
    for norm in ["ln1", "ln2"] {
        for part in ["weight", "bias"] {
            builder = builder.tensor(&format!("a.blk.0.{norm}.{part}"), TensorType::F32, &[WIDTH]);
        }
    }
    builder = linear(builder, "a.blk.0.ffn_up", WIDTH, 48);
    builder = linear(builder, "a.blk.0.ffn_down", 48, WIDTH);
    let stacked = WIDTH * u64::from(stack);
    match kind {
        ProjectorKind::Qwen2Audio => linear(builder, "mm.a.fc", WIDTH, MODEL_WIDTH),
        ProjectorKind::Voxtral => builder
            .tensor("mm.a.mlp.1.weight", TensorType::F16, &[stacked, 24])
            .tensor("mm.a.mlp.2.weight", TensorType::F16, &[24, MODEL_WIDTH]),
        _ => builder
            .tensor("mm.a.norm_pre.weight", TensorType::F32, &[stacked])
            .tensor("mm.a.mlp.1.weight", TensorType::F16, &[stacked, 24])
            .tensor("mm.a.norm_mid.weight", TensorType::F32, &[12])
            .tensor("mm.a.mlp.2.weight", TensorType::F16, &[12, MODEL_WIDTH]),
    }
}

#[test]
fn sound_projectors_for_sound_pass_with_the_rows_of_half_a_minute() {
    for (kind, stack, rows) in [
        (ProjectorKind::Ultravox, 2, 750),
        (ProjectorKind::Ultravox, 1, 1500),
        (ProjectorKind::Qwen2Audio, 1, 750),
        (ProjectorKind::Voxtral, 2, 375),
    ] {
        let checked = check_projector(&listener(kind, stack).open().unwrap(), MODEL_WIDTH).unwrap();
        assert_eq!((checked.kind, checked.rows, checked.is_mutual), (kind, rows, false));
        assert!(checked.compute_bytes(0) > 0);
    }
}

#[test]
fn projectors_for_sound_that_llama_cpp_would_not_survive_are_refused() {
    let refusal =
        |builder: Builder| check_projector(&builder.open().unwrap(), MODEL_WIDTH).unwrap_err().message;
    assert!(refusal(listener(ProjectorKind::Ultravox, 8)).contains("how many rows come out"));
    for stack in [0, 65, u32::MAX] {
        let key = "clip.audio.projector.stack_factor";
        let other = listener(ProjectorKind::Ultravox, 2).set(key, |builder| builder.u32(key, stack));
        assert!(refusal(other).contains(key), "{stack}");
    }
    for (key, value) in
        [("clip.audio.num_mel_bins", 257), ("clip.audio.num_mel_bins", 0), ("clip.audio.block_count", 0)]
    {
        let other = listener(ProjectorKind::Qwen2Audio, 1).set(key, |builder| builder.u32(key, value));
        assert!(refusal(other).contains(key), "{key} {value}");
    }
    let keyed =
        listener(ProjectorKind::Qwen2Audio, 1).tensor("a.blk.0.attn_k.bias", TensorType::F32, &[WIDTH]);
    assert!(refusal(keyed).contains("no tensor of this type"));
    let layers = listener(ProjectorKind::Qwen2Audio, 1);
    let layers = layers.set("clip.audio.block_count", |builder| builder.u32("clip.audio.block_count", 2));
    assert!(refusal(layers).contains("a.blk.1.attn_q.weight"));
}
