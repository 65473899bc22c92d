"""Compare the tokenizer with llama.cpp's on conversations and random Unicode, emoji included.

python check_tokens.py ../rkllmjs-tiny-q8_0.gguf
"""

import random
import sys
from pathlib import Path

import chat
import llama
import synth
import tok

COUNT = 1200
CHARACTER_POOLS = [
    "abc XYZ 019 .,!?'\"{}[]()<>|_-\n\t  ",
    "äöüßéèñçøåœ",
    "日本語中文한국어テスト",
    "привет мир Ω≈ç√∫",
    "😀🎉👍🏽👨‍👩‍👧🇫🇷❤️",
    "\u00a0\u2003\u200b\u0301\u0e01\u0e33\u0627\u0644",
    "'s 're 'LL don't",
]
RANGES = [(0x20, 0x2FF), (0x370, 0x1FFF), (0x1F300, 0x1FAFF)]


def random_text(r: random.Random, gen: synth.Gen) -> str:
    kind = r.random()
    if kind < 0.3:
        text = chat.render(synth.sample(gen, r.choice(list(synth.MIX))))
        # Control tokens are for the template to write; as plain text the two sides may treat them differently.
        for token in tok.CONTROL_TOKENS:
            text = text.replace(token, "")
        return text
    if kind < 0.9:
        return "".join(r.choice(r.choice(CHARACTER_POOLS)) for _ in range(r.randint(1, 60)))
    return "".join(chr(r.choice([r.randint(*ends) for ends in RANGES])) for _ in range(r.randint(1, 30)))


def main() -> None:
    tokenizer = tok.load()
    r, gen = random.Random(99), synth.Gen(99)
    texts = [random_text(r, gen) for _ in range(COUNT)]
    replies = llama.ask(Path(sys.argv[1]), [{"tokenize": text} for text in texts])
    pairs = list(zip(texts, replies, strict=True))
    different = [(text, reply["ids"]) for text, reply in pairs if reply["ids"] != tokenizer.encode(text).ids]
    not_restored = sum(reply["back"] != text for text, reply in pairs)
    for text, ids in different[:5]:
        print("DIFFERENT", repr(text), tokenizer.encode(text).tokens[:40], [tokenizer.id_to_token(i) for i in ids][:40])
    print(len(texts), "strings,", len(different), "tokenized differently,", not_restored, "not restored by detokenize")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
