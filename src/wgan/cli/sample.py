"""`wgan sample`: draw samples from a run and write them to a file."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wgan.cli.options import Group, arg, parse
from wgan.cli.streams import say
from wgan.cli.where import asked_for, refuse_nameless
from wgan.errors import UsageError
from wgan.system.storage import parsed_json, read_plain
from wgan.system.text import escaped

if TYPE_CHECKING:
    from wgan.data.source import Kind, Samples


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Options of `wgan sample`."""

    run: Path = arg("Run directory.")
    num: int = arg("Number of samples. Only the disk limits it.")
    out: Path = arg(
        "File to write. Its ending gives the format: .npy, .npz or .png; for tables and points .csv, .tsv, .parquet, "
        ".feather or .jsonl, text also compressed (.csv.gz, .csv.zst); for images also a new folder."
    )
    where: tuple[str, ...] = arg(
        "Conditions of the samples, such as hair=red,eyes=green. Several values of one name are equally frequent. "
        "Conditions that are not given are distributed as in the data.",
        (),
    )
    seed: int = arg("Seed of the samples. With the same seed, fewer samples are the first of more.", 0)
    checkpoint: Literal["last", "best"] = arg("The last checkpoint, or the one with the best evaluation.", "last")


def run(words: Sequence[str]) -> int:
    """Run `wgan sample`."""
    group = Group(title="sampling", dataclass=SampleOptions, positional={"run": "RUN"})
    description = "Draw samples from a run and write them to a file."
    (options,) = parse(words, [group], command="sample", description=description)
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
    """Refuse to overwrite the data that the run was trained on."""
    if data and out.exists() and Path(data).exists() and out.resolve() == Path(data).resolve():
        raise UsageError(f"'{out}' is the data that the run was trained on", remedy="Name another file.")


@contextmanager
def _shown(blocks: Iterator[Samples], num: int) -> Iterator[Iterator[Samples]]:
    """The same blocks, with a progress bar if standard error is a terminal."""
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
    """The kind of the run's data, read without importing torch; None if only loading shows what is wrong."""
    from wgan.data.sample_formats import SAMPLE_FORMATS

    try:
        raw = read_plain(directory / "source.json")
        kind = parsed_json(raw)["codec"]["kind"]
        last = max(path for path in (directory / "checkpoints").iterdir() if path.name.isdecimal())
        noted = parsed_json(read_plain(last / "state.json"))["facts"].get("files", {}).get("source.json")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if noted is not None and noted != hashlib.sha256(raw).hexdigest():
        return None
    return next((known for known in SAMPLE_FORMATS if known == kind), None)
