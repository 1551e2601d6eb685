"""Commands do the same work, with the same exit code, if their output cannot be written."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wgan.cli.streams import LenientStream, lenient_streams

HERE = Path(__file__).parent
FULL = Path("/dev/full")
FEW = "--steps 2 --eval-size 20 --diagnose off --batch-size 4 --generator mlp:width=4 --critic mlp:width=4"
PLAIN_LOCALE = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run a shell command in which "wgan" is this program, and decode its output as UTF-8."""
    line = command.replace("wgan ", f"{sys.executable} -m wgan ")
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        check=False,
        timeout=600,
    )


class Broken(io.StringIO):
    """A stream that fails after a number of characters."""

    def __init__(self, room: int, error: Exception) -> None:
        super().__init__()
        self.room, self.error = room, error

    def write(self, text: str) -> int:
        if self.tell() + len(text) > self.room:
            raise self.error
        return super().write(text)


class TestLenientStream:
    def test_text_that_cannot_be_written_is_dropped_and_counted(self):
        inner = Broken(3, OSError(28, "No space left on device"))
        stream = LenientStream(inner)
        print("ab", file=stream)
        print("cd", file=stream, flush=True)
        stream.writelines(["e", "f"])
        assert inner.getvalue() == "ab\n"
        assert stream.fault.errno == 28
        assert not stream.reader_left
        assert not stream.isatty()

    def test_a_closed_pipe_is_distinguished_from_a_full_disk(self):
        stream = LenientStream(Broken(0, BrokenPipeError()))
        stream.write("a")
        assert stream.reader_left

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
    def test_characters_outside_the_encoding_are_escaped(self, encoding):
        raw = io.BytesIO()
        stream = LenientStream(io.TextIOWrapper(raw, encoding=encoding))
        print("a日\udcff", file=stream, flush=True)
        assert raw.getvalue() == b"a\\u65e5\\udcff\n"

    def test_a_missing_stream_accepts_everything(self):
        stream = LenientStream(None)
        print("a", file=stream, flush=True)
        assert not stream.isatty()
        assert stream.encoding == "utf-8"
        assert not hasattr(stream, "fileno")

    def test_a_stream_that_was_closed_accepts_everything(self):
        inner = io.StringIO()
        stream = LenientStream(inner)
        inner.close()
        print("a", file=stream, flush=True)
        assert not stream.isatty()

    def test_the_original_streams_are_restored(self):
        before = sys.stdout, sys.stderr
        with lenient_streams():
            assert sys.stdout is not before[0]
        assert (sys.stdout, sys.stderr) == before


@pytest.mark.skipif(not FULL.exists(), reason="there is no full device here")
@pytest.mark.parametrize("streams", [">&- 2>&- <&-", ">/dev/full 2>/dev/full", ">/dev/full 2>&-", "2>/dev/full"])
@pytest.mark.parametrize(("command", "code"), [("--help", 0), ("nosuch", 2), ("recipes", 0), ("data nosuch", 2)])
def test_the_exit_code_is_that_of_the_command(tmp_path, command, code, streams):
    assert shell(f"wgan {command} {streams}", tmp_path).returncode == code


@pytest.mark.skipif(not FULL.exists(), reason="there is no full device here")
def test_a_full_output_is_reported_on_standard_error(tmp_path):
    done = shell("wgan --help > /dev/full", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert done.stderr.startswith("wgan: warning: standard output could not be written (No space left on device)")


def test_a_closed_pipe_prints_no_error_but_sets_the_exit_code(tmp_path):
    done = shell("(sleep 1; wgan --help) | true", tmp_path)
    assert (done.returncode, done.stderr) == (141, "")
    failed = shell("(sleep 1; wgan nosuch) 2>&1 | true", tmp_path)
    assert failed.returncode == 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not FULL.exists(), reason="there is no full device here")
@pytest.mark.parametrize(
    ("streams", "codes"),
    [
        (">&- 2>&-", {0}),
        ("2>&-", {0}),
        (">/dev/full 2>&1", {0}),
        ("2>/dev/full", {0}),
        ("| head -1", {0, 141}),
        ("2>&1 | true", {0, 141}),
    ],
)
def test_a_run_continues_and_its_files_are_complete(tmp_path, streams, codes):
    commands = (
        f"train ring {FEW} --out run",
        "train --resume run --steps 3",
        "sample run --num 3 --out s.csv",
        "evaluate run --size 20",
        "report run",
        f"train ring {FEW} --out other",
        "compare run other",
        "data ring",
        "distance ring grid --num 20",
        "divergences",
        "train --help",
    )
    for command in commands:
        assert shell(f"wgan {command} {streams}", tmp_path).returncode in codes, command
    assert '"finished"' in (tmp_path / "run" / "events.jsonl").read_text().splitlines()[-1]
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 4
    assert (tmp_path / "run" / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, PLAIN_LOCALE, {"PYTHONIOENCODING": "latin-1"}])
def test_names_outside_the_encoding_are_escaped_and_files_are_utf8(tmp_path, environment):
    (tmp_path / "é日.csv").write_text("é,日本\n" + "\n".join(f"{n},{n % 5}" for n in range(30)), encoding="utf-8")
    commands = (
        ("data é日.csv --condition é", 0),
        (f"train é日.csv {FEW} --out run", 0),
        ("train --resume run --steps 3", 0),
        ("sample run --num 3 --out é.csv", 0),
        ("evaluate run", 0),
        ("report run", 0),
        ("data ö.csv", 2),
        ("divergences", 0),
        ("train --help", 0),
    )
    for command, code in commands:
        done = shell(f"wgan {command}", tmp_path, **environment)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), (command, done.stderr)
    assert 'é日.csv"' in (tmp_path / "run" / "settings.toml").read_text(encoding="utf-8")
    assert (tmp_path / "é.csv").read_text(encoding="utf-8").startswith('"é","日本"')
    assert "é日.csv" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_path_that_is_not_utf8_is_read_but_not_stored(tmp_path):
    try:
        (tmp_path / os.fsdecode(b"x\xff.csv")).write_text("a,b\n1,2\n3,5\n4,4\n")
    except OSError:
        pytest.skip("this file system takes no such names")
    assert "4 to 4" not in shell("wgan data $'x\\xff.csv'", tmp_path).stderr
    done = shell(f"wgan train $'x\\xff.csv' {FEW}", tmp_path)
    assert done.returncode == 2
    assert "is not UTF-8, as settings.toml is" in done.stderr
