import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from wgan import figures
from wgan.figures import DARK, LIGHT, EvaluatedDistance
from wgan.figures.columns import _edges
from wgan.figures.curves import _thinned
from wgan.figures.points import _plane
from wgan.transport import exact

RNG = np.random.default_rng


def words(figure):
    """The text of the figure's SVG."""
    tree = ET.fromstring(figures.svg(figure))
    return [text.text for text in tree.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize(
    ("num", "width"), [(0, 1), (1, 1), (29, 1), (30, 3), (49, 3), (50, 5), (1_000, 99), (1_010, 101), (10_000, 101)]
)
def test_median_width_is_odd_and_at_most_the_papers(num, width):
    assert figures.median_width(num) == width


def test_median_filter_removes_spikes_and_keeps_steps():
    values = np.where(np.arange(200) < 100, 1.0, 3.0)
    spiked = values.copy()
    spiked[[10, 50, 150]] = 99.0
    np.testing.assert_array_equal(figures.median_filtered(spiked), values)


def test_median_filter_does_not_pull_the_ends_to_zero():
    assert figures.median_filtered(np.full(500, 7.0)).min() == 7.0


def test_curve_labels_its_filter_width_and_unit():
    judged = EvaluatedDistance(
        label="exact W1", steps=np.array([50.0, 100.0]), values=np.array([0.3, 0.2]), floors=np.array([0.1, 0.1])
    )
    estimate = np.exp(-np.arange(100) / 30)
    drawn = words(
        figures.curve(np.arange(1, 101), estimate, unit="estimate, up to a constant factor", distances=[judged])
    )
    for expected in (
        "estimate, up to a constant factor",
        "median of 9 records",
        "exact W1",
        "floor: two sets of real samples",
    ):
        assert expected in drawn


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 1.0], [-5.0, -5.0], [0.0], [1.0, np.nan, 2.0], [1e-30, 1e30]])
def test_curve_of_few_or_odd_values(values):
    assert "estimate" in words(figures.curve(np.arange(1, len(values) + 1), values, unit="estimate"))


def test_the_axis_of_a_curve_fits_the_filtered_line_and_cuts_spikes():
    estimate = np.concatenate([[-1e6], np.linspace(2, 1, 999)])
    panel = figures.curve(np.arange(1, 1_001), estimate, unit="estimate").axes[0]
    low, high = panel.get_ylim()
    assert low <= 0
    assert high < 3


def test_thinning_a_long_curve_keeps_its_extremes():
    values = RNG(0).normal(size=100_000)
    values[77_777] = 50.0
    at, kept = _thinned(np.arange(100_000.0), values)
    assert len(kept) <= 3_000
    assert kept.max() == 50.0
    assert kept.min() == values.min()
    assert (np.diff(at) > 0).all()


def test_vanishing_gradients_are_drawn_on_a_logarithmic_axis():
    steps, norms = np.arange(1, 7) * 100, 10.0 ** -np.arange(6)
    shares = {"of real": np.linspace(0, 1, 6), "of generated": np.linspace(0, 0.5, 6)}
    figure = figures.generator_gradients(steps, {"weights": norms, "samples": 0 * norms}, shares)
    above, below = figure.axes
    assert above.get_yscale() == "log"
    low, high = above.get_ylim()
    assert low <= 1e-5
    assert 1 < high <= 10
    assert below.get_ylim()[0] < 0 < 1 < below.get_ylim()[1]
    np.testing.assert_array_equal(below.lines[1].get_ydata(), shares["of generated"])
    assert {"weights", "samples", "of real", "of generated", "1e-4"} <= set(words(figure))


