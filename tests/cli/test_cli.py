from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from shlex import split

import numpy as np
import pytest

from wgan import runs
from wgan.cli.main import COMMANDS, main
from wgan.cli.options import Group, arg, given, help_text, parse
from wgan.cli.train_settings import read
from wgan.constraints import CONSTRAINTS
from wgan.data.names import BUILT_IN
from wgan.errors import DataWarning, Interrupted, NumericError, UsageError
from wgan.runs.record import Journal
from wgan.settings import DataOptions, Settings, from_toml, sealed_toml
from wgan.settings.recipes import recipe
from wgan.system.signals import SignalError

SMALL = split("--steps 2 --batch-size 8 --generator mlp:width=8 --critic mlp:width=8 --eval-size 20")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A short run on a table of points in a file."""
    folder = tmp_path_factory.mktemp("cli")
    np.save(folder / "points.npy", np.random.default_rng(0).normal(size=(40, 2)))
    run = folder / "first"
    assert main(["train", str(folder / "points.npy"), *SMALL, "--out", str(run), "--quiet"]) == 0
    return run


def error_lines(capsys) -> str:
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text


class TestMain:
    @pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
    def test_help_names_every_command(self, words, capsys):
        assert main(words) == 0
        text = capsys.readouterr().out
        assert all(f"  {command} " in text for command in COMMANDS)

    @pytest.mark.parametrize("words", [["--help"], ["--version"], ["train", "ring", "--stepz", "3"], ["train", "rign"]])
    def test_help_does_not_load_torch(self, words):
        code = f"import sys; from wgan.cli.main import main; main({words!r}); sys.exit('torch' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert done.returncode == 0

    def test_help_does_not_load_argparse(self):
        code = "import sys; from wgan.cli.main import main; main(['--help']); sys.exit('argparse' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0

    def test_no_arguments_show_the_help_and_fail(self, capsys):
        assert main([]) == 2
        assert "usage: wgan COMMAND" in capsys.readouterr().err

    def test_an_unknown_command_gets_a_suggestion(self, capsys):
        assert main(["trian"]) == 2
        assert error_lines(capsys).startswith("wgan: error: there is no command 'trian'\nDid you mean 'train'?")

    @pytest.mark.parametrize(
        ("error", "code", "expected"),
        [
            (UsageError("no", remedy="do"), 2, "wgan: error: no\ndo\n"),
            (NumericError("nan"), 4, "wgan: error: nan\n"),
            (Interrupted("stopped", remedy="resume"), 75, "wgan: stopped\nresume\n"),
            (KeyboardInterrupt(), 130, "wgan: error: interrupted\n"),
            (MemoryError(), 1, "smaller batch"),
            (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), 1, "smaller batch"),
            (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "smaller batch"),
            (OSError(36, "File name too long", "a" * 6000), 2, "aaa: File name too long"),
            (OSError(5, "Input/output error", "data"), 5, "data: Input/output error"),
            (UsageError("b" * 6000), 2, "bbb...bbb"),
            (
                RuntimeError("odd\nthing"),
                1,
                "unexpected RuntimeError: odd thing\nThis is a bug of wgan. Run it again with --debug",
            ),
            (SignalError(15), 143, "wgan: error: terminated\n"),
            (UsageError("a\x1b[31mb\rc"), 2, "a\\x1b[31mb\\rc\n"),
        ],
    )
    def test_each_kind_of_error_has_an_exit_code_and_a_short_message(self, monkeypatch, capsys, error, code, expected):
        def fail(words):
            raise error

        monkeypatch.setattr("wgan.cli.main._dispatch", fail)
        assert main(["train"]) == code
        text = error_lines(capsys)
        assert expected in text
        assert text.count("\n") <= 2

    def test_running_out_of_memory_suggests_an_option_of_the_command(self, monkeypatch, capsys):
        def fail(words):
            raise MemoryError

        monkeypatch.setattr("wgan.cli.main._dispatch", fail)
        for command, expected in (
            ("evaluate", "fewer samples (--size)"),
            ("sample", "(--num)"),
            ("report", "less data"),
        ):
            assert main([command]) == 1
            text = error_lines(capsys)
            assert expected in text
            assert "batch" not in text

    def test_debug_shows_the_traceback(self, monkeypatch, capsys):
        def fail(words):
            assert words == ["train"]
            raise UsageError("no")

        monkeypatch.setattr("wgan.cli.main._dispatch", fail)
        assert main(["train", "--debug"]) == 2
        assert "Traceback" in capsys.readouterr().err

    def test_a_warning_about_data_takes_one_line(self, monkeypatch, capsys):
        def warn(words):
            warnings.warn("column 'a\x1b'\nis constant", DataWarning, stacklevel=1)
            return 0

        monkeypatch.setattr("wgan.cli.main._dispatch", warn)
        assert main([]) == 0
        assert capsys.readouterr().err == "wgan: warning: column 'a\\x1b' is constant\n"

    def test_warnings_name_options_on_the_command_line_and_parameters_in_python(self, monkeypatch, capsys):
        def warn(words):
            warnings.warn("text is dates only with --date-format 'd=%Y'", DataWarning, stacklevel=1)
            return 0

        monkeypatch.setattr("wgan.cli.main._dispatch", warn)
        assert main([]) == 0
        assert "--date-format 'd=%Y'" in capsys.readouterr().err
        with pytest.warns(DataWarning, match=re.escape('date_format=["d=%Y"]')):
            warn([])

    def test_a_closed_pipe_prints_no_error(self):
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "wgan", "--help"]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, b"")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Options for these tests."""

    run: str = arg("Where it is.")
    num: int = arg("How many, 100 % of them.")
    out: Path | None = arg("Where to.", None)


