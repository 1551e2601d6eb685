"""Describe the dtypes of pandas columns as JSON, and restore columns with these dtypes."""

from __future__ import annotations

import datetime
import importlib
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from wgan.errors import DataError

Note: TypeAlias = str | Mapping[str, Any]
"""A dtype as JSON values. Earlier versions stored a text."""


def note_of(column: Any) -> Note:  # noqa: ANN401 - a series; pandas may not be there
    """Describe the dtype of a column, and the classes of its cells if they are Python objects.

    Args:
        column: A series or an index.

    Returns:
        The note. `column_of` refuses that of objects of several classes.
    """
    pandas, dtype = importlib.import_module("pandas"), column.dtype
    if isinstance(dtype, pandas.CategoricalDtype):
        return {"categories": note_of(dtype.categories), "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pandas.ArrowDtype):
        return {"arrow": True}
    if isinstance(dtype, pandas.StringDtype):
        return {"string": dtype.storage, "missing": "NA" if dtype.na_value is pandas.NA else "NaN"}
    if isinstance(dtype, pandas.DatetimeTZDtype):
        return {"unit": dtype.unit, "zone": _zone_note(dtype.tz)}
    if dtype.kind == "O":
        return _note_of_objects(column)
    return {"name": str(dtype)}


def _zone_note(zone: Any) -> dict[str, Any]:  # noqa: ANN401 - of several libraries
    """Describe a time zone by its library and name. Others are restored only if Arrow represents them."""
    module, kind = type(zone).__module__.partition(".")[0], type(zone).__name__
    if module == "dateutil" and kind == "tzfile":
        # Only the path of its file contains the name.
        return {"dateutil": str(getattr(zone, "_filename", "")).rpartition("zoneinfo/")[2]}
    if module == "dateutil" and kind in ("tzutc", "tzlocal"):
        return {"dateutil": kind}
    if module == "dateutil" and kind == "tzoffset":
        return {"dateutil": kind, "name": zone.tzname(None), "seconds": zone.utcoffset(None).total_seconds()}
    if isinstance(zone, datetime.timezone):
        return {"seconds": zone.utcoffset(None).total_seconds(), "name": zone.tzname(None)}
    return {"module": module, "key": str(zone)}


def _zone(note: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of several libraries
    if "dateutil" in note:
        library = importlib.import_module("dateutil.tz")
        if note["dateutil"] == "tzoffset":
            return library.tzoffset(note["name"], note["seconds"])
        is_plain = note["dateutil"] in ("tzutc", "tzlocal")
        return getattr(library, note["dateutil"])() if is_plain else library.gettz(note["dateutil"])
    if "seconds" in note:
        offset = datetime.timedelta(seconds=note["seconds"])
        plain = datetime.timezone(offset)
        return plain if note["name"] == plain.tzname(None) else datetime.timezone(offset, note["name"])
    if note["module"] == "pytz":
        return importlib.import_module("pytz").timezone(note["key"])
    return importlib.import_module("zoneinfo").ZoneInfo(note["key"])


def _note_of_objects(column: Any) -> Note:  # noqa: ANN401 - a series or an index
    """Describe the class of the cells of an object column, and the marker of its missing cells."""
    missing, classes = "", dict[type, None]()
    for cell in column:
        marker = _marker(cell)
        if not marker:
            classes[type(cell)] = None
        missing = missing or marker
    if len(classes) > 1:
        return {"mixed": sorted(kind.__name__ for kind in classes)}
    kind = next(iter(classes), None)
    if kind is None:
        return {"objects": "", "module": "", "missing": missing}
    return {"objects": kind.__name__, "module": kind.__module__.partition(".")[0], "missing": missing or "None"}


def _marker(cell: object) -> str:
    """The name of the marker in a missing cell; empty if the cell is not missing."""
    if cell is None:
        return "None"
    if isinstance(cell, float):
        return "NaN" if cell != cell else ""
    name = type(cell).__name__
    return {"NAType": "NA", "NaTType": "NaT"}.get(name, "")


def column_of(array: pa.ChunkedArray | pa.Array, note: Note) -> Any:  # noqa: ANN401 - pandas may not be there
    """Convert an Arrow column to a series of the dtype that a note describes.

    Args:
        array: A column that the codec restored.
        note: A note that `note_of` returned.

    Raises:
        DataError: The column contained objects of several classes.
    """
    pandas = importlib.import_module("pandas")
    if isinstance(note, str):
        series = array.to_pandas()
        return series if str(series.dtype) == note else series.astype(note)
    if "mixed" in note:
        raise DataError(
            f"it holds Python objects of several types ({', '.join(note['mixed'])})",
            remedy="Convert it to one type, for example with .astype(float) or .astype(str).",
        )
    if "categories" in note:
        return pandas.Series(_categorical(array, note))
    if "arrow" in note:
        return pandas.Series(pandas.arrays.ArrowExtensionArray(array))
    if "string" in note:
        missing = pandas.NA if note["missing"] == "NA" else np.nan
        return pandas.Series(pandas.StringDtype(note["string"], na_value=missing).__from_arrow__(array))
    if "zone" in note:
        # Arrow may not know the zone by this name.
        plain = array.cast(pa.int64()).cast(pa.timestamp(note["unit"])).to_pandas()
        return pandas.Series(plain).dt.tz_localize("UTC").dt.tz_convert(_zone(note["zone"]))
    if "objects" in note:
        return pandas.Series(_objects(array, note), dtype=object)
    dtype = pandas.api.types.pandas_dtype(note["name"])
    if hasattr(dtype, "__from_arrow__"):
        return pandas.Series(dtype.__from_arrow__(array))
    series = pandas.Series(array.to_pandas())
    return series if series.dtype == dtype else series.astype(dtype)


def _categorical(array: pa.ChunkedArray | pa.Array, note: Mapping[str, Any]) -> Any:  # noqa: ANN401
    pandas = importlib.import_module("pandas")
    if isinstance(array, pa.ChunkedArray):
        array = array.unify_dictionaries().combine_chunks()
        array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    names = column_of(array.dictionary, note["categories"])
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    categories = pandas.Index(names, dtype=names.dtype)
    return pandas.Categorical.from_codes(codes, categories=categories, ordered=note["ordered"])


def _objects(array: pa.ChunkedArray | pa.Array, note: Mapping[str, Any]) -> list[Any]:
    pandas = importlib.import_module("pandas")
    missing = {"": None, "None": None, "NaN": np.nan, "NA": pandas.NA, "NaT": pandas.NaT}[note["missing"]]
    cells = array.to_pylist()
    if note["module"] in ("numpy", "pandas"):
        home = np if note["module"] == "numpy" else pandas
        kind = getattr(home, note["objects"])
        if not (isinstance(kind, type) and issubclass(kind, np.generic | datetime.datetime | datetime.timedelta)):
            raise ValueError(f"{note['objects']!r} is not a type of cells")
        make: Any = kind
        cells = [None if cell is None else make(cell) for cell in cells]
    elif note["objects"] == "datetime":
        # Arrow converts nanoseconds to timestamps of pandas.
        cells = [cell.to_pydatetime() if hasattr(cell, "to_pydatetime") else cell for cell in cells]
    elif note["objects"] == "timedelta":
        cells = [cell.to_pytimedelta() if hasattr(cell, "to_pytimedelta") else cell for cell in cells]
    return [missing if cell is None else cell for cell in cells]


def differences(data: Any, restored: Any) -> list[str]:  # noqa: ANN401 - pandas may not be there
    """List the columns whose types are not restored, one line each.

    Args:
        data: The caller's frame, with columns named by text.
        restored: Some of its rows, encoded and restored.
    """
    lines = []
    for name in restored.columns:
        before, after = data[name], restored[name]
        if before.dtype != after.dtype:
            lines.append(f"column {name!r} has dtype {before.dtype}, but samples would have {after.dtype}")
        elif before.dtype.kind == "O" and str(before.dtype) == "object":
            kinds = [{type(cell) for cell in cells if not _marker(cell)} for cells in (before, after)]
            if strange := [kind.__name__ for kind in kinds[1] - kinds[0]]:
                lines.append(f"column {name!r} contains Python objects that samples would have as {strange[0]}")
    return lines
