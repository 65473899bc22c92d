"""Single-topic skills: each function returns the turns of one short exchange."""

import json
from collections.abc import Callable

from synth.turns import Turn
from synth.vocabulary import Gen, is_held_out_sum
from synth.words import ADJECTIVES, ANIMALS, CAPITALS, COLORS, FACTS, FOODS, OBJECTS, PLACES

COPY_REQUESTS = (
    "Repeat: {}", "Repeat after me: {}", "Say {}", "Say: {}", "Echo: {}", "Copy this text: {}", "Please repeat: {}",
    "Repeat this exactly: {}", "Repeat the word {}", "Write {}", "Please say {}", "Echo the following: {}",
    "Repeat: {}",
)  # fmt: skip


def copy(gen: Gen) -> list[Turn]:
    r = gen.r
    text = gen.phrase(1, r.choice((1, 2, 4, 8)))
    quotes = r.choice(("{}", "{}", '"{}"'))
    request = r.choice(COPY_REQUESTS)
    # Where the text ends the sentence or stands in quotes, closing punctuation would be ambiguous.
    if quotes != "{}" or request.endswith(("word {}", "Say {}", "Write {}", "say {}")):
        text = text.rstrip(".!?")
    return [Turn(request.format(quotes.format(text)), text)]


def copy_long(gen: Gen) -> list[Turn]:
    """Long random copying teaches induction fast: many positions to predict per prompt token."""
    text = gen.phrase(8, 24)
    return [Turn("Repeat: " + text, text)]


ADD_REQUESTS = (
    "What is {a} + {b}?", "What is {a} + {b}?", "{a} + {b}", "{a} + {b} =", "What is {a} plus {b}?", "Add {a} and {b}.",
    "Calculate {a} + {b}.", "How much is {a} + {b}?", "{a}+{b}",
)  # fmt: skip


def add(gen: Gen) -> list[Turn]:
    """Two numbers below 100; 15 % of the pairs have one digit each."""
    r = gen.r
    while True:
        a, b = r.randint(0, 99), r.randint(0, 99)
        if r.random() < 0.15:
            a %= 10
            b %= 10
        if is_held_out_sum(a, b) == gen.held_out:
            break
    return [Turn(r.choice(ADD_REQUESTS).format(a=a, b=b), str(a + b))]


def count(gen: Gen) -> list[Turn]:
    """Counting up, at most to 50."""
    r = gen.r
    last = r.choice((r.randint(2, 12), r.randint(2, 12), r.randint(2, 30), r.randint(20, 50)))
    first = 1 if r.random() < 0.8 else r.randint(2, 20)
    if first >= last:
        first = 1
    if first == 1 and r.random() < 0.4:
        request = r.choice(("Count to {n}.", "Count up to {n}."))
    else:
        request = r.choice(("Count from {a} to {n}.", "Count from {a} to {n}.", "Please count from {a} to {n}."))
    return [Turn(request.format(a=first, n=last), ", ".join(map(str, range(first, last + 1))))]


CAPITAL_REQUESTS = (
    "What is the capital of {}?", "What is the capital of {}?", "Capital of {}?", "Tell me the capital of {}.",
    "Which city is the capital of {}?",
)  # fmt: skip


def capital(gen: Gen) -> list[Turn]:
    """Country to capital, capital to country, and made-up countries the model must not know."""
    r = gen.r
    country = r.choice(list(CAPITALS))
    city = CAPITALS[country]
    kind = r.random()
    if kind < 0.8:
        return [Turn(r.choice(CAPITAL_REQUESTS).format(country), f"The capital of {country} is {city}.")]
    if kind < 0.92:
        return [Turn(f"{city} is the capital of which country?", f"{city} is the capital of {country}.")]
    unknown = gen.made_up(True)
    return [Turn(f"What is the capital of {unknown}?", f"I do not know the capital of {unknown}.")]


def fact(gen: Gen) -> list[Turn]:
    question = gen.r.choice(list(FACTS))
    return [Turn(question, FACTS[question])]


HELLO = ("Hello", "Hello!", "Hi", "Hi!", "Hey", "Good morning", "Hello there!", "Good day!")
HELLO_ANSWER = "Hello! How can I help you?"
ABILITIES = "I can repeat words, add numbers, count, remember facts, read a text and call tools."


