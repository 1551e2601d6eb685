"""The questions that the small figures on the critic answer, and how to read each figure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question and the explanation of its figure.

    Attributes:
        title: The question.
        words: What the figure shows and how to read it.
    """

    title: str
    words: str


OVERFITTING = Question(
    title="Does the critic overfit?",
    words="The critic's estimate on training rows and on as many held-out rows. If the first stays above the second, "
    "the critic recognises training rows, and its estimate is less informative about the distance.",
)
EFFICIENCY = Question(
    title="How good is the critic?",
    words="Ŵ as a share of the exact distance: 100 % for an optimal critic. The other curve is a lower bound from "
    "distances to nearest neighbours, without a critic. In many dimensions that bound alone is nearly the whole "
    "distance, and the critic's share is then not informative.",
)
GAP = Question(
    title="Is the critic optimal?",
    words="A copy of the critic is trained further on the same generator. The gap is the share of the copy's lower "
    "bound that the critic has not reached. Near 0 the critic is optimal. A large gap means that the critic does not "
    "keep up with the generator. If samples are as near as real rows, the gap is noise.",
)
SLICED = Question(
    title="What is the sliced distance?",
    words="The mean distance between rows and samples projected onto random directions. It is smaller than the exact "
    "distance and cheaper. In many dimensions it tells samples from noise where the exact distance hardly does.",
)
FEATURES = Question(
    title="What is the distance between features?",
    words="The exact distance between the features of rows and of samples in a network trained on photographs.",
)
SLOPES = Question(
    title="How steep is the critic?",
    words="The largest norm of its gradient at real rows, at samples, between the two, and at points found by gradient "
    "ascent.",
)
LAYERS = Question(
    title="Do gradients vanish?",
    words="The mean norm of the loss's gradient with respect to the output of each layer, from the first layer to the "
    "last. If it falls by orders of magnitude towards the first layer, gradients vanish, as they do when weights are "
    "clipped too tightly. If it grows, they explode.",
)
AT_BOUND = Question(
    title="How many weights are clipped?",
    words="The share of the critic's weights at the clipping bound. If nearly all are, the critic is limited to the "
    "signs of its weights. If none is, the bound is not active.",
)
COSINE = Question(
    title="Does momentum point uphill?",
    words="The cosine between the critic's next step and the negative gradient of its loss. Below 0, momentum moves "
    "the critic uphill. The Wasserstein GAN paper observed this only where training became unstable.",
)
SCORES = Question(
    title="How are the scores distributed?",
    words="The critic's scores of held-out rows and of samples. If the histograms are apart, the critic separates the "
    "two. If they overlap, there is no difference, or the critic does not detect it.",
)
COLLAPSE = Question(
    title="Do samples repeat one another?",
    words="The mean distance from a sample to the nearest other sample, divided by the same distance among as many "
    "held-out rows. Far below 1, samples are less diverse than the data.",
)
COVERAGE = Question(
    title="Is a part of the data missing?",
    words="Coverage: the share of held-out rows with samples nearby. Without one of eight equally likely modes it is "
    "88 %.",
)
TRAINING_ROWS = Question(
    title="Are samples near training rows?",
    words="The mean distance from a sample to the nearest training row, divided by the distance to the nearest of as "
    "many held-out rows, which the generator has not seen. Far below 1, the generator memorises training rows.",
)
MEMORISED = Question(
    title="How many samples are memorised?",
    words="The share of samples that are nearer to training rows than expected by chance. By chance alone it seldom "
    "exceeds twice its error, which is drawn too.",
)
