"""Seconds of one training iteration: 5 critic updates and 1 generator update."""

from __future__ import annotations

from dataclasses import replace

from bench.cases import CASES
from bench.contenders import CHOSEN, EAGER, JAX, JAX_ALL_CORES, PLAIN, Contender
from bench.operations import iteration_flops, weights_of
from bench.rounds import Options, Work, cores, has_jax, measure
from bench.table import Row
from wgan.training.engine import Engine
from wgan.training.loop import train


def contender(work: str, name: str) -> Contender:
    """Build a contender of a training case in this process."""
    case = CASES[work]
    if name == PLAIN:
        loop = case.plain()

        def turn(iterations: int) -> None:
            for _ in range(iterations):
                loop.iterate()

        return Contender(
            turn=turn,
            num_weights=loop.num_weights,
            how="float32",
            flops=lambda: iteration_flops(loop),
        )
    source = case.source()
    setup = case.setup(source, chosen=name == CHOSEN)
    game, steps = setup.game, train(setup)

    # The number of threads is set by the caller.
    engine = replace(game.engine, threads=0)

    def advance(iterations: int) -> None:
        with engine.limits():
            for _ in range(iterations):
                next(steps)

    return Contender(
        turn=advance,
        num_weights=(weights_of(game.generator), weights_of(game.critic)),
        how=engine_text(game.engine),
        precision=game.engine.precision,
        compiles=game.engine.compiled,
    )


def rows(work: str, options: Options) -> list[Row]:
    """Measure one training case."""
    case = CASES[work]
    threads = options.threads or case.setup(case.source(), chosen=True).game.engine.threads
    names = [PLAIN, CHOSEN] if options.quick else [PLAIN, EAGER, CHOSEN]
    # JAX compiles convolutions slowly.
    if has_jax() and not (options.quick and work.startswith("dcgan")):
        names += [JAX] if threads == cores() else [JAX, JAX_ALL_CORES]
    size = max(1, case.iterations // 4) if options.quick else case.iterations
    return measure(
        Work(name=work, line=f"{case.line}: one iteration", size=size, units=1, threads=threads), names, options
    )


def engine_text(engine: Engine) -> str:
    """The engine as text: precision, memory layout and whether updates are compiled."""
    layout = ", channels last" if engine.channels_last else ""
    return engine.precision + layout + (", compiled" if engine.compiled else "")
