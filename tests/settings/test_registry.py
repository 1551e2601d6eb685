from dataclasses import dataclass
from typing import Literal

import pytest

from wgan.errors import UsageError
from wgan.settings.registry import Registry
from wgan.system.text import did_you_mean, listed


@dataclass(frozen=True)
class Circle:
    """Round.

    And nothing else.
    """

    radius: float = 1.0
    num_points: int = 8
    filled: bool = False
    edge: Literal["thin", "thick"] = "thin"
    order: Literal[1, 2] = 2
    label: str | None = None
    top: int | None = 3

    def __post_init__(self):
        if self.radius <= 0:
            raise ValueError(f"radius must be above 0, not {self.radius}")


@dataclass(frozen=True)
class Dot:
    """A point."""


SHAPES = Registry("shape", {"circle": Circle, "dot": Dot})


def test_ambiguous_strings_are_quoted():
    assert listed(["red", "dark, blue", " pad ", "", 'say "hi"']) == "red, 'dark, blue', ' pad ', '', say \"hi\""


def test_a_name_alone_uses_every_default():
    assert SHAPES.build("circle") == Circle()
    assert SHAPES.build(" dot ") == Dot()
    assert SHAPES.build("dot:") == Dot()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("circle:radius=2", Circle(radius=2.0)),
        ("circle:radius=1e-4", Circle(radius=1e-4)),
        ("circle: radius = 2 , num-points = 3 ,", Circle(radius=2.0, num_points=3)),
        ("circle:filled=true", Circle(filled=True)),
        ("circle:filled=False", Circle(filled=False)),
        ("circle:edge=thick,order=1", Circle(edge="thick", order=1)),
        ("circle:label=a=b", Circle(label="a=b")),
        ("circle:label=none,top=none", Circle(label=None, top=None)),
        ("circle:top=5", Circle(top=5)),
    ],
)
def test_parameters_are_converted_to_the_declared_types(text, expected):
    built = SHAPES.build(text)
    assert built == expected
    assert type(built.radius) is float
    assert type(built.order) is int


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("circel", r"shape 'circel' is not known\nDid you mean 'circle'\? Known: circle, dot\."),
        ("zebra", r"shape 'zebra' is not known\nKnown: circle, dot\."),
        ("", r"shape '' is not known"),
        ("circle:raduis=2", r"'circle' has no parameter 'raduis=2'\nDid you mean 'radius='\?"),
        ("circle:radius", r"'circle' has no parameter 'radius'\nDid you mean 'radius='\?"),
        ("circle:radius=2,order=1,radius=3", r"shape 'circle': radius is given twice\nGive it once\."),
        ("circle:num-points=2,num_points=2", r"num_points is given twice"),
        ("dot:radius=2", r"'dot' has no parameter 'radius=2'\nIt has none\."),
        ("circle:radius=two", r"shape 'circle', radius: 'two' is not a number"),
        ("circle:num_points=2.5", r"num_points: '2\.5' is not a whole number"),
        ("circle:top=many", r"top: 'many' is not a whole number"),
        ("circle:filled=yes", r"filled: 'yes' is neither true nor false"),
        ("circle:edge=blue", r"edge: 'blue' is not one of thin, thick"),
        ("circle:order=3", r"order: '3' is not one of 1, 2"),
        ("circle:radius=-1", r"shape 'circle': radius must be above 0, not -1\.0"),
    ],
)
def test_unknown_names_and_parameters_are_refused_with_the_known_ones(text, message):
    with pytest.raises(UsageError, match=message):
        SHAPES.build(text)


@pytest.mark.parametrize("text", ["os.system", "pathlib.Path", "!!python/object:os.system", "__class__", "rows"])
def test_no_path_to_a_class_is_followed(text):
    with pytest.raises(UsageError, match="is not known"):
        SHAPES.build(text)


def test_descriptions_name_every_default_and_can_be_built_again():
    described = SHAPES.describe()
    assert described == [
        ("circle:radius=1.0,num_points=8,filled=false,edge=thin,order=2,label=None,top=3", "Round."),
        ("dot", "A point."),
    ]
    assert [SHAPES.build(text) for text, _ in described] == [Circle(), Dot()]


def test_a_registry_lists_its_names_in_order():
    assert list(SHAPES) == ["circle", "dot"]


def test_distant_words_get_no_suggestion():
    assert did_you_mean("qqq", ["ring", "grid"]) == "Known: ring, grid."
    assert did_you_mean("rign", ["ring", "grid"]).startswith("Did you mean 'ring'? ")
