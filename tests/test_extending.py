"""One of each kind of extension is added to a copy of the package: it is offered, documented and tested.

Only the files named in `EXTENSIONS` are edited. The command line, the reference and the tests are those of this
repository, run on the copy.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from textwrap import indent

import pytest
from docs.floors import PACKAGE

from extension_sources import (
    EXPONENTIAL,
    LE_CAM,
    LINEAR,
    ORC,
    ORC_ROW,
    RATIONAL,
    SGD,
    SHIFT,
    SHIFT_ROW,
    SPREAD,
    WARMUP,
    WARMUP_USE,
)

REPOSITORY = PACKAGE.parents[1]


def before(text, marker, added):
    """The text with `added` before the line that starts with `marker`."""
    found = re.search(rf"^{re.escape(marker)}", text, flags=re.MULTILINE)
    assert found, f"no line starts with {marker!r}"
    return f"{text[: found.start()]}{added}{text[found.start() :]}"


def replaced(text, old, new):
    """The text with `new` in place of `old`."""
    assert text.count(old) == 1, f"{text.count(old)} times {old!r}"
    return text.replace(old, new)


def with_row(text, table, row, bracket="{"):
    """The text with `row` as the first entry of `table`."""
    pattern = rf"^{table}\b[^=]*=[^{bracket}]*\{bracket}"
    changed, times = re.subn(pattern, lambda found: found[0] + row, text, count=1, flags=re.MULTILINE)
    assert times == 1, f"no table {table}"
    return changed


def with_last_row(text, table, row):
    """The text with `row` as the last entry of `table`, whose closing bracket begins a line."""
    changed, times = re.subn(
        rf"^{table}\b.*?^(?=[)}}\]])", lambda found: found[0] + row, text, count=1, flags=re.MULTILINE | re.DOTALL
    )
    assert times == 1, f"no table {table}"
    return changed


def after_docstring(text, function, code):
    """The text with `code` as the first lines of a function."""
    pattern = rf'^( +)def {function}\(.*?""".*?"""\n'
    changed, times = re.subn(
        pattern, lambda found: found[0] + indent(code, found[1] + "    "), text, flags=re.MULTILINE | re.DOTALL
    )
    assert times == 1, f"no function {function}"
    return changed


def with_class(table, code, row, bracket="{"):
    """An edit of the file of a table: a class above it, and its row."""
    return lambda text: with_row(before(text, table, f"{code.strip()}\n\n\n"), table, row, bracket)


def imported(table, statement, row):
    """An edit of the `__init__.py` of a room: an import, and a row of its table."""
    return lambda text: with_row(before(text, "from wgan.settings.registry", f"{statement}\n"), table, row)


def contributing():
    """The constraint that CONTRIBUTING.md shows."""
    text = (
        (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Add a constraint in one place\n")[2]
    )
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)[0]


@dataclass(frozen=True)
class Extension:
    """One addition.

    Attributes:
        word: Its name, as users write or read it.
        files: The edit of each file of src/wgan: from the text that it has (empty for a new file) to the new one.
        at_most: The number of files that may be edited.
        command: The command whose output must contain the word, or `shown`; "record" for the record of a run.
        room: The folder of tests, of which some must run for the word.
        shown: What the command prints of it, if not the word.
    """

    word: str
    files: dict
    at_most: int
    command: str
    room: str
    shown: str = ""


RUN = (
    "train ring --steps 2 --critic-steps 1 --batch-size 16 --generator mlp:width=8 --critic mlp:width=8 --eval-size 50 "
    "--out {folder}/run"
)

EXTENSIONS = {
    "divergence": Extension(
        word="le_cam",
        files={"divergences/powers.py": with_class("ROWS", LE_CAM, "LeCam, ", "(")},
        at_most=1,
        command="divergences",
        room="divergences",
    ),
    "objective": Extension(
        word="exponential",
        files={
            "objectives/boosting.py": lambda text: EXPONENTIAL.lstrip(),
            "objectives/__init__.py": imported(
                "OBJECTIVES",
                "from wgan.objectives.boosting import Exponential",
                '"exponential": Exponential, ',
            ),
        },
        at_most=2,
        command="recipes",
        room="objectives",
    ),
    "constraint": Extension(
        word="drift",
        files={
            "constraints/drift.py": lambda text: contributing(),
            "constraints/__init__.py": imported(
                "CONSTRAINTS", "from wgan.constraints.drift import Drift", '"drift": Drift, '
            ),
        },
        at_most=2,
        command="recipes",
        room="constraints",
    ),
    "network": Extension(
        word="linear",
        files={
            "networks/linear.py": lambda text: LINEAR.lstrip(),
            "networks/__init__.py": imported(
                "NETWORKS", "from wgan.networks.linear import Linear", '"linear": Linear, '
            ),
        },
        at_most=2,
        command="recipes",
        room="networks",
    ),
    "optimiser": Extension(
        word="sgd",
        files={"optimizers.py": with_class("OPTIMIZERS", SGD, '"sgd": SGD, ')},
        at_most=1,
        command="recipes",
        room="training",
    ),
    "kernel": Extension(
        word="rational",
        files={"kernels/functions.py": with_class("KERNELS", RATIONAL, '"rational": RationalQuadratic, ')},
        at_most=1,
        command="train ring --objective mmd:kernel=rationale",  # its name is offered in place of a misspelt one
        room="objectives",
    ),
    "recipe": Extension(
        word="ring-linear",
        files={
            "settings/recipes.py": lambda text: with_row(
                text,
                "RECIPES",
                '"ring-linear": Recipe("the ring by linear players", replace(_TOY, data="ring", critic="linear")), ',
            ),
        },
        at_most=1,
        command="recipes",
        room="training",
    ),
    "toy distribution": Extension(
        word="two-blobs",
        files={
            "data/toys.py": lambda text: with_row(
                text,
                "TOYS",
                '"two-blobs": Mixture(centres=[(-1.0, 0.0), (1.0, 0.0)], sigma=0.1, summary="2 Gaussians"), ',
            ),
        },
        at_most=1,
        command="train two-blob",
        room="data",
    ),
    "table format": Extension(
        word=".orc",
        files={
            "data/tables/formats.py": lambda text: with_last_row(
                before(text, "TABLE_FORMATS", f"{ORC.strip()}\n\n\n"), "TABLE_FORMATS", ORC_ROW
            )
        },
        at_most=1,
        command="train two-blob",
        room="data",
    ),
    "evaluation number": Extension(
        word="mean_shift",
        files={
            "evaluation/metrics.py": lambda text: with_last_row(
                before(text, "METRICS", f"{SHIFT.strip()}\n\n\n"), "METRICS", SHIFT_ROW
            )
        },
        at_most=1,
        command=RUN,
        shown="shift of the mean: ",
        room="evaluation",
    ),
    "evidence number": Extension(
        word="score_spread",
        files={
            "trust/evidence.py": lambda text: before(text, "    def numbers", SPREAD),
            "trust/evaluator.py": lambda text: replaced(
                text,
                '"training_estimate": seen.training_estimate,',
                '"training_estimate": seen.training_estimate, "score_spread": float(seen.fake.scores.double().std()),',
            ),
        },
        at_most=2,
        command="record",
        room="trust",
    ),
    "setting": Extension(
        word="warmup",
        files={
            "settings/fields.py": lambda text: before(text, "    steps: int", WARMUP),
            "training/hyperparameters.py": lambda text: after_docstring(
                before(text, "    def __post_init__", "    warmup: int = 0\n\n"), "lr_factor_at", WARMUP_USE
            ),
        },
        at_most=2,
        command="train ring --help",
        room="settings",
    ),
}


def run(folder, *words):
    """Run Python on the copied package; return its output, errors included, and its exit code."""
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=REPOSITORY,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=200,
    )
    return done.stdout, done.returncode


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """The folder of a copy of the package and of the docs, with all extensions."""
    folder = tmp_path_factory.mktemp("copied")
    for source in ("src/wgan", "docs"):
        shutil.copytree(REPOSITORY / source, folder / source, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
    for extension in EXTENSIONS.values():
        for name, edit in extension.files.items():
            path = folder / "src" / "wgan" / name
            path.write_text(edit(path.read_text(encoding="utf-8") if path.exists() else ""), encoding="utf-8")
    return folder


PROGRAM = """
import sys
sys.path.insert(0, f"{sys.argv[1]}/docs")
import wgan
from build import reference
from wgan.cli.main import main
assert wgan.__file__.startswith(sys.argv[1]), wgan.__file__
for command in sys.argv[2:]:
    print("<answer>", flush=True)
    main(command.split())
    sys.stdout.flush()
