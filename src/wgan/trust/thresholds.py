"""The thresholds of the verdict; without torch.

Each is compared with a median over the recent diagnoses of a run (see `wgan.trust.symptoms`). The measurements are from
two seeds of `wgan.studies.proofs.zoo`, by which the thresholds were chosen; they were tested on two other seeds. The
thresholds of a trusted estimate (from `UNINFORMATIVE` on) were chosen on seed 2 of the sound runs. `critical_value` of
`wgan.trust.spearman`, which decides in runs of fewer than a dozen diagnoses, was not tuned on any run.
"""

from __future__ import annotations

DIVERGED_DISTANCE = 1_000.0
"""Exact W1 over its floor from which on a run has diverged. Measured: at most 2.9 in sound runs, at most 57 with any
other fault, and 3,000 to 2e6 in runs whose players had both stopped learning far from the data."""

DIVERGED_SLOPE = 1e5
"""Largest slope of a critic without clipping from which on its scores have diverged. Measured: at most 5 in sound runs,
at most 950 in unconstrained runs that lost modes, at least 5e10 in runs that diverged."""

VANISHED_SLOPE = 5e-4
"""Largest slope of a clipped critic up to which its gradient has vanished. Measured: at least .01 in sound runs, and
2e-12 to 5e-5 in runs whose samples were 1.5 to 10 times as far away as with a larger bound."""

EXPLODED_SLOPE = 1e4
"""Largest slope of a clipped critic from which on its gradient has exploded. Measured: at most 1,500 in sound runs, 2e7
to 6e13 in deep critics whose weights never reached their bound."""

MEMORISED_SHARE = 0.5
"""Share of memorised samples from which on a generator memorises: at most .14 in sound runs, .78 to .95 in runs on 30
or 40 training rows."""

MEMORISED_ERRORS = 3.3
"""Standard errors by which this share must exceed 0. Measured: at most 1.9 in sound runs, at most 2.8 where the critic
overfits and the generator does not, 3.8 to 4.8 where the generator memorises. Without memorisation it was at most
3.2."""

OVERFITTED_LEAD = 4.0
"""Standard errors by which the scores of training rows exceed those of held-out rows if a critic has memorised them.
Measured: at most 2.2 in sound runs, and 4.0 to 26 in runs on 100 training rows."""

OVERFITTED_LEAD_OPPOSITE = 2.0
"""The same if the training estimate and the held-out estimate differ in sign. Heavy tails of the scores can reduce the
lead then (to 2.6), but not change the signs."""

OVERFITTED_SHARE = 0.25
"""Share of the training estimate that must be missing on held-out rows. Measured: .33 to 1.1 where rows were memorised,
and by chance up to .34 in sound runs whose estimate is close to 0."""

HIGH_MOMENTUM = 0.8
"""Momentum of the critic's optimiser (beta1) from which on it can be the cause of a failure. Alone it is no fault: runs
with .9 are sound at low learning rates."""

LOW_STEP_COSINE = 0.12
"""Cosine between the critic's step and its negative gradient up to which momentum dominates the step. Measured: .09 to
.10 with a gradient penalty and momentum .95, and at least .17 in sound runs. With clipping it is .2 to .5 even where
momentum is the fault."""

OFF_FLOOR = 2.0
"""Exact W1 over its floor from which on a critic can measure a distance. Below, its estimate and that of a copy trained
further differ by chance, by up to .94 of the larger in sound runs."""

AT_FLOOR = 1.1
"""Exact W1 over its floor up to which samples are as near to held-out rows as other real rows are."""

FAR = 3.0
"""Exact W1 over its floor from which on a run without progress has failed. Measured: at most 2.9 in sound runs, 3.6 to
20 with too much momentum, 7.6 to 57 with critics that are too slow or too small."""

STALLED = 0.9
"""Recent exact W1 over the least before, from which on a run makes no progress. Measured: .66 to .96 in sound runs that
are off the floor, and about 1 to 6 in most failed runs."""

LOW_COVERAGE = 0.8
"""Share of the held-out rows with samples around them below which modes are lost. Measured: at least .90 in sound runs,
.20 to .73 where a third to three quarters of the modes were lost."""

ON_SUPPORT = 0.25
"""Mean distance from a sample to the nearest row, over exact W1, up to which samples are where the data is. Measured:
.01 to .22 where modes are lost, .28 to .89 in sound runs, and .36 to .92 with critics that are not optimal."""

NEGATIVE_SHARE = 0.25
"""Share of recent diagnoses with an estimate not above 0 from which on a critic does not keep up with its generator.
Measured: none in sound runs off the floor, nor where modes were lost. One diagnosis in four suffices, since the
estimate of an optimal critic is positive."""

FURTHER_RISE = 0.5
"""Rise of the estimate in a critic trained further, over the larger of the two, from which on the critic is not
optimal: at most .21 in sound runs off the floor, at most .28 where modes were lost."""

UNINFORMATIVE = 0.95
"""Lower bound without a critic over exact W1 from which on, below `OFF_FLOOR`, the exact distance cannot tell samples
from noise. Measured: .2 to .8 at the floor in two dimensions, .80 to .93 in eight, .96 in sixteen, and .99 between
noise and photographs of 64x64 pixels, at 1.02 times the floor."""

SLICED_AT_FLOOR = 1.5
"""Sliced W1 over its floor up to which samples are as near to held-out rows as other real rows are. Real rows are below
it in at least 94 of 100 draws (1,000 rows in 8 to 32 dimensions; 150 photographs). Noise against photographs is at 2.6
to 2.9."""

FEWEST_DIAGNOSES = 4
"""Diagnoses below which no rank correlation is significant."""

FOLLOWS = 0.5
"""Rank correlation of curve and distance along a run from which on the curve follows the distance, however many
diagnoses make a smaller one significant. With few diagnoses `wgan.trust.spearman.critical_value` is larger."""

PROVES = 0.9
"""Efficiency beyond nearest neighbours from which on the critic itself is evidence. Untrained critics with random
weights have 0 to .65 in the median and .89 at most, in 2 to 16 dimensions."""
