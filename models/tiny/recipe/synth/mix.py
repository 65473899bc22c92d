"""Conversations assembled from skills, and their shares in the training data."""

from collections.abc import Iterator, Sequence
from typing import Any

from synth.memory import SMALL_SKILLS, persona, recall
from synth.reading import rag
from synth.skills import SKILLS, add, story_text
from synth.tools import tool_use
from synth.turns import Turn
from synth.vocabulary import Gen

Conversation = dict[str, Any]

SYSTEM_PROMPTS = (
    "You are a helpful assistant.", "You are a helpful assistant.", "You are a friendly assistant.",
    "You are a small assistant. Answer briefly.", "Answer the question of the user.", "Be short and exact.",
)  # fmt: skip

# Share of each kind of conversation.
MIX = {
    "copy": 12, "copy_long": 5, "add": 11, "count": 5, "capital": 6, "fact": 2, "greet": 2, "story": 3, "rag": 17,
    "json": 8, "recall": 12, "tool": 16, "persona": 3, "mixed": 6, "text": 2,
}  # fmt: skip

# Later chunks: more sums, several in one conversation, which is cheap per sum.
LATE_MIX = dict(MIX, add=6, add_many=14, copy=9, copy_long=4, greet=1)

# Short last stage: the skills that were still below 95 %.
FINAL_MIX = {
    "rag": 26, "tool": 24, "copy": 10, "copy_long": 3, "recall": 11, "add_many": 8, "json": 3, "capital": 3, "count": 2,
    "persona": 3, "mixed": 3, "fact": 1, "greet": 1, "story": 1, "text": 1,
}  # fmt: skip

TURNS = {**SKILLS, "rag": rag, "recall": recall}


def conversation(
    skill: str, turns: Sequence[Turn], system: str | None = None, tools: list[dict[str, Any]] | None = None
) -> Conversation:
    """Turns as chat messages."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for turn in turns:
        messages.append({"role": "user", "content": turn.user})
        if turn.call is not None:
            call = {"type": "function", "function": turn.call}
            messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
            messages.append({"role": "tool", "content": turn.result})
        messages.append({"role": "assistant", "content": turn.answer})
    return {"skill": skill, "tools": tools or [], "messages": messages}


def sample(gen: Gen, kind: str) -> Conversation:
    """A conversation of the given kind (a key of one of the mixes)."""
    if kind == "add_many":
        return conversation("add", [turn for _ in range(gen.r.randint(4, 12)) for turn in add(gen)])
    system = gen.r.choice(SYSTEM_PROMPTS) if gen.r.random() < 0.3 else None
    if kind == "text":
        return {"skill": "text", "text": story_text(gen)[1]}
    if kind == "persona":
        return sample_persona(gen)
    if kind == "tool":
        return sample_tool(gen, system)
    if kind == "mixed":
        return sample_mixed(gen, system)
    turns = TURNS[kind](gen)
    # Several short turns share one prompt.
    if kind in ("add", "capital", "copy", "count") and gen.r.random() < 0.5:
        for _ in range(gen.r.randint(1, 4)):
            turns += TURNS[kind](gen)
    return conversation(kind, turns, system)


def sample_persona(gen: Gen) -> Conversation:
    system, turns = persona(gen)
    for _ in range(gen.r.choice((0, 0, 1))):
        turns = SKILLS[gen.r.choice(SMALL_SKILLS)](gen) + turns
    return conversation("persona", turns, system)


def sample_tool(gen: Gen, system: str | None) -> Conversation:
    """Tool use; in some conversations the tools are offered but not needed."""
    r = gen.r
    tools, turns = tool_use(gen, r.choice((1, 1, 1, 2)))
    if r.random() < 0.15:
        other = SKILLS[r.choice(("copy", "capital", "greet", "fact", "story"))](gen)
        turns = other + turns if r.random() < 0.5 else other
    return conversation("tool", turns, system, tools)


def sample_mixed(gen: Gen, system: str | None) -> Conversation:
    turns: list[Turn] = []
    for _ in range(gen.r.randint(2, 5)):
        turns += TURNS[gen.r.choice((*SMALL_SKILLS, "rag", "recall"))](gen)
    return conversation("mixed", turns, system)


def stream(seed: int, mix: dict[str, int] = MIX, held_out: bool = False) -> Iterator[Conversation]:
    """Endless conversations, the same for the same arguments."""
    gen = Gen(seed, held_out)
    kinds, weights = list(mix), list(mix.values())
    while True:
        yield sample(gen, gen.r.choices(kinds, weights)[0])
