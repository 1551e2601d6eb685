"""`wgan failures`: the failures of the original GAN, measured and drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wgan.cli.options import Group, arg, parse
from wgan.cli.studies import Result, check_picture, conclude

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wgan.studies import Claim
    from wgan.studies.failures import FGANFit, GaussianFit, LineMixture, Vanishing

_TABLE_2 = ("kl", "reverse_kl", "jensen_shannon", "jeffrey", "pearson")
"""The rows of table 2 of the f-GAN paper."""
_DRAWN = {"kl": "KL(P‖Q), forward", "reverse_kl": "KL(Q‖P), reverse", "jensen_shannon": "Jensen-Shannon"}
_TOLERANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class FailuresOptions:
    """Options of `wgan failures`."""

    experiment: Literal["vanishing", "two-modes"] = arg(
        '"vanishing": the gradient of the generator as the discriminator improves; "two-modes": how each divergence '
        "fits two modes, by direct minimisation and by an f-GAN."
    )
    picture: Path | None = arg("File to draw it in, .png or .svg.", None)
    seed: int = arg("Seed of the initial weights and the batches.", 0)
    json: bool = arg("Print one JSON object instead of tables.", False)


def run(words: Sequence[str]) -> int:
    """Run `wgan failures`."""
    group = Group(title="study", dataclass=FailuresOptions, positional={"experiment": "EXPERIMENT"})
    description = "Measure why the original GAN fails, and check each claim. EXPERIMENT is vanishing or two-modes."
    (options,) = parse(words, [group], command="failures", description=description)
    check_picture(options.picture)
    result = (_vanishing if options.experiment == "vanishing" else _two_modes)(options.seed)
    return conclude(result, picture=options.picture, as_json=options.json)


def _vanishing(seed: int) -> Result:
    from wgan.studies.failures import vanishing

    found = vanishing(seed=seed)
    curves = _curves(found)
    facts = {
        "experiment": "vanishing",
        "distance": found.distance,
        "deviation": found.deviation,
        "steps": found.steps.tolist(),
        "saturated": found.saturated.tolist(),
        "norms": {name: curve.norms.tolist() for name, curve in curves.items()},
        "noise": {name: curve.noise.tolist() for name, curve in curves.items()},
    }
    return Result(
        claims=found.claims(), facts=facts, lines=list(_vanishing_lines(found)), draw=lambda: _draw_vanishing(found)
    )


def _draw_vanishing(found: Vanishing) -> Figure:
    import torch

    from wgan import figures
    from wgan.studies.failures import LineMixture

    at = torch.from_numpy(found.positions)
    densities = [
        LineMixture.of([1.0], [mean], [found.deviation]).log_density(at).exp().numpy() for mean in (0.0, found.distance)
    ]
    return figures.vanishing_gradients(
        found.steps,
        {name: (curve.norms, curve.noise) for name, curve in _curves(found).items()},
        positions=found.positions,
        critics={"discriminator D": found.discriminator, "Wasserstein critic": found.critic},
        densities=(densities[0], densities[1]),
    )


def _curves(found: Vanishing) -> dict[str, Any]:
    return {
        "log(1 − D), minimax": found.minimax,
        "−log D": found.nonsaturating,
        "Wasserstein": found.wasserstein,
    }


def _vanishing_lines(found: Vanishing) -> Iterator[str]:
    yield (
        f"Data N(0, {found.deviation:g}²), generator N({found.distance:g}, {found.deviation:g}²), not updated. "
        "Norm ± noise of the gradient\nof its two parameters, from batches of 64:\n"
    )
    yield f"{'updates':>7}  {'log(1 − D)':>19}  {'−log D':>19}  {'Wasserstein':>19}  {'saturated':>9}"
    for row in range(0, len(found.steps), 2):
        cells = [
            f"{curve.norms[row]:.2e} ± {curve.noise[row]:.1e}"
            for curve in (found.minimax, found.nonsaturating, found.wasserstein)
        ]
        yield f"{found.steps[row]:7,}  {'  '.join(f'{cell:>19}' for cell in cells)}  {found.saturated[row]:9.0%}"
    yield "\nFrom update 30 on:"


def _two_modes(seed: int) -> Result:
    from wgan import figures
    from wgan.studies.failures import F_GAN_MIXTURE, TWO_MODES, LineMixture, fit_by_fgan, fit_gaussian, fit_gaussians

    apart = LineMixture.of(TWO_MODES.weights, 1.5 * TWO_MODES.means, TWO_MODES.deviations)
    fits = fit_gaussians(TWO_MODES)
    panels = [
        ("modes at ±2", TWO_MODES, fits),
        ("modes at ±3", apart, {word: fit_gaussian(apart, word) for word in _DRAWN}),
    ]
    direct = fit_gaussians(F_GAN_MIXTURE, _TABLE_2)
    fgans = {word: fit_by_fgan(F_GAN_MIXTURE, word, seed=seed) for word in _TABLE_2}
    other = fit_by_fgan(F_GAN_MIXTURE, "kl", generator="nonsaturating", seed=seed)
    facts = {
        "experiment": "two-modes",
        "fits": [asdict(fit) for fit in fits.values()],
        "table_2": {
            "direct": [asdict(fit) for fit in direct.values()],
            "game": [asdict(fit) for fit in fgans.values()],
            "nonsaturating": asdict(other),
        },
    }
    return Result(
        claims=_two_modes_claims(TWO_MODES, fits, direct, fgans, other),
        facts=facts,
        lines=[*_fit_lines(fits), *_table_2_lines(F_GAN_MIXTURE, direct, fgans)],
        draw=lambda: figures.gaussian_fits([_panel(title, mixture, chosen) for title, mixture, chosen in panels]),
    )


def _panel(title: str, mixture: LineMixture, fits: dict[str, GaussianFit]) -> tuple[str, Any, Any, dict[str, Any]]:
    import torch

    from wgan.studies.failures import LineMixture

    half = 2.6 * mixture.deviation
    at = torch.linspace(mixture.mean - half, mixture.mean + half, 401, dtype=torch.float64, device="cpu")
    densities = {
        name: LineMixture.of([1.0], [fits[word].mean], [fits[word].deviation]).log_density(at).exp().numpy()
        for word, name in _DRAWN.items()
    }
    return title, at.numpy(), mixture.log_density(at).exp().numpy(), densities


def _fit_lines(fits: dict[str, GaussianFit]) -> Iterator[str]:
    yield "One Gaussian fitted to P = 0.6 N(−2, 0.6²) + 0.4 N(2, 0.6²) by direct minimisation of D(P‖Q):\n"
    yield f"{'divergence':31} {'mean':>7} {'deviation':>9} {'value':>8}  other minima: mean (value)"
    for fit in fits.values():
        others = ", ".join(f"{mean:.2f} ({value:.3g})" for mean, _, value in fit.minima[1:4])
        yield f"{fit.divergence:31} {fit.mean:7.3f} {fit.deviation:9.3f} {fit.value:8.4f}  {others}".rstrip()


def _table_2_lines(mixture: LineMixture, direct: dict[str, GaussianFit], fgans: dict[str, FGANFit]) -> Iterator[str]:
    from wgan.studies.failures import divergence_matrix

    yield "\nOne Gaussian fitted to P = 0.33 N(−1, 0.25²) + 0.67 N(2, 2), directly and by an f-GAN:\n"
    yield f"{'':15} {'direct:':>7} {'':9} {'':8}   {'f-GAN:':>7}"
    yield f"{'divergence':15} {'mean':>7} {'deviation':>9} {'value':>8}   {'mean':>7} {'deviation':>9} {'estimate':>8}"
    for word, fit in direct.items():
        fgan = fgans[word]
        yield (
            f"{word:15} {fit.mean:7.4f} {fit.deviation:9.4f} {fit.value:8.4f}   "
            f"{fgan.mean:7.4f} {fgan.deviation:9.4f} {fgan.estimate:8.4f}"
        )
    yield "\nEach f-GAN's Gaussian (rows) by every divergence (columns):\n"
    yield f"{'trained by':15} " + " ".join(f"{word:>15}" for word in fgans)
    values = divergence_matrix(mixture, [(fgan.mean, fgan.deviation) for fgan in fgans.values()], list(fgans))
    for word, row in zip(fgans, values.tolist(), strict=True):
        yield f"{word:15} " + " ".join(f"{value:15.4f}" for value in row)
    yield ""


def _two_modes_claims(
    mixture: LineMixture,
    fits: dict[str, GaussianFit],
    direct: dict[str, GaussianFit],
    fgans: dict[str, FGANFit],
    other: FGANFit,
) -> list[Claim]:
    from wgan.studies import Claim
    from wgan.studies.failures import F_GAN_MIXTURE, divergence_matrix

    forward, reverse = fits["kl"], fits["reverse_kl"]
    off = max(abs(forward.mean - mixture.mean), abs(forward.deviation - mixture.deviation))
    first, width = float(mixture.means[0]), float(mixture.deviations[0])
    near = max(abs(reverse.mean - first), abs(reverse.deviation - width))
    worst = max(
        max(abs(fit.mean - fgans[word].mean), abs(fit.deviation - fgans[word].deviation))
        for word, fit in direct.items()
    )
    gap = max(abs(other.mean - direct["reverse_kl"].mean), abs(other.deviation - direct["reverse_kl"].deviation))
    values = divergence_matrix(F_GAN_MIXTURE, [(fgan.mean, fgan.deviation) for fgan in fgans.values()], list(fgans))
    num_best = int((values.argmin(dim=0) == values.argmin(dim=0).new_tensor(range(len(fgans)))).sum())
    return [
        Claim(
            text="forward KL covers both modes, with the mean and deviation of the mixture",
            measured=f"{off:.1e} off",
            wanted="below 1e-4",
            holds=off < 1e-4,
        ),
        Claim(
            text="reverse KL seeks the heavier mode",
            measured=f"{near:.1e} off its mean and deviation",
            wanted="below 0.05",
            holds=near < _TOLERANCE,
        ),
        Claim(
            text="each f-GAN agrees with direct minimisation",
            measured=f"mean and deviation at most {worst:.3f} off",
            wanted=f"below {_TOLERANCE}",
            holds=worst < _TOLERANCE,
        ),
        Claim(
            text="each f-GAN's Gaussian is the best of all by its own divergence",
            measured=f"{num_best} of {len(fgans)}",
            wanted=f"{len(fgans)}",
            holds=num_best == len(fgans),
        ),
        Claim(
            text="with the non-saturating generator, the f-GAN of kl agrees with reverse KL",
            measured=f"({other.mean:.3f}, {other.deviation:.3f}), at most {gap:.3f} off",
            wanted=f"below {_TOLERANCE}",
            holds=gap < _TOLERANCE,
        ),
    ]
