"""Convergence of sequences of distributions in different distances.

A generator in training is a sequence of distributions. Whether its loss decreases as it approaches the data depends on
the distance that the loss measures: some distances are constant for all distributions with disjoint supports. This
package contains the paper's example 1 and both halves of each line of its theorem 2. One is a bound that proves the
implication, the other a sequence that shows that the converse is false.

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
