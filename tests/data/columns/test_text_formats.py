"""Numbers and dates in text: recognised and written back in the same format, refused as ambiguous, or left as text."""

import json
import random

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgan.data import codec_from_state, open_data
from wgan.data.columns import Category, Number
from wgan.data.columns.raw import RawTable, read_frame
from wgan.data.columns.text_formats import DateFormat, NumberFormat, format_from_state, format_state
from wgan.data.tables.detecting import detect
from wgan.errors import DataError, DataWarning, UsageError
from wgan.settings import DataOptions, Settings, problems

NUM = 60


def cells_of(make):
    rng = random.Random(0)
    return [make(row, rng) for row in range(NUM)]


def raw_of(cells, *others):
    columns = {"x": cells, "row": [str(row % 10) for row in range(len(cells))]}
    columns |= {f"o{place}": other for place, other in enumerate(others)}
    return RawTable(
        table=pa.table(columns), name="t.csv", untyped=True, places=lambda rows: [f"line {row + 2}" for row in rows]
    )


def found(raw, **options):
    detected = detect(raw, DataOptions(missing="keep", **options))
    stored = json.loads(json.dumps(detected.codec.state()))
    # A run compares what it stored with what it is given again.
    assert stored == detected.codec.state()
    codec = codec_from_state(stored)
    return detected, codec, codec.decode(detected.codec.encode(detected.arrays))["x"].to_pylist()


def german(text):
    return text.translate({ord(","): ".", ord("."): ","})


def luhn(digits):
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 * (doubled > 9)
    return digits + str(-total % 10)


RECOGNISED = {
    "millions": (lambda i, r: f"{i * 34_567:,}", "int64", None),
    "point and thousands": (lambda i, r: f"{r.random() * 1e5 + 1000:,.2f}", "double", None),
    "German": (lambda i, r: german(f"{r.random() * 1e5 + 1000:,.2f}"), "double", None),
    "decimal comma": (lambda i, r: german(f"{i / 10:.1f}"), "double", None),
    "three places with a comma": (lambda i, r: german(f"{i * 0.123:.3f}"), "double", None),
    "thousands and hundreds": (lambda i, r: f"{i * 100:,}", "int64", 5900),
    "dollars": (lambda i, r: f"${r.randrange(24_000) / 100:.2f}", "double", None),
    "dollars in brackets": (lambda i, r: f"(${i * 1234.5:,.2f})" if i % 3 else f"${i * 999 + 1:,.2f}", "double", None),
    "brackets": (lambda i, r: f"({i * 100:,})" if i % 2 else f"{i * 77:,}", "int64", -5900),
    "minus outside": (lambda i, r: f"-${i * 1234.5:,.2f}" if i % 3 else f"${i * 999:,.2f}", "double", None),
    "minus inside": (lambda i, r: f"$-{i * 1234.5:,.2f}" if i % 3 else f"${i * 999:,.2f}", "double", None),
    "minus behind": (lambda i, r: f"{i * 100}-" if i % 2 else f"{i * 77}", "int64", -5900),
    "euros": (lambda i, r: german(f"{i * 7.5:.2f} €"), "double", 442.5),
    "Swiss francs": (lambda i, r: f"CHF {i * 1234.5:,.2f}".replace(",", "'"), "double", 72835.5),
    "French": (lambda i, r: f"{i * 1234.5:,.1f}".replace(",", "\u202f").replace(".", ","), "double", 72835.5),
    "spaces": (lambda i, r: f"{i * 1234.5:,.1f}".replace(",", " ").replace(".", ","), "double", 72835.5),
    "per cent": (lambda i, r: f"{i} %", "int64", 59),
    "lakhs": (lambda i, r: f"{i % 9 + 1},{i % 90 + 10},{100 + i}", "int64", None),
    "kilograms": (lambda i, r: f"{i * 1.5} kg", "double", 88.5),
    "plus": (lambda i, r: f"{i - 30:+d}", "int64", 29),
    "days first": (lambda i, r: f"{i % 28 + 1:02d}.{i % 12 + 1:02d}.2024", "date32[day]", None),
    "days first by a slash": (lambda i, r: f"{i % 28 + 1:02d}/{i % 12 + 1:02d}/2024", "date32[day]", None),
    "months first": (lambda i, r: f"{i % 12 + 1}/{i % 28 + 1}/2024", "date32[day]", None),
    "half a day": (lambda i, r: f"{i % 12 + 1}/{i % 28 + 1}/24 {i % 12 + 1}:{i:02d} PM", "timestamp[s]", None),
    "short months": (lambda i, r: f"{i % 28 + 1} {('Jan', 'Feb', 'Mar')[i % 3]} 2024", "date32[day]", None),
    "long months": (lambda i, r: f"{('January', 'May')[i % 2]} {i % 28 + 1}, 2024", "date32[day]", None),
    "capital months": (lambda i, r: f"{i % 28 + 1:02d}-{('JAN', 'FEB')[i % 2]}-24", "date32[day]", None),
    "months": (lambda i, r: f"20{i % 24:02d}-{i % 12 + 1:02d}", "date32[day]", None),
    "digits only": (lambda i, r: f"2024{i % 12 + 1:02d}{i % 28 + 1:02d}", "date32[day]", None),
    "digits and times": (lambda i, r: f"2024{i % 12 + 1:02d}{i % 28 + 1:02d}10{i:02d}43", "timestamp[s]", None),
    "times": (lambda i, r: f"{i % 24:02d}:{i:02d}", "time32[s]", None),
    "minutes": (lambda i, r: f"2024-01-{i % 28 + 1:02d} {i % 24:02d}:30", "timestamp[s]", None),
    "T": (lambda i, r: f"2024-01-{i % 28 + 1:02d}T{i % 24:02d}:00:00", "timestamp[s]", None),
    "slashes": (lambda i, r: f"2024/{i % 12 + 1:02d}/{i % 28 + 1:02d}", "date32[day]", None),
}


