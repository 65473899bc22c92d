"""Training data: conversations as token ids with loss weights, in chunks on disk and as batches."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer

import chat
import synth
import tok
from paths import CHUNKS

PROMPT_WEIGHT = 0.05  # loss weight of tokens the assistant did not write
LONGEST_TEXT = 1000
FIRST_CHUNK_MIX = {"copy_long": 6, "copy": 3, "recall": 3, "rag": 2, "add": 1}  # induction first
FINAL_CHUNK = 7  # read by the last stage only
CHUNK_COUNT = FINAL_CHUNK + 1


class Example(NamedTuple):
    ids: np.ndarray
    is_answer: np.ndarray  # 1 where the assistant wrote the token


class Batch(NamedTuple):
    ids: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


def encode(tokenizer: Tokenizer, conversations: list[dict[str, Any]]) -> list[Example]:
    encodings = tokenizer.encode_batch([chat.render(conversation) for conversation in conversations])
    head = tokenizer.encode(chat.ASSISTANT_HEAD).ids
    end = tokenizer.token_to_id(chat.END)
    examples = []
    for conversation, encoding in zip(conversations, encodings):
        ids = np.array(encoding.ids[:LONGEST_TEXT], dtype=np.uint16)
        is_answer = np.ones(len(ids), dtype=np.uint8) if "text" in conversation else mark_answers(ids, head, end)
        examples.append(Example(ids, is_answer))
    return examples


def mark_answers(ids: np.ndarray, head: list[int], end: int) -> np.ndarray:
    """1 for every token after an assistant head, up to and including the end token."""
    marks = np.zeros(len(ids), dtype=np.uint8)
    ends = np.nonzero(ids == end)[0]
    for start in np.nonzero(ids == head[0])[0]:
        first = start + len(head)
        if ids[start:first].tolist() == head:
            following = ends[ends > start]
            marks[first : following[0] + 1 if len(following) else len(ids)] = 1
    return marks


def chunk_mix(index: int) -> dict[str, int]:
    if index == 0:
        return FIRST_CHUNK_MIX
    if index < 3:
        return synth.MIX
    return synth.LATE_MIX if index < FINAL_CHUNK else synth.FINAL_MIX


def prepare() -> None:
    """Write the chunks that are not there yet: 20,000 conversations each, 12,000 in the first."""
    CHUNKS.mkdir(parents=True, exist_ok=True)
    tokenizer = tok.load()
    for index in range(CHUNK_COUNT):
        path = CHUNKS / f"{index:03d}.npz"
        if path.exists():
            continue
        source = synth.stream(1000 + index, chunk_mix(index))
        examples: list[Example] = []
        for _ in range(20 if index else 12):
            examples += encode(tokenizer, list(itertools.islice(source, 1000)))
        # Renamed when complete, so an interrupted run leaves no half chunk behind.
        partial = path.with_suffix(".partial.npz")
        np.savez(
            partial,
            ids=np.concatenate([example.ids for example in examples]),
            w=np.concatenate([example.is_answer for example in examples]),
            n=np.array([len(example.ids) for example in examples], dtype=np.int32),
        )
        partial.rename(path)
        print("chunk", index, sum(len(example.ids) for example in examples), "tokens", flush=True)


def read_chunk(index: int) -> list[Example]:
    chunk = np.load(CHUNKS / f"{index:03d}.npz")
    cuts = np.cumsum(chunk["n"])[:-1]
    return [Example(*pair) for pair in zip(np.split(chunk["ids"], cuts), np.split(chunk["w"], cuts))]


def batches(examples: list[Example], rng: np.random.RandomState, pad: int, tokens: int) -> Iterator[Batch]:
    """Batches of examples of similar length with about `tokens` tokens each, in random order."""
    groups = group_by_length(examples, rng, tokens)
    rng.shuffle(groups)
    for members, width in groups:
        ids = np.full((len(members), width + 1), pad, dtype=np.int64)
        weights = np.zeros((len(members), width + 1), dtype=np.float32)
        for row, member in enumerate(members):
            example = examples[member]
            ids[row, : len(example.ids)] = example.ids
            weights[row, : len(example.ids)] = np.where(example.is_answer, 1.0, PROMPT_WEIGHT)
        yield Batch(*(torch.from_numpy(part.copy()) for part in (ids[:, :-1], ids[:, 1:], weights[:, 1:])))


def group_by_length(examples: list[Example], rng: np.random.RandomState, tokens: int) -> list[tuple[list[int], int]]:
    """Example indices with the width of their batch, a multiple of 16 to keep few distinct shapes."""
    # The jitter makes each pass form other groups.
    order = np.argsort([len(example.ids) + rng.random() * 8 for example in examples])
    groups: list[tuple[list[int], int]] = []
    members: list[int] = []
    width = 0
    for index in order:
        rounded = -(-(len(examples[index].ids) - 1) // 16) * 16
        if members and max(width, rounded) * (len(members) + 1) > tokens:
            groups.append((members, width))
            members, width = [], 0
        members.append(index)
        width = max(width, rounded)
    groups.append((members, width))
    return groups


def chunk_batches(pad: int, tokens: int, seed: int, first: int, last: int) -> Iterator[Batch]:
    """Batches of the chunks `first` to `last - 1`, then again and again, without chunk 0."""
    rng = np.random.RandomState(seed)
    for index in itertools.chain(range(first, last), itertools.cycle(range(max(1, first), last))):
        yield from batches(read_chunk(index), rng, pad, tokens)
