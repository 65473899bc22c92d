"""Random words, names and phrases, split into a training and an evaluation part.

The split is by hash: training uses one part of all made-up words and number
pairs, the held-out evaluation uses the other, so copying and adding have to
generalise.
"""

import random
import zlib

from synth.words import CITIES, CODAS, ENGLISH_WORDS, ONSETS, REAL_NAMES, VOWELS

LOWERCASE = "abcdefghijklmnopqrstuvwxyz"
UPPERCASE = LOWERCASE.upper()


def is_held_out_word(word: str) -> bool:
    """True for words reserved for evaluation."""
    return zlib.crc32(word.lower().encode()) % 8 == 0


def is_held_out_sum(a: int, b: int) -> bool:
    """True for number pairs reserved for evaluation."""
    return zlib.crc32(f"{a}+{b}".encode()) % 10 == 0


class Gen:
    """A random source of words; `held_out` selects the part reserved for evaluation."""

    def __init__(self, seed: int, held_out: bool = False):
        self.r = random.Random(seed)
        self.held_out = held_out

    def made_up(self, capital: bool = False) -> str:
        """A word that no dictionary has."""
        while True:
            word = self._syllables() if self.r.random() < 0.88 or self.held_out else self._letters()
            if len(word) > 2 and is_held_out_word(word) == self.held_out:
                return word.capitalize() if capital else word

    def _syllables(self) -> str:
        r = self.r
        return "".join(
            r.choice(ONSETS) + r.choice(VOWELS) + (r.choice(CODAS) if r.random() < 0.6 else "")
            for _ in range(r.choice((1, 2, 2, 2, 3)))
        )

    def _letters(self) -> str:
        """Unpronounceable words keep copying from relying on syllables."""
        return "".join(self.r.choice(LOWERCASE) for _ in range(self.r.randint(2, 7)))

    def word(self) -> str:
        return self.made_up() if self.held_out or self.r.random() < 0.6 else self.r.choice(ENGLISH_WORDS)

    def name(self) -> str:
        return self.made_up(True) if self.held_out or self.r.random() < 0.7 else self.r.choice(REAL_NAMES)

    def city(self) -> str:
        return self.made_up(True) if self.held_out or self.r.random() < 0.5 else self.r.choice(CITIES)

    def code(self) -> str:
        """A value without meaning: a number, "AB-123" or a made-up word."""
        r = self.r
        form = r.random()
        if form < 0.6:
            return str(r.randint(10, 99999))
        if form < 0.8:
            return "".join(r.choice(UPPERCASE) for _ in range(2)) + "-" + str(r.randint(10, 999))
        return self.made_up()

    def phrase(self, shortest: int = 1, longest: int = 6) -> str:
        """Some words, names and numbers with occasional punctuation and capitals."""
        r = self.r
        count = r.randint(shortest, longest)
        text = " ".join(self._phrase_part() for _ in range(count))
        style = r.random()
        if style < 0.15:
            text = text[0].upper() + text[1:]
        if style < 0.1:
            text += r.choice(".!?")
        if count > 2 and r.random() < 0.1:
            text = text.replace(" ", ", ", 1)
        if r.random() < 0.04:
            text = text.upper()
        return text

    def _phrase_part(self) -> str:
        kind = self.r.random()
        if kind < 0.8:
            return self.word()
        return self.name() if kind < 0.92 else str(self.r.randint(0, 9999))

    def plain_phrase(self, shortest: int, longest: int) -> str:
        """A phrase without punctuation, safe to embed in another sentence."""
        return self.phrase(shortest, longest).rstrip(".!?").replace(",", "")
