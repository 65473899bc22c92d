"""Runs llama.cpp through eval_llama.mjs, one request per line."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from paths import RECIPE


def ask(model: Path, requests: list[dict[str, Any]], lora: Path | None = None) -> list[dict[str, Any]]:
    """One reply per request; eval_llama.mjs describes both."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "requests.jsonl"), Path(folder, "replies.jsonl")
        asked.write_text("".join(json.dumps(request) + "\n" for request in requests))
        files = [model.resolve(), asked, answered, *([lora.resolve()] if lora else [])]
        subprocess.run(["node", "eval_llama.mjs", *map(str, files)], cwd=RECIPE, check=True)
        # Not splitlines(): a reply may hold line separators other than "\n".
        return [json.loads(line) for line in answered.read_text().split("\n") if line]