def greet(gen: Gen) -> list[Turn]:
    r = gen.r
    kind = r.random()
    if kind < 0.5:
        return [Turn(r.choice(HELLO), HELLO_ANSWER)]
    if kind < 0.65:
        request = r.choice(("How are you?", "How are you today?", "Hello, how are you?"))
        return [Turn(request, "I am fine, thank you. How can I help you?")]
    if kind < 0.8:
        request = r.choice(("Thank you!", "Thanks!", "Thank you very much.", "Thanks a lot!"))
        return [Turn(request, "You are welcome!")]
    if kind < 0.9:
        return [Turn(r.choice(("Goodbye!", "Bye!", "Bye", "See you later.")), "Goodbye! See you soon.")]
    return [Turn(r.choice(("What can you do?", "Help", "Help me.")), ABILITIES)]


def story_text(gen: Gen) -> tuple[str, str]:
    """An animal and a story of four to six sentences about it."""
    r = gen.r
    animal = r.choice(ANIMALS) if r.random() < 0.7 else gen.word()
    hero, place, thing, friend = gen.name(), r.choice(PLACES), r.choice(OBJECTS), gen.name()
    mood, look = r.choice(ADJECTIVES), r.choice(ADJECTIVES)
    sentences = [
        f"Once there was a {mood} {animal} named {hero}.",
        r.choice((
            f"The {animal} lived in a {look} {place}.",
            f"{hero} lived near the {place}.",
            f"{hero} liked the {place} very much.",
        )),
        r.choice((
            f"One day {hero} found a {r.choice(COLORS)} {thing}.",
            f"One day {hero} lost a {r.choice(COLORS)} {thing}.",
            f"One morning {hero} saw a {r.choice(COLORS)} {thing} in the {place}.",
        )),
    ]  # fmt: skip
    later = (
        f"They looked at the {thing} together.",
        f"They walked to the {r.choice(PLACES)}.",
        f"{friend} gave {hero} some {r.choice(FOODS)}.",
    )
    if r.random() < 0.5:
        help_needed = "lost" in sentences[-1]
        helps, sees = f"A friend named {friend} came to help.", f"{hero} showed the {thing} to {friend}."
        sentences.append(helps if help_needed else sees)
        if r.random() < 0.6:
            sentences.append(r.choice(later))
    endings = (f"{hero} was very happy.", "They were happy.", f"Then the {animal} went home and slept.")
    sentences.append(r.choice(endings))
    return animal, " ".join(sentences)


STORY_REQUESTS = (
    "Tell me a story about a {}.", "Tell me a story about a {}", "Write a short story about a {}.",
    "Tell me a short story about a {}.",
)  # fmt: skip


def story(gen: Gen) -> list[Turn]:
    animal, text = story_text(gen)
    return [Turn(gen.r.choice(STORY_REQUESTS).format(animal), text)]


JSON_REQUESTS = (
    "Extract the {k} as JSON: {s}", "Answer in JSON with {k}: {s}", "Give me the {k} as JSON. {s}",
    "{s} Answer in JSON with {k}.", "Extract the {k} as JSON.\n{s}",
)  # fmt: skip


def extract_json(gen: Gen) -> list[Turn]:
    """Two or three of name, age and city, taken from one sentence."""
    r = gen.r
    name, age, city = gen.name(), r.randint(1, 99), gen.city()
    kind = r.random()
    if kind < 0.65:
        sentence = r.choice((
            f"{name} is {age} years old.",
            f"My friend {name} is {age} years old.",
            f"{name} is {age}.",
            f"This is {name}, aged {age}.",
            f"I am {name} and I am {age} years old.",
            f"{name}, {age} years old, lives in {city}.",
            f"{name} lives in {city} and is {age} years old.",
        ))  # fmt: skip
        answer: dict[str, str | int] = {"name": name, "age": age}
    elif kind < 0.85:
        sentence = r.choice((
            f"{name} is {age} years old and lives in {city}.",
            f"{name}, aged {age}, lives in {city}.",
            f"{name} lives in {city} and is {age} years old.",
        ))  # fmt: skip
        answer = {"name": name, "age": age, "city": city}
    else:
        sentence = r.choice((f"{name} lives in {city}.", f"My friend {name} lives in {city}."))
        answer = {"name": name, "city": city}
    *keys, last_key = answer
    wanted = ", ".join(keys) + " and " + last_key
    return [Turn(r.choice(JSON_REQUESTS).format(k=wanted, s=sentence), json.dumps(answer))]


SKILLS: dict[str, Callable[[Gen], list[Turn]]] = {
    "copy": copy,
    "copy_long": copy_long,
    "add": add,
    "count": count,
    "capital": capital,
    "fact": fact,
    "greet": greet,
    "story": story,
    "json": extract_json,
}