@pytest.mark.parametrize("name", RECOGNISED)
def test_formats_are_recognised_and_written_back_exactly(name):
    make, kind, last = RECOGNISED[name]
    cells = cells_of(make)
    detected, codec, back = found(raw_of(cells))
    column = codec.columns[0]
    assert isinstance(column, Number)
    assert column.type == kind
    assert codec.schema.field("x").type == pa.string()
    assert back == cells
    if last is not None:
        assert detected.arrays[0].to_pylist()[-1] == last
    # ISO dates with a T follow the standard and need no note.
    assert any("is read as the" in note for note in detected.notes) == (name not in ("T", "minutes"))


TEXT = {
    "more than 64 bits": (lambda i, r: str(10**25 + i % 20), "more digits than 64 bits hold"),
    "twenty digits": (lambda i, r: f"20240{i % 9}01104443{i % 9:06d}", "more digits than 64 bits hold"),
    "telephones": (lambda i, r: f"+4930123{1000 + i % 20}", "begins with a plus"),
    "telephones in groups": (lambda i, r: f"+49 30 123 {100 + i % 20}", ""),
    "telephones without a plus": (lambda i, r: f"555 123 {100 + i % 20}", ""),
    "zip codes": (lambda i, r: ("00501", "02134", "10115")[i % 3], ""),
    "zip codes with four more": (lambda i, r: ("02134-1001", "10115-2002")[i % 2], ""),
    "codes with an e": (lambda i, r: f"{i % 9 + 1}e{i % 5}", "an e among its digits"),
    "codes with an E": (lambda i, r: f"{i % 9 + 1}E{i % 5}" if i % 2 else str(i % 9), "an e among its digits"),
    "hexadecimal": (lambda i, r: hex(i % 20), ""),
    "versions of two": (lambda i, r: f"1.{i % 12}", "looks like a version"),
    "versions of three": (lambda i, r: f"1.{i % 12}.{i % 3}", ""),
    "addresses": (lambda i, r: f"192.168.{100 + i % 5}.{120 + i % 5}", ""),
    "cards": (lambda i, r: luhn(str(4 * 10**14 + 7**18 % (i % 15 + 10**9))), "a check digit"),
    "articles": (lambda i, r: ean(str(400_638_133_393 + 17 * (i % 15))), "a check digit"),
    "ranges": (lambda i, r: f"{i % 5 * 10}-{i % 5 * 10 + 9}", ""),
    "fractions": (lambda i, r: f"{i % 5}/{i % 7 + 1}", ""),
    "one of two amounts": (lambda i, r: " 36 months" if i % 2 else " 60 months", ""),
    "several currencies": (lambda i, r: f"${i % 9}.00" if i % 2 else f"€{i % 9}.00", "several currencies"),
    "numbers of articles": (lambda i, r: f"SKU-{i % 20:03d}", ""),
}


