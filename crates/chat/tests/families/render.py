"""Renders the conversations of cases.json with the templates beside it into goldens.json.

The environment is the one that `transformers` gives its chat templates, on `jinja2` alone.
"""

import json
from datetime import datetime
from pathlib import Path

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = Path(__file__).parent

# Which cases a family has besides those that every template knows.
NEEDS = {
    "tools": "tools",
    "tools-system": "tools",
    "call": "tools",
    "call-answered": "tools",
    "call-with-text": "tools",
    "calls": "parallel",
    "thoughts": "thoughts",
    "thoughts-closed": "thoughts",
    "thoughts-call": "thoughts",
    "thoughts-off": "switch",
    "thoughts-on": "switch",
}


class Generation(Extension):
    """`{% generation %}` marks what a model wrote, for training; here it means nothing."""

    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=lineno)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda format: datetime.now().strftime(format)
    return env


def render(template, case, tools, args):
    switch = {"on": True, "off": False}.get(case.get("reasoning"))
    thinking = {} if switch is None else {"enable_thinking": switch, "thinking": switch}
    try:
        return template.render(
            messages=case["messages"],
            tools=tools if case.get("tools") else None,
            documents=None,
            add_generation_prompt=case.get("addGenerationPrompt", True),
            **{"bos_token": "", "eos_token": "<|im_end|>", **thinking, **args},
        )
    except jinja2.exceptions.TemplateError as error:
        return {"refused": str(error)}


def main():
    given = json.loads((HERE / "cases.json").read_text())
    env = environment()
    goldens = {}
    for family, facts in given["families"].items():
        template = env.from_string((HERE / "templates" / f"{family}.jinja").read_text())
        goldens[family] = {
            name: render(template, case, given["tools"], facts.get("args", {}))
            for name, case in given["cases"].items()
            if name not in NEEDS or NEEDS[name] in facts["knows"]
        }
    (HERE / "goldens.json").write_text(json.dumps(goldens, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
