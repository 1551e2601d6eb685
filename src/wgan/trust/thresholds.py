"""From what number on a verdict is given; without torch.

Each is held against a median over the recent looks of a run (see `wgan.trust.symptoms`). What was measured is said of
two seeds of `wgan.studies.proofs.zoo`, by which the numbers were chosen; they were tried on two others. What speaks
for a number (from `BLIND` on) was chosen on seed 2 of its sound runs. `beyond_chance` of `wgan.trust.ranks`, which
decides in runs of fewer than a dozen looks, was not chosen by any run.
"""

from __future__ import annotations

FAR = 1_000.0
"""Exact W1 over its floor from which on samples have left the data for good: at most 2.9 in sound runs, at most 57
with any other fault, and 3,000 to 2e6 where both players had died far away."""

RUNAWAY = 1e5
"""Largest slope of a critic that is not clipped from which on its scores have run away: at most 5 in sound runs, at
most 950 in unconstrained games that lost modes, 5e10 and more in those that ran away."""

VANISHED = 5e-4
"""Largest slope of a clipped critic up to which its gradient has vanished: at least .01 in sound runs, and 2e-12 to
5e-5 where samples came out 1.5 to 10 times as far away as under a wider clip."""

EXPLODED = 1e4
"""Largest slope of a clipped critic from which on its gradient has exploded: at most 1,500 in sound runs, 2e7 to 6e13
in deep critics that never met their bound."""

COPIED = 0.5
"""Share of samples that are copies from which on a generator memorises: at most .14 in sound runs, .78 to .95 where
training was on 30 or 40 rows."""

COPIED_ERRORS = 3.3
"""Standard errors that this share must be above 0: at most 1.9 in sound runs, at most 2.8 where the critic overfits
and the generator does not follow, 3.8 to 4.8 where it memorises; where nothing was copied it never led by more than
3.2."""

LEAD = 4.0
"""Standard errors by which training rows lead held-out rows in the scores of a critic that has memorised them:
at most 2.2 in sound runs, and 4.0 to 26 where training was on 100 rows."""

LEAD_AGAINST = 2.0
"""The same where training and held-out rows are told from samples in opposite ways, so that the two estimates differ
in sign: heavy tails of the scores can hide a lead then (2.6), but not this."""

OVERFITTED = 0.25
"""Share of the training estimate that must be missing on held-out rows for that to matter: .33 to 1.1 where rows were
memorised, and up to .34 in sound runs, by chance, where there is hardly anything left to estimate."""

HEAVY = 0.8
"""Momentum of the critic's optimiser (beta1) from which on it can be what makes a run fail. That it is there is no
fault: runs with .9 are sound at low rates."""

SIDEWAYS = 0.12
"""Cosine between the critic's step and its negative gradient up to which momentum leads it astray: .09 to .10 under a
penalty with .95, and at least .17 in sound runs. Under clipping it is .2 to .5 even where momentum is the fault."""

OFF = 2.0
"""Exact W1 over its floor from which on there is a distance left that a critic could see: below, its estimate and that
of a critic trained further differ by chance (by up to .94 of the larger in sound runs)."""

AT_FLOOR = 1.1
"""Exact W1 over its floor up to which samples are as near to held-out rows as other real rows are."""

LOST = 3.0
"""Exact W1 over its floor from which on a run that comes no nearer has lost its way: at most 2.9 in sound runs, 3.6 to
20 with too much momentum, 7.6 to 57 behind critics that are too slow or too small."""

NO_NEARER = 0.9
"""Recent exact W1 over the least before, from which on a run has come no nearer: .66 to .96 in sound runs that are off
the floor, and about 1 to 6 in most of those that had lost their way."""

REACHED = 0.8
"""Share of the held-out rows around which there are samples, below which modes are lost: at least .90 in sound runs,
.20 to .73 where a third to three quarters of the modes were."""

ASTRAY = 0.25
"""Mean distance from a sample to the nearest row, over exact W1, up to which samples lie where the data is: .01 to .22
where modes are lost, .28 to .89 in sound runs, and .36 to .92 behind critics that are not optimal."""

NEGATIVE = 0.25
"""Share of recent looks with an estimate not above 0 from which on a critic lags behind its generator: none in sound
runs off the floor, nor where modes were lost. One look in four is enough, since no optimal critic has any."""

RISE = 0.5
"""Rise of the estimate in a critic trained further, over the larger of the two, from which on it is no optimum: at
most .21 in sound runs off the floor, at most .28 where modes were lost."""

BLIND = 0.95
"""Share of the exact W1 that nearest neighbours prove without a critic, from which on, less than `OFF` times the floor,
that distance cannot tell samples from noise: .2 to .8 at the floor in two dimensions, .80 to .93 in eight, .96 in
sixteen, and .99 of plain noise beside photographs of 64x64 pixels, at 1.02 times the floor."""

SLICED_AT_FLOOR = 1.5
"""Sliced W1 over its floor up to which samples are as near to held-out rows as other real rows are: real rows are so
near in at least 94 of 100 draws (1,000 rows in 8 to 32 dimensions; 150 photographs), and plain noise beside
photographs is 2.6 to 2.9 times as far."""

FEWEST_LOOKS = 4
"""Looks below which no order of them is beyond chance, and a curve cannot be said to follow anything."""

FOLLOWS = 0.5
"""Rank correlation of the curve with the distance along a run from which on the curve follows it, however many looks
make less than that significant; of fewer looks `wgan.trust.ranks.beyond_chance` asks for more."""

PROVES = 0.9
"""Share that a critic proves of what nearest neighbours leave of the exact W1, from which on that is the critic's
doing: critics of random weights, never trained, prove 0 to .65 in the median and .89 at most, in 2 to 16 dimensions."""
