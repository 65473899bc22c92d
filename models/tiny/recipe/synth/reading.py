"""Reading skill: questions about a short passage given in the prompt (retrieval-augmented answers)."""

from typing import NamedTuple

from synth.turns import Turn
from synth.vocabulary import Gen
from synth.words import COLORS, FOODS, JOBS, OBJECTS

ATTRIBUTES = "code price color owner number name size weight password address id".split()
THINGS = [*OBJECTS, "door", "car", "house", "boat", "room"]


class Fact(NamedTuple):
    sentence: str
    question: str
    answer: str


def attribute_fact(gen: Gen) -> Fact:
    r = gen.r
    attribute = r.choice(ATTRIBUTES)
    thing = f"{r.choice(COLORS)} {r.choice(THINGS)}" if r.random() < 0.6 else gen.word()
    if attribute == "color":
        value = r.choice(COLORS)
    elif attribute in ("owner", "name"):
        value = gen.name()
    elif attribute == "address":
        value = f"{r.randint(1, 99)} {gen.name()} Street"
    else:
        value = gen.code()
    return Fact(f"The {attribute} of the {thing} is {value}.", f"What is the {attribute} of the {thing}?", value)


def random_fact(gen: Gen) -> Fact:
    r = gen.r
    kind = r.random()
    if kind < 0.45:
        return attribute_fact(gen)
    # Drawn before the branch: the opening hours need no name, but skipping the draw would change the stream.
    name = gen.name()
    if kind < 0.6:
        city = gen.city()
        sentence = f"{name} lives in {city}."
        where = Fact(sentence, f"Where does {name} live?", city)
        return r.choice((where, Fact(sentence, f"Who lives in {city}?", name)))
    if kind < 0.7:
        liked = r.choice(FOODS) if r.random() < 0.6 else gen.word()
        sentence = f"{name} likes {liked}."
        what = Fact(sentence, f"What does {name} like?", liked)
        return r.choice((what, Fact(sentence, f"Who likes {liked}?", name)))
    if kind < 0.8:
        job = r.choice(JOBS)
        return Fact(f"{name} works as a {job}.", f"What is the job of {name}?", job)
    if kind < 0.9:
        age = str(r.randint(1, 99))
        return Fact(f"{name} is {age} years old.", f"How old is {name}?", age)
    place, hour = gen.word(), f"{r.randint(0, 23)}:{r.randint(0, 59):02d}"
    return Fact(f"The {place} opens at {hour}.", f"When does the {place} open?", hour)


def passage(gen: Gen, shortest: int, longest: int) -> list[Fact]:
    """Facts whose questions have a single answer."""
    facts: list[Fact] = []
    seen: set[str] = set()
    wanted = gen.r.randint(shortest, longest)
    while len(facts) < wanted:
        fact = random_fact(gen)
        # Ambiguous: the same question, or the same sentence up to its last word.
        keys = {fact.question, fact.sentence.rsplit(" ", 1)[0]}
        if keys & seen:
            continue
        seen |= keys
        facts.append(fact)
    return facts


FORMS = (
    "Context: {c}\nQuestion: {q}", "Context: {c} Question: {q}", "Context:\n{c}\n\nQuestion: {q}", "{c}\n\n{q}",
    "Use the context to answer.\nContext: {c}\nQuestion: {q}", "{c} {q}",
)  # fmt: skip


def rag(gen: Gen) -> list[Turn]:
    """A passage with one question, now and then unanswerable, and up to three further questions."""
    r = gen.r
    facts = passage(gen, 1, r.choice((2, 4, 6)))
    separator = r.choice((" ", " ", "\n", "\n- "))
    context = separator.join(fact.sentence for fact in facts)
    if separator == "\n- ":
        context = "- " + context
    asked = r.choice(facts)
    question, answer = asked.question, asked.answer
    if r.random() < 0.1:
        other = passage(gen, 1, 1)[0]
        if other.question not in [fact.question for fact in facts]:
            question, answer = other.question, "I do not know."
    turns = [Turn(r.choice(FORMS).format(c=context, q=question), answer)]
    while r.random() < 0.4 and len(turns) < 4:
        asked = r.choice(facts)
        turns.append(Turn(asked.question, asked.answer))
    return turns
