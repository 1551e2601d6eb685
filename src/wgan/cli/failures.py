"""`wgan failures`: the original GAN's failures, measured and drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wgan.cli.main import say
from wgan.cli.options import Group, parse
from wgan.errors import NumericError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wgan.studies import Claim
    from wgan.studies.failures import FGANFit, GaussianFit, LineMixture, Vanishing

_TABLE_2 = ("kl", "reverse_kl", "jensen_shannon", "jeffrey", "pearson")
"""The rows of the f-GAN paper's table 2."""
_DRAWN = {"kl": "KL(P‖Q), forward", "reverse_kl": "KL(Q‖P), reverse", "jensen_shannon": "Jensen-Shannon"}
_AGREEMENT = 0.05


@dataclass(frozen=True, kw_only=True)
class FailuresOptions:
    """Options of `wgan failures`.

    Attributes:
        experiment: "vanishing": the gradient that a better and better discriminator leaves to a generator; "two-modes":
            what each divergence makes of two modes, by direct minimisation and by an f-GAN.
        picture: File ending in .png or .svg to draw it in.
        seed: Of initial weights and batches.
        json: Print one JSON object instead of tables.
    """

    experiment: Literal["vanishing", "two-modes"]
    picture: Path | None = None
    seed: int = 0
    json: bool = False


def run(words: Sequence[str]) -> int:
    """Answer `wgan failures`."""
    group = Group(title="display", kind=FailuresOptions, positional={"experiment": "EXPERIMENT"})
    description = (
        "Measure why the original GAN fails, and check the claims in numbers. EXPERIMENT is vanishing or two-modes."
    )
    (options,) = parse(words, [group], command="failures", description=description)
    if options.picture is not None:
        _check_picture(options.picture)
    claims, facts, lines, figure = (_vanishing if options.experiment == "vanishing" else _two_modes)(options.seed)
    if options.json:
        print(json.dumps(facts | {"claims": [asdict(claim) for claim in claims]}))
    else:
        for line in lines:
            say(line)
        for claim in claims:
            say(f"{'yes' if claim.holds else 'NO':3}  {claim.text}: {claim.measured} (wanted: {claim.wanted})")
    if options.picture is not None:
        from wgan import figures
        from wgan.system.storage import replace_file

        is_svg = options.picture.suffix.lower() == ".svg"
        replace_file(options.picture, figures.svg(figure) if is_svg else figures.png(figure))
        if not options.json:
            say(f"picture: {options.picture}")
    failed = [claim.text for claim in claims if not claim.holds]
    if failed:
        raise NumericError(f"not so in this experiment: {'; '.join(failed)}", remedy="Try another --seed.")
    return 0


def _check_picture(path: Path) -> None:
    if path.suffix.lower() not in (".png", ".svg"):
        raise UsageError(f"--picture {path} ends neither in .png nor in .svg")
    if not path.parent.is_dir():
        raise UsageError(f"--picture {path}: there is no folder {path.parent}", remedy="Make it first.")


_Answer = tuple[Sequence["Claim"], dict[str, Any], Sequence[str], "Figure"]


def _vanishing(seed: int) -> _Answer:
    from wgan import figures
    from wgan.studies.failures import LineMixture, vanishing

    found = vanishing(seed=seed)
    curves = {
        "log(1 − D), minimax": found.minimax,
        "−log D": found.nonsaturating,
        "Wasserstein": found.wasserstein,
    }
    import torch

    places = torch.from_numpy(found.positions)
    densities = [
        LineMixture.of([1.0], [mean], [found.deviation]).log_density(places).exp().numpy()
        for mean in (0.0, found.distance)
    ]
    figure = figures.vanishing_gradients(
        found.steps,
        {name: (curve.norms, curve.noise) for name, curve in curves.items()},
        positions=found.positions,
        critics={"discriminator D": found.discriminator, "Wasserstein critic": found.critic},
        densities=(densities[0], densities[1]),
    )
    facts = {
        "experiment": "vanishing",
        "distance": found.distance,
        "deviation": found.deviation,
        "steps": found.steps.tolist(),
        "saturated": found.saturated.tolist(),
        "norms": {name: curve.norms.tolist() for name, curve in curves.items()},
        "noise": {name: curve.noise.tolist() for name, curve in curves.items()},
    }
    return found.claims(), facts, list(_vanishing_lines(found)), figure


