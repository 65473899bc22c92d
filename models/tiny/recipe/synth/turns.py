"""The exchange that every skill produces."""

from typing import Any, NamedTuple


class Turn(NamedTuple):
    """One user message and the answer, with a tool call in between when `call` is set."""

    user: str
    answer: str
    call: dict[str, Any] | None = None
    result: str | None = None
