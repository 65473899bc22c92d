"""Tokenizer: byte-level BPE with llama.cpp's "qwen2" pre-tokenizer.

    python tok.py      # writes ../tokenizer.json and ../tokenizer_config.json, prints the text lengths per skill

A word gets the same tokens with and without a space in front of it, so copying
into quotes or JSON needs no second spelling.  Hence two steps:

  1. plain BPE inside words, punctuation runs and newlines, with spaces kept apart;
  2. merges "space + whole word" for the most frequent single-token words.
"""

import collections
import itertools
import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import chat
import synth
from paths import TEMPLATE, TOKENIZER, TOKENIZER_CONFIG

# What llama.cpp applies for tokenizer.ggml.pre = "qwen2".
QWEN2_SPLIT = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LEARNING_SPLIT = r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+|\s"
SPACED_WORD = r" (\p{L}+|[^\s\p{L}\p{N}]+)"
SPACE = "Ġ"  # the byte-level alphabet's sign for a space

CONTROL_TOKENS = [chat.END_OF_TEXT, chat.START, chat.END]
MARKUP_TOKENS = ["<tools>", "</tools>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
VOCABULARY_SIZE = 1024
SPACED_WORDS = 208
LEARNED_SIZE = VOCABULARY_SIZE - len(CONTROL_TOKENS) - len(MARKUP_TOKENS) - SPACED_WORDS


def training_texts() -> list[str]:
    """Rendered conversations with the special tokens cut out."""
    texts = [chat.render(conversation) for conversation in itertools.islice(synth.stream(7), 12000)]
    for token in CONTROL_TOKENS + MARKUP_TOKENS:
        texts = [text.replace(token, "\n") for text in texts]
    return texts


def byte_level(pattern: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def learn_merges(texts: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Step 1: vocabulary and merges of spaceless BPE."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = byte_level(LEARNING_SPLIT)
    trainer = trainers.BpeTrainer(
        vocab_size=LEARNED_SIZE, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    learner.train_from_iterator(texts, trainer)
    model = json.loads(learner.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def frequent_spaced_words(texts: list[str], vocabulary: dict[str, int]) -> list[str]:
    """Step 2: the single-token words (or punctuation runs) that most often follow a space."""
    counts: collections.Counter[str] = collections.Counter()
    split = pre_tokenizers.Split(Regex(SPACED_WORD), "isolated")
    for text in texts:
        counts.update(part[1:] for part, _ in split.pre_tokenize_str(text) if part[0] == " ")
    words = (word for word, _ in counts.most_common() if word in vocabulary and word.isascii())
    return list(itertools.islice(words, SPACED_WORDS))


def build() -> Tokenizer:
    texts = training_texts()
    vocabulary, merges = learn_merges(texts)
    for word in frequent_spaced_words(texts[:6000], vocabulary):
        merges.append((SPACE, word))
        vocabulary[SPACE + word] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = byte_level(QWEN2_SPLIT)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKUP_TOKENS])
    assert tokenizer.get_vocab_size() == VOCABULARY_SIZE, tokenizer.get_vocab_size()
    return tokenizer


def configuration() -> dict[str, object]:
    """What the GGUF files say about the tokenizer besides its vocabulary, under the names of Hugging Face."""
    return {
        "add_bos_token": False,
        "add_eos_token": False,
        "bos_token": chat.END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
        "eos_token": chat.END,
        "model_max_length": 1024,
        "pad_token": chat.END_OF_TEXT,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": TEMPLATE.read_text().rstrip("\n"),
    }


def load() -> Tokenizer:
    return Tokenizer.from_file(str(TOKENIZER))


def print_lengths(tokenizer: Tokenizer, count: int = 3000) -> None:
    """Tokens per conversation: a guard against a tokenizer that spells common text badly."""
    lengths = collections.defaultdict(list)
    for conversation in itertools.islice(synth.stream(3), count):
        lengths[conversation["skill"]].append(len(tokenizer.encode(chat.render(conversation)).ids))
    for skill, values in lengths.items():
        print(f"{skill:10} {len(values):5} texts, mean {sum(values) / len(values):6.1f} tokens, longest {max(values)}")


def main() -> None:
    tokenizer = build()
    tokenizer.save(str(TOKENIZER))
    TOKENIZER_CONFIG.write_text(json.dumps(configuration(), indent=2, ensure_ascii=False) + "\n")
    print("template and render agree on", chat.check_template(), "conversations")
    print_lengths(tokenizer)


if __name__ == "__main__":
    main()