def _vanishing_lines(found: Vanishing) -> Iterator[str]:
    yield (
        f"Data N(0, {found.deviation:g}²); a generator that stands still makes N({found.distance:g}, "
        f"{found.deviation:g}²). Norm ± noise of the gradient\nat its two weights, from batches of 64:\n"
    )
    yield f"{'updates':>7}  {'log(1 − D)':>19}  {'−log D':>19}  {'Wasserstein':>19}  {'saturated':>9}"
    for row in range(0, len(found.steps), 2):
        cells = [
            f"{curve.norms[row]:.2e} ± {curve.noise[row]:.1e}"
            for curve in (found.minimax, found.nonsaturating, found.wasserstein)
        ]
        yield f"{found.steps[row]:7,}  {'  '.join(f'{cell:>19}' for cell in cells)}  {found.saturated[row]:9.0%}"
    yield "\nfrom update 30 on:"


def _two_modes(seed: int) -> _Answer:
    from wgan import figures
    from wgan.studies.failures import F_GAN_MIXTURE, TWO_MODES, LineMixture, fit_by_fgan, fit_gaussian, fit_gaussians

    apart = LineMixture.of(TWO_MODES.weights, 1.5 * TWO_MODES.means, TWO_MODES.deviations)
    fits = fit_gaussians(TWO_MODES)
    panels = [
        ("modes at ±2", TWO_MODES, fits),
        ("modes at ±3", apart, {word: fit_gaussian(apart, word) for word in _DRAWN}),
    ]
    figure = figures.gaussian_fits([_panel(title, mixture, chosen) for title, mixture, chosen in panels])
    direct = fit_gaussians(F_GAN_MIXTURE, _TABLE_2)
    games = {word: fit_by_fgan(F_GAN_MIXTURE, word, seed=seed) for word in _TABLE_2}
    other = fit_by_fgan(F_GAN_MIXTURE, "kl", generator="nonsaturating", seed=seed)
    facts = {
        "experiment": "two-modes",
        "fits": [asdict(fit) for fit in fits.values()],
        "table_2": {
            "direct": [asdict(fit) for fit in direct.values()],
            "game": [asdict(fit) for fit in games.values()],
            "nonsaturating": asdict(other),
        },
    }
    lines = [*_fit_lines(fits), *_table_2_lines(F_GAN_MIXTURE, direct, games)]
    return _two_modes_claims(TWO_MODES, fits, direct, games, other), facts, lines, figure


def _panel(title: str, mixture: LineMixture, fits: dict[str, GaussianFit]) -> tuple[str, Any, Any, dict[str, Any]]:
    import torch

    from wgan.studies.failures import LineMixture

    half = 2.6 * mixture.deviation
    places = torch.linspace(mixture.mean - half, mixture.mean + half, 401, dtype=torch.float64, device="cpu")
    drawn = {
        name: LineMixture.of([1.0], [fits[word].mean], [fits[word].deviation]).log_density(places).exp().numpy()
        for word, name in _DRAWN.items()
    }
    return title, places.numpy(), mixture.log_density(places).exp().numpy(), drawn


def _fit_lines(fits: dict[str, GaussianFit]) -> Iterator[str]:
    yield "One Gaussian fitted to P = 0.6 N(−2, 0.6²) + 0.4 N(2, 0.6²) by direct minimisation of D(P‖Q):\n"
    yield f"{'divergence':31} {'mean':>7} {'deviation':>9} {'left':>8}  other minima, by mean (what they leave)"
    for fit in fits.values():
        others = ", ".join(f"{mean:.2f} ({value:.3g})" for mean, _, value in fit.minima[1:4])
        yield f"{fit.divergence:31} {fit.mean:7.3f} {fit.deviation:9.3f} {fit.value:8.4f}  {others}".rstrip()


