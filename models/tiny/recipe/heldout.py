"""Held-out prompts with the expected answers.

    python heldout.py      # writes ../heldout.jsonl

Each line asks for one assistant message given the correct messages before it.
Words and number pairs come from the part that training never sees; the prompts
of the skill "demo" use ordinary words, as a person would type them.
"""

import collections
import json
from typing import Any

import chat
import synth
import tok
from paths import HELDOUT
from synth.turns import Turn

PER_SKILL = 50
MOST_TOKENS = 900  # leaves room for the answer in a context of 1024
PLAIN_SKILLS = ("copy", "add", "recall", "rag", "json", "count", "capital", "fact", "greet", "persona", "story")
DEMO = [
    ("copy", [Turn("Repeat: hello world", "hello world")]),
    ("copy", [Turn("Repeat after me: the quick brown fox", "the quick brown fox")]),
    ("copy", [Turn('Say "banana"', "banana")]),
    ("add", [Turn("What is 2 + 2?", "4")]),
    ("add", [Turn("What is 17 + 25?", "42")]),
    ("capital", [Turn("What is the capital of France?", "The capital of France is Paris.")]),
    ("capital", [Turn("What is the capital of Japan?", "The capital of Japan is Tokyo.")]),
    ("recall", [
        Turn("My name is Alice.", "Nice to meet you, Alice!"),
        Turn("What is my name?", "Your name is Alice."),
    ]),
    ("recall", [
        Turn("My name is Zebulon.", "Nice to meet you, Zebulon!"),
        Turn("What is 3 + 4?", "7"),
        Turn("What is the capital of Italy?", "The capital of Italy is Rome."),
        Turn("What is my name?", "Your name is Zebulon."),
    ]),
    ("rag", [Turn(
        "Context: The code of the red door is 4821. Question: What is the code of the red door?",
        "4821",
    )]),
    ("rag", [Turn(
        "Context: Alice lives in Paris. Bob lives in Rome. The code of the red door is 4821.\n"
        "Question: Where does Bob live?",
        "Rome",
    )]),
    ("count", [Turn("Count from 1 to 5.", "1, 2, 3, 4, 5")]),
    ("count", [Turn("Count to 10.", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10")]),
    ("json", [Turn("Extract the name and age as JSON: Bob is 42 years old.", '{"name": "Bob", "age": 42}')]),
    ("greet", [Turn("Hello!", "Hello! How can I help you?")]),
    ("persona", [Turn("Who are you?", "I am rkllmjs-tiny.")]),
]  # fmt: skip


class Items:
    """Evaluation items without repeated prompts."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.counts: collections.Counter[str] = collections.Counter()
        self.prompts: set[str] = set()

    def add(self, skill: str, conversation: dict[str, Any], index: int) -> None:
        """Ask for message `index` of the conversation, unless an earlier item has the same prompt."""
        messages, tools = conversation["messages"], conversation["tools"]
        prompt = chat.render({"messages": messages[:index], "tools": tools}, generation=True)
        if prompt in self.prompts:
            return
        answer = chat.render_message(messages[index])
        self.prompts.add(prompt)
        self.items.append({
            "id": f"{skill}-{self.counts[skill]}",
            "skill": skill,
            "messages": messages[:index],
            "tools": tools,
            "prompt": prompt,
            "expected": answer.removeprefix(chat.ASSISTANT_HEAD).removesuffix(chat.END + "\n"),
        })  # fmt: skip
        self.counts[skill] += 1


def add_plain(items: Items, skill: str) -> None:
    """Items that ask for the last answer of a conversation."""
    tokenizer = tok.load()
    gen = synth.Gen(2024, held_out=True)
    # "fact" and "greet" have few distinct prompts, so the number of attempts is limited.
    for _ in range(400):
        if items.counts[skill] >= PER_SKILL:
            break
        conversation = synth.sample(gen, skill)
        if len(tokenizer.encode(chat.render(conversation)).ids) < MOST_TOKENS:
            items.add(skill, conversation, len(conversation["messages"]) - 1)


def add_tools(items: Items) -> None:
    """For every tool call one item that asks for the call and one that asks for the answer after it."""
    gen = synth.Gen(2025, held_out=True)
    while items.counts["tool_call"] < PER_SKILL:
        conversation = synth.sample(gen, "tool")
        for index, message in enumerate(conversation["messages"]):
            if message.get("tool_calls"):
                items.add("tool_call", conversation, index)
                items.add("tool_answer", conversation, index + 2)


def build() -> Items:
    items = Items()
    for skill, turns in DEMO:
        conversation = synth.conversation(skill, turns)
        items.add("demo", conversation, len(conversation["messages"]) - 1)
    for skill in PLAIN_SKILLS:
        add_plain(items, skill)
    add_tools(items)
    return items


def load() -> list[dict[str, Any]]:
    return [json.loads(line) for line in HELDOUT.read_text().splitlines()]


def main() -> None:
    items = build()
    HELDOUT.write_text("".join(json.dumps(item) + "\n" for item in items.items))
    print(len(items.items), "items", dict(items.counts))


if __name__ == "__main__":
    main()
