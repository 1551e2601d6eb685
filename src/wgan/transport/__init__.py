"""Optimal transport: exact with certificates, one-dimensional, sliced, entropic, Gaussian, and bounds from critics.

POT and SciPy are imported only when they are needed.
"""

from wgan.transport.c_transform import CertifiedDual, certified_dual
from wgan.transport.certificates import Certificate, Plan, Transport
from wgan.transport.costs import Cost, cost_matrix
from wgan.transport.critic_dual import CriticDual, critic_dual
from wgan.transport.exact import exact
from wgan.transport.gaussians import (
    GaussianMap,
    GaussianTransport,
    fit_gaussian,
    gaussian_bound,
    gaussian_map,
    gaussian_transport,
)
from wgan.transport.linear_program import (
    LinearProgramSolution,
    TransportProgram,
    linear_program,
    transport_program,
)
from wgan.transport.lipschitz import layer_bound
from wgan.transport.lipschitz_program import LipschitzFunction
from wgan.transport.one_dimensional import monotone_transport, one_dimensional
from wgan.transport.semidual import Sampler, SemiDual, Targets, semidual
from wgan.transport.sinkhorn import EntropicTransport, SinkhornDivergence, sinkhorn, sinkhorn_divergence
from wgan.transport.sliced import SlicedTransport, sliced

__all__ = [
    "Certificate",
    "CertifiedDual",
    "Cost",
    "CriticDual",
    "EntropicTransport",
    "GaussianMap",
    "GaussianTransport",
    "LinearProgramSolution",
    "LipschitzFunction",
    "Plan",
    "Sampler",
    "SemiDual",
    "SinkhornDivergence",
    "SlicedTransport",
    "Targets",
    "Transport",
    "TransportProgram",
    "certified_dual",
    "cost_matrix",
    "critic_dual",
    "exact",
    "fit_gaussian",
    "gaussian_bound",
    "gaussian_map",
    "gaussian_transport",
    "layer_bound",
    "linear_program",
    "monotone_transport",
    "one_dimensional",
    "semidual",
    "sinkhorn",
    "sinkhorn_divergence",
    "sliced",
    "transport_program",
]