@pytest.mark.parametrize("norms", [[1.2], [0.0, 0.0], [1.0, np.nan, 1.3], [np.nan], [1.0, 2.0, 1.5]])
def test_gradients_of_similar_size_are_drawn_on_a_linear_axis_from_zero(norms):
    figure = figures.generator_gradients(np.arange(len(norms)) + 1, {"weights": norms}, {})
    (panel,) = figure.axes
    assert panel.get_yscale() == "linear"
    assert panel.get_ylim()[0] == 0
    assert "weights" in words(figure)


def test_distances_far_above_the_floor_are_drawn_on_a_logarithmic_axis():
    steps, floors = np.arange(1.0, 4.0), np.full(3, 0.01)
    evaluated = [
        EvaluatedDistance(label="", steps=steps, values=np.array(values), floors=floors)
        for values in ([1.0, 0.1, 0.01], [0.02, 0.015, 0.01])
    ]
    scales = [figures.curve([1], [1], unit="", distances=[each]).axes[1].get_yscale() for each in evaluated]
    assert scales == ["log", "linear"]


def test_same_arrays_give_same_bytes_under_any_matplotlib_configuration():
    points = RNG(0).normal(size=(50, 2))
    plain = figures.svg(figures.scatter(points)), figures.png(figures.scatter(points))
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "axes.spines.top": True}):
        before = dict(mpl.rcParams)
        configured = figures.svg(figures.scatter(points)), figures.png(figures.scatter(points))
        assert dict(mpl.rcParams) == before
    assert configured == plain


def test_files_contain_no_timestamp():
    drawn = figures.svg(figures.curve([1, 2], [1, 2], unit="u")).decode()
    assert "<dc:date>" not in drawn
    assert b"tIME" not in figures.png(figures.scatter(np.zeros((1, 2))))


def test_themes_differ_and_the_background_is_transparent():
    light, dark = (
        figures.svg(figures.curve([1, 2], [1, 2], unit="u", theme=theme)).decode() for theme in (LIGHT, DARK)
    )
    assert LIGHT.generated in light
    assert DARK.generated in dark
    assert LIGHT.generated not in dark
    assert "#ffffff" not in light


def luminance(colour):
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize(("theme", "background"), [(LIGHT, "#ffffff"), (DARK, "#14171b")])
def test_text_and_lines_have_enough_contrast(theme, background):
    assert contrast(theme.ink, background) > 7
    assert contrast(theme.faint, background) > 4.5
    assert contrast(theme.generated, background) > 4.5
    assert contrast(theme.distance, background) > 3
    assert contrast(theme.real, theme.generated) > 1.6


HOSTILE = "$\\frac{$ <script>alert(1)</script> & 'DejaVu Sans' \n x"


def test_names_are_not_parsed_as_mathematics_or_markup():
    rng = RNG(0)
    columns = {HOSTILE: rng.normal(size=40), "c": np.array(["<b>", "$x^2$"] * 20, dtype=object)}
    drawn = figures.svg(figures.marginals(columns, columns)).decode()
    assert "<script" not in drawn
    assert "$\\frac{$ &lt;script&gt;" in drawn
    assert "$x^2$" in drawn
    ET.fromstring(drawn)


def test_marginals_of_every_type():
    rng = RNG(0)
    columns = {
        "numbers": rng.normal(size=100),
        "with gaps": np.where(rng.random(100) < 0.3, np.nan, 1.5),
        "whole": rng.integers(0, 5, 100),
        "days": np.datetime64("2021-01-01", "s") + rng.integers(0, 300, 100).astype("timedelta64[D]"),
        "moments": np.array(["2021-01-01T10:00:00", "NaT"] * 50, dtype="datetime64[s]"),
        "words": np.array([chr(97 + place % 12) for place in range(100)], dtype=object),
        "flags": np.array([True, False] * 50),
        "empty": np.array([], dtype=np.float64),
        "huge": np.array([1e300, -1e300] * 50),
    }
    drawn = words(figures.marginals(columns, {**columns, "empty": np.array([1.0])}))
    assert "words: 8 of 12" in drawn
    assert {"numbers", "real", "generated", "True"} <= set(drawn)
    assert any(re.fullmatch(r"2021-\d\d-\d\d", word) for word in drawn if word)


