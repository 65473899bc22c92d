//! The models a caller gets.

use std::io;

use rkllmjs_synthetic::{Data, Draft, Kind, Options, Value, WeightType, draft, write};

fn round_trip(kind: Kind, options: &Options) -> io::Result<Draft> {
    let bytes = draft(kind, options)?.to_bytes()?;
    let read = Draft::parse(&bytes)?;
    assert_eq!(read.to_bytes()?, bytes, "{kind} reads back to the same bytes");
    Ok(read)
}

fn stored(draft: &mut Draft, name: &str) -> Vec<u8> {
    match draft.tensor_mut(name).map(|tensor| &tensor.data) {
        Some(Data::Bytes(bytes)) => bytes.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_small_kind_reads_back_in_every_type() {
    let kinds = Kind::ALL.into_iter().filter(|kind| ![Kind::Tiny, Kind::M360, Kind::B1].contains(kind));
    for kind in kinds {
        for weight_type in WeightType::ALL {
            let options = Options { weight_type, layers: Some(1), ..Options::default() };
            let made = draft(kind, &options).unwrap();
            let read = round_trip(kind, &options).unwrap();
            assert_eq!(read.metadata, made.metadata);
            let table = |draft: &Draft| -> Vec<_> {
                draft.tensors.iter().map(|it| (it.name.clone(), it.dims.clone(), it.type_id)).collect()
            };
            assert_eq!(table(&read), table(&made));
        }
    }
}

#[test]
fn the_same_options_give_the_same_bytes_and_another_seed_others() {
    let bytes =
        |seed| draft(Kind::Micro, &Options { seed, ..Options::default() }).unwrap().to_bytes().unwrap();
    assert_eq!(bytes(42), bytes(42));
    assert_ne!(bytes(42), bytes(43));
}

#[test]
fn context_and_layers_can_be_chosen() {
    let options = Options { context: Some(333), layers: Some(3), ..Options::default() };
    let mut model = round_trip(Kind::Embed, &options).unwrap();
    assert_eq!(model.get("bert.context_length"), Some(&Value::U32(333)));
    assert_eq!(model.get("bert.block_count"), Some(&Value::U32(3)));
    assert_eq!(model.tensor_mut("position_embd.weight").unwrap().dims, [256, 333]);
    assert!(model.tensor_mut("blk.2.ffn_up.weight").is_some());
    assert!(model.tensor_mut("blk.3.ffn_up.weight").is_none());
    for options in [
        Options { layers: Some(0), ..Options::default() },
        Options { context: Some(0), ..Options::default() },
        Options { lora_base: Kind::Lora, ..Options::default() },
    ] {
        assert!(draft(Kind::Lora, &options).is_err(), "{options:?}");
    }
}

#[test]
fn special_tokens_have_zero_rows_in_the_output_head() {
    let options = Options { weight_type: WeightType::F32, ..Options::default() };
    let mut model = round_trip(Kind::Micro, &options).unwrap();
    let output = stored(&mut model, "output.weight");
    let row = |index: usize| &output[index * 64 * 4..][..64 * 4];
    assert!((0..271).all(|index| row(index).iter().all(|&byte| byte == 0)));
    assert!((271..1024).all(|index| row(index).iter().any(|&byte| byte != 0)));
}

#[test]
fn weights_have_the_deviation_their_layer_asks_for() {
    let options = Options { weight_type: WeightType::F32, ..Options::default() };
    let mut model = round_trip(Kind::Micro, &options).unwrap();
    for (name, expected) in [("token_embd.weight", 0.5), ("blk.1.attn_q.weight", 1.5 / 8.0)] {
        let bytes = stored(&mut model, name);
        let squares =
            bytes.chunks_exact(4).map(|it| f64::from(f32::from_le_bytes(it.try_into().unwrap())).powi(2));
        let deviation = (squares.sum::<f64>() / (bytes.len() / 4) as f64).sqrt();
        assert!((deviation / expected - 1.0).abs() < 0.05, "{name}: {deviation}");
    }
}

#[test]
fn a_poisoned_tensor_has_a_nan_in_every_row() {
    let nan = Some("blk.0.attn_v.weight".to_owned());
    let options = Options { weight_type: WeightType::Q8_0, nan, ..Options::default() };
    let mut model = round_trip(Kind::Micro, &options).unwrap();
    let rows = stored(&mut model, "blk.0.attn_v.weight");
    assert!(rows.chunks_exact(64 / 32 * 34).all(|row| row[..2] == [0x00, 0x7e]));

    let options = Options { nan: Some("no.such.tensor".into()), ..options };
    let error = draft(Kind::Micro, &options).err().unwrap();
    assert_eq!(error.to_string(), "the micro model has no tensor named \"no.such.tensor\"");
}

#[test]
fn a_file_is_what_the_draft_serialises_to() {
    let path = std::env::temp_dir().join(format!("synthetic-{}.gguf", std::process::id()));
    write(Kind::Micro, &path, &Options::default()).unwrap();
    let written = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(written, draft(Kind::Micro, &Options::default()).unwrap().to_bytes().unwrap());
}
