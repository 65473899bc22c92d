"""Evaluation on the held-out prompts through llama.cpp (greedy), compared with PyTorch.

    python eval.py      # writes build/eval.json

Evaluates the files in build/ that export.py writes; files that are missing are
left out, but the checkpoint of the main model and its q8_0 file must be there.
"""

import collections
import json
import re
from typing import Any

import torch

import chat
import heldout
import llama
import tok
from model import MAIN, Tiny, load_model
from paths import BUILD, gguf_path
from train import pirate_answer

Item = dict[str, Any]
MOST_NEW_TOKENS = 330


def is_story(item: Item, text: str) -> bool:
    """A story has no single right text: it must be about the animal, name its hero and come to an end."""
    animal = re.search(r"story about an? (\S+?)\.?$", item["messages"][-1]["content"]).group(1)
    sentences = re.findall(r"[^.]+\.", text)
    opening = rf"Once there was a \w+ {re.escape(animal)} named ([A-Z]\w*)\.$"
    hero = re.match(opening, sentences[0] if sentences else "")
    return bool(hero) and 3 <= len(sentences) <= 7 and text.endswith(".") and text.count(hero.group(1)) >= 2


def is_correct(item: Item, text: str) -> bool:
    return is_story(item, text) if item["skill"] == "story" else text == item["expected"]


def generate(name: str, items: list[Item], lora: str | None = None) -> list[str]:
    requests = [{"prompt": item["prompt"], "max": MOST_NEW_TOKENS} for item in items]
    return [reply["text"] for reply in llama.ask(gguf_path(name), requests, gguf_path(lora) if lora else None)]


def score(items: list[Item], texts: list[str]) -> dict[str, dict[str, float]]:
    right: collections.Counter[str] = collections.Counter()
    total: collections.Counter[str] = collections.Counter()
    for item, text in zip(items, texts):
        right[item["skill"]] += is_correct(item, text)
        total[item["skill"]] += 1
    return {
        skill: {"right": right[skill], "of": count, "share": round(right[skill] / count, 3)}
        for skill, count in total.items()
    }


def print_wrong(items: list[Item], texts: list[str], most: int = 25) -> None:
    wrong = [(item, text) for item, text in zip(items, texts) if not is_correct(item, text)]
    for item, text in wrong[:most]:
        question = item["messages"][-1]["content"][-90:]
        print(f"  WRONG {item['id']} {question!r} want {item['expected'][:80]!r} got {text[:80]!r}")


@torch.no_grad()
def agreement(model: Tiny, items: list[Item], texts: list[str]) -> dict[str, float]:
    """How far greedy decoding in PyTorch gives the same texts: where every token is its arg-max."""
    model.dtype = torch.float32  # the reference is full precision
    tokenizer = tok.load()
    end = tokenizer.token_to_id(chat.END)
    same = total = hits = 0
    for item, text in zip(items, texts):
        prompt = tokenizer.encode(item["prompt"]).ids
        answer = tokenizer.encode(text).ids + [end]
        ids = torch.tensor([prompt + answer])[:, : MAIN.ctx]
        predicted = model(ids[:, :-1]).argmax(-1)[0, len(prompt) - 1 :]
        matches = predicted == ids[0, len(prompt) :]
        same += bool(matches.all())
        hits += int(matches.sum())
        total += len(matches)
    return {"same": same, "of": len(items), "token_share": round(hits / total, 4)}


def size(name: str) -> int:
    return gguf_path(name).stat().st_size


def report_adapter(items: list[Item], lora: str) -> dict[str, Any]:
    """The adapter must change the answers it was trained to change, and only those."""
    texts = generate("rkllmjs-tiny-q8_0", items, lora)
    pairs = list(zip(items, texts))
    changed = [pair for pair in pairs if pirate_answer(pair[0]["expected"]) != pair[0]["expected"]]
    kept = [pair for pair in pairs if pirate_answer(pair[0]["expected"]) == pair[0]["expected"]]
    return {
        "bytes": size(lora),
        "pirate_answers": [sum(text == pirate_answer(item["expected"]) for item, text in changed), len(changed)],
        "skills_with_adapter": score([item for item, _ in kept], [text for _, text in kept]),
    }


def evaluate() -> dict[str, Any]:
    items = heldout.load()
    main_model = load_model("main")
    report: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    for kind in ("q8_0", "f16", "q4_0"):
        name = f"rkllmjs-tiny-{kind}"
        if gguf_path(name).exists():
            texts[kind] = generate(name, items)
            skills = score(items, texts[kind])
            report[kind] = {
                "bytes": size(name), "skills": skills, "pytorch_same_text": agreement(main_model, items, texts[kind]),
            }  # fmt: skip
    print_wrong(items, texts["q8_0"])
    draft = "rkllmjs-tiny-draft-q8_0"
    if gguf_path(draft).exists():
        report["draft_q8_0"] = {
            "bytes": size(draft),
            "skills": score(items, generate(draft, items)),
            "agrees_with_main_per_token": agreement(load_model("draft"), items, texts["q8_0"])["token_share"],
        }
    lora = "rkllmjs-tiny-lora-pirate-f16"
    if gguf_path(lora).exists():
        report["lora_pirate"] = report_adapter(items, lora)
    return report


def main() -> None:
    torch.set_num_threads(1)
    report = evaluate()
    (BUILD / "eval.json").write_text(json.dumps(report, indent=1))
    for name, part in report.items():
        print(name, json.dumps({key: value for key, value in part.items() if "skills" not in key}))
        for skill, result in part.get("skills", part.get("skills_with_adapter", {})).items():
            print("   ", skill, result)


if __name__ == "__main__":
    main()
