"""`WGAN`: fit, sample, score, save and load by scikit-learn's conventions. scikit-learn itself is not required."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from wgan import runs
from wgan.data import open_data
from wgan.errors import UsageError
from wgan.estimator.fitted import (
    data_attributes,
    negative_distance,
    requested_labels,
    sample_for_labels,
    trust_attributes,
)
from wgan.estimator.fitting import refuse_by_convention, settings_for, train, warn_and_refuse
from wgan.estimator.forms import classes_among, form_of, labels_of, readable, with_form_before
from wgan.estimator.keeping import (
    form_of_note,
    load_files,
    load_run,
    next_run,
    read_note,
    read_run,
    unreadable_note,
    write_run,
)
from wgan.estimator.parameters import Parameters, checked_parameters, data_options, naming_parameters, seed_of
from wgan.runs import RunWarning
from wgan.runs.metadata import read_recorded
from wgan.system.torch_state import in_default_state
from wgan.training.custom import NO_PARTS, own_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch
    from torch import nn

    from wgan.constraints import Constraint
    from wgan.networks import Architecture
    from wgan.objectives import Objective
    from wgan.optimizers import Optimizer
    from wgan.trust.verdict import Verdict


class WGAN(Parameters):
    """Wasserstein GAN: learns the distribution of X and draws new samples from it.

    A parameter that is None takes its value from the recipe for the kind of data; `wgan recipes` lists the recipes.
    The objective, constraint, networks and optimisers are words of the form "name:key=value,key=value", or objects of
    your own. Modules are copied: a fit does not change yours, and training starts from their weights, so that repeated
    fits with an integer `random_state` give the same result.

    Args:
        objective: Losses of generator and critic: "wasserstein", "gan", "relativistic" and others, or an
            `wgan.objectives.Objective`.
        constraint: Lipschitz constraint or regularisation of the critic: "clipping", "penalty", "spectral", "r1",
            "none" and others, or a `wgan.constraints.Constraint`.
        generator: Network of the generator: "mlp", "dcgan" or "resnet"; or a module that maps noise (N, latent_dim) to
            samples (N, *shape), images in [-1, 1]. If there are conditions, it gets them (N, C) as a second argument.
        critic: Network of the critic; or a module that maps samples (N, *shape), and the condition if there is one, to
            scores (N,).
        generator_optimizer: "rmsprop" or "adam"; or a function from parameters to a `torch.optim.Optimizer`.
        critic_optimizer: The same for the critic.
        latent_dim: Dimensions of the noise.
        steps: Generator updates.
        batch_size: Samples in each batch. None for the recipe's batch size, or all rows if there are fewer.
        critic_steps: Critic updates before each generator update.
        recipe: Name of a recipe. None for the one for this kind of data.
        settings: Other settings, a mapping of names to values: `{"packing": 2, "missing": "drop"}`. The names are those
            of `wgan.Settings` and `wgan.DataOptions`, whose docstrings explain them. In `categorical`, `numeric`,
            `ignore`, `condition` and `text`, columns are named by the labels of the data frame. `decimal`, `thousands`,
            `dayfirst` and `date_format` take one value for all columns, or a mapping of columns to values.
            `set_params(settings__packing=2)` sets one of them, also in a grid search.
        directory: Directory for the runs: each fit creates a new one in it, 001, 002, ..., and overwrites nothing. None
            to keep no files.
        random_state: An integer for reproducible results, None for a new seed each time, or a NumPy generator.
        verbose: Whether to show the progress of training.

    Attributes:
        history_: The record: a dict for each recorded step with "step", "estimate", "critic_loss", "generator_loss";
            those of evaluations also have the numbers that were measured.
        evidence_: The last evidence on the critic's estimate, by the names of `wgan.trust.Evidence`. Empty if no rows
            were held out or the setting diagnose is "off".
        verdict_: Whether the estimate can be trusted: a kind such as "trust", the reason, a remedy, and the numbers
            behind it.
        directory_: Directory of the run (if `directory` is given).
        latent_dim_: Dimensions of the noise.
        n_features_in_: Number of columns of X (points and data frames).
        feature_names_in_: Names of the columns of X (data frames).
        classes_: The values of y (if one category was fitted as y).

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(200, 2))
        >>> model = WGAN(steps=3, generator="mlp:width=8", critic="mlp:width=8", random_state=0).fit(X)
        >>> model.sample(5).shape
        (5, 2)
    """

    history_: list[dict[str, Any]]
    evidence_: dict[str, Any]
    verdict_: Verdict
    directory_: Path
    latent_dim_: int
    n_features_in_: int
    feature_names_in_: np.ndarray[tuple[int], np.dtype[Any]]
    classes_: np.ndarray[tuple[int], np.dtype[Any]]

    def __init__(
        self,
        *,
        objective: str | Objective | None = None,
        constraint: str | Constraint | None = None,
        generator: str | nn.Module | Architecture | None = None,
        critic: str | nn.Module | Architecture | None = None,
        generator_optimizer: str | Optimizer | Callable[..., torch.optim.Optimizer] | None = None,
        critic_optimizer: str | Optimizer | Callable[..., torch.optim.Optimizer] | None = None,
        latent_dim: int | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        critic_steps: int | None = None,
        recipe: str | None = None,
        settings: Mapping[str, Any] | None = None,
        directory: str | Path | None = None,
        random_state: Any = None,  # noqa: ANN401 - what scikit-learn takes there
        verbose: bool = False,
    ) -> None:
        self.objective = objective
        self.constraint = constraint
        self.generator = generator
        self.critic = critic
        self.generator_optimizer = generator_optimizer
        self.critic_optimizer = critic_optimizer
        self.latent_dim = latent_dim
        self.steps = steps
        self.batch_size = batch_size
        self.critic_steps = critic_steps
        self.recipe = recipe
        self.settings = settings
        self.directory = directory
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's class, which may not be there
        """The tags by which scikit-learn knows what the estimator accepts."""
        from sklearn.utils import InputTags, Tags, TargetTags

        # The tags are about arrays; text, categories and missing cells are accepted in data frames only. Vectors are
        # accepted too, but scikit-learn tests an estimator that sets one_d_array with nothing else.
        return Tags(
            estimator_type="density_estimator",
            target_tags=TargetTags(required=False),
            input_tags=InputTags(two_d_array=True, three_d_array=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` or `load` was called."""
        return "_files" in self.__dict__

    @naming_parameters()
    @in_default_state
    def fit(self, X: object, y: object = None) -> Self:  # noqa: N803 - scikit-learn's signature
        """Learn the distribution of X.

        Args:
            X: An array or tensor of shape (rows, columns), or of images, (N, height, width[, channels]) or
                (N, channels, height, width). Also a data frame (pandas, polars, Arrow), a path or the name of built-in
                data.
            y: Labels that samples can be conditioned on: one for each row, several columns of them, or a frame. None
                for unconditional samples. Integers are classes, unless they are columns of a frame or named in the
                setting `numeric`.

        Returns:
            This object.

        Raises:
            UsageError: Parameters that cannot be used; all of them are listed.
            DataError: Data that cannot be learnt from.
            NumericError: Training diverged.
        """
        values, own = checked_parameters(self.get_params())
        refuse_by_convention(X, y)
        seed = seed_of(self.random_state)
        options = data_options(values)
        form, labels = form_of(X), None if y is None else labels_of(y)
        if labels is not None:
            names = tuple(labels.column_names)
            form = dataclasses.replace(form, described_by=names)
            classes = [name for name in classes_among(y, labels) if name not in options.numeric]
            categorical = dict.fromkeys([*options.categorical, *classes])
            options = dataclasses.replace(
                options, condition=(*options.condition, *names), categorical=tuple(categorical)
            )
        source = open_data(readable(X), options, seed=seed, labels=labels)
        warn_and_refuse(X, form, source)
        is_kept = self.directory is not None
        settings = settings_for(values, X, source, options, recipe_name=self.recipe, seed=seed, is_kept=is_kept)
        with self._directory() as directory:
            history = train(settings, source, directory, own, shown=self.verbose, is_kept=is_kept)
            files = read_run(directory)
            trained = load_run(directory, own)
        self.history_, self._files, self._trained, self._form, self._own = history, files, trained, form, own
        if is_kept:
            self.directory_ = directory
        self._set_attributes()
        return self

    @in_default_state
    def sample(
        self,
        n: int | None = None,
        random_state: Any = None,  # noqa: ANN401 - as in the constructor
        *,
        y: Any = None,  # noqa: ANN401 - as in `fit`
        where: Mapping[str, Any] | None = None,
        noise: Any = None,  # noqa: ANN401 - an array or a tensor
    ) -> Any:  # noqa: ANN401 - what was fitted decides
        """Draw new samples.

        Args:
            n: Number of samples; None for one, or for as many as y or noise has rows.
            random_state: As in the constructor. None for the constructor's: if that is an integer, each call returns
                the same samples.
            y: Labels to sample for: one for all samples, or one for each, as in `fit`.
            where: Conditions by name: a value, or several values, which then occur equally often. Conditions that are
                not given are drawn as they occur in the data.
            noise: Input of the generator, an array or tensor of shape (n, latent_dim_). The same row gives the same
                sample under the same conditions. None to draw it.

        Returns:
            Samples in the form that was fitted: an array or tensor of its dtype and of its shape except for the first
            axis, or a data frame.

        Raises:
            UsageError: Not fitted, `n` below 1, an unknown name or value, or noise of another shape, dtype or number of
                rows.
        """
        trained = self._fitted()
        if n is not None and (isinstance(n, bool) or not hasattr(n, "__index__")):
            raise UsageError(f"n must be a whole number, not {n!r}")
        seed = seed_of(self.random_state if random_state is None else random_state)
        labels = None if y is None else requested_labels(y, self._form.described_by)
        if isinstance(labels, pa.Table):
            if n is not None and n != labels.num_rows:
                raise UsageError(f"y has {labels.num_rows:,} labels, but n is {n:,}", remedy="Leave n out.")
            return self._form.restore(sample_for_labels(trained, labels, where or {}, seed, noise))
        num = None if n is None else n.__index__()
        wanted = {**(where or {}), **(labels or {})} or None
        return self._form.restore(trained.sample(num, seed, where=wanted, noise=noise, decode=trained.codec.restore))

    @in_default_state
    def score(self, X: object, y: object = None) -> float:  # noqa: N803 - scikit-learn's signature
        """Compute minus the W1 distance between X and as many samples. Greater is better, 0 is best.

        The distance is exact for points (in their own units if all columns are scaled alike) and for data frames
        (numbers in standard deviations, categories one-hot). For images it is the sliced distance of the pixels. At
        most 2,500 rows, drawn at random, are compared.

        Args:
            X: Data of the kind that was fitted.
            y: Ignored.

        Raises:
            UsageError: Not fitted.
            DataError: Other columns or another shape than were fitted.
        """
        seed = 0 if self.random_state is None else seed_of(self.random_state)
        return negative_distance(self._fitted(), X, seed)

    @in_default_state
    def save(self, path: str | Path) -> None:
        """Save the fitted model as a run directory, which `wgan sample` reads too. It contains no pickle.

        Of your own modules and objects only the weights and the names of the classes are saved; a warning says which of
        them `load` needs again. Objects of a registered class are saved completely.

        Args:
            path: A directory that does not exist or is empty.

        Raises:
            UsageError: Not fitted, or `path` is taken.
            CheckpointError: The disk is full or failing.
        """
        self._fitted()
        params = self.get_params()
        for name, word in self._own.words.items():
            if name not in self._own.parts and not isinstance(params[name], str | None):
                params[name] = word
        write_run(self._files, params, self._form, Path(path))
        if self._own.parts:
            again = ", ".join(f"{name}=..." for name in self._own.parts)
            warnings.warn(
                "your own parts are not saved, only the weights of modules; "
                f"load with WGAN.load({str(path)!r}, {again})",
                RunWarning,
                stacklevel=2,
            )

    @classmethod
    @in_default_state
    def load(cls, path: str | Path, **parts: Any) -> Self:  # noqa: ANN401 - as in the constructor
        """Load a model that `save` wrote, or any run.

        Args:
            path: The directory.
            parts: The modules or objects of your own that the run was trained with: `generator=module`. The loaded
                model has the weights that were saved; yours are not changed.

        Raises:
            UsageError: There is no run, or it was trained with parts that are not given.
            CheckpointError: The run is damaged, or was trained with other parts.
        """
        path, own = Path(path), own_parts(parts)
        trained = load_run(path, own)
        with unreadable_note(path):
            params, form = read_note(path, trained.codec, cls._defaults())
            trained.codec = with_form_before(trained.codec, form.before)
            model = cls(**params | {name: parts[name] for name in own.parts})
            # If the form was edited by hand, this raises now rather than at the first call of sample.
            form.restore(trained.sample(1, decode=trained.codec.restore))
        model._files, model._trained, model._form, model._own = read_run(path), trained, form, own
        model.history_ = read_recorded(runs.RunFiles(path))
        model._set_attributes()
        return model

    def __getstate__(self) -> dict[str, Any]:
        """The parameters and the files of the run, from which the networks are built again."""
        return {name: value for name, value in self.__dict__.items() if name != "_trained"}

    @in_default_state
    def __setstate__(self, state: dict[str, Any]) -> None:
        """The inverse of `__getstate__`."""
        self.__dict__.update(state)
        if "_files" in state:
            self._own = state.get("_own", NO_PARTS)
            self._form = form_of_note(vars(self._form))
            self._trained = load_files(self._files, self._own)
            self._trained.codec = with_form_before(self._trained.codec, self._form.before)

    @contextlib.contextmanager
    def _directory(self) -> Iterator[Path]:
        """Create a directory for one run: under the next number if it is kept, else temporary."""
        if self.directory is None:
            with tempfile.TemporaryDirectory(prefix="wgan-") as temporary:
                yield Path(temporary) / "run"
            return
        directory = next_run(Path(self.directory))
        try:
            yield directory
        finally:
            # A run that fails before its first checkpoint leaves an empty directory.
            with contextlib.suppress(OSError):
                directory.rmdir()

    def _set_attributes(self) -> None:
        """Set the attributes of a fitted estimator."""
        for name in ("feature_names_in_", "n_features_in_", "classes_"):
            self.__dict__.pop(name, None)
        self.__dict__.update(data_attributes(self._trained, self._form))
        self.__dict__.update(trust_attributes(self.history_, self._trained.settings))

    def _fitted(self) -> runs.Trained:
        if not self.__sklearn_is_fitted__():
            # The class derives from scikit-learn's, whose import takes nearly a second.
            from wgan.estimator.unfitted import NotFittedError

            raise NotFittedError
        return self._trained