class TestOptions:
    def test_help_shows_names_values_and_meanings(self):
        group = Group(title="x", dataclass=Sample, positional={"run": "RUN"}, more={"out": "Or not."})
        lines = help_text([group], command="draw", description="Draw.").splitlines()
        assert lines[0] == "usage: wgan draw RUN [options]"
        assert [" ".join(line.split()) for line in lines if line.startswith("  ")] == [
            "RUN Where it is.",
            "-h, --help show this help message and exit",
            "--num N How many, 100 % of them. (required)",
            "--out PATH Where to. Or not.",
        ]

    @pytest.mark.parametrize("kind", [Settings, DataOptions])
    def test_every_setting_is_described(self, kind):
        assert all(option.help for option in Group(title="x", dataclass=kind, hidden=("input",)).options())

    def test_values_of_every_type(self):
        groups = [Group(title="reading", dataclass=DataOptions)]
        words = split("--held-out=0.25 --size 3 4 --ignore a --ignore b --no-header --fit pad --skip_broken")
        (options,) = parse(words, groups, command="x", description="")
        assert options == DataOptions(
            held_out=0.25, size=(3, 4), ignore=("a", "b"), header=False, fit="pad", skip_broken=True
        )

    def test_positional_arguments_and_optional_paths(self):
        group = Group(title="x", dataclass=Sample, positional={"run": "RUN"})
        (options,) = parse(["--num", "-3", "here", "--out", "a.b"], [group], command="x", description="")
        assert options == Sample(run="here", num=-3, out=Path("a.b"))

    @pytest.mark.parametrize(
        ("words", "fault"),
        [
            ("here --num 1 --nun 3", "there is no option --nun; did you mean --num?"),
            ("here --num 1 --zzzzzz", "there is no option --zzzzzz; --help lists them"),
            ("here --num 1.5", "--num takes a whole number, not 1.5"),
            ("here --num", "--num takes a value, not none"),
            ("here --num=--", "--num takes a value, not --"),
            ("here", "--num is needed"),
            ("--num 3", "RUN is needed"),
            ("here there --num 3", "unexpected argument 'there'"),
            ("here --num 3 --out", "--out takes a value, not none"),
        ],
    )
    def test_each_fault_has_a_message(self, words, fault):
        group = Group(title="x", dataclass=Sample, positional={"run": "RUN"})
        with pytest.raises(UsageError) as caught:
            parse(words.split(), [group], command="x", description="")
        assert str(caught.value) == fault

    def test_each_fault_is_reported_once(self, capsys):
        assert main(["sample", "x", "--num", "1e3", "--out", "a.npy"]) == 2
        assert error_lines(capsys) == "wgan: error: --num takes a whole number, not 1e3\n"

    def test_all_faults_are_listed(self):
        group = Group(title="x", dataclass=DataOptions)
        with pytest.raises(UsageError) as caught:
            parse(split("--fit round --seize 3 --held-out x there --size 3"), [group], command="x", description="")
        assert caught.value.text.splitlines() == [
            "3 options cannot be used:",
            "  - --fit takes one of crop, pad, stretch, not round",
            "  - --held-out takes a number, not x",
            "  - --size takes 2 values, not 3",
        ]
        with pytest.raises(UsageError) as caught:
            parse(split("--fit round --seize 3 --held-out x there"), [group], command="x", description="")
        assert caught.value.text.splitlines() == [
            "4 options cannot be used:",
            "  - --fit takes one of crop, pad, stretch, not round",
            "  - --held-out takes a number, not x",
            "  - there is no option --seize; did you mean --size?",
            "  - unexpected argument 'there'",
        ]

    @pytest.mark.parametrize("words", ["a --num 3", "--num=3 a", "--num 3 -- a", "--num 4 a --num 3"])
    def test_only_given_options_are_values(self, words):
        group = Group(title="x", dataclass=Sample, positional={"run": "RUN"})
        assert given(words.split(), [group]) == {"run": "a", "num": 3}

    @pytest.mark.parametrize("words", ["--range -1e3 -.5", "--range -1000 -0.5"])
    def test_negative_numbers_are_values(self, words):
        (options,) = parse(words.split(), [Group(title="x", dataclass=DataOptions)], command="x", description="")
        assert options.range == (-1000.0, -0.5)

    def test_words_after_two_dashes_are_positional(self):
        group = Group(title="x", dataclass=Sample, positional={"run": "RUN"})
        assert given(["--num", "3", "--", "--out"], [group]) == {"run": "--out", "num": 3}

    def test_a_boolean_option_takes_no_value(self):
        with pytest.raises(UsageError, match="takes no value"):
            given(["--header=1"], [Group(title="x", dataclass=DataOptions)])