def _table_2_lines(mixture: LineMixture, direct: dict[str, GaussianFit], games: dict[str, FGANFit]) -> Iterator[str]:
    from wgan.studies.failures import divergence_matrix

    yield "\nOne Gaussian fitted to P = 0.33 N(−1, 0.25²) + 0.67 N(2, 2), directly and by an f-GAN:\n"
    yield f"{'':15} {'direct:':>7} {'':9} {'':8}   {'f-GAN:':>7}"
    yield f"{'divergence':15} {'mean':>7} {'deviation':>9} {'left':>8}   {'mean':>7} {'deviation':>9} {'estimate':>8}"
    for word, fit in direct.items():
        game = games[word]
        yield (
            f"{word:15} {fit.mean:7.4f} {fit.deviation:9.4f} {fit.value:8.4f}   "
            f"{game.mean:7.4f} {game.deviation:9.4f} {game.estimate:8.4f}"
        )
    yield "\nEach f-GAN's Gaussian (rows) by every divergence (columns):\n"
    yield f"{'trained by':15} " + " ".join(f"{word:>15}" for word in games)
    values = divergence_matrix(mixture, [(game.mean, game.deviation) for game in games.values()], list(games))
    for word, row in zip(games, values.tolist(), strict=True):
        yield f"{word:15} " + " ".join(f"{value:15.4f}" for value in row)
    yield ""


def _two_modes_claims(
    mixture: LineMixture,
    fits: dict[str, GaussianFit],
    direct: dict[str, GaussianFit],
    games: dict[str, FGANFit],
    other: FGANFit,
) -> list[Claim]:
    from wgan.studies import Claim
    from wgan.studies.failures import F_GAN_MIXTURE, divergence_matrix

    forward, reverse = fits["kl"], fits["reverse_kl"]
    off = max(abs(forward.mean - mixture.mean), abs(forward.deviation - mixture.deviation))
    first, width = float(mixture.means[0]), float(mixture.deviations[0])
    near = max(abs(reverse.mean - first), abs(reverse.deviation - width))
    worst = max(
        max(abs(fit.mean - games[word].mean), abs(fit.deviation - games[word].deviation))
        for word, fit in direct.items()
    )
    strayed = max(abs(other.mean - direct["reverse_kl"].mean), abs(other.deviation - direct["reverse_kl"].deviation))
    values = divergence_matrix(F_GAN_MIXTURE, [(game.mean, game.deviation) for game in games.values()], list(games))
    num_best = int((values.argmin(dim=0) == values.argmin(dim=0).new_tensor(range(len(games)))).sum())
    return [
        Claim(
            text="forward KL covers both modes, with the mixture's own mean and deviation",
            measured=f"{off:.1e} off",
            wanted="below 1e-4",
            holds=off < 1e-4,
        ),
        Claim(
            text="reverse KL seeks the heavier mode",
            measured=f"{near:.1e} off its mean and deviation",
            wanted="below 0.05",
            holds=near < _AGREEMENT,
        ),
        Claim(
            text="each f-GAN lands where direct minimisation does",
            measured=f"mean and deviation at most {worst:.3f} off",
            wanted=f"below {_AGREEMENT}",
            holds=worst < _AGREEMENT,
        ),
        Claim(
            text="each f-GAN's Gaussian is the best of all by the divergence that it was trained by",
            measured=f"{num_best} of {len(games)}",
            wanted=f"{len(games)}",
            holds=num_best == len(games),
        ),
        Claim(
            text="with the non-saturating generator, the f-GAN of kl lands where reverse KL does",
            measured=f"({other.mean:.3f}, {other.deviation:.3f}), at most {strayed:.3f} off",
            wanted=f"below {_AGREEMENT}",
            holds=strayed < _AGREEMENT,
        ),
    ]
