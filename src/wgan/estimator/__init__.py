"""The estimator: training and sampling by scikit-learn's conventions."""

from wgan.estimator.model import WGAN

__all__ = ["WGAN"]
