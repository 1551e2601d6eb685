"""Figures of the evidence on a critic's estimate: they show the recorded numbers, legibly at any size."""

import xml.etree.ElementTree as ET

import matplotlib.colors
import numpy as np
import pytest
from test_figures import contrast

from wgan import figures
from wgan.figures import DARK, LIGHT, Bracket

STEPS = np.array([100.0, 200.0, 300.0, 400.0])
EXACT = np.array([2.0, 1.5, 1.2, 1.0])


def run(name="run", **changed):
    known = {
        "at": STEPS, "certified": 0.8 * EXACT, "exact": EXACT, "low": 0.9 * EXACT, "high": 1.1 * EXACT,
        "floor": np.full(4, 0.5),
    }  # fmt: skip
    return Bracket(name=name, **(known | changed))


def words(figure, theme=LIGHT):
    tree = ET.fromstring(figures.svg(figure, theme=theme))
    return [text.text for text in tree.iter("{http://www.w3.org/2000/svg}text")]


def drawn(panel, colour, width=None):
    """The y values of the lines of one colour."""
    return [
        np.asarray(line.get_ydata())
        for line in panel.lines
        if line.get_color() == colour and (width is None or line.get_linewidth() == width)
    ]


def edges(band):
    """The corners of a filled band."""
    return {tuple(np.round(corner, 9)) for path in band.get_paths() for corner in path.vertices}


def test_a_bracket_shows_the_lower_bound_and_the_exact_distance():
    figure = figures.bracket(run(), (STEPS, 0.01 * EXACT), unit="W1, in metres", scale="raw, in no unit")
    above, below = figure.axes
    np.testing.assert_array_equal(drawn(above, LIGHT.generated)[0], 0.8 * EXACT)
    np.testing.assert_array_equal(drawn(above, LIGHT.distance)[0], EXACT)
    np.testing.assert_array_equal(drawn(above, LIGHT.faint)[0], 0.5)
    between, interval = above.collections
    assert {(100.0, 1.6), (100.0, 2.0), (400.0, 0.8), (400.0, 1.0)} <= edges(between)
    assert {(100.0, 1.8), (100.0, 2.2), (400.0, 0.9), (400.0, 1.1)} <= edges(interval)
    np.testing.assert_array_equal(drawn(below, LIGHT.ink)[0], 0.01 * EXACT)
    assert {"W1, in metres", "raw, in no unit", "certified lower bound Ŵ", "exact W1, with its 95 % interval"} <= set(
        words(figure)
    )


def test_the_raw_estimate_has_a_separate_axis():
    figure = figures.bracket(run(), (STEPS, 1e6 * EXACT), unit="", scale="")
    above, below = figure.axes
    assert above.get_ylim()[1] < 3
    assert below.get_ylim()[1] > 1e6


def test_runs_share_one_axis_and_each_has_its_colour():
    runs = [run("one"), run("two", certified=0.5 * EXACT, exact=1.3 * EXACT), run("three", exact=np.full(4, np.nan))]
    figure = figures.overlay(runs, unit="W1", across="seconds of training")
    (panel,) = figure.axes
    for each, colour in zip(runs, LIGHT.runs, strict=False):
        exact, certified = drawn(panel, colour)
        np.testing.assert_array_equal(certified, each.certified)
        np.testing.assert_array_equal(exact, each.exact)
    assert {"one", "two", "three", "W1", "seconds of training", "certified lower bound Ŵ"} <= set(words(figure))
    assert panel.get_xlim() == (0, pytest.approx(408))


def test_more_runs_than_colours_differ_in_their_markers():
    runs = [run(f"run {number}", certified=EXACT / (number + 1)) for number in range(figures.MOST_RUNS)]
    panel = figures.overlay(runs, unit="", across="").axes[0]
    proven = [line for line in panel.lines if line.get_linewidth() == 1.7]
    assert len({(line.get_color(), line.get_marker()) for line in proven}) == figures.MOST_RUNS


