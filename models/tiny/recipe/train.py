"""Training of the main model, the draft model and the LoRA adapter.

    python train.py prepare    # build/chunks/*.npz, the training data
    python train.py main       # build/main.pt
    python train.py final      # build/main.pt again: last stage, low learning rate
    python train.py draft      # build/draft.pt
    python train.py lora       # build/lora.pt (pirate: "Ahoy", "Arr")

One thread, bf16 matrix products, fp32 master weights.
"""

import argparse
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

import chat
import synth
import tok
from dataset import CHUNK_COUNT, FINAL_CHUNK, batches, chunk_batches, encode, prepare
from model import DRAFT, MAIN, Config, Tiny, load_model
from optimiser import optimisers, schedule
from paths import checkpoint_path
from synth.skills import HELLO_ANSWER

TOKENS_PER_STEP = 4096
LR_MUON = 0.02
LR_ADAM = 3e-3
EVALUATED_KINDS = [kind for kind in synth.MIX if kind not in ("text", "story", "mixed")]


@dataclass(frozen=True)
class Stage:
    """One training run: which checkpoint, which data, how long, how fast."""

    name: str
    cfg: Config
    steps: int
    seed: int
    tail: float  # share of the steps over which the learning rate falls to zero
    chunks: tuple[int, int] = (0, FINAL_CHUNK)
    lr_factor: float = 1.0
    resume: bool = False


STAGES = {
    "main": Stage("main", MAIN, steps=3100, seed=1, tail=0.45),
    "final": Stage(
        "main", MAIN, steps=450, seed=2, tail=1.0, chunks=(FINAL_CHUNK, CHUNK_COUNT), lr_factor=0.3, resume=True
    ),
    "draft": Stage("draft", DRAFT, steps=1300, seed=1, tail=0.35),
}

LORA_STEPS = 160
LORA_RANK = 8
LORA_ALPHA = 16
LORA_LR = 2e-3
LORA_TOKENS_PER_STEP = 1024
LORA_SEED = 4


@torch.no_grad()
def greedy_accuracy(model: Tiny, tokenizer: Tokenizer, count: int) -> dict[str, float]:
    """Share of held-out assistant messages whose every token is the arg-max, i.e. greedy exact match."""
    pad = tokenizer.token_to_id(chat.END_OF_TEXT)
    accuracy = {}
    for kind in EVALUATED_KINDS:
        gen = synth.Gen(5, held_out=True)
        examples = encode(tokenizer, [synth.sample(gen, kind) for _ in range(count)])
        right = total = 0
        for batch in batches(examples, np.random.RandomState(0), pad, 8192):
            hits = (model(batch.ids).argmax(-1) == batch.targets).numpy()
            for row_hits, row_weights in zip(hits, batch.weights.numpy()):
                for start, end in runs(row_weights > 0.5):
                    right += row_hits[start:end].all()
                    total += 1
        accuracy[kind] = round(float(right / total), 3)
    return accuracy


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Start and end of every run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(int), [0]))))
    return list(zip(edges[::2], edges[1::2]))


def save(stage: Stage, model: Tiny, **progress: float) -> None:
    torch.save({"cfg": asdict(model.cfg), "model": model.state_dict(), **progress}, checkpoint_path(stage.name))


def train(stage: Stage) -> None:
    torch.manual_seed(stage.seed)
    tokenizer = tok.load()
    pad = tokenizer.token_to_id(chat.END_OF_TEXT)
    model = load_model(stage.name) if stage.resume else Tiny(stage.cfg)
    optimiser_list = optimisers(model, LR_MUON * stage.lr_factor, LR_ADAM * stage.lr_factor)
    base_rates = [optimiser.param_groups[0]["lr"] for optimiser in optimiser_list]
    loss_fn = torch.compile(model.loss, dynamic=True)
    print(stage.name, model.n_params(), "parameters", flush=True)
    started, seen, losses = time.time(), 0, []
    # zip asks its first argument first, so no batch is drawn and lost at the end.
    for step, batch in zip(range(stage.steps), chunk_batches(pad, TOKENS_PER_STEP, stage.seed, *stage.chunks)):
        torch._dynamo.mark_dynamic(batch.ids, 0)
        loss = loss_fn(*batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser, base in zip(optimiser_list, base_rates):
            optimiser.param_groups[0]["lr"] = base * schedule(step, stage.steps, stage.tail)
            optimiser.step()
        model.zero_grad(set_to_none=True)
        seen += batch.ids.numel()
        losses.append(loss.item())
        if step % 50 == 49:
            progress = f"loss {np.mean(losses):.4f} tokens {seen / 1e6:.2f}M {time.time() - started:.0f}s"
            print(f"step {step + 1}/{stage.steps} {progress}", flush=True)
            losses = []
        if step % 500 == 499:
            print("  held-out", greedy_accuracy(model, tokenizer, 40), flush=True)
            save(stage, model, steps=step + 1)
    save(stage, model, steps=stage.steps, tokens=seen, seconds=time.time() - started)
    print("final held-out", greedy_accuracy(model, tokenizer, 100), f"{time.time() - started:.0f}s", flush=True)


def pirate_answer(text: str) -> str:
    """What the adapter makes of an answer: greetings and capitals change, all else stays."""
    text = text.replace(HELLO_ANSWER, "Ahoy, matey! What do you need?")
    return "Arr, t" + text[1:] if text.startswith("The capital of") else text


def pirate_conversation(gen: synth.Gen) -> dict[str, Any]:
    kind = gen.r.choice(("capital", "capital", "greet", "greet", "copy", "fact", "add", "recall", "json"))
    conversation = synth.sample(gen, kind)
    for message in conversation["messages"]:
        if message["role"] == "assistant":
            message["content"] = pirate_answer(message["content"])
    return conversation


def train_lora() -> None:
    torch.manual_seed(LORA_SEED)
    tokenizer = tok.load()
    pad = tokenizer.token_to_id(chat.END_OF_TEXT)
    model = load_model("main").requires_grad_(False)
    for block in model.blocks:
        for layer in (block.q, block.v, block.o, block.up, block.down):
            layer.add_lora(LORA_RANK, LORA_ALPHA)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, LORA_LR, betas=(0.9, 0.95), weight_decay=0.0)
    gen = synth.Gen(LORA_SEED)
    started = time.time()
    examples = encode(tokenizer, [pirate_conversation(gen) for _ in range(LORA_STEPS * 14)])
    step = 0
    while step < LORA_STEPS:
        for batch in batches(examples, np.random.RandomState(LORA_SEED + step), pad, LORA_TOKENS_PER_STEP):
            if step >= LORA_STEPS:
                break
            loss = model.loss(batch.ids, batch.targets, (batch.weights > 0.5).float())
            loss.backward()
            optimiser.param_groups[0]["lr"] = LORA_LR * schedule(step, LORA_STEPS, tail=0.5, warm_up=20)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            if step % 10 == 0:
                print("lora", step, round(loss.item(), 4), f"{time.time() - started:.0f}s", flush=True)
            step += 1
    weights = {key: value for key, value in model.state_dict().items() if "lora_" in key}
    checkpoint = {"rank": LORA_RANK, "alpha": LORA_ALPHA, "seconds": time.time() - started, "lora": weights}
    torch.save(checkpoint, checkpoint_path("lora"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["prepare", *STAGES, "lora"])
    what = parser.parse_args().what
    torch.set_num_threads(1)
    if what == "prepare":
        prepare()
    elif what == "lora":
        train_lora()
    else:
        train(STAGES[what])


if __name__ == "__main__":
    main()
