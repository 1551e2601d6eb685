"""Every public mathematical function with masked arrays, array subclasses, and global PyTorch settings."""

import dataclasses
import inspect
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from wgan import divergences, kernels, transport
from wgan.errors import UsageError
from wgan.kernels import permutations
from wgan.studies import topology

ROOMS = (transport, kernels, divergences, topology)
X = np.random.default_rng(0).normal(size=(6, 2))
Y = np.random.default_rng(1).normal(size=(5, 2)) + 1.0
A = np.arange(1.0, 7.0) / 21.0
COSTS = np.abs(X[:, :1] - Y[:, 0]) + 1.0
SCORES = np.linspace(1.0, 2.0, 6), np.linspace(-1.0, 0.5, 5)
MOMENTS = np.zeros(2), np.eye(2), np.ones(2), np.diag([2.0, 1.0])


def rng():
    return torch.Generator("cpu").manual_seed(0)


def network():
    layer = torch.nn.Linear(2, 1, dtype=torch.float64, device="cpu")
    layer.weight.data, layer.bias.data = torch.from_numpy(Y[:1].copy()), torch.from_numpy(Y[0, :1].copy())
    return layer


NETWORK = network()


def first_column(points):
    return points[:, 0]


# Maps a conversion of arrays to a call of the function with all of its arrays converted.
CALLS = {
    "certified_dual": lambda as_: transport.certified_dual(as_(SCORES[0]), as_(SCORES[1]), as_(X), as_(Y)),
    "cost_matrix": lambda as_: transport.cost_matrix(as_(X), as_(Y)),
    "cost_matrix of a matrix": lambda as_: transport.cost_matrix(None, None, as_(COSTS)),
    "critic_dual": lambda as_: transport.critic_dual(as_(X), as_(Y), NETWORK),
    "exact": lambda as_: transport.exact(as_(X), as_(Y), x_weights=as_(A)),
    "exact assignment": lambda as_: transport.exact(as_(X[:5]), as_(Y)),
    "exact of a matrix": lambda as_: transport.exact(cost=as_(COSTS), x_weights=as_(A)),
    "exact on the line": lambda as_: transport.exact(as_(X[:, :1]), as_(Y[:, :1])),
    "fit_gaussian": lambda as_: transport.fit_gaussian(as_(X), as_(A)),
    "gaussian_bound": lambda as_: transport.gaussian_bound(as_(X), as_(Y), x_weights=as_(A)),
    "gaussian_map": lambda as_: transport.gaussian_map(*map(as_, MOMENTS))(as_(X)),
    "gaussian_transport": lambda as_: transport.gaussian_transport(*map(as_, MOMENTS)),
    "linear_program": lambda as_: transport.linear_program(as_(X), as_(Y), x_weights=as_(A)),
    "monotone_transport": lambda as_: transport.monotone_transport(as_(X[:, 0]), as_(Y[:, 0]), x_weights=as_(A)),
    "one_dimensional": lambda as_: transport.one_dimensional(as_(X[:, 0]), as_(Y[:, 0]), x_weights=as_(A)),
    "semidual": lambda as_: transport.semidual(as_(X), as_(Y), rng=rng(), num_steps=5, epsilon=0.1),
    "semidual of a function": lambda as_: transport.semidual(
        lambda num, rng: torch.rand(num, 2, generator=rng, dtype=torch.float64, device="cpu"),
        as_(Y),
        rng=rng(),
        num_steps=5,
        num_test=20,
    ),
    "sinkhorn": lambda as_: transport.sinkhorn(as_(X), as_(Y), x_weights=as_(A)),
    "sinkhorn_divergence": lambda as_: transport.sinkhorn_divergence(as_(X), as_(Y), x_weights=as_(A)),
    "sliced": lambda as_: transport.sliced(as_(X), as_(Y), rng(), num_directions=5, x_weights=as_(A)),
    "transport_program": lambda as_: transport.transport_program(as_(X), as_(Y), x_weights=as_(A)).primal_value(
        as_(np.outer(A, np.full(5, 0.2)))
    ),
    "cubic_kernel": lambda as_: kernels.cubic_kernel(as_(X), as_(Y)),
    "energy_distance": lambda as_: kernels.energy_distance(as_(X), as_(Y), num_permutations=9, rng=rng()),
    "kernel_distance": lambda as_: kernels.kernel_distance(as_(X), as_(Y), rng=rng(), num_subsets=3, subset_size=4),
    "median_distance": lambda as_: kernels.median_distance(as_(X)),
    "mmd": lambda as_: kernels.mmd(as_(X), as_(Y), kernel="gaussian-mixture", num_permutations=9, rng=rng()),
    "squared_mmd": lambda as_: kernels.squared_mmd(as_(X), as_(Y)),
    "critic_bound": lambda as_: divergences.critic_bound(first_column, as_(X), as_(Y), "kl"),
    "divergence": lambda as_: divergences.divergence(as_(A), as_(A[::-1].copy()), "total_variation"),
    "gaussian_divergence": lambda as_: divergences.gaussian_divergence(*map(as_, MOMENTS), "kl"),
    "js": lambda as_: divergences.js(as_(A), as_(A[::-1].copy())),
    "variational_bound": lambda as_: divergences.variational_bound(as_(SCORES[0]), as_(SCORES[1]), "jensen_shannon"),
    "discrete_distances": lambda as_: topology.discrete_distances(as_(X), as_(A), as_(A[::-1].copy())),
    "permutation_p_value": lambda as_: permutations.permutation_p_value(
        lambda x, y: (x.mean() - y.mean()).abs(), as_(X), as_(Y), rng(), num_permutations=9
    ),
}