print("<answer>", flush=True)
print(reference())
"""


@pytest.fixture(scope="module")
def answers(copied):
    """What each command of the copy prints; its reference under ""."""
    commands = sorted({extension.command for extension in EXTENSIONS.values()} - {"record"})
    text, code = run(copied, "-c", PROGRAM, str(copied), *(command.format(folder=copied) for command in commands))
    assert code == 0, text
    record = (copied / "run" / "metrics.jsonl").read_text(encoding="utf-8")
    return dict(zip([*commands, "", "record"], [*text.split("<answer>\n")[1:], record], strict=True))


@pytest.fixture(scope="module")
def outcomes(copied):
    """The outcome of each test of the copy that has a word of an extension in its name."""
    folders = sorted({f"tests/{extension.room}" for extension in EXTENSIONS.values()})
    words = " or ".join(extension.word for extension in EXTENSIONS.values())
    chosen = ["-m", "not slow", "-k", f"({words}) and not trains", "--continue-on-collection-errors"]
    text, code = run(copied, "-m", "pytest", *folders, *chosen, "-rA", "-p", "no:cacheprovider")
    assert code in (0, 1), text  # 1: some failed
    return re.findall(r"^(PASSED|FAILED|ERROR) (\S+)", text, flags=re.MULTILINE)


@pytest.mark.slow
def test_a_new_objective_trains_under_every_constraint(copied):
    file = "tests/objectives/test_objectives.py"
    text, code = run(copied, "-m", "pytest", file, "-k", "exponential and trains and points", "-p", "no:cacheprovider")
    assert code == 0, text


every = pytest.mark.parametrize("kind", EXTENSIONS)


@every
def test_few_files_are_edited(kind):
    assert len(EXTENSIONS[kind].files) <= EXTENSIONS[kind].at_most


@every
def test_it_is_offered_on_the_command_line(kind, answers):
    extension = EXTENSIONS[kind]
    if extension.shown:
        assert extension.shown in answers[extension.command]
    else:
        assert re.search(rf"(?<!\w){re.escape(extension.word)}(?![\w-])", answers[extension.command])


@every
def test_it_is_in_the_reference(kind, answers):
    assert re.search(rf"^\|.*`{re.escape(EXTENSIONS[kind].word)}\b", answers[""], flags=re.MULTILINE)


@every
def test_the_tests_of_its_room_run_for_it(kind, outcomes):
    word, folder = EXTENSIONS[kind].word, f"tests/{EXTENSIONS[kind].room}/"
    own = [(outcome, name) for outcome, name in outcomes if re.search(rf"\[(.*-)?{re.escape(word)}[]:-]", name)]
    assert any(name.startswith(folder) for _, name in own)
    assert {outcome for outcome, _ in own} == {"PASSED"}, own
