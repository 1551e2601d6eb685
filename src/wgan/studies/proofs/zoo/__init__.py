"""A zoo of small runs whose state is known, on which verdicts are calibrated and tested.

Each fault is made by the smallest change to a sound run. Whether a run really has it is measured by means that no
verdict uses.
"""

from wgan.studies.proofs.zoo.cases import CASES, Case
from wgan.studies.proofs.zoo.ground_truth import GroundTruth, ground_truth_of, is_true
from wgan.studies.proofs.zoo.runner import CaseRun, run_case
from wgan.studies.proofs.zoo.score import CaseResult, claims, confusion, run_cases

__all__ = [
    "CASES",
    "Case",
    "CaseResult",
    "CaseRun",
    "GroundTruth",
    "claims",
    "confusion",
    "ground_truth_of",
    "is_true",
    "run_case",
    "run_cases",
]
