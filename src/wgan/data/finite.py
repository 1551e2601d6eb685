"""Finite data sets: splitting their rows into training, held-out and unseen rows, drawing batches, and fingerprints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.data.codes import Part
from wgan.data.columns import Number
from wgan.data.conditions import Conditions
from wgan.data.differences import seen_by_networks
from wgan.data.row_conditions import RowConditions
from wgan.data.source import Codec, RowsOf
from wgan.data.texts import Text
from wgan.errors import UsageError
from wgan.randomness import Randomness
from wgan.system.text import counted

# Bytes of encoded rows that are hashed at once.
_HASHED_BYTES = 2**24


class FiniteSource:
    """The base class of sources with a finite number of rows. Subclasses read the data and implement `describe`.

    Args:
        name: The data's name, as the user gave it.
        codec: The preprocessing of the rows.
        encode_rows: Maps row numbers, int64 of shape (n,), to encoded rows, float32 of shape (n, *layout.shape).
        rows: The numbers of the rows to use, ascending, shape (N,); or N, to use the rows 0 to N - 1.
        held_out: Share of the rows to hold out, 0 to 0.5.
        seed: Seed of the split.
        notes: Lines for the user about how the data was read.
        offers: Names of the available conditions.
        row_conditions: The conditions of these rows, in the order of `rows`; None in an unconditional run.
        unseen: Share of the combinations of conditions whose rows are neither trained on nor held out, 0 to 0.5.
        order: Names of all columns of the table that the conditions were taken from.

    Attributes:
        conditions: The conditions and how often they occur in the training rows; None in an unconditional run.
        size: Number of training rows.
        num_held_out: Number of held-out rows.
        num_unseen: Number of rows with unseen combinations of conditions.

    Raises:
        UsageError: `unseen` is positive, and there are no two categories to combine.
    """

    def __init__(
        self,
        name: str,
        codec: Codec,
        encode_rows: Callable[[Tensor], Tensor],
        rows: Tensor | int,
        *,
        held_out: float,
        seed: int,
        notes: tuple[str, ...] = (),
        offers: tuple[str, ...] = (),
        row_conditions: RowConditions | None = None,
        unseen: float = 0.0,
        order: tuple[str, ...] = (),
    ) -> None:
        self.name, self.codec, self.offers = name, codec, offers
        self.notes = notes if row_conditions is None else notes + row_conditions.notes
        self._encode_rows = encode_rows
        positions = _split(rows if isinstance(rows, int) else len(rows), held_out, seed, row_conditions, unseen)
        self._rows = positions if isinstance(rows, int) else {part: rows[chosen] for part, chosen in positions.items()}
        self.conditions: Conditions | None = None
        self._codes: dict[RowsOf, Tensor] = {}
        if row_conditions is not None:
            self._codes = {part: row_conditions.codes[chosen] for part, chosen in positions.items()}
            self.conditions = Conditions.of_rows(row_conditions.parts, self._codes["train"], order)
        self.size: int | None = len(self._rows["train"])
        self.num_held_out: int | None = len(self._rows["held-out"])
        self.num_unseen = len(self._rows["unseen"])

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        """Draw training rows with replacement.

        Args:
            size: Number of rows.
            rng: Random generator.

        Returns:
            Values of shape (size, *layout.shape), float32, with their conditions in a conditional run.
        """
        return self._batch("train", torch.randint(len(self._rows["train"]), (size,), generator=rng, device="cpu"))

    def held_out(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw held-out rows without replacement, shape (min(size, num_held_out), *layout.shape), float32."""
        return self.labelled("held-out", size, rng).values

    def distinct(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw training rows without replacement, shape (min(size, self.size), *layout.shape), float32."""
        return self.labelled("train", size, rng).values

    def labelled(self, part: RowsOf, size: int, rng: torch.Generator) -> Batch:
        """Draw rows of one part of the split with their conditions, without replacement.

        Args:
            part: The part of the split.
            size: Number of rows at most.
            rng: Random generator.

        Returns:
            Values of shape (n, *layout.shape), float32, with their conditions in a conditional run.
        """
        return self._batch(part, torch.randperm(len(self._rows[part]), generator=rng, device="cpu")[:size])

    def fingerprint(self) -> str:
        """A digest of the codec, the encoded training rows and their conditions."""
        state = seen_by_networks(self.codec.state())
        digest = hashlib.blake2b(json.dumps(state, sort_keys=True).encode(), digest_size=16)
        rows_per_block = max(1, _HASHED_BYTES // (4 * self.codec.layout.size))
        for rows in self._rows["train"].split(rows_per_block):  # type: ignore[no-untyped-call]
            digest.update(self._encode_rows(rows).numpy().tobytes())
        digest.update(self._digest_of_conditions())
        return digest.hexdigest()

    def _digest_of_conditions(self) -> bytes:
        """A digest of the training rows' conditions; empty in an unconditional run."""
        if self.conditions is None:
            return b""
        parts = json.dumps([seen_by_networks(part.state()) for part in self.conditions.parts], sort_keys=True)
        digest = hashlib.blake2b(parts.encode(), digest_size=16)
        digest.update(self._codes["train"].numpy().astype("<f4").tobytes())
        return digest.digest()

    def _describe_conditions(self) -> str:
        """The end of the line that `describe` returns; empty in an unconditional run."""
        if self.conditions is None:
            return ""
        unseen = f", {counted(self.num_unseen, 'row')} of unseen combinations" if self.num_unseen else ""
        return f"; conditions: {self.conditions.describe()}{unseen}"

    def _batch(self, part: RowsOf, positions: Tensor) -> Batch:
        values = self._encode_rows(self._rows[part][positions])
        if self.conditions is None:
            return Batch(values)
        return Batch(values, self.conditions.expand(self._codes[part][positions]))


def _split(
    num_rows: int, held_out: float, seed: int, row_conditions: RowConditions | None, unseen: float
) -> dict[RowsOf, Tensor]:
    """Positions of the rows of each part, each an int64 tensor in ascending order.

    At least one row is held out unless `held_out` is 0.
    """
    seen = is_unseen = None
    if unseen and row_conditions is not None:
        is_unseen = rows_of_unseen_combinations(row_conditions.parts, row_conditions.codes, unseen, seed)
        seen = (~is_unseen).nonzero()[:, 0]
        num_rows = len(seen)
    num_held_out = min(max(1, round(num_rows * held_out)), num_rows - 1) if held_out > 0 else 0
    order = torch.randperm(num_rows, generator=Randomness(seed).at("held-out split"), device="cpu")
    is_held_out = torch.zeros(num_rows, dtype=torch.bool, device="cpu")
    is_held_out[order[:num_held_out]] = True
    del order
    train, held = (~is_held_out).nonzero()[:, 0], is_held_out.nonzero()[:, 0]
    if seen is None or is_unseen is None:
        return {"train": train, "held-out": held, "unseen": torch.empty(0, dtype=torch.int64, device="cpu")}
    return {"train": seen[train], "held-out": seen[held], "unseen": is_unseen.nonzero()[:, 0]}


def rows_of_unseen_combinations(parts: Sequence[Part], codes: Tensor, share: float, seed: int) -> Tensor:
    """Choose combinations of categories to keep from training. Each value stays in some other combination.

    Args:
        parts: The parts of the conditions.
        codes: The codes of each row, shape (N, parts).
        share: Share of the combinations, above 0.
        seed: Seed of the choice.

    Returns:
        Whether each row has one of the chosen combinations, shape (N,), boolean. At least one combination is chosen.

    Raises:
        UsageError: There are fewer than two categories, or each combination has a value that no other has.
    """
    categories = [index for index, part in enumerate(parts) if not isinstance(part, Number | Text)]
    if len(categories) < 2:
        raise UsageError(
            "combinations can be kept from training only where two or more categories are conditions",
            remedy="Set --unseen to 0, or name more conditions.",
        )
    combinations, of_row = torch.unique(codes[:, categories], dim=0, return_inverse=True)
    is_seen = torch.ones(len(combinations), dtype=torch.bool, device="cpu")
    num_wanted = max(1, round(share * len(combinations)))
    order = torch.randperm(len(combinations), generator=Randomness(seed).at("unseen combinations"), device="cpu")
    for index in order.tolist():
        if int((~is_seen).sum()) == num_wanted:
            break
        is_seen[index] = False
        others = combinations[is_seen]
        if not all((others[:, column] == value).any() for column, value in enumerate(combinations[index])):
            is_seen[index] = True
    if is_seen.all():
        raise UsageError(
            "no combination can be kept from training: each has a value that no other has",
            remedy="Set --unseen to 0, or name other conditions.",
        )
    return ~is_seen[of_row]