def test_long_names_are_cut_in_the_middle():
    name = "runs-of-a-very-long-name-that-goes-on-and-on-007"
    (shown,) = [word for word in words(figures.overlay([run(name)], unit="", across="")) if word and "…" in word]
    assert len(shown) == 30
    assert name.startswith(shown.split("…")[0])
    assert name.endswith(shown.split("…")[1])


NOTHING = np.full(4, np.nan)
ODD = {
    "nothing": run(certified=NOTHING, exact=NOTHING, low=NOTHING, high=NOTHING, floor=NOTHING),
    "no exact distance": run(exact=NOTHING, low=NOTHING, high=NOTHING),
    "no diagnosis": Bracket(
        name="", **dict.fromkeys(("at", "certified", "exact", "low", "high", "floor"), np.zeros(0))
    ),
    "one diagnosis": Bracket(
        name="",
        at=np.array([1.0]),
        certified=np.array([0.0]),
        exact=np.array([1.0]),
        low=np.array([0.9]),
        high=np.array([1.1]),
        floor=np.array([np.nan]),
    ),
    "zeros": run(certified=np.zeros(4), exact=np.zeros(4), low=np.zeros(4), high=np.zeros(4), floor=np.zeros(4)),
    "a gap": run(exact=np.array([2.0, np.nan, 1.2, 1.0])),
    "far apart": run(certified=np.array([1e-30, 0.0, 1.0, 1e9])),
    "huge": run(certified=np.full(4, 1e30), exact=np.full(4, 2e30)),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ODD)
def test_unusual_records_are_drawn_without_warnings(name):
    found = ODD[name]
    for raw in (([], []), (found.at, found.certified)):
        assert "W1" in words(figures.bracket(found, raw, unit="W1", scale="raw"))
    assert "W1" in words(figures.overlay([found, run()], unit="W1", across="updates"))


@pytest.mark.parametrize(("factor", "scale"), [(1.0, "linear"), (40.0, "log")])
def test_distances_of_different_magnitudes_have_a_logarithmic_axis(factor, scale):
    exact = EXACT * np.array([factor, 1, 1, 1])
    figure = figures.bracket(run(exact=exact, high=exact), ([], []), unit="", scale="")
    assert figure.axes[0].get_yscale() == scale


@pytest.mark.parametrize("fall", [1.0, 40.0])
def test_a_bound_near_zero_does_not_stretch_the_axis(fall):
    exact = EXACT * np.array([fall, 1, 1, 1])
    found = run(
        certified=np.array([1e-12, 0.5, 0.5, 0.5]), exact=exact, low=np.array([1e-9, 1.0, 1.0, 1.0]), high=exact
    )
    low, high = figures.bracket(found, ([], []), unit="", scale="").axes[0].get_ylim()
    assert (low == 0) == (fall == 1)
    assert low == 0 or low > 0.03
    assert low < 0.5 < exact.max() < high


def test_without_an_exact_distance_the_axis_follows_the_bound():
    certified = np.array([40.0, 1.0, 0.1, 0.02])
    found = run(certified=certified, exact=NOTHING, low=NOTHING, high=NOTHING, floor=NOTHING)
    panel = figures.bracket(found, ([], []), unit="", scale="").axes[0]
    assert panel.get_yscale() == "log"
    assert panel.get_ylim()[0] < 0.02


def test_a_single_diagnosis_shows_its_interval():
    (found,) = [
        band for band in figures.overlay([ODD["one diagnosis"]], unit="", across="").axes[0].collections
        if hasattr(band, "get_segments")
    ]  # fmt: skip
    np.testing.assert_array_equal(found.get_segments()[0], [[1.0, 0.9], [1.0, 1.1]])


