"""A zoo of small runs whose state is known, by which verdicts on a critic's number are calibrated and proved.

Each fault is planted by changing what a sound run does, in as little as brings it about; and that it is there is found
by means that no verdict sees. A label that is not true of its run would be a fault of the zoo, not of the verdict.
"""

from wgan.studies.proofs.zoo.cases import ZOO, Specimen
from wgan.studies.proofs.zoo.ground_truth import Truths, is_true, truths_of
from wgan.studies.proofs.zoo.runner import Life, live
from wgan.studies.proofs.zoo.score import Visit, claims, confusion, visit

__all__ = [
    "ZOO",
    "Life",
    "Specimen",
    "Truths",
    "Visit",
    "claims",
    "confusion",
    "is_true",
    "live",
    "truths_of",
    "visit",
]
