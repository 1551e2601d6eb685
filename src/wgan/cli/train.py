"""`wgan train`: from words to settings, then the run, shown as it goes."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wgan.cli.main import say
from wgan.cli.options import Group, go_through, parse, wants_help
from wgan.data.names import BUILT_IN, default_recipe, kind_of
from wgan.errors import Interrupted, NumericError, UsageError, WganError
from wgan.settings import DataOptions, Settings, from_mapping, problems, read_toml, refuse, seal_of
from wgan.settings.recipes import RECIPES, recipe, recipe_faults
from wgan.system.signals import Received, SignalError, at_most, raising
from wgan.system.text import counted, escaped

if TYPE_CHECKING:
    from wgan.runs import Run

_DESCRIPTION = (
    "Train a Wasserstein GAN on DATA: a built-in name, an array (.npy, .npz), a table (.csv, .tsv, .parquet, .feather, "
    ".jsonl; text also compressed) or images (a folder, .zip, .tar, IDX, an LMDB folder). Name DATA or --recipe before "
    "--help to see that recipe's defaults: without, those of the paper are shown."
)


_REPORT_SECONDS = 3.0
"""How long a stopped run, which is saved by then, goes on writing its report."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of the command itself.

    Attributes:
        out: A new directory for the run (otherwise runs/<data>-<recipe>-<number>).
        settings: A TOML file to take the settings from, such as a run's settings.toml.
        resume: Go on with this run; of the other options only --steps, --patience and --quiet are then allowed, and
            DATA where the data has moved. --steps may be more or fewer than were planned, but not fewer than are done.
        quiet: Print nothing but the run's directory.
    """

    out: Path | None = None
    settings: Path | None = None
    resume: Path | None = None
    quiet: bool = False


def run(words: Sequence[str]) -> int:
    """Answer `wgan train`."""
    with raising() as received:
        try:
            return _answer(words, received)
        except SignalError as error:
            signal = error
        except Exception as error:
            if received.signal is None or isinstance(error, WganError):
                raise
            signal = received.signal
        print(f"wgan: stopped by {signal.name} before the run had begun; nothing of it is left", file=sys.stderr)
        return signal.exit_code


def _answer(words: Sequence[str], received: Received) -> int:
    options, settings = read(words)
    if options.resume is not None:
        return _resume(options, words, received)
    refuse(_faults(settings))
    _refuse_missing_device(settings, words)
    from wgan.runs import begin

    received.raise_again()
    with begin(settings, options.out, shrink_batch=not _asks_for_batch(options, words)) as experiment:
        return _follow(experiment, options.quiet, received)


def read(words: Sequence[str]) -> tuple[RunOptions, Settings]:
    """Read the words twice: for what they begin from (a recipe, a file), then with that for the defaults.

    Raises:
        UsageError: Words that cannot be used, all of them listed.
    """
    plain = [word for word in words if word not in ("-h", "--help")] if wants_help(words) else words
    try:
        options, named, _ = parse(plain, _groups(Settings(recipe="")), command="train", description="")
        start = _start(options, named) if options.resume is None else Settings(recipe="")
    except (WganError, SystemExit):
        if not wants_help(words):
            raise
        start = Settings()
    groups = _groups(start, _choices() if wants_help(words) else {})
    options, settings, reading = parse(words, groups, command="train", description=_DESCRIPTION)
    return options, dataclasses.replace(settings, input=reading)


def _groups(start: Settings, choices: Mapping[str, str] | None = None) -> list[Group]:
    return [
        Group(title="run", kind=RunOptions),
        Group(
            title="training",
            kind=Settings,
            defaults=start,
            positional={"data": "DATA"},
            hidden=("input",),
            more=choices or {},
        ),
        Group(title="data", kind=DataOptions, defaults=start.input),
    ]


def _start(options: RunOptions, named: Settings) -> Settings:
    """The settings that the options are laid over."""
    refuse(problems(Settings(data=named.data)))
    if options.settings is not None:
        _warn_changed(options.settings)
        values = read_toml(options.settings)
        begun_as = named.recipe or values.get("recipe")
        known = named.recipe or (isinstance(begun_as, str) and begun_as in RECIPES)
        start, faults = from_mapping(values, start=recipe(str(begun_as)) if known else None)
        refuse([*recipe_faults(values.get("recipe", "")), *faults], where=escaped(str(options.settings)))
    elif named.recipe:
        start = recipe(named.recipe)
    elif named.data:
        start = default_recipe(named.data)
    else:
        raise UsageError(_no_data())
    data = named.data or start.data
    if data.startswith("<"):
        raise UsageError(f"the settings are of a run on data in memory, {data}", remedy="Name the DATA to train on.")
    if data:
        kind_of(data)
    return dataclasses.replace(start, data=data)


def _warn_changed(path: Path) -> None:
    """Say that a file which a run has written is otherwise than it was: that may be meant, or damage."""
    with contextlib.suppress(OSError):
        if seal_of(path.read_bytes()) == "broken":
            said = f"{path} was changed after a run had written it; it is taken as it is"
            print(f"wgan: warning: {escaped(said)}", file=sys.stderr)


def _no_data() -> str:
    return f"no data was named: wgan train DATA, where DATA is a path or one of {', '.join(BUILT_IN)}"


def _choices() -> dict[str, str]:
    """For the help: what each word may be. Only here does the help wait for torch."""
    from wgan.training.factory import REGISTRIES

    listed = {name: f"One of {', '.join(catalog)}; see `wgan recipes`." for name, catalog in REGISTRIES.items()}
    return {**listed, "recipe": f"One of {', '.join(RECIPES)}."}


def _faults(settings: Settings) -> list[str]:
    """All that is wrong with the settings, a line each: with their form, and with words that no table has."""
    from wgan.training.factory import word_faults

    faults = problems(settings)
    spoken_for = {fault.partition(" ")[0] for fault in faults}
    for name, error in word_faults(settings).items():
        if name not in spoken_for:
            said = error.in_full
            # Some tables call their rows what the setting is called.
            faults.append(said if said.startswith(f"{name} '") else f"{name}: {said}")
    return faults if settings.data else [*faults, _no_data()]


def _asks_for_batch(options: RunOptions, words: Sequence[str]) -> bool:
    """Whether the batch size is the user's own wish, and not only a recipe's."""
    given, _ = go_through(words, [option for group in _groups(Settings()) for option in group.options()])
    return "batch_size" in given or (options.settings is not None and "batch_size" in read_toml(options.settings))


def _refuse_missing_device(settings: Settings, words: Sequence[str]) -> None:
    import torch

    if settings.device == "cuda" and not torch.cuda.is_available():
        kept = [
            word
            for place, word in enumerate(words)
            if not word.startswith("--device") and words[place - 1 : place] != ["--device"]
        ]
        command = shlex.join(["wgan", "train", *kept, "--device", "cpu"])
        raise UsageError("this machine has no CUDA device that can be used", remedy=f"On the CPU: {command}")


def _resume(options: RunOptions, words: Sequence[str], received: Received) -> int:
    given, _ = go_through(words, [option for group in _groups(Settings()) for option in group.options()])
    if others := given.keys() - {"resume", "steps", "patience", "quiet", "data"}:
        named = ", ".join("--" + name.replace("_", "-") for name in sorted(others))
        raise UsageError(
            f"{named} cannot be given with --resume: a run goes on as it was begun",
            remedy="Only --steps and --patience may change, and DATA where the data has moved. To change more, begin a "
            "new run with --settings RUN/settings.toml.",
        )
    assert options.resume is not None
    try:
        from wgan.runs import resume

        received.raise_again()
        changes = {name: given.get(name) for name in ("steps", "patience", "data")}
        with resume(options.resume, **changes) as experiment:
            return _follow(experiment, options.quiet, received)
    except SignalError as signal:
        raise _interrupted(signal, options.resume) from None
    except Exception as error:
        if received.signal is None or isinstance(error, WganError):
            raise
        raise _interrupted(received.signal, options.resume) from None


def _interrupted(signal: SignalError, directory: Path) -> Interrupted:
    return Interrupted(
        f"stopped by {signal.name}; what was saved before is in {directory}",
        remedy=f"Resume with: wgan train --resume {shlex.quote(str(directory))}",
    )


def _follow(experiment: Run, quiet: bool, received: Received) -> int:
    """Train to the end and say what came of it; a run that ends before it is reported too."""
    directory = experiment.directory
    try:
        received.raise_again()
        evaluation = _train(experiment, quiet)
    except Interrupted:
        with contextlib.suppress(SignalError), at_most(_REPORT_SECONDS):
            _report(directory)
        raise
    except NumericError:
        with contextlib.suppress(SignalError):
            _report(directory)
        raise
    except SignalError as signal:
        raise _interrupted(signal, directory) from None
    try:
        return _conclude(experiment, evaluation, quiet)
    except SignalError as signal:
        again = shlex.join(["wgan", "report", str(directory)])
        print(f"wgan: stopped by {signal.name} after the run had finished; for its report: {again}", file=sys.stderr)
        return 0


def _report(directory: Path) -> None:
    """Write the report of a run that has failed or stopped, which is no reason to fail otherwise."""
    from wgan.report import write_report

    try:
        write_report(directory)
    except Exception as error:
        reason = escaped(error.in_full if isinstance(error, WganError) else " ".join(str(error).split()))
        print(f"wgan: warning: the report could not be written: {reason}", file=sys.stderr)


def _train(experiment: Run, quiet: bool) -> dict[str, float]:
    """Train to the end, shown or not, and return the last evaluation."""
    from wgan.report.live import LiveView

    settings, directory = experiment.settings, experiment.directory
    evaluation: dict[str, float] = {}
    if quiet:
        for progress in experiment.run():
            evaluation = progress.evaluation or evaluation
        return evaluation
    for note in experiment.source.notes:
        say(f"note: {note}")
    engine = experiment.game.engine.describe()
    with LiveView(settings, experiment.source.describe(), directory, settings.steps, engine=engine) as view:
        for progress in experiment.run():
            evaluation = progress.evaluation or evaluation
            view.update(progress)
    return evaluation


def _conclude(experiment: Run, evaluation: dict[str, float], quiet: bool) -> int:
    """Write the report and say what came of the run."""
    from wgan.cli.judging import lines
    from wgan.report import write_report

    report = write_report(experiment.directory)
    if quiet:
        say(str(experiment.directory))
        return 0

    if experiment.ended_early:
        say(f"ended early, after {counted(experiment.game.steps_done, 'update')}: {experiment.ended_early}")
    for line in lines(evaluation):
        say(line)
    if experiment.verdict is not None:
        say(f"verdict: {experiment.verdict}")
    say(f"report: {report}")
    say(f"next:   {_next_command(experiment)}")
    return 0


def _next_command(experiment: Run) -> str:
    """A command that draws from the run into its own directory: a picture elsewhere might lie among the data."""
    from wgan.cli.where import example
    from wgan.data.export import sample_ending
    from wgan.runs.samples import NUM_SAMPLES

    kind, directory = experiment.source.codec.kind, experiment.directory
    out = directory / f"samples{sample_ending(kind)}"
    # As it was called, where a plain `wgan` would not be found: after `make demo` it is .venv/bin/wgan.
    called = sys.argv[0] if Path(sys.argv[0]).name == "wgan" and shutil.which("wgan") is None else "wgan"
    words = [called, "sample", str(directory), "--num", str(NUM_SAMPLES[kind]), "--out", str(out)]
    if experiment.settings.patience:
        words += ["--checkpoint", "best"]
    conditions = experiment.source.conditions
    return shlex.join(words if conditions is None else [*words, *example(conditions)])