def ean(digits):
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)


@pytest.mark.parametrize("name", TEXT)
def test_identifiers_stay_text(name):
    make, note = TEXT[name]
    cells = cells_of(make)
    detected, codec, back = found(raw_of(cells))
    assert isinstance(codec.columns[0], Category)
    assert back == cells
    assert note in " ".join(detected.notes)
    assert bool(note) == bool(detected.notes)


def test_plain_whole_numbers_are_numbers():
    instants = [str(1_700_000_000_000 + row * 86_400_123) for row in range(NUM)]
    amounts = [str(4 * 10**15 + 7**row % 10**9) for row in range(NUM)]
    for cells in (instants, amounts):
        detected, codec, _ = found(raw_of(cells))
        assert codec.columns[0].type == "int64"
        assert [str(cell) for cell in detected.arrays[0].to_pylist()] == cells


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda i, r: f"{1000 + 7 * i:,}",
            r"'1,000' may be 1000 or 1.0\nUse thousands=\[.,.\] or decimal=\[.,.\]",
        ),
        (lambda i, r: f"$1.{100 + i}", r"may be 1.1 or 1100\nUse decimal=\[...\] or thousands=\[...\]"),
        (
            lambda i, r: f"{i % 12 + 1}/{i * 5 % 12 + 1}/2024",
            r"'2/6/2024' may be 2024-06-02 or 2024-02-06\nUse dayfirst",
        ),
        (lambda i, r: f"{i % 12 + 1:02d}-{i * 5 % 12 + 1:02d}-24", r"may be .*\nUse dayfirst=.*yes"),
    ],
)
def test_ambiguous_text_is_refused(make, message):
    with pytest.raises(DataError, match=message):
        found(raw_of(cells_of(make)))


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({"thousands": (",",)}, 1007),
        ({"thousands": ("x=,",)}, 1007),
        ({"decimal": (",",)}, 1.007),
        ({"decimal": (".", "x=,")}, 1.007),
        ({"decimal": (".",)}, 1007),
    ],
)
def test_options_decide_separators(options, first):
    cells = cells_of(lambda i, r: f"{1000 + 7 * i:,}")
    detected, _, back = found(raw_of(cells), **options)
    assert detected.arrays[0].to_pylist()[1] == first
    assert back == cells


@pytest.mark.parametrize(
    ("options", "month"),
    [
        ({"dayfirst": ("yes",)}, 6),
        ({"dayfirst": ("no",)}, 2),
        ({"dayfirst": ("yes", "x=no")}, 2),
        ({"date_format": ("%d/%m/%Y",)}, 6),
        ({"date_format": ("x=%m/%d/%Y",)}, 2),
    ],
)
def test_options_decide_the_order_of_days_and_months(options, month):
    cells = cells_of(lambda i, r: f"{i % 12 + 1}/{i * 5 % 12 + 1}/2024")
    detected, _, back = found(raw_of(cells), **options)
    days = detected.arrays[0].cast(pa.int32()).view(pa.date32()).to_pylist()
    assert days[1].month == month
    assert back == cells


def test_other_columns_decide_between_formats_and_are_named():
    amounts = cells_of(lambda i, r: f"{1000 + 7 * i:,}")
    detected, _, back = found(raw_of(amounts, cells_of(lambda i, r: f"{i / 7:.3f}")))
    assert detected.arrays[0].to_pylist()[0] == 1000
    assert "'1,000' is read as the number 1000, since column 'o0' has '0.000'" in detected.notes[0]
    points = [cell.replace(",", ".") for cell in amounts]
    detected, _, back = found(raw_of(points, cells_of(lambda i, r: german(f"{i / 4:.2f}"))))
    assert detected.arrays[0].to_pylist()[0] == 1000
    assert back == points
    days = cells_of(lambda i, r: f"{i % 12 + 1}/{i * 5 % 12 + 1}/2024")
    detected, _, _ = found(raw_of(days, cells_of(lambda i, r: f"{i % 28 + 1}/{i % 12 + 1}/2023")))
    assert "since column 'o0' has '13/1/2023'" in detected.notes[0]
    # Columns that contradict one another settle nothing.
    with pytest.raises(DataError, match="may be 1000 or 1"):
        found(raw_of(amounts, cells_of(lambda i, r: f"{i / 4:.2f}"), cells_of(lambda i, r: german(f"{i / 4:.2f}"))))


