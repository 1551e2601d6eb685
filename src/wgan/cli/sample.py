"""`wgan sample`: draw from a run and write to a file."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wgan.cli.main import say
from wgan.cli.options import Group, parse
from wgan.cli.where import asked_for, refuse_nameless
from wgan.errors import UsageError
from wgan.system.storage import parsed_json, read_plain
from wgan.system.text import escaped

if TYPE_CHECKING:
    from wgan.data.source import Kind, Samples


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Options of `wgan sample`.

    Attributes:
        run: The directory of a run.
        num: How many samples; there is no limit but the disk's.
        out: File to write, its format chosen by its ending: .npy, .npz, .png, or for tables and points .csv, .tsv,
            .parquet, .feather, .jsonl, text also compressed (.csv.gz, .csv.zst); for images also a new folder.
        where: What to ask for, such as hair=red,eyes=green; a name given twice, with values that come equally often.
            What nothing is said of comes as it occurs in the data.
        seed: The same seed gives the same samples, and fewer of them are the beginning of more.
        checkpoint: The last state of the run, or the one whose samples were judged best.
    """

    run: Path
    num: int
    out: Path
    where: tuple[str, ...] = ()
    seed: int = 0
    checkpoint: Literal["last", "best"] = "last"


def run(words: Sequence[str]) -> int:
    """Answer `wgan sample`."""
    group = Group(title="sampling", kind=SampleOptions, positional={"run": "RUN"})
    (options,) = parse(
        words, [group], command="sample", description="Draw samples from a run and write them to a file."
    )
    if options.num < 1:
        raise UsageError(f"--num must be at least 1, not {options.num}")
    refuse_nameless(options.where)
    from wgan.data.export import check_target, decoder_for, write_samples

    if (kind := _kind(options.run)) is not None:
        check_target(options.out, kind, num=options.num)
    from wgan.runs import load

    trained = load(options.run, checkpoint=options.checkpoint)
    _refuse_own_data(options.out, trained.settings.data)
    wanted = asked_for(options.where, () if trained.conditions is None else trained.conditions.parts)
    if trained.doubt:
        print(f"wgan: warning: {escaped(trained.doubt)}", file=sys.stderr)
    decode = decoder_for(trained.codec, options.out)
    with _shown(trained.generate(options.num, options.seed, where=wanted, decode=decode), options.num) as blocks:
        written = write_samples(blocks, options.num, options.out, trained.codec.kind)
    say(written)
    return 0


def _refuse_own_data(out: Path, data: str) -> None:
    """Refuse to write samples over what the run was trained on."""
    if data and out.exists() and Path(data).exists() and out.resolve() == Path(data).resolve():
        raise UsageError(f"'{out}' is the data that the run was trained on", remedy="Name another file.")


@contextmanager
def _shown(blocks: Iterator[Samples], num: int) -> Iterator[Iterator[Samples]]:
    """The same blocks, with a bar of how many samples were drawn where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield blocks
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("samples", total=num)

        def counted() -> Iterator[Samples]:
            for block in blocks:
                yield block
                bar.advance(task, len(block))

        yield counted()


def _kind(directory: Path) -> Kind | None:
    """What the run makes, read without waiting for torch; None where only loading it can say what is wrong."""
    from wgan.data.sample_formats import FORMATS

    try:
        raw = read_plain(directory / "source.json")
        kind = parsed_json(raw)["codec"]["kind"]
        last = max(path for path in (directory / "checkpoints").iterdir() if path.name.isdecimal())
        noted = parsed_json(read_plain(last / "state.json"))["facts"].get("files", {}).get("source.json")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if noted is not None and noted != hashlib.sha256(raw).hexdigest():
        return None
    return next((known for known in FORMATS if known == kind), None)