def test_a_single_diagnosis_shows_its_floor():
    found = Bracket(name="", **{name: np.full(1, value) for name, value in (
        ("at", 5.0), ("certified", 1.0), ("exact", 2.0), ("low", 1.5), ("high", 2.5), ("floor", 0.3),
    )})  # fmt: skip
    for figure in (
        figures.bracket(found, ([], []), unit="", scale=""), figures.overlay([found], unit="", across=""),
    ):  # fmt: skip
        (floor,) = drawn(figure.axes[0], LIGHT.faint)
        np.testing.assert_array_equal(floor, [0.3, 0.3])


def test_long_titles_are_broken():
    title = "raw estimate " * 15
    figure = figures.bracket(run(), ([], []), unit="", scale=title)
    lines = figure.axes[1].get_title(loc="left").split("\n")
    assert len(lines) == 2
    assert max(map(len, lines)) <= 100


def test_small_figures_draw_reference_levels():
    figure = figures.small_lines(STEPS, {"a": EXACT, "b": NOTHING}, title="ratios", marks={"as real": 3.0})
    (panel,) = figure.axes
    assert panel.get_ylim()[0] == 0
    assert panel.get_ylim()[1] > 3
    assert {"a", "b", "as real", "ratios"} <= set(words(figure))


def test_small_figures_keep_the_given_limits():
    panel = figures.small_lines(STEPS, {"share": 0.1 * EXACT}, title="", limits=(-0.02, 1.02)).axes[0]
    assert panel.get_ylim() == (-0.02, 1.02)
    assert panel.get_legend() is None


def test_layers_of_both_players_are_on_one_scale_and_zeros_at_the_bottom():
    players = {
        "critic": {"first": [1e-6, 0.0, 1.0], "last": [1e-3, 1e-2, 1e-1]},
        "generator": {"first": [1.0, 30.0], "last": [2.0, 2.0]},
    }
    critic, generator = figures.by_layer(players).axes
    assert critic.get_ylim() == generator.get_ylim()
    low, high = critic.get_ylim()
    assert 0 < low < 1e-6
    assert 30 < high < 200
    assert [line.get_xdata().tolist() for line in generator.lines] == [[1, 2], [1, 2]]
    np.testing.assert_array_equal(critic.lines[1].get_ydata(), [1e-3, 1e-2, 1e-1])


@pytest.mark.filterwarnings("error")
def test_layers_that_get_no_gradient_are_drawn():
    assert "critic" in words(figures.by_layer({"critic": {"first": [0.0, 0.0], "last": [0.0, 0.0]}}))


@pytest.mark.filterwarnings("error")
def test_scores_are_drawn_as_shares_of_each_side():
    panel = figures.scores([0, 1, 2, 3], [8, 2, 0], [0, 50, 150]).axes[0]
    heights = [patch.get_data().values for patch in panel.patches if hasattr(patch, "get_data")]
    np.testing.assert_allclose(heights, [[0.8, 0.2, 0], [0, 0.25, 0.75]])
    assert "score" in words(figures.scores([0, 1], [0], [0]))


@pytest.mark.parametrize(("theme", "background"), [(LIGHT, "#ffffff"), (DARK, "#14171b")])
def test_the_colours_of_runs_have_enough_contrast_and_differ(theme, background):
    assert all(contrast(colour, background) > 3 for colour in theme.runs)
    colours = [np.array(matplotlib.colors.to_rgb(colour)) for colour in theme.runs]
    assert min(np.linalg.norm(a - b) for n, a in enumerate(colours) for b in colours[:n]) > 0.25


def test_the_first_runs_differ_in_their_markers():
    proven = [
        line for line in figures.overlay([run(str(n)) for n in range(6)], unit="", across="").axes[0].lines
        if line.get_linewidth() == 1.7
    ]  # fmt: skip
    assert len({line.get_marker() for line in proven}) == 6


def test_the_same_evidence_gives_the_same_bytes_in_either_theme():
    for theme in (LIGHT, DARK):
        one, other = (
            figures.svg(figures.overlay([run()], unit="u", across="x", theme=theme), theme=theme) for _ in range(2)
        )
        assert one == other
        assert theme.runs[0].encode() in one