def test_marginals_of_columns_whose_types_differ():
    drawn = words(figures.marginals({"x": np.array(["a", "1"], dtype=object)}, {"x": np.array([1.0, 2.0])}))
    assert {"1.0", "2.0"} <= set(drawn)


def test_at_most_twelve_marginals():
    drawn = words(figures.marginals({f"x{place}": np.zeros(3) for place in range(20)}))
    assert "x11" in drawn
    assert "x12" not in drawn


def test_histogram_bins_contain_equally_many_integers():
    edges = _edges(RNG(0).integers(0, 100, 5_000).astype(float))
    assert set(np.diff(edges)) == {3.0}
    assert (edges % 1 == 0.5).all()


def test_histograms_show_shares_of_all_samples():
    real, far = np.linspace(0, 1, 1_000), np.linspace(0, 2, 1_000)
    panel = figures.marginals({"x": far}, {"x": real}).axes[0]
    areas = [
        float((np.diff(patch.get_data().edges) * patch.get_data().values).sum())
        for patch in panel.patches
        if hasattr(patch, "get_data")
    ]
    assert areas[0] == pytest.approx(1.0, abs=0.01)
    assert areas[1] == pytest.approx(0.52, abs=0.02)


def test_scatter_limits_follow_the_real_points():
    real = RNG(0).uniform(-1, 1, (100, 2))
    figure = figures.scatter(100 * real, real)
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["real", "generated"]
    assert np.abs(figure.axes[0].get_xlim()).max() < 1.5


def test_scatters_share_their_limits():
    rng = RNG(0)
    moments = [(f"{step} updates", rng.normal(size=(20, 2)) * step) for step in (1, 2, 3, 4)]
    shown = [panel for panel in figures.scatters(moments, rng.normal(size=(20, 2))).axes if panel.axison]
    assert len(shown) == 4
    assert len({panel.get_xlim() for panel in shown}) == 1


def test_non_finite_points_are_omitted():
    points = np.array([[0.0, 1.0], [np.nan, 0.0], [np.inf, 1.0], [2.0, 3.0]])
    assert _plane(points).tolist() == [[0, 1], [2, 3]]
    figures.png(figures.scatter(points[1:3]))


