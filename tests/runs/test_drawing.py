"""Blocks of samples: equal on any number of threads, in order, few ahead of the consumer."""

import itertools
import subprocess
import sys
import threading
import time

import pytest
import torch

from wgan import runs
from wgan.batch import Layout
from wgan.runs.drawing import block_size, draw_blocks
from wgan.training.game import Prior

LAYOUT = Layout(shape=(1 << 14,))


def blocks(draw, num, num_workers):
    return draw_blocks(draw, Prior(2), LAYOUT, num=num, seed=3, purpose="a test", num_workers=num_workers)


@pytest.mark.parametrize("num_workers", [2, 3, 50])
def test_blocks_are_in_order_whichever_is_done_first(num_workers):
    size, pauses = block_size(LAYOUT), itertools.cycle([0.02, 0.0])

    def late(noise, _):
        time.sleep(next(pauses))
        return noise

    alone = [batch.values for batch in blocks(lambda noise, _: noise, 9 * size + 1, 1)]
    together = [batch.values for batch in blocks(late, 9 * size + 1, num_workers)]
    assert [len(block) for block in together] == [size] * 9 + [1]
    assert all(map(torch.equal, alone, together))


def test_workers_use_one_thread_each_and_end_with_the_iterator():
    before, main = torch.get_num_threads(), threading.active_count()
    torch.set_num_threads(2)
    try:
        drawn, of_workers = [], []

        def draw(noise, _):
            of_workers.append((torch.get_num_threads(), threading.current_thread() is threading.main_thread()))
            drawn.append(1)
            return noise

        asked = blocks(draw, 10**9, 2)
        next(asked)
        assert torch.get_num_threads() == 2
        # Long enough for workers that were given more than a block each to draw it.
        time.sleep(0.05)
        assert len(drawn) <= 3
        asked.close()
        assert threading.active_count() == main
        assert set(of_workers) == {(1, False)}
        # A thread of somebody else's begins with the number of the process, not with that of the workers.
        found = []
        other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        other.start()
        other.join()
        assert found == [2]
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_worker_reaches_the_caller():
    def draw(noise, _):
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        next(blocks(draw, 10**6, 2))


def test_samples_do_not_depend_on_the_number_of_threads(straight):
    trained = runs.load(straight)
    before, found = torch.get_num_threads(), []
    try:
        for num_threads in (1, 2, 3):
            torch.set_num_threads(num_threads)
            found.append(trained.values(40_000, seed=1))
            assert torch.get_num_threads() == num_threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_sampling_does_not_import_what_only_training_needs(straight, tmp_path):
    code = f"""if True:
        import sys
        from wgan import WGAN
        from wgan.cli.main import main
        assert main(["sample", {str(straight)!r}, "--num", "3", "--out", {str(tmp_path / "a.npy")!r}]) == 0
        print(*[name for name in ("torch._dynamo", "sklearn", "ot", "matplotlib") if name in sys.modules])
    """
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.splitlines()[1:] == [""]
