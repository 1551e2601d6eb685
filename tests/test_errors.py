"""Messages are sentences, wherever they are shown."""

import re

import pytest

from wgan import WGAN, runs
from wgan.errors import UsageError
from wgan.objectives import OBJECTIVES
from wgan.settings import Settings
from wgan.system.text import counted


def test_message_and_remedy_in_one_line_are_two_sentences():
    assert UsageError("x is not known", remedy="Did you mean 'y'?").in_full == "x is not known. Did you mean 'y'?"
    assert UsageError("Stop.", remedy="Go on.").in_full == "Stop. Go on."
    assert UsageError("x is not known").in_full == "x is not known"


def test_an_error_within_a_part_keeps_its_remedy_separate():
    with pytest.raises(UsageError) as caught:
        OBJECTIVES.build("fgan:divergence=klx")
    assert caught.value.message == "objective 'fgan': divergence 'klx' is not known"
    assert caught.value.remedy.startswith("Did you mean 'kl'?")


@pytest.mark.parametrize(
    "params", [{"recipe": "papr"}, {"objective": "fgan:divergence=klx"}, {"constraint": "clippin", "critic": "mpl"}]
)
def test_unknown_parameters_are_listed_in_sentences(params):
    with pytest.raises(UsageError) as caught:
        WGAN(**params).fit([[0.0], [1.0], [2.0]])
    text = str(caught.value)
    assert text.count("Did you mean") == len(params)
    assert re.search(r"[^.?!:]\s+Did you mean", text) is None


def test_an_unknown_recipe_creates_no_run(tmp_path):
    with pytest.raises(UsageError, match=r"recipe 'papr' is not known\. Did you mean 'paper'\?"):
        runs.begin(Settings(data="ring", recipe="papr"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_is_not_several():
    assert counted(1, "row") == "1 row"
    assert counted(2000, "row") == "2,000 rows"
    assert counted(0, "category", "categories") == "0 categories"