def test_a_point_before_three_digits_in_all_cells_is_noted():
    detected, codec, _ = found(raw_of(cells_of(lambda i, r: f"1.{100 + i}")))
    assert codec.columns[0].type == "double"
    assert "'1.100' is read with a decimal point" in detected.notes[0]


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (lambda i, r: f"2024-01-{i % 28 + 1:02d}", "2024-02-30"),
        (lambda i, r: f"{i % 28 + 1:02d}.{i % 12 + 1:02d}.2024", "31.02.2024"),
        (lambda i, r: f"{i % 28 + 1:02d}/{i % 12 + 1:02d}/2024", "31/02/2024"),
        (lambda i, r: f"{i % 12 + 1}/{i % 28 + 1}/2024", "soon"),
        (lambda i, r: f"{i % 24:02d}:{i:02d}", "24:61"),
        (lambda i, r: f"${i}.50", "free"),
        (lambda i, r: f"{i * 1000:,}", "1,23"),
        (lambda i, r: f"{i} %", "5"),
        (lambda i, r: f"{i / 8}", "abc"),
    ],
)
def test_a_cell_that_does_not_fit_is_named_with_its_line(make, wrong):
    cells = cells_of(make)
    cells[40] = wrong
    with pytest.raises(DataError, match=rf"line 42, column 'x': text '{wrong}' in a column .*\n.*categorical=.*x"):
        found(raw_of(cells))
    assert isinstance(found(raw_of(cells), categorical=("x",))[1].columns[0], Category)


def test_identifiers_can_be_read_as_numbers():
    detected, codec, _ = found(raw_of([str(10**25 + row * 10**20) for row in range(NUM)]), numeric=("x",))
    assert codec.columns[0].type == "double"
    assert "of more than 64 bits are rounded" in detected.notes[0]
    detected, codec, back = found(raw_of([f"+4930{row:05d}" for row in range(NUM)]), numeric=("x",))
    assert codec.columns[0].type == "int64"
    assert back[1] == "+493000001"


def test_words_for_missing_values_are_missing():
    cells = ["N/A" if row % 9 == 0 else f"${row}.50" for row in range(NUM)]
    _, codec, back = found(raw_of(cells))
    assert codec.columns[0].may_miss
    assert back[:2] == [None, "$1.50"]


def test_text_of_a_data_frame_is_text_unless_an_option_names_it():
    frame = pd.DataFrame({"pay": [f"${row % 40 * 1234.5:,.2f}" for row in range(NUM)], "y": range(NUM)})
    frame["when"] = [f"{row % 28 + 1:02d}.01.2024" for row in range(NUM)]
    raw = read_frame(frame, name="frame")
    said = r"text such as '.1,234.50' is numbers only under numeric=\[.pay.\]; .* with date_format=\[.when=%d.%m.%Y.\]"
    with pytest.warns(DataWarning, match=said):
        detect(raw, DataOptions(held_out=0))
    options = DataOptions(numeric=("pay",), date_format=("when=%d.%m.%Y",))
    detected = detect(raw, options)
    back = detected.codec.decode(detected.codec.encode(detected.arrays))
    assert back.schema.types == raw.table.schema.types
    assert back["pay"].to_pylist() == frame["pay"].tolist()
    assert back["when"].to_pylist() == frame["when"].tolist()


def test_an_order_of_days_and_months_that_no_cell_has_is_refused():
    cells = cells_of(lambda i, r: f"{i % 12 + 13}.{i % 12 + 1:02d}.2024")
    with pytest.raises(DataError, match=r"'13.01.2024' and 59 more in a column which .*dayfirst names"):
        found(raw_of(cells), dayfirst=("x=no",))
    assert found(raw_of(cells), dayfirst=("no",))[2] == cells


