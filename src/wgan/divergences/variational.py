"""Lower bounds of f-divergences from a critic's scores."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from wgan.divergences.base import Divergence
from wgan.divergences.table import as_divergence
from wgan.errors import UsageError
from wgan.transport.measures import Array, as_float64, as_weights


def variational_bound(
    real_scores: Array,
    fake_scores: Array,
    kind: Divergence | str,
    *,
    real_weights: Array | None = None,
    fake_weights: Array | None = None,
) -> Tensor:
    """A lower bound of an f-divergence from a critic's raw scores.

    The mean of link(v) over samples of P minus the mean of f*(link(v)) over samples of Q. With expectations in place of
    means it is at most D(P‖Q) for every critic. It equals D(P‖Q) for v = log p/q (for total_variation in the limit of
    large scores of that sign). With finite samples it is a lower bound *in expectation* only, and only for a critic
    that is independent of these samples: a single value can exceed D(P‖Q), and for a critic fitted to the same samples
    it can reach the value on disjoint supports.

    Args:
        real_scores: Raw scores of samples of P, the data: shape (N,).
        fake_scores: Raw scores of samples of Q, the model: shape (M,).
        kind: A divergence, or its name with parameters.
        real_weights: Probabilities of P's samples, shape (N,); None for equal weights. With all points of a discrete
            distribution and their probabilities the expectation is exact.
        fake_weights: Probabilities of Q's samples, shape (M,).

    Returns:
        0-d, float64, in nats, differentiable; −inf if a score is so large that the conjugate overflows float64.

    Raises:
        UsageError: Not one score per sample, weights that are not probabilities, or an unknown divergence.
        NumericError: Scores that are not finite.

    Cost: O(N + M) time and memory.

    Source: Nguyen, Wainwright and Jordan (2010), lemma 1; Nowozin, Cseke and Tomioka (2016), equations 4 and 6.

    Example:
        >>> print(f"{variational_bound([0.5, 0.1], [-0.3, 0.2], 'kl'):.4f}")
        0.3189
    """
    row = as_divergence(kind)
    real, fake = _as_scores(real_scores, "real_scores"), _as_scores(fake_scores, "fake_scores")
    of_real = _mean(row.link(real), real_weights, "real_weights")
    return of_real - _mean(row.conjugate_of_link(fake), fake_weights, "fake_weights").to(of_real.device)


def critic_bound(
    critic: Callable[[Tensor], Tensor],
    x: Array,
    y: Array,
    kind: Divergence | str,
    *,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
) -> Tensor:
    """A lower bound of an f-divergence from a critic and samples: `variational_bound` of its scores.

    It is a lower bound in expectation, for a critic that was not fitted to these samples.

    Args:
        critic: Maps samples to one raw score each: shape (N,) or (N, 1).
        x: Samples of P, the data, in the shape that the critic takes. A tensor is passed on as it is, anything else as
            a float64 tensor.
        y: Samples of Q, the model.
        kind: A divergence, or its name with parameters.
        x_weights: Probabilities of P's samples, shape (N,); None for equal weights.
        y_weights: Probabilities of Q's samples, shape (M,).

    Returns:
        0-d, float64, in nats, differentiable with respect to samples and critic.

    Raises:
        UsageError: Not one score per sample, weights that are not probabilities, or an unknown divergence.
        NumericError: Samples or scores that are not finite.

    Cost: One call of the critic for each of x and y. For large sets, compute the scores in batches and use
    `variational_bound`.
    """
    scores = []
    for samples, name in ((x, "x"), (y, "y")):
        checked = as_float64(samples, name)
        inputs = samples if isinstance(samples, Tensor) else checked
        output = critic(inputs)
        num = len(inputs) if inputs.dim() else 0
        if not isinstance(output, Tensor) or output.shape not in ((num,), (num, 1)):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise UsageError(
                f"the critic must return one score for each sample of {name}, which has shape {tuple(inputs.shape)}, "
                f"not {shape}"
            )
        scores.append(output)
    return variational_bound(scores[0], scores[1], kind, real_weights=x_weights, fake_weights=y_weights)


def _as_scores(values: Array, name: str) -> Tensor:
    scores = as_float64(values, name)
    if scores.dim() == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    if scores.dim() != 1 or not len(scores):
        raise UsageError(f"{name} must have shape (N,), one score for each sample, not {tuple(scores.shape)}")
    return scores


def _mean(values: Tensor, weights: Array | None, name: str) -> Tensor:
    if weights is None:
        return values.mean()
    masses = as_weights(weights, len(values), name).to(values.device)
    # Points of weight 0 are left out, since their values may be infinite.
    return torch.dot(masses[masses > 0], values[masses > 0])
