"""Tool use: tool definitions, requests that need one of them, results and closing answers."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from synth.turns import Turn
from synth.vocabulary import Gen

CONDITIONS = "sunny cloudy rainy windy snowy foggy".split()
FILE_TYPES = "txt md json js csv".split()
PLACE_PARAMETERS = ("city", "city", "location")
WEATHER_REQUESTS = (
    "What is the weather in {}?", "How is the weather in {}?", "Weather in {}?", "What is the weather like in {}?",
    "Tell me the weather in {}.", "Is it cold in {}?",
)  # fmt: skip
CUSTOM_REQUESTS = (
    "Call {n} with {a}.", "Use {n} with {a}.", "Use the tool {n} with {a}.", "Please call {n} with {a}.",
)  # fmt: skip


class ToolUse(NamedTuple):
    """One tool and one complete use of it."""

    name: str
    parameters: dict[str, str]
    request: str
    arguments: dict[str, Any]
    result: str
    answer: str

    def definition(self) -> dict[str, Any]:
        properties = {name: {"type": kind} for name, kind in self.parameters.items()}
        function = {"name": self.name, "parameters": {"type": "object", "properties": properties}}
        return {"type": "function", "function": function}

    def turn(self) -> Turn:
        return Turn(self.request, self.answer, {"name": self.name, "arguments": self.arguments}, self.result)


def to_json(gen: Gen, value: Any) -> str:
    """JSON with or without spaces: servers differ."""
    return json.dumps(value) if gen.r.random() < 0.5 else json.dumps(value, separators=(",", ":"))


def plain_or_json(gen: Gen, text: str, value: dict[str, Any]) -> str:
    """A tool result as bare text or as JSON."""
    # The JSON text draws from the generator even when it is not chosen.
    return gen.r.choice((text, to_json(gen, value)))


def weather(gen: Gen) -> ToolUse:
    r = gen.r
    parameter = r.choice(PLACE_PARAMETERS)
    name = r.choice(("get_weather", "get_weather", "get_current_weather", "weather"))
    city, degrees, condition = gen.city(), r.randint(-9, 39), r.choice(CONDITIONS)
    request = r.choice(WEATHER_REQUESTS).format(city)
    result, answer = weather_result(gen, city, degrees, condition)
    return ToolUse(name, {parameter: "string"}, request, {parameter: city}, result, answer)


def weather_result(gen: Gen, city: str, degrees: int, condition: str) -> tuple[str, str]:
    r = gen.r
    kind = r.random()
    if kind < 0.35:
        fields: list[tuple[str, Any]] = [("temperature", degrees), ("condition", condition)]
        if r.random() < 0.3:
            fields.insert(0, ("city", city))
        if r.random() < 0.3:
            fields.append(("unit", "C"))
        return to_json(gen, dict(fields)), f"It is {condition} and {degrees} degrees in {city}."
    if kind < 0.55:
        return to_json(gen, {"temperature": degrees}), f"It is {degrees} degrees in {city}."
    if kind < 0.8:
        result = r.choice((
            f"{condition}, {degrees} degrees", condition, f"{degrees} degrees", f"{condition} and {degrees} C",
        ))  # fmt: skip
        return result, f"The weather in {city}: {result}."
    return to_json(gen, {"weather": condition}), f"It is {condition} in {city}."


def time(gen: Gen) -> ToolUse:
    r = gen.r
    parameter = r.choice(("city", "city", "timezone", "location"))
    city, clock = gen.city(), f"{r.randint(0, 23):02d}:{r.randint(0, 59):02d}"
    request = r.choice(("What time is it in {}?", "What is the time in {}?", "Tell me the time in {}.")).format(city)
    name = r.choice(("get_time", "get_time", "get_current_time"))
    result = plain_or_json(gen, clock, {"time": clock})
    return ToolUse(name, {parameter: "string"}, request, {parameter: city}, result, f"It is {clock} in {city}.")


def arithmetic(gen: Gen, name: str, sign: str, compute: Callable[[int, int], int]) -> ToolUse:
    """Numbers up to 999: too large for the model to compute without the tool."""
    r = gen.r
    first, second = r.choice((("a", "b"), ("a", "b"), ("x", "y")))
    a, b = r.randint(0, 999), r.randint(0, 999)
    request = r.choice((
        f"What is {a} {sign} {b}?",
        f"{name.capitalize()} {a} and {b}.",
        f"Please {name} {a} and {b}.",
        f"Use the tool to {name} {a} and {b}.",
    ))  # fmt: skip
    value = compute(a, b)
    result = plain_or_json(gen, str(value), {"result": value})
    parameters = {first: "number", second: "number"}
    return ToolUse(name, parameters, request, {first: a, second: b}, result, f"The result is {value}.")


def add(gen: Gen) -> ToolUse:
    return arithmetic(gen, "add", "+", lambda a, b: a + b)


def multiply(gen: Gen) -> ToolUse:
    return arithmetic(gen, "multiply", "*", lambda a, b: a * b)


def search(gen: Gen) -> ToolUse:
    r = gen.r
    parameter = r.choice(("query", "query", "q"))
    query = gen.plain_phrase(1, 4)
    request = r.choice(("Search for {}.", "Search the web for {}.", "Look up {}.", "Find {} on the web.")).format(query)
    found = gen.plain_phrase(2, 6)
    name = r.choice(("search", "search", "web_search"))
    result = plain_or_json(gen, found, {"result": found})
    return ToolUse(name, {parameter: "string"}, request, {parameter: query}, result, f"I found: {found}.")


def timer(gen: Gen) -> ToolUse:
    r = gen.r
    minutes = r.randint(1, 90)
    request = r.choice((f"Set a timer for {minutes} minutes.", f"Start a timer of {minutes} minutes."))
    result = plain_or_json(gen, "ok", {"status": "ok"})
    answer = f"The timer is set for {minutes} minutes."
    return ToolUse("set_timer", {"minutes": "number"}, request, {"minutes": minutes}, result, answer)


def message(gen: Gen) -> ToolUse:
    name, text = gen.name(), gen.plain_phrase(1, 4)
    request = gen.r.choice((f"Send {text} to {name}.", f"Send a message to {name}: {text}", f"Tell {name}: {text}"))
    result = plain_or_json(gen, "ok", {"status": "sent"})
    parameters = {"to": "string", "text": "string"}
    answer = f"The message was sent to {name}."
    return ToolUse("send_message", parameters, request, {"to": name, "text": text}, result, answer)


def read_file(gen: Gen) -> ToolUse:
    path = f"{gen.word()}.{gen.r.choice(FILE_TYPES)}"
    content = gen.plain_phrase(1, 5)
    request = gen.r.choice((f"Read the file {path}.", f"Open {path}.", f"What is in {path}?"))
    result = plain_or_json(gen, content, {"content": content})
    return ToolUse("read_file", {"path": "string"}, request, {"path": path}, result, f"The file says: {content}.")


def custom(gen: Gen) -> ToolUse:
    """A tool with a made-up name and made-up parameters, called explicitly."""
    r = gen.r
    name = gen.word() + r.choice(("", "_" + gen.word()))
    parameters = list(dict.fromkeys(gen.word() for _ in range(r.choice((1, 1, 2)))))
    types = [r.choice(("string", "string", "number")) for _ in parameters]
    values = [gen.word() if kind == "string" else r.randint(0, 999) for kind in types]
    form = r.choice(CUSTOM_REQUESTS)
    assignments = " and ".join(f"{p} {r.choice(('', '= '))}{v}" for p, v in zip(parameters, values))
    request = form.format(n=name, a=assignments)
    returned = r.choice((gen.code(), gen.word()))
    result = plain_or_json(gen, returned, {"result": returned})
    return ToolUse(
        name, dict(zip(parameters, types)), request, dict(zip(parameters, values)), result, f"The result is {returned}."
    )


# Entries that appear twice are drawn twice as often.
TOOLS = (weather, weather, time, add, multiply, search, timer, message, read_file, custom, custom)


def tool_use(gen: Gen, calls: int) -> tuple[list[dict[str, Any]], list[Turn]]:
    """One to five tool definitions, and turns that call `calls` of them."""
    r = gen.r
    wanted = r.choice((1, 2, 3, 4, 4, 5))
    picked: list[ToolUse] = []
    kinds, endings = set(), set()
    while len(picked) < wanted:
        make = r.choice(TOOLS)
        use = make(gen)
        # "get_weather" and "weather" in one list would leave the choice open.
        ending = use.name.split("_")[-1]
        if ending in endings or make in kinds:
            continue
        endings.add(ending)
        kinds.add(make)
        picked.append(use)
    turns = [(picked[i] if i < len(picked) else r.choice(picked)).turn() for i in range(calls)]
    definitions = [use.definition() for use in picked]
    # The tool to call must not always stand first.
    r.shuffle(definitions)
    return definitions, turns
