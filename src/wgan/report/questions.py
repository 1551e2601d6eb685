"""What the small figures on a critic ask of it, and how each is read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question, and what its figure shows.

    Attributes:
        title: The question.
        words: What is drawn, and how it is read.
    """

    title: str
    words: str


OVERFITTING = Question(
    title="Has the critic memorised rows?",
    words="Its estimate on rows that it was trained on, and on as many that it has never seen. Where the first stays "
    "above the second, it recognises rows, and its number says less of the distance.",
)
EFFICIENCY = Question(
    title="How good is the critic?",
    words="The share of the exact distance that Ŵ proves; a perfect critic proves all of it. Beside it, what the "
    "distances to nearest neighbours prove without any critic: in many dimensions nearly everything, and the "
    "critic's share then says little.",
)
GAP = Question(
    title="Is it as good as it can be?",
    words="A copy of the critic was trained further against the same generator. This is the share of what the copy "
    "proves that the critic does not prove yet. Near 0 there is nothing left to gain; far above, the generator "
    "has moved on before the critic had caught up. Where samples are as near as real rows, it is noise.",
)
SLICED = Question(
    title="How far along single directions?",
    words="The mean distance of rows and samples when they are projected on random directions: smaller than the exact "
    "distance, affordable where that one is too expensive, and telling samples from noise in many dimensions, where "
    "that one hardly does.",
)
FEATURES = Question(
    title="How far to the eye of a network?",
    words="The exact distance between the features that a network trained on photographs sees in rows and in samples.",
)
SLOPES = Question(
    title="How steep is the critic?",
    words="The largest norm of its gradient at real rows, at samples, between the two, and where climbing from there "
    "ends.",
)
LAYERS = Question(
    title="What reaches each layer?",
    words="The mean length of the loss's gradient at what each layer puts out, from the first layer to the last. "
    "Where it falls by powers of ten towards the first layer, it vanishes on its way, as when weights are "
    "clipped too tightly; where it grows, it explodes.",
)
AT_BOUND = Question(
    title="How many weights are clipped?",
    words="The share of the critic's weights that sit at the bound. Where nearly all do, it can say little more than "
    "how their signs are set; where none does, the bound does not hold it yet.",
)
COSINE = Question(
    title="Does it step where the gradient points?",
    words="The cosine between the critic's next step and the way down its loss. Where it is below 0, the momentum of "
    "earlier gradients carries it uphill: the Wasserstein GAN paper saw that where training became unstable, "
    "and only there.",
)
SCORES = Question(
    title="What does it say of rows?",
    words="How it scores held-out rows and samples. Where the two are apart, it tells them from one another; where "
    "they are on top of one another, there is no difference, or it sees none.",
)
COLLAPSE = Question(
    title="Do samples repeat one another?",
    words="The mean distance from a sample to the nearest other one, divided by the same among as many held-out "
    "rows. Far below 1, the generator makes fewer different things than there are.",
)
REACHED = Question(
    title="Is anything missing?",
    words="The share of the held-out rows around which there are samples. The rest the generator has lost: without "
    "one of eight equally likely modes, 88 % are left.",
)
MEMORY = Question(
    title="Do samples repeat the data?",
    words="The mean distance from a sample to the nearest training row, divided by that to the nearest of as many "
    "held-out rows, which the generator cannot know. Far below 1, it recites what it was shown.",
)
COPIED = Question(
    title="How many are copies?",
    words="The share of the samples that are nearer to training rows than chance would have them. Chance alone seldom "
    "goes beyond twice its error, which is drawn beside it.",
)
