"""Parsing of `--where`: names and values may contain the separators."""

import pytest
import torch

from wgan.cli.where import asked_for, refuse_nameless
from wgan.data.columns import Category
from wgan.data.texts import Text
from wgan.errors import UsageError


def category(name: str, *values: str) -> Category:
    return Category(name=name, type="string", values=values, dictionary=None, may_miss=False)


PARTS = (
    category("hair", "red", "dark, blue", "x,y=z", " pad "),
    category("eyes", "green", "blue"),
    category("a,b", "1"),
    category("e=f", "o", "p"),
    Text(
        name="caption",
        type="string",
        values=("one",),
        vectors=torch.zeros(1, 2),
        centre=torch.zeros(2),
        scale=1.0,
    ),
)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["hair=red,eyes=green"], {"hair": ["red"], "eyes": ["green"]}),
        (["hair=red", "hair=dark, blue"], {"hair": ["red", "dark, blue"]}),
        ([" hair = red , eyes = green "], {"hair": ["red"], "eyes": ["green"]}),
        (["hair=x,y=z,eyes=blue"], {"hair": ["x,y=z"], "eyes": ["blue"]}),
        (["hair=dark, blue,e=f=o"], {"hair": ["dark, blue"], "e=f": ["o"]}),
        (["e=f=p,a,b=1,hair=red"], {"e=f": ["p"], "a,b": ["1"], "hair": ["red"]}),
        (["hair= pad "], {"hair": [" pad "]}),
        (["caption=He sings, she plays: x=1, or so,eyes=blue"],
         {"caption": ["He sings, she plays: x=1, or so"], "eyes": ["blue"]}),
        # Unknown names are passed on, so that the error can name them.
        (["hair=red,eys=green"], {"hair": ["red"], "eys": ["green"]}),
        (["hair=red,y=q"], {"hair": ["red"], "y": ["q"]}),
        (["hair=x,y=q"], {"hair": ["x,y=q"]}),
        ([], {}),
    ],
)  # fmt: skip
def test_commas_separate_conditions_where_the_next_one_begins(words, wanted):
    assert asked_for(words, PARTS) == wanted


def test_conditions_are_parsed_for_a_run_without_conditions():
    assert asked_for(["label=3, size=7"], ()) == {"label": ["3"], "size": ["7"]}


@pytest.mark.parametrize("word", ["", "red", "=red", " = "])
def test_a_value_without_a_name_is_refused(word):
    with pytest.raises(UsageError, match=r"--where takes name=value, not '.*'\nFor example: --where hair=red"):
        refuse_nameless([word])
    with pytest.raises(UsageError, match="name=value"):
        asked_for([word], PARTS)
