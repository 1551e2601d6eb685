"""Samples have the steps, decimals, weekdays and days of the month of the data, in its time zone."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wgan.data import codec_from_state
from wgan.data.columns import Number
from wgan.data.columns.raw import read_frame
from wgan.data.columns.rounding import Calendar, grid_of, nearest_step
from wgan.data.tables.detecting import detect
from wgan.randomness import Randomness
from wgan.settings import DataOptions

RNG = np.random.default_rng(0)


def drawn(column, num=400):
    """A fitted column, and its restored values for numbers off its grid."""
    frame = pd.DataFrame({"x": column, "other": RNG.normal(size=len(column))})
    detected = detect(read_frame(frame, name="frame"), DataOptions(missing="keep"))
    stored = json.loads(json.dumps(detected.codec.state()))
    assert stored == detected.codec.state()
    codec = codec_from_state(stored)
    again = codec.decode(detected.codec.encode(detected.arrays))["x"]
    found = codec.columns[0]
    assert isinstance(found, Number)
    values = 1.5 * torch.randn(num, codec.layout.size, generator=Randomness(0).at("test"))
    return found, again.to_pandas(), codec.decode(values)["x"].to_pandas()


@pytest.mark.parametrize(
    ("column", "step", "start"),
    [
        (RNG.integers(0, 50, 200) * 1_000, 1_000, 0),
        (RNG.integers(0, 50, 200) * 1_000 + 990, 1_000, 990),
        (RNG.integers(-20, 20, 200) * 5 + 2, 5, 2),
        (RNG.integers(0, 100, 200) * 0.25, 0.25, 0),
        (RNG.integers(0, 100, 200) * 0.25 + 0.1, 0.25, 0.1),
        ((RNG.integers(0, 100, 200) * 0.5).astype(np.float32), 0.5, 0),
        (RNG.integers(-50, 50, 200) * 250.0, 250, 0),
        (2**60 + RNG.integers(0, 100, 200) * 4096, 4096, 2**60),
    ],
)
def test_numbers_with_a_step_keep_it(column, step, start):
    found, again, samples = drawn(column)
    assert found.step > 1
    np.testing.assert_array_equal(again, column)
    far = (samples - start) / step
    np.testing.assert_allclose(far, np.rint(far), atol=1e-6)
    assert samples.nunique() > 10
    assert samples.between(column.min(), column.max()).all()


@pytest.mark.parametrize(
    "column",
    [[3, 7, 21], [0.25, 1.5, 9.75], [10, 20, 30, 40], RNG.normal(size=50), RNG.integers(0, 1000, 100), [1.5, 2.5, 3.0]],
)
def test_a_step_that_could_be_chance_is_ignored(column):
    found, _, _ = drawn(np.array(column))
    assert found.step == 1


@given(st.integers(1, 2**40), st.lists(st.integers(0, 2**20), min_size=1, max_size=5))
def test_distances_are_rounded_to_the_nearest_multiple(step, counts):
    far = np.array(counts, np.uint64) * np.uint64(step)
    assert np.array_equal(nearest_step(far, step), far)
    if step > 2:
        assert np.array_equal(nearest_step(far + np.uint64((step - 1) // 2), step), far)
        assert np.array_equal(nearest_step(far + np.uint64(step // 2 + 1), step), far + np.uint64(step))


def test_a_step_needs_enough_values():
    assert grid_of(np.array([0, 1000, 3000, 4000]), 0) == 1000
    assert grid_of(np.array([0, 2, 6, 8]), 0) == 1
    assert grid_of(2 * np.arange(30), 0) == 2


ZONES = [None, "UTC", "Asia/Kolkata", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "+03:30"]
DAYS = pd.Timestamp("2024-01-01") + pd.to_timedelta(RNG.integers(0, 365, 300), unit="D")


@pytest.mark.parametrize("unit", ["s", "ns"])
@pytest.mark.parametrize("zone", ZONES)
def test_dates_stay_at_midnight_in_their_zone(zone, unit):
    column = pd.Series(DAYS.tz_localize(zone).as_unit(unit))
    _, again, samples = drawn(column)
    assert again.tolist() == column.tolist()
    assert samples.dt.tz == column.dt.tz or str(samples.dt.tz) == str(column.dt.tz)
    assert (samples == samples.dt.normalize()).all()
    assert samples.nunique() > 100
    assert samples.between(column.min(), column.max()).all()


def test_days_whose_midnight_is_skipped_begin_an_hour_later():
    days = pd.date_range("2018-01-01", "2018-12-31").tz_localize("America/Sao_Paulo", nonexistent="shift_forward")
    assert (days.hour == 1).sum() == 1
    found, again, samples = drawn(pd.Series(days))
    assert again.tolist() == days.tolist()
    assert found.calendar.step in (86_400 * 10**6, 86_400 * 10**9)
    assert set(samples) <= set(days)


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_steps_of_hours_are_found_in_utc_and_local_time(zone):
    noon = pd.Series((DAYS + pd.Timedelta("12h")).tz_localize(zone))
    assert (drawn(noon)[2].dt.hour == 12).all()
    quarters = pd.Series(pd.date_range("2024-01-01", periods=9_000, freq="15min", tz="UTC").tz_convert(zone or "UTC"))
    assert (drawn(quarters)[2].dt.minute % 15 == 0).all()


@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_weekdays_stay_weekdays(zone):
    column = pd.Series(pd.bdate_range("2024-01-01", periods=250).tz_localize(zone))
    found, again, samples = drawn(column)
    assert found.calendar.weekdays == (0, 1, 2, 3, 4)
    assert again.tolist() == column.tolist()
    assert (samples.dt.day_of_week < 5).all()
    assert set(samples) <= set(column)
    traded = column + pd.to_timedelta(RNG.integers(9 * 60, 17 * 60, 250), unit="min")
    _, again, samples = drawn(traded)
    assert again.tolist() == traded.tolist()
    assert (samples.dt.day_of_week < 5).all()
    assert (samples.dt.second == 0).all()


def test_dates_without_time_keep_weekdays():
    days = pd.bdate_range("2024-01-01", periods=250).date
    _, again, samples = drawn(pd.Series(days, dtype=pd.ArrowDtype(pa.date32())))
    assert again.tolist() == list(days)
    assert set(samples) <= set(days)


def test_few_dates_do_not_restrict_weekdays():
    found, _, _ = drawn(pd.Series(pd.to_datetime(["2024-01-01", "2024-01-03", "2024-01-05", "2024-02-06"])))
    assert found.calendar is None


@pytest.mark.parametrize(
    ("freq", "check"),
    [
        ("MS", "is_month_start"),
        ("ME", "is_month_end"),
        ("QS", "is_quarter_start"),
        ("QE", "is_quarter_end"),
        ("YS", "is_year_start"),
    ],
)
def test_days_of_the_month_are_kept(freq, check):
    column = pd.Series(pd.date_range("2000-01-01", periods=60, freq=freq))
    _, again, samples = drawn(column)
    assert again.tolist() == column.tolist()
    assert getattr(samples.dt, check).all()
    assert set(samples) <= set(column)
    assert samples.nunique() > 20


def test_months_in_text_are_kept(tmp_path):
    from wgan.data import open_data

    path = tmp_path / "t.csv"
    path.write_text("m,x\n" + "".join(f"{2000 + row % 20}-{row % 12 + 1:02d},{row}\n" for row in range(200)))
    source = open_data(path, DataOptions(), seed=0)
    samples = source.codec.decode(torch.randn(200, 2, generator=Randomness(0).at("test")))["m"].to_pylist()
    assert all(len(cell) == 7 and "2000-01" <= cell <= "2019-12" for cell in samples)


@given(st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=20, unique=True), st.booleans())
def test_a_calendar_leaves_its_own_dates_unchanged(days, zoned):
    kind = pa.timestamp("s", tz="Europe/Berlin" if zoned else None)
    values = np.array(days, np.int64) * 86_400
    calendar = Calendar.fit(values, kind)
    if calendar is not None:
        assert calendar.keeps(np.unique(values), kind)
        assert Calendar.from_state(json.loads(json.dumps(calendar.state()))) == calendar


def test_columns_stored_before_steps_existed_are_read():
    detected = detect(read_frame(pd.DataFrame({"x": [1.5, 2.5, 4.25]}), name="frame"), DataOptions())
    state = detected.codec.columns[0].state()
    assert not {"calendar", "form", "text"} & state.keys()
    assert Number.from_state(state).calendar is None
