"""A run: train, and between updates record, evaluate, diagnose, sample and save what is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from wgan.errors import Interrupted, NumericError
from wgan.runs import checkpoints
from wgan.runs.context import RunContext
from wgan.runs.divergence import DivergedError
from wgan.runs.evaluating import evaluate_setup
from wgan.runs.record import numbers_of
from wgan.runs.rollback import note_verdict, roll_back
from wgan.runs.samples import write_real_samples, write_samples
from wgan.runs.saver import Saver, State
from wgan.runs.selection import early_end_reason, has_score, score_of
from wgan.system.memory import memory_faults
from wgan.system.signals import StopRequest, StopRequestedError
from wgan.system.storage import Ownership
from wgan.system.text import counted
from wgan.system.torch_state import in_default_state
from wgan.training.custom import how_to_go_on
from wgan.training.loop import Step, train
from wgan.trust.gradients import gradient_stats
from wgan.trust.verdict import Verdict

T = TypeVar("T")

SLOW_UPDATE = 1.0
"""Seconds of one generator update above which a copy of the state is kept in memory, so that a stop need not wait for
the update."""

GRACE_SECONDS = 2.0
"""Seconds that a stopped run, which is saved by then, waits for an evaluation or a diagnosis to end."""


@dataclass(frozen=True)
class Progress:
    """Where a run is after a generator update.

    Attributes:
        step: Generator updates done.
        steps: Generator updates of the whole run.
        record: The line that was just added to the record, if any.
        evaluation: The numbers of an evaluation of the samples, if there was one.
        saved: The checkpoint that was just saved, if any.
        verdict: The verdict on the critic's estimate, if there was a diagnosis.
        went_back: Why the run just went back to this step; empty if it did not. The updates after it are done again.
    """

    step: int
    steps: int
    record: dict[str, Any] | None = None
    evaluation: dict[str, Any] | None = None
    saved: Path | None = None
    verdict: Verdict | None = None
    went_back: str = ""


class Run:
    """One run in its directory, made by `begin` and `resume`. As a context manager it releases the directory.

    Args:
        context: Its parts.
        ownership: The right to write in its directory.
        pending: The numbers of the last update, if its line of the record is still to be written.
        last: The numbers of the last update, if the run is resumed.

    Attributes:
        directory: The run's directory.
        settings: Its settings.
        source: Its data.
        game: Networks and optimisers.
    """

    def __init__(
        self,
        context: RunContext,
        ownership: Ownership,
        *,
        pending: dict[str, float] | None = None,
        last: dict[str, float] | None = None,
    ) -> None:
        self.directory, self.settings = context.files.root, context.settings
        self.source, self.game = context.source, context.game
        self._context, self._ownership = context, ownership
        self._saver = Saver(context, last)
        self._pending = pending
        self._steps: Iterator[Step] | None = None
        self._stop = StopRequest()
        self._slowest = 0.0
        context.journal.start_clock(self.game.steps_done)

    def __enter__(self) -> Run:
        # A signal that comes before the first update is then answered by it.
        self._stop.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the directory. What was not saved is lost; the last checkpoint stays."""
        self._stop.uninstall()
        self._context.record.close()
        self._ownership.release()

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on the critic's estimate so far; None without a diagnosis."""
        diagnosis = self._context.diagnosis
        return None if diagnosis is None else diagnosis.verdict

    @property
    def ended_early(self) -> str:
        """Why the run ends at this step although not all its steps are done; empty if it does not."""
        settings, step = self.settings, self.game.steps_done
        if not settings.patience or not has_score(settings, step):
            return ""
        return early_end_reason(settings, step, checkpoints.known_best(self._context.files.checkpoints))

    def describe(self) -> str:
        """One line: what is trained, how, and where."""
        return f"{self.source.describe()}; {self.game.engine.describe()}; {self.directory}"

    @in_default_state
    def run(self) -> Iterator[Progress]:
        """Train to the end, or until stopped.

        Yields:
            One `Progress` after each generator update.

        Raises:
            Interrupted: SIGTERM, SIGINT or SIGUSR1 came; everything is saved.
            NumericError: Training diverged; the last good checkpoint is named.
            CheckpointError: The disk is full or failing; the last checkpoint is unchanged.
            DataError: The data can no longer be read.
            OutOfMemoryError: The machine or its accelerator is out of memory; the last checkpoint is unchanged.
        """
        self._context.journal.restart_clock()
        with self._stop:
            if self.game.steps_done == 0:
                write_real_samples(self.source, self._context.files, self.settings.seed)
                write_samples(self.game, self.source, self._context.files, 0)
            while (progress := self._next()) is not None:
                yield progress
        why = {"reason": self.ended_early} if self.ended_early else {}
        self._context.journal.add_timed("finished", self.game.steps_done, **why)

    @in_default_state
    def save(self) -> Path:
        """Save a checkpoint of the state as it is.

        Returns:
            Its folder.

        Raises:
            NumericError: The state is not finite.
            CheckpointError: The disk is full or failing; the last checkpoint is unchanged.
        """
        return self._saver.save()

    def _next(self) -> Progress | None:
        """The next update and what is due after it, or a rollback if training diverged; None at the end."""
        batch = self.settings.batch_size
        doing = f"with batches of {batch:,} samples; '{self.directory}' holds all up to its last save"
        smaller = f"Begin again with a smaller batch, for example --batch-size {max(1, batch // 2)}"
        with memory_faults(doing, f"{smaller}, or with smaller networks."):
            try:
                update = self._pending or self._update()
                self._pending = None
                return None if update is None else self._after(update)
            except DivergedError as error:
                return self._roll_back(error)
            except NumericError as error:
                return self._roll_back(DivergedError(self.game.steps_done, error.message))

    def _update(self) -> Step | None:
        """The next update; None at the end. A stop comes before it, or interrupts it if the state before it is kept."""
        done = self.game.steps_done
        if done >= self.settings.steps or self.ended_early:
            return None
        if self._slowest > SLOW_UPDATE:
            self._saver.keep_copy()
        if self._stop.is_requested:
            self._leave(self._saver.save_before_stop(done))
        began, engine = time.monotonic(), self.game.engine
        try:
            with engine.limits():
                is_safe = self._saver.can_fall_back(done)
                step = self._stop.interruptible(self._train) if is_safe else self._train()
        except StopRequestedError:
            self._leave(self._saver.save_before_stop(done))
        self._saver.last = step
        self._slowest = max(self._slowest, time.monotonic() - began)
        if self.game.engine.compiled != engine.compiled:
            message = f"{self.game.engine.why}; updates run operation by operation"
            self._context.journal.add("warning", done, message=message)
        return step

    def _train(self) -> Step | None:
        """One step of the training loop."""
        if self._steps is None:
            self._steps = train(self._context.setup)
        try:
            return next(self._steps, None)
        except NumericError as error:
            # A generator that has raised an error is exhausted.
            self._steps = None
            raise DivergedError(self.game.steps_done + 1, error.message) from error

    def _roll_back(self, diverged: DivergedError) -> Progress:
        message = roll_back(self._context, self._saver, diverged)
        return Progress(self.game.steps_done, self.settings.steps, went_back=message)

    def _after(self, update: Step | dict[str, float]) -> Progress:
        """Record, evaluate, diagnose, sample and save what is due after an update."""
        number, steps = self.game.steps_done, self.settings.steps
        due = self._context.due(number)
        if not due:
            return Progress(number, steps)
        numbers = numbers_of(update, with_critic_updates=self.settings.optimality > 0)
        self._context.refuse_divergence(numbers)
        evaluation = self._evaluate(numbers) if due.evaluation else {}
        evidence = self._diagnose(numbers) if due.diagnosis else {}
        gradients = self._gradient_stats() if due.evaluation else {}
        line: dict[str, Any] | None = None
        verdict: Verdict | None = None
        if due.record:
            line = {"step": number, **numbers, **self._rollbacks(), **evaluation, **gradients, **evidence}
            verdict = self._add_line(line, has_evidence=bool(evidence))
        if due.samples:
            write_samples(self.game, self.source, self._context.files, number)
        score = score_of(self.settings, evaluation, evidence)
        saved = self._saver.save(score=score) if due.checkpoint else None
        return Progress(number, steps, line, evaluation or None, saved, verdict)

    def _evaluate(self, numbers: dict[str, float]) -> dict[str, Any]:
        """Evaluate samples; empty if no rows are held out."""
        evaluator, number = self._context.evaluator, self.game.steps_done
        if evaluator is None:
            return {}
        is_last = number == self.settings.steps

        def work() -> dict[str, Any]:
            return evaluate_setup(
                self._context.setup,
                self.settings,
                evaluator,
                by_column=is_last,
                conditional_accuracy=is_last,
            )

        evaluation = self._in_background(work, numbers)
        self._context.refuse_divergence({name: value for name, value in evaluation.items() if name != "columns"})
        self._context.journal.add_timed("evaluated", number, score=evaluation["score"])
        return evaluation

    def _diagnose(self, numbers: dict[str, float]) -> dict[str, object]:
        """Evidence on the critic's estimate."""
        diagnosis = self._context.diagnosis
        assert diagnosis is not None
        # A diagnosis changes the game while it is at work.
        before = self._saver.copy()
        return self._in_background(lambda: diagnosis(numbers["estimate"]), numbers, before)

    def _in_background(self, work: Callable[[], T], numbers: dict[str, float], state: State | None = None) -> T:
        """Do work in a second thread. A stop meanwhile saves the state; a resume then does the work first.

        Args:
            work: What to do. It never returns None, which stands for unfinished work.
            numbers: Of the last update.
            state: What to save; None for the game as it is, if the work leaves that unchanged.
        """
        result, unfinished = self._stop.in_background(work)
        if result is None:
            saved = self._saver.save(state, pending=numbers)
            self._leave(saved, unfinished)
        return result

    def _gradient_stats(self) -> dict[str, float]:
        """The gradient that reaches the generator.

        It is measured while no other thread is at work: a stop would save the state, which this changes meanwhile.
        """
        with self.game.engine.limits():
            return gradient_stats(self._context.setup).numbers()

    def _rollbacks(self) -> dict[str, int]:
        """The number of rollbacks for the record, if there were any."""
        return {"rollbacks": self.game.rollbacks} if self.game.rollbacks else {}

    def _add_line(self, line: dict[str, Any], *, has_evidence: bool) -> Verdict | None:
        """Add a line to the record, with the verdict if it has evidence.

        Returns:
            The verdict; None without evidence.
        """
        diagnosis = self._context.diagnosis
        verdict = self._verdict_with(line) if has_evidence else None
        if verdict is not None:
            line["verdict"] = verdict.kind
        if diagnosis is not None:
            diagnosis.add(line)
        self._context.record.add(line)
        return verdict

    def _verdict_with(self, line: dict[str, Any]) -> Verdict:
        """The verdict on all diagnoses with that of `line`; a change of it is an event."""
        diagnosis = self._context.diagnosis
        assert diagnosis is not None
        before, verdict = diagnosis.verdict, diagnosis.verdict_with(line)
        if before is None or before.kind != verdict.kind:
            note_verdict(self._context, line["step"], verdict)
        return verdict

    def _leave(self, saved: Path, unfinished: threading.Thread | None = None) -> NoReturn:
        """Save and end a run after a request to stop.

        Args:
            saved: Its last checkpoint.
            unfinished: A thread that is still at work, which gets a moment to end.
        """
        if unfinished is not None:
            unfinished.join(GRACE_SECONDS)
        step, name = int(saved.name), self._stop.name
        self._context.journal.add_timed("stopped", step, signal=name)
        raise Interrupted(
            f"stopped by {name} after {step:,} of {counted(self.settings.steps, 'step')}; "
            f"everything is saved in {saved}",
            remedy=f"Resume with: {how_to_go_on(self.settings, self.directory)}",
        )
