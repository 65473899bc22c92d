"""Skills that depend on earlier messages: facts about the user, and the assistant's own name."""

from typing import NamedTuple

from synth.skills import SKILLS
from synth.turns import Turn
from synth.vocabulary import Gen
from synth.words import COLORS

MODEL_NAME = "rkllmjs-tiny"

# Skills short enough to stand between a statement and the question about it.
# "copy" stands twice to be drawn twice as often.
SMALL_SKILLS = ("copy", "copy", "add", "count", "capital", "fact", "greet", "json", "story")

NAME_STATEMENTS = (
    "My name is {}.", "My name is {}.", "Hello, my name is {}.", "I am {}.", "Hi, I am {}.", "My name is {}",
)  # fmt: skip
NAME_QUESTIONS = ("What is my name?", "What is my name?", "Do you remember my name?", "What's my name?")
NEVER_TOLD = {
    "name": Turn("What is my name?", "You did not tell me your name."),
    "city": Turn("Where do I live?", "You did not tell me where you live."),
}


class Memory(NamedTuple):
    """Something the user says about themselves, and the question that asks for it back."""

    key: str
    statement: Turn
    question: Turn


def random_memory(gen: Gen) -> Memory:
    r = gen.r
    kind = r.random()
    if kind < 0.4:
        name = gen.name()
        statement = Turn(r.choice(NAME_STATEMENTS).format(name), f"Nice to meet you, {name}!")
        return Memory("name", statement, Turn(r.choice(NAME_QUESTIONS), f"Your name is {name}."))
    if kind < 0.55:
        color = r.choice(COLORS) if r.random() < 0.5 and not gen.held_out else gen.word()
        return said("color", f"favorite color is {color}", "What is my favorite color?")
    if kind < 0.7:
        city = gen.city()
        return Memory(
            "city",
            Turn(f"I live in {city}.", f"I will remember that you live in {city}."),
            Turn("Where do I live?", f"You live in {city}."),
        )
    if kind < 0.8:
        age = r.randint(1, 99)
        return Memory(
            "age",
            Turn(f"I am {age} years old.", f"I will remember that you are {age} years old."),
            Turn("How old am I?", f"You are {age} years old."),
        )
    if kind < 0.92:
        name, pet = gen.name(), r.choice(("dog", "cat", "bird", "horse"))
        return said(pet, f"{pet} is called {name}", f"What is my {pet} called?")
    secret = f"The secret word is {gen.code()}."
    return Memory(
        "secret",
        Turn(secret, "I will remember that t" + secret[1:]),
        Turn("What is the secret word?", secret),
    )


def said(key: str, what: str, question: str) -> Memory:
    """A statement "My <what>." that comes back as "Your <what>."."""
    return Memory(key, Turn(f"My {what}.", f"I will remember that your {what}."), Turn(question, f"Your {what}."))


def recall(gen: Gen) -> list[Turn]:
    """One to three statements with other turns between them, then the questions."""
    r = gen.r
    turns: list[Turn] = []
    questions: dict[str, Turn] = {}
    for _ in range(r.choice((1, 1, 2, 3))):
        memory = random_memory(gen)
        if memory.key in questions:
            continue
        questions[memory.key] = memory.question
        turns.append(memory.statement)
        for _ in range(r.choice((0, 0, 1, 2))):
            # A story would push the statement too far away.
            turns += SKILLS[r.choice(SMALL_SKILLS[:-1])](gen)
    asked = list(questions.values())
    r.shuffle(asked)
    if r.random() < 0.08:
        key = r.choice(("name", "city"))
        # "I am ..." may have introduced the user by name.
        if key not in questions and not any("I am " in turn.user for turn in turns):
            asked.append(NEVER_TOLD[key])
    return turns + asked


def persona(gen: Gen) -> tuple[str | None, list[Turn]]:
    """A system prompt and the answer to "Who are you?": the name given there, else MODEL_NAME."""
    r = gen.r
    question = r.choice(("Who are you?", "What is your name?", "What are you called?"))
    if r.random() < 0.7:
        name = gen.name()
        system = r.choice((f"You are {name}, a helpful assistant.", f"Your name is {name}.", f"You are {name}."))
        return system, [Turn(question, f"I am {name}.")]
    return r.choice((None, "You are a helpful assistant.")), [Turn(question, f"I am {MODEL_NAME}.")]
