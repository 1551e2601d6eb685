"""The measurements, claims and plots of `wgan failures`."""

import json

import numpy as np
import pytest

from wgan import figures
from wgan.cli.main import main
from wgan.studies.failures import Curve


def printed(capsys, *words):
    code = main(["failures", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.slow
def test_vanishing_checks_each_claim_and_draws_a_figure(capsys, tmp_path):
    code, out, err = printed(capsys, "vanishing", "--picture", str(tmp_path / "drawn.png"))
    assert (code, err) == (0, "")
    assert sum(line.startswith("yes  ") for line in out.splitlines()) == 5
    assert max(map(len, out.splitlines())) <= 120
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_modes_are_written_as_json_and_svg(capsys, tmp_path):
    code, out, err = printed(capsys, "two-modes", "--json", "--picture", str(tmp_path / "drawn.svg"))
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert all(claim["holds"] for claim in found["claims"])
    assert len(found["claims"]) == 5
    assert [row["divergence"] for row in found["table_2"]["game"]] == [
        "kl", "reverse_kl", "jensen_shannon", "jeffrey", "pearson",
    ]  # fmt: skip
    drawn = (tmp_path / "drawn.svg").read_text(encoding="utf-8")
    for text in ("mixture P", "KL(P‖Q), forward", "KL(Q‖P), reverse", "Jensen-Shannon", "modes at ±2", "modes at ±3"):
        assert text in drawn


def test_a_claim_that_fails_is_an_error(capsys, monkeypatch):
    flat = Curve(norms=np.ones(2), noise=np.ones(2))
    still = __import__("wgan.studies.failures", fromlist=["Vanishing"]).Vanishing(
        distance=1.0, deviation=1.0, steps=np.array([0, 30]), minimax=flat, nonsaturating=flat, wasserstein=flat,
        saturated=np.zeros(2), positions=np.linspace(0, 1, 3), discriminator=np.zeros(3), critic=np.zeros(3), slope=1.0,
    )  # fmt: skip
    monkeypatch.setattr("wgan.studies.failures.vanishing", lambda seed: still)
    code, out, err = printed(capsys, "vanishing")
    assert code == 4
    assert "NO   the minimax gradient vanishes" in out
    assert "does not hold in this experiment: the minimax gradient vanishes" in err
    assert "Wasserstein" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "EXPERIMENT is needed"),
        (["vanish"], "EXPERIMENT takes one of vanishing, two-modes, not vanish"),
        (["vanishing", "--picture", "x.gif"], "ends neither in .png nor in .svg"),
        (["vanishing", "--picture", "/nowhere/x.png"], "there is no folder /nowhere"),
    ],
)
def test_other_arguments_are_refused_before_training(capsys, words, message):
    code, out, err = printed(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err


def test_zero_gradients_are_drawn_at_the_bottom_of_the_axis():
    figure = figures.vanishing_gradients(
        [0, 1, 10],
        {"a loss": ([1.0, 1e-3, 0.0], [0.1, 1e-3, 0.0])},
        positions=[0.0, 1.0],
        critics={"D": [0.5, 0.5]},
        densities=([1.0, 0.0], [0.0, 1.0]),
    )
    line = figure.axes[0].get_lines()[0]
    assert line.get_xdata().tolist() == [1.0, 10.0]
    assert line.get_ydata().tolist() == [1e-3, 1e-12]
    assert figures.png(figure) == figures.png(figure)


def test_the_plot_shows_the_mixture_and_its_fits():
    x = np.linspace(-1, 1, 5)
    figure = figures.gaussian_fits([("near", x, x + 1, {"one": x + 2}), ("far", x, x + 1, {"one": x + 3})])
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["near", "far"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mixture P", "one"]
    assert figure.axes[1].get_lines()[0].get_ydata().tolist() == (x + 3).tolist()
