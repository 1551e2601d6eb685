"""`wgan data` on unusual data."""

import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from wgan.cli.main import main


@pytest.fixture
def printed(capsys):
    def describe(path):
        code = main(["data", str(path)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return describe


def test_float16_points_are_described(tmp_path, printed):
    values = np.array([[0.5, 1], [2, 3], [4, 6], [1, 1]], np.float16)
    np.save(tmp_path / "f.npy", values)
    pa.parquet.write_table(pa.table({"x": values[:, 0], "y": values[:, 1]}), tmp_path / "f.parquet")
    for name in ("f.npy", "f.parquet"):
        code, out, _ = printed(tmp_path / name)
        assert code == 0
        assert "halffloat: " in out


def test_large_integers_are_shown_exactly(tmp_path, printed):
    rows = np.arange(100)
    pa.parquet.write_table(pa.table({"id": 2**60 + rows, "x": rows * 0.5}), tmp_path / "id.parquet")
    _, out, _ = printed(tmp_path / "id.parquet")
    ids = {int(word) for line in out.splitlines() for word in line.split() if word.startswith("11529215")}
    assert ids <= {2**60 + row for row in range(100)}
    assert any(value % 256 for value in ids)


def test_no_row_is_shown_twice(tmp_path, printed):
    for number in range(60):
        Image.new("L", (8, 8), number).save(tmp_path / f"{number}.png")
    _, out, _ = printed(tmp_path)
    assert "(of 54 images drawn)" in out


def test_counts_of_one_are_singular_and_zero_has_no_sign(tmp_path, printed):
    np.save(tmp_path / "x.npy", np.array([-0.0, -0.0, 0.0, 1.0]))
    _, out, _ = printed(tmp_path / "x.npy")
    assert "one sample: 1 number as" in out
    assert "-0 " not in out
    table = pa.table({"x": [1.5, 2.25, 3.0], "same": ["a"] * 3})
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    _, out, _ = printed(tmp_path / "t.parquet")
    assert "1 category: a" in out


def test_decimals_are_numbers_with_their_scale(tmp_path, printed):
    cells = [decimal.Decimal(text) for text in ("1.25", "2.50", "-3.75", "1.25")] * 10
    pa.parquet.write_table(pa.table({"d": pa.array(cells, pa.decimal128(9, 2))}), tmp_path / "d.parquet")
    _, out, _ = printed(tmp_path / "d.parquet")
    assert "1 numeric" in out
    assert "decimal128(9, 2): -3.75 to 2.50" in out


def test_a_table_with_missing_cells_is_described_and_refused(tmp_path, printed):
    path = tmp_path / "t.csv"
    path.write_text("age,city\n39,Oslo\n,Paris\n28,Oslo\n61,\n")
    code, out, err = printed(path)
    assert code == 3
    assert "4 rows, 2 columns" in out
    assert "28 to 61, " in out
    assert "2 missing or NaN cells" in err
    assert "--missing keep" in err


def test_missing_cells_of_points_are_left_out_of_the_description(tmp_path, printed):
    np.save(tmp_path / "x.npy", np.array([[0, 1], [np.nan, 2], [3, 4], [5, 6]]))
    code, out, err = printed(tmp_path / "x.npy")
    assert code == 3
    assert "3 rows, 2 columns" in out
    assert "--missing drop" in err


def test_other_faults_are_reported_before_missing_cells(tmp_path, printed):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,\n1,\n1,\n")
    code, out, _ = printed(path)
    assert (code, out) == (3, "")


def test_columns_are_separated_by_commas_or_repeated_options(tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text('a,"b,c",d,e\n' + "".join(f"{i},{i % 3},{i * i},{i % 2}\n" for i in range(20)))
    found = []
    for words in (["--ignore", "a,d"], ["--ignore", "a", "--ignore", "d"], ["--ignore=a, d"]):
        assert main(["data", str(path), *words]) == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1] == found[2]
    assert "2 columns" in found[0]
    assert main(["data", str(path), "--ignore", "b,c", "--categorical", "a,d"]) == 0
    assert "3 columns (3 categorical)" in capsys.readouterr().out
    assert main(["data", str(path), "--ignore", "a,x"]) == 2
    assert "--ignore 'x' names no column" in capsys.readouterr().err
