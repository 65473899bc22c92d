"""Synthetic conversations for rkllmjs-tiny.

Everything is produced from templates, hand-written lists and made-up words; no
outside text is used.  A conversation is a dict

    {"skill": str, "tools": [...], "messages": [{"role", "content"}, ...]}

or, for plain text without a chat template, {"skill": "text", "text": "..."}.

The output is a function of the seed alone.  Each random draw moves the state of
one shared generator, so a reordered expression or list entry changes every
conversation after it; keep that in mind when editing this package.
"""

from synth.mix import FINAL_MIX, LATE_MIX, MIX, conversation, sample, stream
from synth.vocabulary import Gen

__all__ = ["FINAL_MIX", "LATE_MIX", "MIX", "Gen", "conversation", "sample", "stream"]
