"""What tells distances between distributions apart: in which of them a sequence of distributions converges.

A generator that learns is a sequence of distributions. Whether its loss falls as it comes nearer depends on the
distance that the loss is: some call every pair of distributions without common points equally far apart. This room
holds the paper's example of that, and for each line of its theorem 2 both halves: a bound that proves the implication,
and a sequence that shows that it cannot be turned round.

Throughout, P_n are the members of a sequence and P is their limit, or the candidate for it.

Source: Arjovsky, Chintala and Bottou (2017), section 2, example 1 and theorem 2.
"""

from wgan.studies.topology.distances import DiscretePair, Distances, discrete_distances
from wgan.studies.topology.implications import IMPLICATIONS, Implication
from wgan.studies.topology.lines import example_1, parallel_lines, training_snapshots
from wgan.studies.topology.sequences import ATOMS, SEQUENCES, ConvergingSequence

__all__ = [
    "ATOMS",
    "IMPLICATIONS",
    "SEQUENCES",
    "ConvergingSequence",
    "DiscretePair",
    "Distances",
    "Implication",
    "discrete_distances",
    "example_1",
    "parallel_lines",
    "training_snapshots",
]
