import pytest
import torch
from bench.cases import CASES
from bench.contenders import CHOSEN, EAGER, PLAIN
from bench.operations import counted, iteration_flops, layer_flops
from bench.rounds import ratio
from bench.table import Row, heading, lines
from bench.training import contender
from bench.workers import Worker
from torch import nn

from bench import plain


def test_operations_of_layers_follow_the_formulas() -> None:
    dense = 2 * 256 * (2 * 128 + 2 * 128 * 128 + 128)
    assert sum(layer_flops(plain.mlp(2, 128, 1), torch.randn(256, 2))) == dense
    down = nn.Sequential(nn.Conv2d(3, 8, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(8, 16, 4, 2, 1))
    per_output = [2 * 3 * 16, 2 * 8 * 16]
    outputs = [5 * 8 * 8 * 8, 5 * 16 * 4 * 4]
    assert layer_flops(down, torch.randn(5, 3, 16, 16)) == [a * b for a, b in zip(per_output, outputs, strict=True)]
    up = nn.Sequential(nn.ConvTranspose2d(3, 8, 4, 2, 1))
    assert layer_flops(up, torch.randn(5, 3, 16, 16)) == [2 * 5 * 16 * 16 * 3 * 8 * 16]


def test_a_clipped_plain_iteration_also_computes_the_critics_gradients_in_the_generators_update() -> None:
    loop = plain.wgan(plain.mlp(3, 8, 2), plain.mlp(2, 16, 1), lambda: torch.randn(4, 2), lambda: torch.randn(4, 3))
    critic = sum(layer_flops(loop.critic, loop.real()))
    assert counted(loop.iterate) == iteration_flops(loop) + critic


def test_a_penalised_plain_iteration_also_multiplies_by_zeros() -> None:
    loop = plain.wgan_gp(
        plain.mlp(3, 8, 2),
        plain.mlp(2, 16, 1),
        lambda: torch.randn(4, 2),
        lambda: torch.randn(4, 3),
        weight=1.0,
        lr=1e-3,
        betas=(0.5, 0.9),
    )
    layers = layer_flops(loop.critic, loop.real())
    # The second derivatives of ReLU are zeros, but are propagated through all layers, to parameters and to inputs. The
    # last layer of the forward pass for the penalty is not needed.
    unneeded = 2 * sum(layers) - layers[-1]
    assert counted(loop.iterate) == iteration_flops(loop) + sum(layers) + 5 * unneeded


@pytest.mark.parametrize("work", [name for name in CASES if name != "dcgan-64"])
def test_contenders_run_the_same_networks(work: str) -> None:
    assert contender(work, PLAIN).num_weights == contender(work, EAGER).num_weights


def test_this_package_is_timed_as_chosen_and_in_eager_float32() -> None:
    eager = contender("mlp-128", EAGER)
    assert (eager.how, eager.compiles) == ("float32", False)
    game = CASES["mlp-128"].setup(CASES["mlp-128"].source(), chosen=True).game
    chosen = contender("mlp-128", CHOSEN)
    assert (chosen.precision, chosen.compiles) == (game.engine.precision, game.engine.compiled)


def test_ratios_are_taken_within_rounds() -> None:
    # The second round is ten times slower for all. Medians of the times alone would give 2, 20 or 0.2.
    assert ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == 2.0
    assert ratio([4.0, 1.0, 2.0], [1.0, 1.0, 1.0]) == 2.0


def test_cells_are_aligned_with_the_names_of_their_columns() -> None:
    row = Row(
        work="work",
        contender="plain, float32",
        how="float32",
        threads=1,
        seconds=0.02,
        all_seconds=[0.02],
        speed=1.0,
        share=0.5,
        peak_mib=300.0,
    )
    _, work, line = lines([row]).splitlines()
    assert work == "work"
    for name, cell in (("time", "20.0 ms"), ("speed", "1.00 ×"), ("of peak", "50%"), ("memory", "300 MiB")):
        assert heading().index(name) + len(name) == line.index(cell) + len(cell)


def test_transport_is_compared_with_the_best_other_contender() -> None:
    rows = [
        Row(work="w", contender=name, threads=1, seconds=1.0, all_seconds=[1.0], speed=speed)
        for name, speed in (("ours", 1.0), ("slow", 0.5), ("best", 0.8))
    ]
    assert lines(rows).endswith("ours takes 0.80 times as long as the best of the others")


def test_a_worker_answers_and_ends_its_process() -> None:
    with Worker("mlp-128", PLAIN, 1, 1) as worker:
        assert worker.about["num_weights"] == list(contender("mlp-128", PLAIN).num_weights)
        assert worker.turn() > 0
        assert worker.flops() == iteration_flops(CASES["mlp-128"].plain())
        assert 50 < worker.peak_mib() < 5_000
    assert worker._process.returncode == 0


def test_a_worker_whose_process_fails_raises(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        Worker("no such work", PLAIN, 1, 1) as worker,
        pytest.raises(RuntimeError, match="'plain, float32' ended with status 1"),
    ):
        worker.turn()
    assert "KeyError: 'no such work'" in capfd.readouterr().err
