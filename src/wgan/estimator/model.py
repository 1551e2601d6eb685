"""`WGAN`: fit, sample, score, save and load, by scikit-learn's conventions and without needing scikit-learn."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from wgan import runs
from wgan.data import open_data
from wgan.errors import UsageError
from wgan.estimator.asking import asked_for, sample_rows
from wgan.estimator.attributes import attributes, believed
from wgan.estimator.checking import CALLED, given_options, seed_of, usable_parameters
from wgan.estimator.conventions import refuse_by_convention
from wgan.estimator.fitting import settings_for, train, warn_and_refuse
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
from wgan.estimator.parameters import Parameters, named_as
from wgan.estimator.scoring import minus_distance
from wgan.runs import RunWarning
from wgan.runs.metadata import read_recorded
from wgan.settings import DataOptions
from wgan.system.torch_state import in_usual_state
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
    """A Wasserstein GAN that learns the distribution of X and draws new samples from it.

    Parameters that are None take the value of the recipe for this kind of data (`wgan recipes` lists them); words such
    as `constraint` have the form "name:key=value,key=value". Objective, constraint, networks and optimisers may be
    objects of your own as well. A module is copied, so that a fit does not change it, and training begins with the
    weights that it has: fits of one model with an integer as `random_state` are the same.

    Args:
        recipe: A named recipe; None for the one for this kind of data.
        steps: Generator updates.
        batch_size: Samples in each batch; None for the recipe's, or all rows where there are fewer.
        critic_steps: Critic updates before each generator update.
        critic_schedule: "constant", or "authors" for the schedule of the authors' code.
        optimality: Share of what the critic proves that a round of its updates must add, for it to be trained further
            before the generator moves (0: critic_steps updates and no more).
        max_critic_steps: Critic updates before one generator update, at most, where optimality is above 0.
        packing: Samples that the critic sees as one.
        unrolled_steps: Updates of the critic that the generator looks ahead.
        mismatch: Weight in the critic's loss of real samples under conditions that are not theirs.
        conditioning: How a condition enters the networks: "auto", "concat", "norm", "projection", "norm-projection".
        objective: What the two players optimise: "wasserstein", "gan", "relativistic" and others; or an
            `wgan.objectives.Objective`.
        constraint: What keeps the critic in bounds: "clipping", "penalty", "spectral", "r1", "none" and others; or a
            `wgan.constraints.Constraint`.
        generator: Network of the generator: "mlp", "dcgan" or "resnet"; or a module from noise (N, latent_dim) to
            samples (N, *shape), images in [-1, 1], with the condition (N, C) as its second argument where there is one.
        critic: Network of the critic; or a module from samples (N, *shape), and the condition, to scores (N,).
        generator_optimizer: "rmsprop" or "adam"; or a function from parameters to a `torch.optim.Optimizer`.
        critic_optimizer: The same for the critic.
        latent_dim: Dimensions of the noise.
        noise: "normal" or "uniform".
        lr_schedule: How the learning rates fall: "none", "linear" or "cosine".
        ema_decay: Decay of the moving average of the generator that samples come from (0: none).
        eval_every: Generator updates between two evaluations on held-out rows; None for the recipe's where runs are
            kept or `patience` is above 0, and for one at the end elsewhere.
        best_by: What makes a state the best: the judge's "score", or, of the evidence on held-out rows, the distance
            that the critic proves ("held-out") or the exact one ("exact").
        patience: Evaluations in a row without a better state after which the fit ends (0: none do); what was fitted is
            then the best state, and the last one otherwise.
        diagnose: "auto" to gather evidence of what the critic's number is worth, or "off".
        rollbacks: How often a fit that diverges goes back, with half the learning rates, before it gives up.
        device: "auto", "cpu" or "cuda".
        precision: "auto", "float32" or "bfloat16".
        engine: How updates are run: "auto", "eager" or "compiled".
        threads: CPU threads (0: chosen by the size of the networks).
        held_out: Share of the rows kept from training, for judging.
        scaling: How points are scaled: "auto", "common", "each" or "none".
        missing: Missing cells of a data frame: "error", "drop" or "keep".
        categorical: Columns to treat as categories, by the labels that the data frame has for them: names, or whole
            numbers and others that pandas takes.
        numeric: Columns to treat as numbers.
        ignore: Columns to leave out.
        header: Whether the first line of a table in text, of which X is the path, names the columns.
        decimal: What separates places after the point where numbers are text, "." or ",": for all columns, or by name.
            This and the next three mean what they mean in `pandas.read_csv`; the columns of text of a data frame that
            they name are numbers or dates, and samples have them as text in the same form.
        thousands: What separates groups of digits.
        dayfirst: Whether the day comes before the month.
        date_format: The form of dates, such as "%d.%m.%Y".
        max_categories: Different values that a column of categories may have; None for 1,000.
        condition: Columns that samples can be asked for by; they are not learnt but given. What is fitted as y is such
            too.
        text: Those of them that are text, to be embedded.
        embedding: What embeds text; `wgan.register(EMBEDDINGS, ...)` adds one of your own.
        unseen: Share of the combinations of conditions that are kept from training.
        size: Height and width to bring images to.
        mode: Channels of images: "L", "RGB" or "RGBA".
        fit_images: Images of another aspect ratio: "crop", "pad" or "stretch".
        pixel_range: The values of pixels that become black and white, for images that use little of the range of their
            type; None for the range of the type. What lies beyond is cut off.
        skip_broken: Leave out images that cannot be decoded, up to one in a hundred (where X is their path).
        directory: A folder to keep runs in: each fit makes a new one, 001, 002, ..., and overwrites nothing. None to
            keep nothing on the disk.
        random_state: An integer for the same result each time, None for another one each time, or a NumPy generator.
        verbose: Show the training as it goes.

    Attributes:
        history_: The record: a dict for each recorded step, with "step", "estimate", "critic_loss", "generator_loss",
            and in the last one what the judge and the examination of the critic found.
        evidence_: What the last examination found of the critic's number, by the names of `wgan.trust.Evidence`; empty
            where nothing was held out, or diagnose is "off".
        verdict_: What is to be thought of that number: its kind, such as "trust", the reason, a remedy, and the numbers
            that led to it.
        directory_: The directory of the run that `fit` kept (where `directory` is given).
        noise_size_: Dimensions of the noise that samples are made of.
        n_features_in_: Columns of X (of points and data frames).
        feature_names_in_: Their names (of data frames).
        classes_: The values that y may have (where one category was fitted as y).

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
    noise_size_: int
    n_features_in_: int
    feature_names_in_: np.ndarray[tuple[int], np.dtype[Any]]
    classes_: np.ndarray[tuple[int], np.dtype[Any]]

    def __init__(
        self,
        *,
        recipe: str | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        critic_steps: int | None = None,
        critic_schedule: str | None = None,
        optimality: float | None = None,
        max_critic_steps: int | None = None,
        packing: int | None = None,
        unrolled_steps: int | None = None,
        mismatch: float | None = None,
        conditioning: str | None = None,
        objective: str | Objective | None = None,
        constraint: str | Constraint | None = None,
        generator: str | nn.Module | Architecture | None = None,
        critic: str | nn.Module | Architecture | None = None,
        generator_optimizer: str | Optimizer | Callable[..., torch.optim.Optimizer] | None = None,
        critic_optimizer: str | Optimizer | Callable[..., torch.optim.Optimizer] | None = None,
        latent_dim: int | None = None,
        noise: str | None = None,
        lr_schedule: str | None = None,
        ema_decay: float | None = None,
        eval_every: int | None = None,
        best_by: str | None = None,
        patience: int | None = None,
        diagnose: str | None = None,
        rollbacks: int | None = None,
        device: str | None = None,
        precision: str | None = None,
        engine: str | None = None,
        threads: int | None = None,
        held_out: float | None = None,
        scaling: str | None = None,
        missing: str | None = None,
        categorical: Sequence[Hashable] | None = None,
        numeric: Sequence[Hashable] | None = None,
        ignore: Sequence[Hashable] | None = None,
        header: bool | None = None,
        decimal: str | Mapping[str, str] | None = None,
        thousands: str | Mapping[str, str] | None = None,
        dayfirst: bool | Mapping[str, bool] | None = None,
        date_format: str | Mapping[str, str] | None = None,
        max_categories: int | None = None,
        condition: Sequence[Hashable] | None = None,
        text: Sequence[Hashable] | None = None,
        embedding: str | None = None,
        unseen: float | None = None,
        size: tuple[int, int] | None = None,
        mode: str | None = None,
        fit_images: str | None = None,
        pixel_range: tuple[float, float] | None = None,
        skip_broken: bool | None = None,
        directory: str | Path | None = None,
        random_state: Any = None,  # noqa: ANN401 - what scikit-learn takes there
        verbose: bool = False,
    ) -> None:
        self.recipe = recipe
        self.steps = steps
        self.batch_size = batch_size
        self.critic_steps = critic_steps
        self.critic_schedule = critic_schedule
        self.optimality = optimality
        self.max_critic_steps = max_critic_steps
        self.packing = packing
        self.unrolled_steps = unrolled_steps
        self.mismatch = mismatch
        self.conditioning = conditioning
        self.objective = objective
        self.constraint = constraint
        self.generator = generator
        self.critic = critic
        self.generator_optimizer = generator_optimizer
        self.critic_optimizer = critic_optimizer
        self.latent_dim = latent_dim
        self.noise = noise
        self.lr_schedule = lr_schedule
        self.ema_decay = ema_decay
        self.eval_every = eval_every
        self.best_by = best_by
        self.patience = patience
        self.diagnose = diagnose
        self.rollbacks = rollbacks
        self.device = device
        self.precision = precision
        self.engine = engine
        self.threads = threads
        self.held_out = held_out
        self.scaling = scaling
        self.missing = missing
        self.categorical = categorical
        self.numeric = numeric
        self.ignore = ignore
        self.header = header
        self.decimal = decimal
        self.thousands = thousands
        self.dayfirst = dayfirst
        self.date_format = date_format
        self.max_categories = max_categories
        self.condition = condition
        self.text = text
        self.embedding = embedding
        self.unseen = unseen
        self.size = size
        self.mode = mode
        self.fit_images = fit_images
        self.pixel_range = pixel_range
        self.skip_broken = skip_broken
        self.directory = directory
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's class, which may not be there
        """What scikit-learn asks its estimators."""
        from sklearn.utils import InputTags, Tags, TargetTags

        # Text, categories and missing cells are taken in data frames only: these tags are about arrays. Points on the
        # line are taken as vectors too, but scikit-learn checks an estimator that sets one_d_array with nothing else.
        return Tags(
            estimator_type="density_estimator",
            target_tags=TargetTags(required=False),
            input_tags=InputTags(two_d_array=True, three_d_array=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` or `load` was called."""
        return "_files" in self.__dict__

    @named_as(CALLED)
    @in_usual_state
    def fit(self, X: object, y: object = None) -> Self:  # noqa: N803 - scikit-learn's signature
        """Learn the distribution of X.

        Args:
            X: An array or tensor (rows, columns), or images (N, height, width[, channels]) or (N, channels, height,
                width); a data frame (pandas, polars, Arrow); a path or built-in name as the command line takes it.
            y: What samples can be asked for by: a label for each row, several in columns, or a frame; None for
                unconditional samples. Whole numbers are numbers of classes, but for those of a frame and those under
                `numeric`.

        Returns:
            This object.

        Raises:
            UsageError: Parameters that cannot be used, all of them listed.
            DataError: Data that cannot be learnt from.
            NumericError: Training diverged.
        """
        params, own = usable_parameters(self.get_params())
        refuse_by_convention(X, y)
        seed = seed_of(self.random_state)
        options = DataOptions(**given_options(params))
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
        settings = settings_for(params, X, source, options, seed)
        with self._directory() as directory:
            is_kept = self.directory is not None
            history = train(settings, source, directory, own, shown=self.verbose, is_kept=is_kept)
            files = read_run(directory)
            trained = load_run(directory, own)
        self.history_, self._files, self._trained, self._form, self._own = history, files, trained, form, own
        if self.directory is not None:
            self.directory_ = directory
        self._describe()
        return self

    @in_usual_state
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
            n: How many; None for one, or as many as y or noise says.
            random_state: As in the constructor, whose own is taken if None: with an integer there, the same samples
                come at each call.
            y: What to ask for: one label for all samples, or a label for each, as in `fit`.
            where: What to ask for by name: a value, or several that then come equally often. What nothing is said of
                is drawn as it occurs in the data.
            noise: What the generator makes samples of, an array or tensor of shape (n, noise_size_): a row of it gives
                the same sample each time, where the same is asked for. None to draw it.

        Returns:
            What was fitted: an array or tensor of its dtype and shape but for the first axis, or a data frame.

        Raises:
            UsageError: Not fitted, `n` below 1, something asked for that is not known, or noise of another shape,
                dtype or number of rows.
        """
        trained = self._fitted()
        if n is not None and (isinstance(n, bool) or not hasattr(n, "__index__")):
            raise UsageError(f"n must be a whole number, not {n!r}")
        seed = seed_of(self.random_state if random_state is None else random_state)
        asked = None if y is None else asked_for(y, self._form.described_by)
        if isinstance(asked, pa.Table):
            if n is not None and n != asked.num_rows:
                raise UsageError(f"y asks for {asked.num_rows:,} samples, but n is {n:,}", remedy="Leave n out.")
            return self._form.back(sample_rows(trained, asked, where or {}, seed, noise))
        num = None if n is None else n.__index__()
        wanted = {**(where or {}), **(asked or {})} or None
        return self._form.back(trained.sample(num, seed, where=wanted, noise=noise, decode=trained.codec.restore))

    @in_usual_state
    def score(self, X: object, y: object = None) -> float:  # noqa: N803 - scikit-learn's signature
        """How near samples are to X: minus the W1 distance between X and as many samples. Greater is better, 0 is best.

        Exact W1 for points (in their own units where all columns are scaled alike) and data frames (numbers in standard
        deviations, categories as one-hot); sliced W1 of the pixels for images. Of more than 2,500 rows that many are
        drawn.

        Args:
            X: Data of the kind that was fitted.
            y: Ignored.

        Raises:
            UsageError: Not fitted.
            DataError: Other columns or another shape than were fitted.
        """
        seed = 0 if self.random_state is None else seed_of(self.random_state)
        return minus_distance(self._fitted(), X, seed)

    @in_usual_state
    def save(self, path: str | Path) -> None:
        """Save what was fitted: a run's directory, which `wgan sample` takes too. Nothing in it is a pickle.

        Of modules and objects of your own the weights are saved, and what they are called; a warning says which of them
        `load` wants to be given again. Objects of a class that is registered are saved whole.

        Args:
            path: A directory that does not exist, or is empty.

        Raises:
            UsageError: Not fitted, or there is something at `path`.
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
    @in_usual_state
    def load(cls, path: str | Path, **parts: Any) -> Self:  # noqa: ANN401 - as in the constructor
        """Load what `save` wrote, or any run.

        Args:
            path: The directory.
            parts: Of a run that was trained with modules or objects of your own, these again: `generator=module`. Their
                weights are those that were saved; yours are not changed.

        Raises:
            UsageError: There is no run, or it was trained with parts that were not given.
            CheckpointError: It is damaged, or was trained with other parts.
        """
        path, own = Path(path), own_parts(parts)
        trained = load_run(path, own)
        with unreadable_note(path):
            params, form = read_note(path, trained.codec)
            trained.codec = with_form_before(trained.codec, form.before)
            model = cls(**params | {name: parts[name] for name in own.parts})
            # A form that was changed by hand would otherwise raise only when samples are drawn.
            form.back(trained.sample(1, decode=trained.codec.restore))
        model._files, model._trained, model._form, model._own = read_run(path), trained, form, own
        model.history_ = read_recorded(runs.RunFiles(path))
        model._describe()
        return model

    def __getstate__(self) -> dict[str, Any]:
        """The parameters and the bytes of the run: networks are built from them, and from parts of your own, again."""
        return {name: value for name, value in self.__dict__.items() if name != "_trained"}

    @in_usual_state
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
        """A directory for one run: for good under the next number, or for as long as the block takes."""
        if self.directory is None:
            with tempfile.TemporaryDirectory(prefix="wgan-") as temporary:
                yield Path(temporary) / "run"
            return
        directory = next_run(Path(self.directory))
        try:
            yield directory
        finally:
            # What fails before its first checkpoint leaves nothing, hence no number either.
            with contextlib.suppress(OSError):
                directory.rmdir()

    def _describe(self) -> None:
        """Set the attributes by which scikit-learn knows what was fitted."""
        for name in ("feature_names_in_", "n_features_in_", "classes_"):
            self.__dict__.pop(name, None)
        self.__dict__.update(attributes(self._trained, self._form))
        self.__dict__.update(believed(self.history_, self._trained.settings))

    def _fitted(self) -> runs.Trained:
        if not self.__sklearn_is_fitted__():
            # Its family is scikit-learn's, whose import takes nearly a second.
            from wgan.estimator.unfitted import NotFittedError

            raise NotFittedError
        return self._trained
