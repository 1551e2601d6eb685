"""A run under way: record, judge, sample and save between the updates, and stop so that nothing is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from torch import Tensor

from wgan.errors import Interrupted, NumericError
from wgan.evaluation.metrics import SampleEvaluator
from wgan.randomness import Randomness
from wgan.runs import checkpoints, divergence
from wgan.runs.compatibility import restore
from wgan.runs.conditional_accuracy import obeyed
from wgan.runs.diagnosis import RunDiagnosis
from wgan.runs.divergence import DivergedError
from wgan.runs.drawing import drawn
from wgan.runs.files import RunFiles
from wgan.runs.metadata import checksums, noted_settings
from wgan.runs.progress import Progress, numbers_of
from wgan.runs.record import Journal, Record
from wgan.runs.samples import remove_later_samples, write_real_samples, write_samples
from wgan.runs.selection import score_of, scores_at, why_to_end
from wgan.runs.stopping import StopAskedError, StopRequest
from wgan.settings import Settings
from wgan.system.memory import memory_faults
from wgan.system.storage import Ownership
from wgan.system.text import counted
from wgan.system.torch_state import in_usual_state
from wgan.training.custom import how_to_go_on
from wgan.training.factory import Parts
from wgan.training.loop import Step, train
from wgan.training.setup import Setup
from wgan.trust.gradients import gradient_stats
from wgan.trust.verdict import Verdict

SLOW_STEP = 1.0
"""Seconds of one generator update above which a copy of the state is kept in memory, so that a stop need not wait."""

_PATIENCE = 2.0
"""Seconds that a stopped run waits for a judge or an examination in the middle of its work, after saving."""

_SCALE_ROWS = 256


@dataclass(frozen=True)
class _Safe:
    """A whole state that the run can fall back to, in memory or, where there are no tensors, on the disk."""

    step: int
    tensors: dict[str, Tensor] | None = None
    facts: dict[str, object] | None = None


class Experiment:
    """One run in its directory. Made by `begin` and `resume`; a context manager that gives the directory back.

    Attributes:
        directory: The run's directory.
        settings: Its settings.
        source: Its data.
        game: Networks and optimisers.
    """

    def __init__(
        self,
        *,
        files: RunFiles,
        ownership: Ownership,
        settings: Settings,
        setup: Setup,
        parts: Parts,
        judge: SampleEvaluator | None,
        examination: RunDiagnosis | None,
        record: Record,
        pending: dict[str, float] | None = None,
        last: dict[str, float] | None = None,
    ) -> None:
        source, game = setup.source, setup.game
        self.directory, self.settings, self.source, self.game = files.root, settings, source, game
        self._files, self._ownership, self._parts = files, ownership, parts
        self._judge, self._examination = judge, examination
        self._setup = setup
        self._record, self._journal = record, Journal(files.events)
        self._pending = pending
        self._last: Step | dict[str, float] | None = last
        self._checksums = checksums(files)
        self._steps: Iterator[Step] | None = None
        self._stop = StopRequest()
        self._safe = _Safe(game.steps_done)
        self._slowest = 0.0
        self._seconds = self._journal.seconds_until(game.steps_done)
        self._since = time.monotonic()
        rows = source.sample(_SCALE_ROWS, Randomness(settings.seed).at("scale of the data"))
        self._scale = float(rows.values.abs().max())

    def __enter__(self) -> Experiment:
        # A signal that comes before the first update is then answered by it.
        self._stop.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the directory back. What was not saved is lost; the last checkpoint stays."""
        self._stop.unlisten()
        self._record.close()
        self._ownership.release()

    @property
    def verdict(self) -> Verdict | None:
        """What is to be thought of the critic's number by now; None before it was examined, or where it is not."""
        return None if self._examination is None else self._examination.verdict

    @property
    def ended_early(self) -> str:
        """Why the run has ended, or would now, before all its steps are done; empty where it goes on."""
        settings, step = self.settings, self.game.steps_done
        if not settings.patience or not scores_at(settings, step):
            return ""
        return why_to_end(settings, step, checkpoints.known_best(self._files.checkpoints))

    def describe(self) -> str:
        """One line: what is trained, how, and where."""
        return f"{self.source.describe()}; {self.game.engine.describe()}; {self.directory}"

    @in_usual_state
    def run(self) -> Iterator[Progress]:
        """Train to the end, or until stopped.

        Yields:
            One `Progress` after each generator update.

        Raises:
            Interrupted: SIGTERM, SIGINT or SIGUSR1 came; all is saved.
            NumericError: Training diverged; the last good checkpoint is named.
            CheckpointError: The disk is full or failing; the last checkpoint is as it was.
            DataError: The data could not be read any more.
            OutOfMemoryError: The machine or its accelerator has no memory left; the last checkpoint is as it was.
        """
        self._since = time.monotonic()
        with self._stop:
            if self.game.steps_done == 0:
                write_real_samples(self.source, self._files, self.settings.seed)
                write_samples(self.game, self.source, self._files, 0)
            while (progress := self._next_in_memory()) is not None:
                yield progress
        why = {"reason": self.ended_early} if self.ended_early else {}
        self._journal.add("finished", self.game.steps_done, seconds=self._elapsed(), **why)

    @in_usual_state
    def save(self, *, pending: dict[str, float] | None = None, score: float | None = None) -> Path:
        """Save a checkpoint of the state as it is.

        Args:
            pending: The numbers of the last step, if they are not in the record yet.
            score: How good its samples are, if they were judged.

        Returns:
            Its folder.

        Raises:
            NumericError: The state is not finite.
            CheckpointError: The disk is full or failing; the last checkpoint is as it was.
        """
        return self._save(*self.game.state(), pending=pending, score=score)

    def is_regular(self, step: int) -> bool:
        """Whether the run saves a checkpoint at this step whether or not it is ever stopped."""
        return step == 0 or step % self.settings.save_every == 0 or self._is_judged(step)

    def _next_in_memory(self) -> Progress | None:
        """The next update, running out of memory becomes an error of this project."""
        batch = self.settings.batch_size
        doing = f"with batches of {batch:,} samples; '{self.directory}' holds all up to its last save"
        smaller = f"Begin again with a smaller batch, for example --batch-size {max(1, batch // 2)}"
        with memory_faults(doing, f"{smaller}, or with smaller networks."):
            return self._next()

    def _next(self) -> Progress | None:
        """The next update and what follows it, or the way back from where training diverged; None at the end."""
        try:
            if self._pending is not None:
                # The run was stopped between this update and what follows an update.
                pending, self._pending = self._pending, None
                return self._after(self.game.steps_done, pending)
            step = self._advance()
            return None if step is None else self._after(step.number, step)
        except DivergedError as diverged:
            return self._go_back(diverged)
        except NumericError as error:
            return self._go_back(DivergedError(self.game.steps_done, error.message))

    def _advance(self) -> Step | None:
        """The next update; a stop comes before it, or breaks it off where the state before it is at hand."""
        done = self.game.steps_done
        if done >= self.settings.steps or self.ended_early:
            return None
        if self._slowest > SLOW_STEP and self._safe.step != done:
            tensors, facts = self.game.state()
            self._safe = _Safe(done, _copied(tensors), facts)
        if self._stop.asked:
            self._stopped(self._saved_before(done) or self.save())
        began, engine = time.monotonic(), self.game.engine
        try:
            with engine.limits():
                is_safe = self._safe.step == done
                step = self._stop.breaking_off(self._update) if is_safe else self._update()
        except StopAskedError:
            self._stopped(self._saved_before(done) or self._save_copy())
        self._last = step
        self._slowest = max(self._slowest, time.monotonic() - began)
        if self.game.engine.compiled != engine.compiled:
            self._journal.add("warning", done, message=f"{self.game.engine.why}; updates run operation by operation")
        return step

    def _update(self) -> Step | None:
        if self._steps is None:
            self._steps = train(self._setup)
        try:
            return next(self._steps, None)
        except NumericError as error:
            # What has raised an error is over.
            self._steps = None
            raise DivergedError(self.game.steps_done + 1, error.message) from error

    def _after(self, number: int, step: Step | dict[str, float]) -> Progress:
        """Record, judge, sample and save what is due after an update."""
        settings, is_last = self.settings, number == self.settings.steps
        is_saved, is_recorded = self.is_regular(number), number % settings.log_every == 0 or is_last
        is_judged = self._is_judged(number)
        is_looked_at = self._examination is not None and self._examination.is_due(number)
        if not (is_saved or is_recorded or is_judged or is_looked_at or number % settings.sample_every == 0):
            return Progress(number, settings.steps)
        numbers = numbers_of(step, counts=settings.optimality > 0)
        self._refuse_divergence(number, numbers)
        line: dict[str, Any] | None = None
        verdict: Verdict | None = None
        evaluation = self._evaluate(number, numbers) if is_judged and self._judge is not None else None
        evidence = self._examine(number, numbers) if is_looked_at else {}
        if is_recorded or is_judged or is_looked_at:
            # Here and not beside the judge: while that is at work a stop may save the state, which must then be whole.
            probed = self._probe() if is_judged else {}
            again = {"rollbacks": self.game.rollbacks} if self.game.rollbacks else {}
            line = {"step": number, **numbers, **again, **(evaluation or {}), **probed, **evidence}
            verdict = self._judge_critic(number, line) if evidence else None
            if self._examination is not None:
                self._examination.add(line)
            self._record.add(line)
        if number % settings.sample_every == 0 or is_last:
            write_samples(self.game, self.source, self._files, number)
        saved = self.save(score=score_of(settings, evaluation or {}, evidence)) if is_saved else None
        return Progress(number, settings.steps, line, evaluation, saved, verdict)

    def _is_judged(self, step: int) -> bool:
        every = self.settings.eval_every
        return step == self.settings.steps or (step > 0 and every > 0 and step % every == 0)

    def _evaluate(self, number: int, numbers: dict[str, float]) -> dict[str, Any]:
        """Judge the generator. A stop meanwhile saves a state that is judged first thing when the run is resumed."""
        judge = self._judge
        assert judge is not None

        def work() -> dict[str, Any]:
            is_last = number == self.settings.steps
            with self.game.engine.limits():
                found = judge(
                    lambda num: drawn(self.game, self.source, num, "noise of the judge").values, by_column=is_last
                )
                return found | (obeyed(self._setup, self.settings, judge.size) if is_last else {})

        evaluation, unfinished = self._stop.meanwhile(work)
        if evaluation is None:
            self._stopped_meanwhile(self.save(pending=numbers), unfinished)
        self._refuse_divergence(number, {name: value for name, value in evaluation.items() if name != "columns"})
        self._journal.add("judged", number, seconds=self._elapsed(), score=evaluation["score"])
        return evaluation

    def _examine(self, number: int, numbers: dict[str, float]) -> dict[str, object]:
        """Evidence of what the critic's number is worth; a stop meanwhile is answered as above."""
        examination = self._examination
        assert examination is not None
        # The game is as it was only once the look is over.
        tensors, facts = self.game.state()
        tensors = _copied(tensors)
        evidence, unfinished = self._stop.meanwhile(lambda: examination(numbers["estimate"]))
        if evidence is None:
            self._stopped_meanwhile(self._save(tensors, facts, pending=numbers), unfinished)
        return evidence

    def _judge_critic(self, number: int, line: dict[str, Any]) -> Verdict:
        """Put the verdict into a line with evidence, and among the events where it is another than before."""
        examination = self._examination
        assert examination is not None
        before, verdict = examination.verdict, examination.verdict_with(line)
        line["verdict"] = verdict.kind
        if before is None or before.kind != verdict.kind:
            self._note(number, verdict)
        return verdict

    def _note(self, number: int, verdict: Verdict) -> None:
        facts = {"kind": verdict.kind, "reason": verdict.reason, "remedy": verdict.remedy}
        self._journal.add("verdict", number, seconds=self._elapsed(), **facts)

    def _probe(self) -> dict[str, float]:
        """What reaches the generator."""
        with self.game.engine.limits():
            return gradient_stats(self._setup).numbers()

    def _save_copy(self) -> Path:
        assert self._safe.tensors is not None
        assert self._safe.facts is not None
        return self._save(self._safe.tensors, self._safe.facts)

    def _save(
        self,
        tensors: dict[str, Tensor],
        facts: dict[str, object],
        *,
        pending: dict[str, float] | None = None,
        score: float | None = None,
    ) -> Path:
        step = int(str(facts["steps_done"]))
        if (name := divergence.first_not_finite(tensors)) is not None:
            raise DivergedError(step, f"'{name}' is not finite")
        self._record.sync()
        noted = {
            "game": facts,
            "settings": noted_settings(self.settings),
            "steps": self.settings.steps,
            "record_bytes": self._record.length,
            "record_check": self._record.check,
            # A run that is ended here later records them.
            "last": None if self._last is None else numbers_of(self._last, counts=self.settings.optimality > 0),
            "files": self._checksums,
            "pending": pending,
        }
        path = checkpoints.save(self._files.checkpoints, step, tensors, noted, score=score, is_regular=self.is_regular)
        self._safe = _Safe(step)
        self._journal.add("saved", step, seconds=self._elapsed(), checkpoint=path.name)
        return path

    def _saved_before(self, done: int) -> Path | None:
        """The checkpoint of the state after `done` updates, if it is on the disk."""
        is_there = self._safe.step == done and self._safe.tensors is None
        return self._files.checkpoints / checkpoints.name_of(done) if is_there else None

    def _stopped_meanwhile(self, saved: Path, unfinished: threading.Thread | None) -> NoReturn:
        """Leave as below, after a moment in which what is still at work beside the main thread may come to an end."""
        if unfinished is not None:
            unfinished.join(_PATIENCE)
        self._stopped(saved)

    def _stopped(self, saved: Path) -> NoReturn:
        step, name = int(saved.name), self._stop.name
        self._journal.add("stopped", step, seconds=self._elapsed(), signal=name)
        raise Interrupted(
            f"stopped by {name} after {step:,} of {counted(self.settings.steps, 'step')}; "
            f"everything is saved in {saved}",
            remedy=f"Resume with: {how_to_go_on(self.settings, self.directory)}",
        )

    def _refuse_divergence(self, step: int, numbers: dict[str, float]) -> None:
        fault = divergence.fault_of(self.game, self._parts, numbers, self._scale)
        if fault is not None:
            raise DivergedError(step, fault)

    def _go_back(self, diverged: DivergedError) -> Progress:
        """Go on from the last good checkpoint with half the learning rates and other draws, or raise the error."""
        game, folder, made = self.game, self._files.checkpoints, self.game.rollbacks
        if made >= self.settings.rollbacks or not divergence.may_be_slowed(game, self._parts):
            self._give_up(diverged)
        checkpoint = checkpoints.go_back(folder, before=diverged.step, is_regular=self.is_regular)
        restore(game, checkpoint)
        game.rollbacks = made + 1
        self._last = checkpoint.facts.get("last")
        self._record.cut(int(checkpoint.facts["record_bytes"]))
        remove_later_samples(self._files, checkpoint.step)
        if self._examination is not None:
            self._examination.forget(checkpoint.step)
        self._safe = _Safe(checkpoint.step)
        said = (
            f"{diverged.message}; going back to step {checkpoint.step:,} with other draws and half the learning rates "
            f"({divergence.rates(game, self._parts)}): rollback {game.rollbacks} of {self.settings.rollbacks}"
        )
        self._journal.warn(diverged.step, said, "rolled-back", seconds=self._elapsed(), to=checkpoint.step)
        # So that a resumed run does not diverge once more before it goes on as this one does.
        self.save()
        return Progress(checkpoint.step, self.settings.steps, went_back=said)

    def _give_up(self, diverged: DivergedError) -> NoReturn:
        good = checkpoints.name_of(checkpoints.steps_saved(self._files.checkpoints)[-1])
        error = divergence.diverged_for_good(diverged, self._files.checkpoints / good, self.game, self._parts)
        if self._examination is not None:
            how = f"{diverged.fault} at step {diverged.step:,}"
            self._note(diverged.step, self._examination.verdict_with(diverged=how))
        self._journal.add("diverged", diverged.step, seconds=self._elapsed(), message=error.message)
        raise error from diverged

    def _elapsed(self) -> float:
        return round(self._seconds + time.monotonic() - self._since, 3)


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