# Functions without array arguments.
WITHOUT_ARRAYS = {
    "layer_bound": lambda: transport.layer_bound(network(), torch.from_numpy(X)),
    "as_divergence": lambda: divergences.as_divergence("kl").f(torch.from_numpy(A)),
    "example_1": lambda: topology.example_1(0.5),
    "parallel_lines": lambda: topology.parallel_lines(0.5),
    "training_snapshots": topology.training_snapshots,
    "sequences": lambda: [sequence.pair(5) for sequence in topology.SEQUENCES],
    "gram_permutation_p_value": lambda: permutations.gram_permutation_p_value(
        torch.from_numpy(X @ X.T), 3, 3, rng(), num_permutations=9
    ),
    "random_labels": lambda: permutations.random_labels(5, 2, 3, rng()),
}
EVERY = WITHOUT_ARRAYS | {name: lambda call=call: call(np.array) for name, call in CALLS.items()}


def numbers(answer):
    """All numbers in a result, in order."""
    if isinstance(answer, torch.Tensor):
        return answer.detach().double().flatten().tolist()
    if dataclasses.is_dataclass(answer):
        fields = (getattr(answer, field.name) for field in dataclasses.fields(answer) if field.name != "proof")
        certificate = [answer.certificate] if isinstance(answer, transport.Transport) else []
        return [number for value in (*fields, *certificate) for number in numbers(value)]
    if isinstance(answer, dict):
        return numbers(list(answer.values()))
    if isinstance(answer, list | tuple):
        return [number for value in answer for number in numbers(value)]
    return [float(answer)] if isinstance(answer, int | float) else []


def test_every_public_function_is_called():
    public = {name for room in ROOMS for name in room.__all__ if inspect.isfunction(getattr(room, name))} - {"listing"}
    assert public <= {name.split(" ")[0] for name in EVERY}


@pytest.mark.parametrize("name", CALLS)
def test_masked_arrays_are_refused(name):
    with pytest.raises(UsageError, match=r"\d of the \d+ numbers in .* are masked"):
        CALLS[name](lambda array: np.ma.masked_equal(array, array.flat[-1]))


@pytest.mark.parametrize("name", CALLS)
def test_masked_rows_of_a_list_are_refused(name):
    with pytest.raises(UsageError, match=r"are masked"):
        CALLS[name](lambda array: [*array[:-1], np.ma.masked_equal(np.atleast_1d(array[-1]), np.ravel(array[-1])[-1])])


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "changed",
    [
        lambda array: np.ma.masked_invalid(array),
        lambda array: np.asmatrix(array) if array.ndim == 2 else array,
        lambda array: array.view(np.recarray),
        lambda array: torch.from_numpy(array.copy()),
        lambda array: torch.from_numpy(array.copy()).to_sparse(),
        lambda array: torch.nn.Parameter(torch.from_numpy(array.copy()), requires_grad=False),
    ],
    ids=["nothing masked", "matrix", "recarray", "tensor", "sparse", "parameter"],
)
def test_other_array_types_give_the_same_result(name, changed):
    assert numbers(CALLS[name](changed)) == numbers(CALLS[name](np.array))


@pytest.mark.parametrize("name", CALLS)
def test_meta_tensors_are_refused(name):
    with pytest.raises(UsageError, match="on the device meta"):
        CALLS[name](lambda array: torch.from_numpy(array.copy()).to("meta"))


class Deterministic:
    def __enter__(self):
        torch.use_deterministic_algorithms(True)

    def __exit__(self, *_):
        torch.use_deterministic_algorithms(False)


class DefaultDtype:
    def __init__(self, dtype):
        self.dtype = dtype

    def __enter__(self):
        torch.set_default_dtype(self.dtype)

    def __exit__(self, *_):
        torch.set_default_dtype(torch.float32)


class Errors:
    """NumPy and warnings as strict as they can be set."""

    def __enter__(self):
        self.caught, self.before = warnings.catch_warnings(), np.seterr(divide="raise", over="raise", invalid="raise")
        self.caught.__enter__()
        warnings.simplefilter("error")

    def __exit__(self, *given):
        np.seterr(**self.before)
        self.caught.__exit__(*given)


STATES = {
    "default dtype float64": lambda: DefaultDtype(torch.float64),
    "default dtype bfloat16": lambda: DefaultDtype(torch.bfloat16),
    "default device": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": Deterministic,
    "errors": Errors,
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", EVERY)
def test_torch_settings_change_no_result(name, state):
    usual = EVERY[name]()
    expected = numbers(usual)
    with STATES[state]():
        found = EVERY[name]()
    # Certificates may be computed later, under different settings from those of the plan.
    assert [math.isnan(number) for number in expected] == [math.isnan(number) for number in numbers(found)]
    assert [number for number in numbers(found) if number == number] == [n for n in expected if n == n]


def test_gradients_work_after_inference_mode():
    with torch.inference_mode():
        inside = transport.exact(X, Y)
    assert inside.optimal
    x = torch.from_numpy(X.copy()).requires_grad_()
    transport.exact(x, Y).cost.backward()
    assert bool(x.grad.abs().sum() > 0)


def test_importing_with_warnings_as_errors():
    code = (
        "import numpy as np; from wgan.transport import exact, sinkhorn, linear_program; "
        "x = np.random.default_rng(0).normal(size=(40, 2)); "
        "exact(x, x + 1, proven=True).gap; linear_program(x[:5], x[:5] + 1); sinkhorn(x, x + 1)"
    )
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", code]
    subprocess.run(command, check=True, timeout=120)
