"""Chat rendering: the same text as ../template.jinja, written in Python.

Training needs to render hundreds of thousands of conversations; the template is
what a GGUF file carries.  `check_template` compares the two.
"""

import itertools
import json
from typing import Any

import synth
from paths import TEMPLATE

END_OF_TEXT = "<|endoftext|>"
START, END = "<|im_start|>", "<|im_end|>"
ASSISTANT_HEAD = f"{START}assistant\n"


def render_tool(tool: dict[str, Any]) -> str:
    function = tool["function"]
    parameters = function["parameters"]["properties"].items()
    shown = ", ".join(f'"{name}": "{schema["type"]}"' for name, schema in parameters)
    return f'\n{{"name": "{function["name"]}", "parameters": {{{shown}}}}}'


def render_call(call: dict[str, Any]) -> str:
    function = call["function"]
    arguments = json.dumps(function["arguments"])
    return f'<tool_call>\n{{"name": "{function["name"]}", "arguments": {arguments}}}\n</tool_call>'


def render_message(message: dict[str, Any]) -> str:
    role, content = message["role"], message["content"]
    if role == "assistant":
        content += "".join(map(render_call, message.get("tool_calls", [])))
    elif role == "tool":
        role, content = "user", f"<tool_response>\n{content}\n</tool_response>"
    return f"{START}{role}\n{content}{END}\n"


def render_system(system: str | None, tools: list[dict[str, Any]]) -> str:
    """The system message, which also lists the tools; empty when there is neither."""
    if system is None and not tools:
        return ""
    content = system or ""
    if tools:
        content += ("\n" if system else "") + "<tools>" + "".join(map(render_tool, tools)) + "\n</tools>"
    return f"{START}system\n{content}{END}\n"


def render(conversation: dict[str, Any], generation: bool = False) -> str:
    """The text the model reads; `generation` opens the next assistant message."""
    if "text" in conversation:
        return conversation["text"] + END_OF_TEXT
    messages = conversation["messages"]
    system = None
    if messages[0]["role"] == "system":
        system, messages = messages[0]["content"], messages[1:]
    text = render_system(system, conversation.get("tools") or []) + "".join(map(render_message, messages))
    return text + ASSISTANT_HEAD if generation else text


def check_template(count: int = 300) -> int:
    """Assert that the template and `render` agree; returns the number of conversations compared."""
    import jinja2  # only this check needs it

    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    # Jinja's own filter escapes HTML and sorts keys; the training text does neither.
    environment.filters["tojson"] = json.dumps
    template = environment.from_string(TEMPLATE.read_text())
    chats = [c for c in itertools.islice(synth.stream(11), count) if "text" not in c]
    for chat in chats:
        expected = template.render(messages=chat["messages"], tools=chat["tools"] or None, add_generation_prompt=True)
        assert expected == render(chat, True), (expected, render(chat, True))
    return len(chats)
