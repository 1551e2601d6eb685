"""f-divergences from below: what a critic's scores prove about them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from wgan.divergences.divergence import Divergence
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

    mean of link(v) over samples of P − mean of f*(link(v)) over samples of Q. With expectations in place of means it is
    at most D(P‖Q) for every critic, and equal to it at v = log p/q (for total_variation in the limit of large scores
    of that sign). With finite samples it is a lower bound *in expectation* only, and only for a critic that does not
    depend on these very samples: a single value can lie above D(P‖Q), and a critic fitted to the samples that it is
    judged on can prove anything up to the value on disjoint supports.

    Args:
        real_scores: Raw scores of samples of P, the data: shape (N,).
        fake_scores: Raw scores of samples of Q, the model: shape (M,).
        kind: A row of the table, or its word.
        real_weights: Probabilities of P's samples, shape (N,); None for equal ones. With all of a discrete
            distribution's points and their probabilities the bound is exact.
        fake_weights: Probabilities of Q's samples, shape (M,).

    Returns:
        0-d, float64, in nats, differentiable; −inf where a score is so large that the conjugate is beyond float64.

    Raises:
        UsageError: Not one score for each sample, weights that are no probabilities, or an unknown divergence.
        NumericError: Scores that are not finite.

    Cost: O(N + M) time and memory.

    Source: Nguyen, Wainwright and Jordan (2010), lemma 1; Nowozin, Cseke and Tomioka (2016), equations 4 and 6.

    Example:
        >>> print(f"{variational_bound([0.5, 0.1], [-0.3, 0.2], 'kl'):.4f}")
        0.3189
    """
    row = as_divergence(kind)
    real, fake = _as_scores(real_scores, "real_scores"), _as_scores(fake_scores, "fake_scores")
    above = _mean(row.link(real), real_weights, "real_weights")
    return above - _mean(row.conjugate_of_link(fake), fake_weights, "fake_weights").to(above.device)


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

    It is a lower bound in expectation, for a critic that was not fitted to these samples; see there.

    Args:
        critic: From samples to one raw score each: shape (N,) or (N, 1).
        x: Samples of P, the data, of the shape that the critic takes. A tensor is handed over as it is, anything else
            as a float64 tensor.
        y: Samples of Q, the model.
        kind: A row of the table, or its word.
        x_weights: Probabilities of P's samples, shape (N,); None for equal ones.
        y_weights: Probabilities of Q's samples, shape (M,).

    Returns:
        0-d, float64, in nats, differentiable with respect to samples and critic.

    Raises:
        UsageError: Not one score for each sample, weights that are no probabilities, or an unknown divergence.
        NumericError: Samples or scores that are not finite.

    Cost: One call of the critic for each of x and y, whole; for sets too large for that, score them in parts and give
    the scores to `variational_bound`.
    """
    scores = []
    for samples, name in ((x, "x"), (y, "y")):
        checked = as_float64(samples, name)
        given = samples if isinstance(samples, Tensor) else checked
        found = critic(given)
        if not isinstance(found, Tensor) or given.dim() == 0 or found.shape not in ((len(given),), (len(given), 1)):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise UsageError(
                f"the critic must give one score for each sample of {name}, which has shape {tuple(given.shape)}, "
                f"not {shape}"
            )
        scores.append(found)
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
    # A point without mass says nothing, not even where its value is infinite.
    return torch.dot(masses[masses > 0], values[masses > 0])
