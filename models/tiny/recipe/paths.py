"""Where the recipe reads and writes.

What follows from the seeds alone (tokenizer, held-out prompts) is written to the
model folder, where a second run must leave it unchanged.  What follows from
training goes to `build/`, so a rebuild never overwrites a shipped file.
"""

from pathlib import Path

RECIPE = Path(__file__).resolve().parent
MODEL = RECIPE.parent
BUILD = RECIPE / "build"

TOKENIZER = MODEL / "tokenizer.json"
TOKENIZER_CONFIG = MODEL / "tokenizer_config.json"
TEMPLATE = MODEL / "template.jinja"
HELDOUT = MODEL / "heldout.jsonl"
CHUNKS = BUILD / "chunks"


def checkpoint_path(name: str) -> Path:
    return BUILD / f"{name}.pt"


def gguf_path(name: str) -> Path:
    return BUILD / f"{name}.gguf"
