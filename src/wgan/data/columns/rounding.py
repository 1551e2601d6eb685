"""The rounding of values: decimals, common steps, and the days of the week and month of dates."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wgan.data.scaling import Floats, distances

_MOST_DECIMALS = 10
# A pattern is accepted if random values would show it in fewer than one of this many tables.
_CHANCE = 1e6
# Mean number of repetitions of a value in a column whose values are a short list.
_REPEATED = 10
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_ANY_DAY = 28

Whole = NDArray[np.int64]


def decimals_of(values: Floats, *, single: bool) -> int | None:
    """Find the number of decimals that all values are rounded to.

    Args:
        values: Finite.
        single: Whether they were float32 or float16, which are compared in float32.

    Returns:
        0 to 10; None if values have more decimals, or are too large to have any.
    """
    largest = float(np.abs(values).max())
    for places in range(_MOST_DECIMALS + 1):
        # Beyond 2**53 (2**24 in float32) all floats are multiples of the last decimal.
        if largest * 10.0**places >= (2**24 if single else 2**53):
            return None
        rounded = np.round(values, places)
        if (
            np.array_equal(rounded.astype(np.float32), values.astype(np.float32))
            if single
            else (np.array_equal(rounded, values))
        ):
            return places
    return None


def step_of(values: NDArray[Any], low: int) -> int:
    """The greatest common divisor of all differences from the minimum.

    Args:
        values: Whole numbers.
        low: Their minimum.
    """
    return int(np.gcd.reduce(distances(values, low)))


def grid_of(values: NDArray[Any], low: int) -> int:
    """As `step_of`, but 1 if so few values could have a common step by chance.

    The probability that k random whole numbers are all multiples of s is s⁻ᵏ. If each value is repeated many times,
    such as 0, 5 and 10, the column hardly has other values, and the step is accepted however few they are.

    Args:
        values: Whole numbers.
        low: Their minimum.
    """
    step, num_distinct = step_of(values, low), len(np.unique(values))
    is_beyond_chance = (num_distinct - 1) * math.log(step) > math.log(_CHANCE) if step > 1 else False
    return step if step > 1 and (is_beyond_chance or len(values) >= _REPEATED * num_distinct) else 1


def nearest_step(distance: NDArray[np.uint64], step: int) -> NDArray[np.uint64]:
    """Round differences to the nearest multiples of a step."""
    count, rest = np.divmod(distance, np.uint64(step))
    nearest: NDArray[np.uint64] = (count + (rest >= np.uint64(step) - rest)) * np.uint64(step)
    return nearest


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """The step, weekdays and day of the month of dates and times, in local time.

    Attributes:
        step: The common step, counted from the minimum, in the unit of the type.
        weekdays: The weekdays that occur, Monday being 0; empty if all may.
        months: The step in months if all dates are on the same day of the month; else 0.
        day: That day, 1 to 28, or 0 for the last day of the month.
    """

    step: int = 1
    weekdays: tuple[int, ...] = ()
    months: int = 0
    day: int = 1

    @classmethod
    def fit(cls, values: Whole, kind: pa.DataType) -> Calendar | None:
        """Find the calendar of dates or times.

        Args:
            values: In the plain form of `wgan.data.columns.types.to_plain`, as int64; at least two different ones.
            kind: Their type.

        Returns:
            None for a type without days, for an unknown zone, and if a step in UTC says as much.
        """
        per_day = _per_day(kind)
        if per_day == 0:
            return None
        values = np.unique(values)
        try:
            local = _local(values, kind)
        except pa.ArrowInvalid:
            return None
        found = cls._by_month(local, per_day) or cls._by_week(values, local, per_day, kind)
        return found if found is not None and np.array_equal(found.snap(values, kind), values) else None

    @classmethod
    def _by_month(cls, local: Whole, per_day: int) -> Calendar | None:
        days, clock = np.divmod(local, per_day)
        months, day, length = _months(days)
        is_end = bool((day == length).all()) and bool((length != length[0]).any())
        enough = len(local) - 1 > math.log(_CHANCE) / math.log(_ANY_DAY)
        if not enough or (clock != clock[0]).any() or not (is_end or ((day == day[0]).all() and day[0] <= _ANY_DAY)):
            return None
        every = int(np.gcd.reduce(months - months[0]))
        return cls(step=per_day, months=every, day=0 if is_end else int(day[0])) if every else None

    @classmethod
    def _by_week(cls, values: Whole, local: Whole, per_day: int, kind: pa.DataType) -> Calendar | None:
        step, in_utc = step_of(local, int(local.min())), step_of(values, int(values[0]))
        if step % per_day and cls(step=per_day).keeps(values, kind):
            # In zones whose clocks go forward at midnight, one day a year begins an hour later.
            step = per_day
        days = np.unique(local // per_day)
        weekdays = np.unique((days + 3) % 7)
        # The probability that n random days are on k given weekdays is (k/7)ⁿ.
        few = len(weekdays) < 7 and len(days) * math.log(7 / len(weekdays)) > math.log(_CHANCE) and step % (7 * per_day)
        kept = tuple(weekdays.tolist()) if few else ()
        # The larger of the two steps is more specific. If they are equal, the zone is not needed.
        return cls(step=max(step, 1), weekdays=kept) if kept or step > in_utc else None

    def keeps(self, values: Whole, kind: pa.DataType) -> bool:
        """Whether `snap` leaves the values unchanged."""
        return np.array_equal(self.snap(values, kind, low=int(values.min())), values)

    def snap(self, values: Whole, kind: pa.DataType, *, low: int | None = None) -> Whole:
        """Move each value to the nearest one in the calendar.

        Args:
            values: As for `fit`.
            kind: Their type.
            low: The origin of the steps; None for the minimum of the values.
        """
        per_day = _per_day(kind)
        local = _local(values, kind)
        start = int(_local(np.array([values.min() if low is None else low]), kind)[0])
        if self.months:
            local = self._to_months(local, start, per_day)
        else:
            local = start + _nearest(local - start, self.step)
            if self.weekdays:
                days = local // per_day
                local = local + _shifts(self.weekdays)[(days + 3) % 7] * per_day
        return _utc(local, kind)

    def _to_months(self, local: Whole, start: int, per_day: int) -> Whole:
        first = int(_months(np.array([start // per_day]))[0][0])
        days, clock = local // per_day, start % per_day
        month, _, _ = _months(days)
        below = first + (month - first) // self.months * self.months
        around = [below + shift * self.months for shift in (-1, 0, 1)]
        candidates = np.stack([self._day_in(each) * per_day + clock for each in around])
        nearest = np.abs(candidates - local).argmin(axis=0)
        chosen: Whole = np.take_along_axis(candidates, nearest[None], axis=0)[0]
        return chosen

    def _day_in(self, months: Whole) -> Whole:
        """The day of each month, in days since 1970."""
        start = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        after = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        return start + self.day - 1 if self.day else after - 1

    def state(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "weekdays": list(self.weekdays)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Calendar:
        """The inverse of `state`."""
        return cls(**{**state, "weekdays": tuple(state["weekdays"])})


def _per_day(kind: pa.DataType) -> int:
    """The number of units in a day; 0 for a type without days."""
    if pa.types.is_date32(kind):
        return 1
    if pa.types.is_date64(kind):
        return 86_400_000
    return 86_400 * _PER_SECOND[kind.unit] if pa.types.is_timestamp(kind) else 0


def _local(values: Whole, kind: pa.DataType) -> Whole:
    """UTC to local time."""
    import pyarrow.compute as pc

    if not pa.types.is_timestamp(kind) or kind.tz is None:
        return values
    shown = pc.local_timestamp(pa.array(values, pa.int64()).view(kind))
    local: Whole = shown.view(pa.int64()).to_numpy(zero_copy_only=False).astype(np.int64)
    return local


def _utc(local: Whole, kind: pa.DataType) -> Whole:
    """Local time to UTC. A time that is skipped when clocks go forward becomes the first one after it."""
    import pyarrow.compute as pc

    if not pa.types.is_timestamp(kind) or kind.tz is None:
        return local
    shown = pa.array(local, pa.int64()).view(pa.timestamp(kind.unit))
    instants = pc.assume_timezone(shown, kind.tz, ambiguous="earliest", nonexistent="latest")
    values: Whole = instants.view(pa.int64()).to_numpy(zero_copy_only=False).astype(np.int64)
    return values


def _nearest(distance: Whole, step: int) -> Whole:
    """Round whole numbers of either sign to the nearest multiples of a step."""
    count, rest = np.divmod(distance, step)
    nearest: Whole = (count + (rest >= step - rest)) * step
    return nearest


def _months(days: Whole) -> tuple[Whole, Whole, Whole]:
    """Months since 1970, the day of the month from 1, and how many days the month has."""
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    start, after = (each.astype("datetime64[D]").astype(np.int64) for each in (months, months + 1))
    return months.astype(np.int64), days - start + 1, after - start


def _shifts(weekdays: tuple[int, ...]) -> Whole:
    """The number of days from each weekday to the nearest of the given ones."""
    offsets = sorted(range(-3, 4), key=abs)
    return np.array([next((o for o in offsets if (day + o) % 7 in weekdays), 0) for day in range(7)])