class TestTrainsSettings:
    def test_the_recipe_is_chosen_by_the_data(self):
        _, settings, _ = read(["ring"])
        assert settings == recipe("ring")

    def test_options_override_a_named_recipe(self):
        _, settings, _ = read(split("--recipe ring-clipping --steps 5 --held-out 0.2 swiss-roll"))
        expected = recipe("ring-clipping")
        assert settings.data == "swiss-roll"
        assert (settings.steps, settings.input.held_out) == (5, 0.2)
        assert settings.constraint == expected.constraint

    @pytest.mark.parametrize("words", ["", "--recipe ring"])
    def test_an_unknown_recipe_in_a_file_is_listed_with_all_other_faults(self, tmp_path, capsys, words):
        path = tmp_path / "settings.toml"
        path.write_text("recipe = 'rign'\ndata = 'ring'\n")
        assert main(["train", "--settings", str(path), *words.split(), "--out", str(tmp_path / "run")]) == 2
        assert f"{path}: recipe 'rign' is not known. Did you mean 'ring'? Known: " in error_lines(capsys)
        path.write_text("recipe = 'rign'\ndata = 'ring'\nstepz = 3\n")
        assert main(["train", "--settings", str(path), *words.split()]) == 2
        error = error_lines(capsys)
        assert "2 settings cannot be used" in error
        assert "recipe 'rign' is not known." in error
        assert "there is no setting 'stepz'" in error
        assert not (tmp_path / "run").exists()

    def test_edited_settings_of_a_run_are_used_with_a_warning(self, finished, tmp_path, capsys):
        path = tmp_path / "settings.toml"
        path.write_text((finished / "settings.toml").read_text())
        assert read(["--settings", str(path)])[1].steps == 2
        assert error_lines(capsys) == ""
        path.write_text(path.read_text().replace("steps = 2", "steps = 3"))
        assert read(["--settings", str(path)])[1].steps == 3
        assert error_lines(capsys) == (
            f"wgan: warning: {path} was changed after a run had written it; it is used as it is\n"
        )

    def test_a_recipe_sets_its_data(self):
        assert read(["--recipe", "ring-clipping"])[1].data == "ring"

    def test_options_override_a_file_which_overrides_its_recipe(self, tmp_path):
        path = tmp_path / "a.toml"
        path.write_text("recipe = 'grid'\ndata = 'ring'\nsteps = 7\n[input]\nheld_out = 0.3\n")
        _, settings, _ = read(["--settings", str(path), "--seed", "4"])
        assert (settings.data, settings.steps, settings.seed, settings.input.held_out) == ("ring", 7, 4, 0.3)
        assert settings.batch_size == recipe("grid").batch_size

    def test_all_bad_settings_are_listed(self, capsys):
        words = split("train ring --steps 0 --ema-decay 2 --generator mpl --constraint os.system --held-out 3")
        assert main(words) == 2
        text = error_lines(capsys)
        assert text.startswith("wgan: error: 5 settings cannot be used:")
        for name in (
            "--steps must",
            "--ema-decay must",
            "--held-out must",
            "--generator: network 'mpl'",
            "constraint 'os.system'",
        ):
            assert text.count(name) == 1

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("train", f"no data was named: wgan train DATA, where DATA is a path or one of {', '.join(BUILT_IN)}"),
            ("train rign", "Did you mean 'ring'?"),
            ("train x.pkl", "'x.pkl' is refused"),
            ("train ring --recipe rong", "recipe 'rong' is not known"),
            ("train ring --objective gan:smoothing=2", "wgan: error: objective 'gan': smoothing must be at least 0"),
            ("train ring --critic mlp:width=0", "wgan: error: --critic: network 'mlp': width must be at least 1"),
            ("train --settings none.toml", "there is no settings file none.toml"),
            ("train --resume x --batch-size 3 ring", "--batch-size cannot be given with --resume"),
            ("train --resume nowhere", "nowhere"),
        ],
    )
    def test_runs_that_cannot_begin_are_refused(self, words, expected, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert main(words.split()) == 2
        assert expected in error_lines(capsys)
        assert list(tmp_path.iterdir()) == []

    def test_an_invalid_combination_leaves_no_run(self, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert main(split("train ring --objective mmd --batch-size 1")) == 2
        assert "a batch of 1 is too small for the losses" in error_lines(capsys)
        assert list(tmp_path.glob("runs/*")) == []

    def test_settings_of_a_run_on_data_in_memory_require_data(self, tmp_path, capsys):
        (tmp_path / "a.toml").write_text("data = '<ndarray in memory>'\n")
        assert main(["train", "--settings", str(tmp_path / "a.toml")]) == 2
        assert "on data in memory" in error_lines(capsys)

    def test_without_a_gpu_the_command_for_the_cpu_is_given(self, capsys, monkeypatch):
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert main(split("train ring --device cuda --steps 5")) == 2
        assert error_lines(capsys).endswith("On the CPU: wgan train ring --steps 5 --device cpu\n")

    def test_help_lists_choices_and_defaults_of_the_recipe(self, capsys):
        assert main(["train", "grid", "--help"]) == 0
        text = " ".join(capsys.readouterr().out.split())
        assert f"One of {', '.join(CONSTRAINTS)}" in text
        assert f"(default: {recipe('grid').steps})" in text
        assert "DATA" in text


class TestRuns:
    def test_the_output_summarises_the_run_and_suggests_the_next_command(self, finished, capsys):
        settings = from_toml(finished / "settings.toml")
        out = finished.parent / "told"
        code = main(["train", "--settings", str(finished / "settings.toml"), "--out", str(out)])
        output = capsys.readouterr().out
        assert code == 0
        assert f"report: {out / 'report.html'}" in output
        assert f"next:   wgan sample {out} --num 1000 --out {out}/samples.npy" in output
        assert "exact W1:" in output
        last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
        assert re.search(rf"^verdict: {last['verdict']}: \w+", output, re.MULTILINE)
        assert from_toml(out / "settings.toml") == settings
        assert (out / "metrics.jsonl").read_bytes() == (finished / "metrics.jsonl").read_bytes()

    def test_quiet_prints_only_the_directory_and_resume_takes_more_steps(self, finished, capsys):
        out = finished.parent / "longer"
        words = [
            "train",
            str(finished.parent / "points.npy"),
            *SMALL,
            "--lr-schedule",
            "none",
            "--out",
            str(out),
            "--quiet",
        ]
        assert main(words) == 0
        assert capsys.readouterr().out == f"{out}\n"
        assert main(["train", "--resume", str(out), "--quiet"]) == 2
        assert "--steps" in error_lines(capsys)
        assert main(["train", "--resume", str(out), "--steps", "4", "--quiet"]) == 0
        assert json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 4

    def test_a_stopped_run_can_be_resumed_or_finished(self, finished, tmp_path, capsys):
        run = Path(shutil.copytree(finished, tmp_path / "run"))
        assert main(["train", "--resume", str(run), "--steps", "1"]) == 2
        assert "has done 2 of 2 steps, so it cannot end after 1" in error_lines(capsys)
        # The run looks stopped: three more steps were planned.
        with runs.resume(run, steps=5) as going:
            next(iter(going.run()))
            going.save()
        assert main(["finish", str(run)]) == 0
        output = capsys.readouterr().out
        assert "ended after 3 of 5 updates\n" in output
        assert f"report: {run / 'report.html'}\n" in output
        assert f"to resume it: wgan train --resume {run}\n" in output
        assert np.load(run / "samples" / "00000003.npy").shape == (1000, 2)
        assert main(["train", "--resume", str(run), "--steps", "2"]) == 2
        error = error_lines(capsys)
        assert "has done 3 of 5 steps, so it cannot end after 2" in error
        assert f"To end it as it is: wgan train --resume {run} --steps 3." in error
        assert main(["train", "--resume", str(run), "--steps", "3", "--quiet"]) == 0
        assert from_toml(run / "settings.toml").steps == 3
        assert main(["finish", str(run)]) == 0
        assert "had already ended after 3 of 3 updates" in capsys.readouterr().out
        assert main(["finish", str(tmp_path)]) == 2
        assert "it has no checkpoint" in error_lines(capsys)

    @pytest.mark.parametrize("command", ["sample", "evaluate", "report", "compare", "finish", "train --resume"])
    def test_every_command_names_a_changed_file(self, finished, tmp_path, capsys, command):
        run = Path(shutil.copytree(finished, tmp_path / "run"))
        path = run / "source.json"
        path.write_text(path.read_text().replace('"points"', '"images"'))
        more = ["--num", "2", "--out", str(tmp_path / "out.npy")] if command == "sample" else []
        assert main([*command.split(), str(run), *more]) == 5
        assert f"'{path}' was changed after it was written" in error_lines(capsys)

    def test_data_that_has_moved_can_be_given_again(self, finished, tmp_path, capsys):
        run, moved = Path(shutil.copytree(finished, tmp_path / "run")), tmp_path / "moved.npy"
        settings = dataclasses.replace(from_toml(run / "settings.toml"), data=str(tmp_path / "gone.npy"))
        (run / "settings.toml").write_bytes(sealed_toml(settings))
        shutil.copy(from_toml(finished / "settings.toml").data, moved)
        assert main(["evaluate", str(run)]) == 2
        assert "say where it is now: wgan train DATA --resume" in error_lines(capsys)
        assert main(["evaluate", str(run), "--data", str(moved)]) == 0
        assert main(["train", str(moved), "--resume", str(run), "--steps", "3", "--quiet"]) == 0
        assert from_toml(run / "settings.toml").data == str(moved)

    def test_samples_of_a_diverged_or_untrained_run_come_with_a_warning(self, finished, tmp_path, capsys):
        run, out = Path(shutil.copytree(finished, tmp_path / "run")), str(tmp_path / "out.npy")
        assert main(["sample", str(run), "--num", "2", "--out", out]) == 0
        assert error_lines(capsys) == ""
        Journal(run / "events.jsonl").add("diverged", 3)
        assert main(["sample", str(run), "--num", "2", "--out", out]) == 0
        assert (
            error_lines(capsys)
            == f"wgan: warning: the run in '{run}' diverged at step 3; this is its state at step 2\n"
        )
        shutil.rmtree(run / "checkpoints" / "00000002")
        (run / "checkpoints" / "best.json").unlink()
        assert main(["sample", str(run), "--num", "2", "--out", out]) == 0
        assert "has not been trained yet: this is step 0\n" in error_lines(capsys)

    def test_a_progress_bar_is_shown_only_on_a_terminal(self, finished, tmp_path, capsys, monkeypatch):
        words = ["sample", str(finished), "--num", "9000", "--out", str(tmp_path / "out.csv")]
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True)
        assert main(words) == 0
        assert "/9000" in capsys.readouterr().err
        monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: False)
        assert main(words) == 0
        assert capsys.readouterr().err == ""

    def test_an_interrupted_run_exits_with_75(self, finished, capsys, monkeypatch):
        from wgan.runs import Run

        def stop(self):
            raise Interrupted("stopped", remedy=f"wgan train --resume {self.directory}")
            yield

        monkeypatch.setattr(Run, "run", stop)
        out = finished.parent / "stopped"
        assert main(["train", str(finished.parent / "points.npy"), *SMALL, "--out", str(out), "--quiet"]) == 75
        assert f"wgan train --resume {out}" in error_lines(capsys)

    def test_running_out_of_memory_suggests_half_the_batch(self, finished, capsys, monkeypatch):
        def exhaust(*_):
            raise MemoryError

        monkeypatch.setattr("wgan.runs.run.train", exhaust)
        out = finished.parent / "large"
        assert main(["train", str(finished.parent / "points.npy"), *SMALL, "--out", str(out), "--quiet"]) == 1
        assert "--batch-size 4" in error_lines(capsys)

    def test_samples_are_seeded_and_a_prefix_of_larger_samples(self, finished, tmp_path):
        def draw(name: str, *words: str) -> np.ndarray:
            out = tmp_path / f"{name}.npy"
            assert main(["sample", str(finished), "--out", str(out), *words]) == 0
            return np.load(out)

        few, more, other = draw("a", "--num", "5"), draw("b", "--num", "9"), draw("c", "--num", "5", "--seed", "1")
        assert few.shape == (5, 2)
        np.testing.assert_array_equal(few, more[:5])
        assert not np.array_equal(few, other)
        np.testing.assert_array_equal(few, draw("d", "--num", "5", "--checkpoint", "best"))

    @pytest.mark.parametrize("num", ["0", "-1"])
    def test_zero_samples_are_refused(self, finished, tmp_path, num, capsys):
        assert main(["sample", str(finished), "--num", num, "--out", str(tmp_path / "a.npy")]) == 2
        assert f"--num must be at least 1, not {num}" in error_lines(capsys)

    def test_the_target_is_checked_before_torch_is_loaded(self, finished, tmp_path):
        words = ["sample", str(finished), "--num", "3", "--out", str(tmp_path / "a.jpg")]
        code = (
            f"import sys; from wgan.cli.main import main; assert main({words!r}) == 2; sys.exit('torch' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
        assert done.returncode == 0
        assert "a.jpg" in done.stderr

    def test_evaluate_prints_text_or_json(self, finished, capsys):
        assert main(["evaluate", str(finished)]) == 0
        assert "exact W1:" in capsys.readouterr().out
        assert main(["evaluate", str(finished), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        last = json.loads((finished / "metrics.jsonl").read_text().splitlines()[-1])
        assert found["score"] == last["score"]

    def test_evaluate_takes_repeats_and_a_size(self, finished, capsys):
        found = []
        for words in ("", "--repeats 3", "--repeats 3 --size 2"):
            assert main(["evaluate", str(finished), "--json", *words.split()]) == 0
            found.append(json.loads(capsys.readouterr().out)["score"])
        assert len(set(found)) == 3

    def test_invalid_evaluations_are_refused(self, finished, capsys):
        assert main(["evaluate", str(finished), "--size", "1000000000", "--repeats", "-1"]) == 2
        text = error_lines(capsys)
        assert "  - --size must be between 2 and 20,000 (exact transport holds" in text
        assert "  - --repeats must be at least 1, not -1" in text

    @pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
    def test_interrupted_sampling_leaves_no_partial_file(self, finished, tmp_path, name):
        (tmp_path / "a.csv").write_text("as it was")
        command = [sys.executable, "-m", "wgan", "sample", str(finished), "--num", "1000000000"]
        # Background jobs of a shell ignore SIGINT, and their children inherit that.
        heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        command += ["--out", str(tmp_path / "a.csv")]
        writing = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heed)
        # A temporary file shows that writing has begun.
        until = time.monotonic() + 30
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        writing.send_signal(getattr(signal, name))
        _, output = writing.communicate(timeout=30)
        assert (writing.returncode, output.count(b"\n")) == ({"SIGTERM": 143, "SIGINT": 130}[name], 1)
        assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.csv": "as it was"}

    def test_samples_that_exceed_the_disk_are_refused_before_drawing(self, finished, tmp_path, capsys):
        assert main(["sample", str(finished), "--num", str(10**15), "--out", str(tmp_path / "a.npy")]) == 5
        assert "samples take 16,000,000,000,000,000 bytes" in error_lines(capsys)
        assert list(tmp_path.iterdir()) == []

    def test_report_is_written_again(self, finished, capsys):
        (finished / "report.html").unlink(missing_ok=True)
        assert main(["report", str(finished)]) == 0
        assert capsys.readouterr().out.strip() == str(finished / "report.html")
        assert (finished / "report.html").stat().st_size > 1000

    @pytest.mark.parametrize("command", ["report", "evaluate", "sample"])
    def test_a_directory_that_is_not_a_run_is_refused(self, command, tmp_path, capsys):
        more = ["--num", "3", "--out", str(tmp_path / "a.npy")] if command == "sample" else []
        assert main([command, str(tmp_path), *more]) == 2
        assert str(tmp_path) in error_lines(capsys)


class TestListsAndReports:
    def test_recipes_and_choices(self, capsys):
        from wgan.settings.recipes import RECIPES

        assert main(["recipes"]) == 0
        text = capsys.readouterr().out
        assert all(f"  {name} " in text for name in RECIPES)
        for part in ("clipping:bound=0.01", "--generator or --critic", "adam:lr=", "--objective"):
            assert part in text

    def test_a_table_is_described(self, tmp_path, capsys):
        path = tmp_path / "t.csv"
        rows = [f"{age},{'yes' if age % 2 else 'no'},2020-01-{1 + age % 28:02d}" for age in range(30)]
        path.write_text("\n".join(["age,answer,day", *rows]) + "\n")
        assert main(["data", str(path), "--picture", str(tmp_path / "t.png")]) == 0
        text = capsys.readouterr().out
        assert "30 rows, 3 columns" in text
        assert "2 categories" in text
        assert "2020-01-01 to 2020-01-28" in text
        assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")

    def test_a_built_in_sampler_is_described(self, tmp_path, capsys):
        assert main(["data", "ring", "--picture", str(tmp_path / "r.png")]) == 0
        assert "8 Gaussian modes" in capsys.readouterr().out
        assert (tmp_path / "r.png").is_file()

    def test_images_are_described(self, tmp_path, capsys):
        pixels = np.random.default_rng(0).integers(10, 90, (20, 6, 8, 3), dtype=np.uint8)
        np.save(tmp_path / "i.npy", pixels)
        assert main(["data", str(tmp_path / "i.npy"), "--picture", str(tmp_path / "i.png")]) == 0
        text = capsys.readouterr().out
        assert "3×6×8 numbers" in text
        assert "channel 3: " in text

    def test_pictures_are_png_files(self, capsys):
        assert main(["data", "ring", "--picture", "a.gif"]) == 2
        assert "does not end in .png" in error_lines(capsys)

    def test_all_faults_are_listed(self, capsys):
        assert main(["data", "ring", "--held-out", "3", "--size", "0", "4"]) == 2
        assert "2 settings cannot be used" in error_lines(capsys)


def test_samples_never_overwrite_the_data(run_on_file, capsys):
    run, data = run_on_file
    before = data.read_bytes()
    assert main(["sample", str(run), "--num", "3", "--out", str(data)]) == 2
    assert "is the data that the run was trained on" in capsys.readouterr().err
    assert data.read_bytes() == before


@pytest.fixture
def run_on_file(tmp_path):
    data = tmp_path / "points.csv"
    data.write_text("a,b\n" + "\n".join(f"{i / 7:.3f},{(i * i) % 11}" for i in range(60)))
    run = tmp_path / "run"
    words = ["--steps", "2", "--generator", "mlp:width=4", "--critic", "mlp:width=4", "--out", str(run), "--quiet"]
    assert main(["train", str(data), *words]) == 0
    return run, data