HUGE = {
    "up to 1e308": np.linspace(1e300, 1e308, 200),
    "of both signs": np.linspace(-0.5, 0.5, 200) * 2e308 * 0.8,
    "the two ends": np.array([-1.7e308, 1.7e308] * 100),
    "denormal": np.arange(1, 200) * 5e-324,
    "tiny": np.linspace(1e-300, 2e-300, 200),
    "int64": 2**60 + np.arange(1000),
    "the ends of int64": np.array([-(2**63), 2**63 - 1]),
    "the end of uint64": np.arange(2**64 - 200, 2**64 - 1, dtype=np.uint64),
    "constant": np.full(9, 1.7e308),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", HUGE)
def test_numbers_of_any_size_are_drawn_without_warnings(name):
    values = HUGE[name]
    assert name in words(figures.marginals({name: values}, {name: values}))
    assert name in words(figures.marginals({name: values[::-1]}, {name: values.astype(np.float64)}))
    plane = np.stack([values, values[::-1]], axis=1).astype(np.float64)
    assert "real" in words(figures.scatter(plane, plane))
    assert "real" in words(figures.scatter(plane, RNG(0).normal(size=(50, 2))))


def test_large_integers_keep_their_digits_and_the_axis_states_the_offset():
    ids = 2**60 + np.arange(40)
    panel = figures.marginals({"id": ids}).axes[0]
    assert panel.get_xlabel() == f"+ {2**60}"
    assert panel.get_xlim() == (-0.5, 39.5)
    assert figures.marginals({"x": np.array([1e305, 3e305])}).axes[0].get_xlabel() == "× 1e305"


def plan_between(x, y):
    found = exact(x, y).plan
    return found.rows.numpy(), found.columns.numpy(), found.masses.numpy()


def test_a_plan_in_two_dimensions_is_drawn_as_a_matrix_and_arrows():
    x, y = RNG(0).normal(size=(30, 2)), RNG(1).normal(size=(30, 2)) + 4
    figure = figures.transport_plan(x, y, *plan_between(x, y))
    drawn = words(figure)
    assert {"A", "B", "Transport plan: 30 samples of A to 30 of B", "Moves in the plane: all 30 moves"} <= set(drawn)
    matrix, plane = figure.axes
    assert len(matrix.collections[0].get_offsets()) == 30
    width, height = (np.ptp(limits) for limits in (plane.get_xlim(), plane.get_ylim()))
    assert width == pytest.approx(height)
    assert plane.get_box_aspect() == 1
    arrows = next(drawn for drawn in plane.collections if hasattr(drawn, "U"))
    ends = np.stack([arrows.X + arrows.U, arrows.Y + arrows.V], axis=1)
    np.testing.assert_allclose(np.sort(ends, axis=0), np.sort(y, axis=0))


def test_a_plan_in_other_dimensions_is_a_matrix_and_arrows_are_limited():
    x, y = RNG(0).normal(size=(12, 1)), RNG(1).normal(size=(7, 1))
    drawn = words(figures.transport_plan(x, y, *plan_between(x, y)))
    assert "Transport plan: 12 samples of A to 7 of B" in drawn
    assert "A" not in drawn
    many = RNG(0).normal(size=(700, 2))
    index = np.arange(700)
    assert "Moves in the plane: 400 of 700 moves" in words(
        figures.transport_plan(many, many, index, index, np.full(700, 1 / 700))
    )


def test_samples_of_a_cluster_are_adjacent_in_the_matrix():
    rng = RNG(0)
    # Along the first principal direction alone, the two clusters of each side would be mixed.
    centres = np.array([[0.0, 0.0], [0.0, 10.0], [12.0, 0.0], [12.0, 10.0]])
    of_x, of_y = np.repeat([0, 1, 2, 3], [20, 10, 20, 10]), np.repeat([0, 1, 2, 3], [10, 20, 10, 20])
    x, y = (centres[which] + rng.normal(size=(60, 2)) for which in (of_x, of_y))
    rows, columns, masses = plan_between(x, y)
    matrix = figures.transport_plan(x, y, rows, columns, masses).axes[0].collections[0]
    across, down = np.asarray(matrix.get_offsets()).T
    assert sorted(across) == sorted(down) == list(range(60))
    for positions, clusters in ((down, of_x[rows]), (across, of_y[columns])):
        for cluster in range(4):
            own = positions[clusters == cluster]
            assert np.ptp(own) == len(own) - 1


def test_the_same_plan_gives_the_same_bytes_in_either_theme():
    x = RNG(0).normal(size=(9, 3))
    plan = (np.arange(9), np.arange(9), np.full(9, 1 / 9))
    assert figures.png(figures.transport_plan(x, x, *plan)) == figures.png(figures.transport_plan(x, x, *plan))
    light, dark = (
        figures.svg(figures.transport_plan(x, x, *plan, theme=theme), theme=theme) for theme in (LIGHT, DARK)
    )
    assert (LIGHT.faint.encode() in light, LIGHT.faint.encode() in dark, DARK.faint.encode() in dark) == (
        True,
        False,
        True,
    )


@pytest.mark.filterwarnings("error")
def test_plans_of_coinciding_points_are_drawn():
    x = np.zeros((3, 2))
    plan = (np.arange(3), np.arange(3), np.full(3, 1 / 3))
    assert "Moves in the plane: all 3 moves" in words(figures.transport_plan(x, x, *plan))