def test_options_on_formats_are_checked():
    options = DataOptions(decimal=(";",), thousands=("a=x",), dayfirst=("maybe",), date_format=("iso",))
    assert [problem.split()[0] for problem in problems(Settings(input=options))] == [
        "decimal",
        "thousands",
        "dayfirst",
        "date_format",
    ]
    with pytest.raises(UsageError, match=r"date_format: %Q in the format '%Q %Y-%m' is not known"):
        found(raw_of(["1", "2"]), date_format=("%Q %Y-%m",))
    with pytest.raises(UsageError, match=r"date_format=.*xx.* names no column \(did you mean 'x'\?\)"):
        found(raw_of(["1", "2"]), date_format=("xx=%Y-%m",))
    with pytest.raises(DataError, match=r"line 2, column 'x': text 'a' .* which date_format or dayfirst names"):
        found(raw_of(["a", "b"]), date_format=("x=%Y-%m",))


def test_max_categories_allows_more_categories(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"{row},n{row % 1001}\n" for row in range(3_000)))
    with pytest.raises(DataError, match=r"more than 1,000 categories\nUse ignore=\[.b.\], or max_categories=1001"):
        open_data(path, DataOptions(), seed=0)
    assert open_data(path, DataOptions(max_categories=1001), seed=0).codec.layout.size == 1002


# -- the forms themselves -------------------------------------------------------------------------------------------

FORMS = st.builds(
    NumberFormat,
    prefix=st.sampled_from(["", "$", "EUR "]),
    suffix=st.sampled_from(["", " %", " kg"]),
    decimal=st.sampled_from([".", ","]),
    thousands=st.sampled_from(["", " ", "'", "\u202f"]),
    places=st.sampled_from([(0, 0), (2, 2), (0, 3), (1, 4)]),
    negative=st.sampled_from(["-x", "x-", "p-x", "(x)", "p(x)"]),
    plus=st.booleans(),
)


@given(FORMS, st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=5))
def test_numbers_in_any_format_are_read_back(form, numbers):
    values = [number / 10 ** form.places[1] for number in numbers]
    text = form.write(pa.array(values))
    assert form.read(text).cast(pa.float64()).to_pylist() == values
    assert format_from_state(json.loads(json.dumps(format_state(form)))) == form


@given(
    st.sampled_from(["%d.%m.%Y", "%-m/%-d/%Y", "%Y%m%d", "%b %-d, %Y", "%a, %d %B %Y", "%d-%b-%Y"]),
    st.lists(st.dates(), min_size=1, max_size=5),
    st.booleans(),
)
def test_dates_in_any_format_are_read_back(format_, dates, upper):
    form = DateFormat(format=format_, upper=upper)
    assert form.read(form.write(pa.array(dates, pa.date32()))).to_pylist() == dates
    assert format_from_state(json.loads(json.dumps(format_state(form)))) == form


@given(st.lists(st.datetimes(), min_size=1, max_size=5))
def test_times_are_written_as_python_writes_them(instants):
    form = DateFormat(format="%Y-%m-%d %H:%M:%S.%f %a %b")
    written = form.write(pa.array(instants, pa.timestamp("us"))).to_pylist()
    assert written == [f"{each.year:04d}{each.strftime('-%m-%d %H:%M:%S.%f %a %b')}" for each in instants]
    assert form.read(pa.array(written, pa.large_string())).to_pylist() == instants
    half = DateFormat(format="%I:%M %p")
    assert half.write(DateFormat(format="%H:%M").read(pa.array(["00:05", "12:00", "23:59"]))).to_pylist() == [
        "12:05 AM",
        "12:00 PM",
        "11:59 PM",
    ]


def test_dates_that_do_not_exist_are_missing():
    cells = pa.array(["29.02.2023", "29.02.2024", "31.04.2024", "00.01.2024", "01.13.2024"], pa.large_string())
    assert [cell is None for cell in DateFormat(format="%d.%m.%Y").read(cells).to_pylist()] == [
        True,
        False,
        *[True] * 3,
    ]
    assert (
        DateFormat(format="%d.%m.%y").read(pa.array(["01.01.68", "01.01.69"], pa.large_string()))[0].as_py().year
        == 2068
    )
