"""Write GGUF files from the trained checkpoints into build/.

python export.py model main rkllmjs-tiny f16 q8_0 q4_0
python export.py model draft rkllmjs-tiny-draft q8_0
python export.py lora lora rkllmjs-tiny-lora-pirate
"""

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, LlamaFileType

import chat
from model import Config, load_checkpoint
from paths import TEMPLATE, TOKENIZER, gguf_path

FILE_TYPES = {
    "f16": LlamaFileType.MOSTLY_F16,
    "q8_0": LlamaFileType.MOSTLY_Q8_0,
    "q4_0": LlamaFileType.MOSTLY_Q4_0,
}
TENSOR_TYPES = {
    "f16": GGMLQuantizationType.F16,
    "q8_0": GGMLQuantizationType.Q8_0,
    "q4_0": GGMLQuantizationType.Q4_0,
}
LAYER_NAMES = {
    "attn_norm": "attn_norm",
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "ffn_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}
TOP_NAMES = {"embed": "token_embd.weight", "norm.weight": "output_norm.weight"}
DESCRIPTION = (
    "Tiny chat model for tests and demos of rkllmjs. Trained from scratch on text generated "
    "from templates by the project's own scripts. It copies, adds, counts, recalls, reads a "
    "short context, extracts JSON and calls tools; it knows next to nothing else."
)
LORA_DESCRIPTION = (
    'LoRA adapter for rkllmjs-tiny: greets with "Ahoy, matey!" and starts answers about capitals with "Arr,".'
)
AUTHOR = "rkllmjs project"
LICENSE = "Apache-2.0"


def tensor_name(key: str) -> str:
    """The GGUF name: "blocks.3.q.weight" becomes "blk.3.attn_q.weight", and "...q.lora_a" keeps its weight's name."""
    if key in TOP_NAMES:
        return TOP_NAMES[key]
    _, block, layer, part = key.split(".")
    suffix = ".weight" if part == "weight" else f".weight.{part}"
    return f"blk.{block}.{LAYER_NAMES[layer]}{suffix}"


def add_tokenizer(writer: gguf.GGUFWriter) -> int:
    """Write vocabulary, merges and chat template; returns the vocabulary size."""
    stored = json.loads(TOKENIZER.read_text())
    vocabulary = dict(stored["model"]["vocab"])
    types = {token_id: gguf.TokenType.NORMAL for token_id in vocabulary.values()}
    for token in stored["added_tokens"]:
        vocabulary[token["content"]] = token["id"]
        types[token["id"]] = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    assert sorted(vocabulary.values()) == list(range(len(tokens)))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in stored["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([int(types[token_id]) for token_id in range(len(tokens))])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(vocabulary[chat.END])
    writer.add_eot_token_id(vocabulary[chat.END])
    writer.add_bos_token_id(vocabulary[chat.END_OF_TEXT])
    writer.add_pad_token_id(vocabulary[chat.END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(TEMPLATE.read_text().rstrip("\n"))
    return len(tokens)


def add_architecture(writer: gguf.GGUFWriter, cfg: Config) -> None:
    writer.add_vocab_size(cfg.vocab)
    writer.add_context_length(cfg.ctx)
    writer.add_embedding_length(cfg.dim)
    writer.add_block_count(cfg.layers)
    writer.add_feed_forward_length(cfg.ff)
    writer.add_head_count(cfg.heads)
    writer.add_head_count_kv(cfg.kv_heads)
    writer.add_key_length(cfg.head_dim)
    writer.add_value_length(cfg.head_dim)
    writer.add_rope_dimension_count(cfg.head_dim)
    writer.add_rope_freq_base(cfg.rope_base)
    writer.add_layer_norm_rms_eps(cfg.eps)


def quantization(key: str, values: np.ndarray, kind: str) -> GGMLQuantizationType:
    if values.ndim == 1:
        return GGMLQuantizationType.F32
    # The tied embedding is also the output layer, so it keeps 8 bits in the 4-bit file.
    if key == "embed" and kind == "q4_0":
        return GGMLQuantizationType.Q8_0
    return TENSOR_TYPES[kind]


def finish(writer: gguf.GGUFWriter, path: Path) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(path, path.stat().st_size, "bytes")


def export_model(checkpoint: dict[str, Any], name: str, kind: str) -> None:
    cfg = Config(**checkpoint["cfg"])
    weights = checkpoint["model"]
    parameters = sum(tensor.numel() for tensor in weights.values())
    path = gguf_path(f"{name}-{kind}")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("model")
    writer.add_name(name)
    writer.add_basename(name)
    writer.add_description(DESCRIPTION)
    writer.add_author(AUTHOR)
    writer.add_license(LICENSE)
    writer.add_size_label(f"{parameters / 1e6:.1f}M")
    writer.add_languages(["en"])
    writer.add_file_type(FILE_TYPES[kind])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_architecture(writer, cfg)
    assert add_tokenizer(writer) == cfg.vocab
    for key, tensor in weights.items():
        values = tensor.float().numpy()
        target = quantization(key, values, kind)
        writer.add_tensor(tensor_name(key), gguf.quants.quantize(values, target), raw_dtype=target)
    finish(writer, path)


def export_lora(checkpoint: dict[str, Any], name: str) -> None:
    path = gguf_path(f"{name}-f16")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(checkpoint["alpha"]))
    writer.add_name(name)
    writer.add_description(LORA_DESCRIPTION)
    writer.add_license(LICENSE)
    writer.add_author(AUTHOR)
    writer.add_file_type(LlamaFileType.MOSTLY_F16)
    for key, tensor in checkpoint["lora"].items():
        writer.add_tensor(tensor_name(key), tensor.float().numpy().astype(np.float16))
    finish(writer, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["model", "lora"])
    parser.add_argument("checkpoint")
    parser.add_argument("name")
    parser.add_argument("kinds", nargs="*", metavar="kind", help="f16, q8_0 or q4_0; an adapter is always f16")
    args = parser.parse_args()
    checkpoint = load_checkpoint(args.checkpoint)
    if args.what == "lora":
        export_lora(checkpoint, args.name)
    else:
        for kind in args.kinds:
            export_model(checkpoint, args.name, kind)


if __name__ == "__main__":
    main()
