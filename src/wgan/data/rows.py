"""Finite data: rows to train on, rows to judge on, what they are described by, and how they are drawn."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.data.codes import Part
from wgan.data.columns import Number
from wgan.data.conditions import Conditions
from wgan.data.differences import seen_by_networks
from wgan.data.source import Codec, RowsOf, split
from wgan.data.texts import Text
from wgan.errors import UsageError
from wgan.randomness import Randomness
from wgan.system.text import counted

if TYPE_CHECKING:
    from wgan.data.tables.detecting import Described

# Rows are expanded in blocks of about so many bytes where all of them are hashed.
_HASHED_BYTES = 2**24


class Rows:
    """A finite set of encoded rows, split into those to train on, those to judge on, and those kept for questions.

    Args:
        fetch: Row numbers, int64 of shape (n,), to encoded rows, float32 of shape (n, *layout.shape).
        numbers: Numbers of the rows that count, ascending, shape (N,); or N alone, where that is all of N rows.
        held_out: Share to judge on, 0 to 0.5.
        seed: Of the split.
        described: What these rows are described by, in the order of `numbers`; None where nothing is asked for.
        order: Names of all columns of the table that the conditions were taken out of.
        unseen: Share of the combinations of conditions whose rows are neither trained nor judged on, 0 to 0.5.

    Attributes:
        conditions: What samples may be asked for, and how often it occurs among the training rows; None if nothing.
        train: Numbers of the rows to train on.
        held: Numbers of the rows to judge on.
        unseen: Numbers of the rows whose combination of conditions is kept from both.

    Raises:
        UsageError: Combinations are to be kept from training, and there are no two categories to combine.
    """

    def __init__(
        self,
        fetch: Callable[[Tensor], Tensor],
        numbers: Tensor | int,
        *,
        held_out: float,
        seed: int,
        described: Described | None = None,
        order: Sequence[str] = (),
        unseen: float = 0.0,
    ) -> None:
        self._fetch = fetch
        count = numbers if isinstance(numbers, int) else len(numbers)
        apart = places = torch.empty(0, dtype=torch.int64, device="cpu")
        if unseen and described is not None:
            is_apart = unseen_rows(described.parts, described.codes, unseen, seed)
            apart, places = is_apart.nonzero()[:, 0], (~is_apart).nonzero()[:, 0]
            count = len(places)
        train, held = split(count, held_out, seed)
        if len(apart):
            train, held = places[train], places[held]
        del places
        self.train, self.held, self.unseen = (
            part if isinstance(numbers, int) else numbers[part] for part in (train, held, apart)
        )
        self.conditions: Conditions | None = None
        self._codes: dict[RowsOf, Tensor] = {}
        if described is not None:
            self._codes = {
                "train": described.codes[train],
                "held-out": described.codes[held],
                "unseen": described.codes[apart],
            }
            self.conditions = Conditions.of_rows(described.parts, self._codes["train"], tuple(order))

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        """Draw training rows independently, with replacement."""
        return self._batch("train", torch.randint(len(self.train), (size,), generator=rng, device="cpu"))

    def held_out(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw rows that training never sees, without repetition: at most `size`."""
        return self.labelled("held-out", size, rng).values

    def distinct(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw training rows without repetition: at most `size`."""
        return self.labelled("train", size, rng).values

    def labelled(self, part: RowsOf, size: int, rng: torch.Generator) -> Batch:
        """Draw rows of one part with their conditions, without repetition: at most `size`."""
        return self._batch(part, torch.randperm(len(self._numbers(part)), generator=rng, device="cpu")[:size])

    def describe(self) -> str:
        """The conditions in a few words, as the end of a line; empty where there are none."""
        if self.conditions is None:
            return ""
        apart = f", {counted(len(self.unseen), 'row')} of unseen combinations" if len(self.unseen) else ""
        return f"; conditions: {self.conditions.describe()}{apart}"

    def digest(self, codec: Codec) -> str:
        """A digest of the training rows as the networks see them, of their conditions, and of the codec."""
        state = seen_by_networks(codec.state())
        digest = hashlib.blake2b(json.dumps(state, sort_keys=True).encode(), digest_size=16)
        rows_per_block = max(1, _HASHED_BYTES // (4 * codec.layout.size))
        for part in self.train.split(rows_per_block):  # type: ignore[no-untyped-call]
            digest.update(self._fetch(part).numpy().tobytes())
        digest.update(self.digest_of_conditions())
        return digest.hexdigest()

    def digest_of_conditions(self) -> bytes:
        """A digest of the training rows' conditions; nothing where there are none."""
        if self.conditions is None:
            return b""
        parts = json.dumps([seen_by_networks(part.state()) for part in self.conditions.parts], sort_keys=True)
        digest = hashlib.blake2b(parts.encode(), digest_size=16)
        digest.update(self._codes["train"].numpy().astype("<f4").tobytes())
        return digest.digest()

    def _numbers(self, part: RowsOf) -> Tensor:
        return {"train": self.train, "held-out": self.held, "unseen": self.unseen}[part]

    def _batch(self, part: RowsOf, places: Tensor) -> Batch:
        values = self._fetch(self._numbers(part)[places])
        if self.conditions is None:
            return Batch(values)
        return Batch(values, self.conditions.expand(self._codes[part][places]))


def unseen_rows(parts: Sequence[Part], codes: Tensor, share: float, seed: int) -> Tensor:
    """Choose combinations of categories to keep from training, so that each value stays in some other combination.

    Args:
        parts: What each entry of a description is.
        codes: A description for each row, shape (N, parts).
        share: Share of the combinations, above 0.
        seed: What decides which.

    Returns:
        Whether each row has one of them, shape (N,), boolean; at least one combination is chosen.

    Raises:
        UsageError: There are fewer than two categories, or each combination has a value that no other has.
    """
    places = [place for place, part in enumerate(parts) if not isinstance(part, Number | Text)]
    if len(places) < 2:
        raise UsageError(
            "combinations can be kept from training only where two or more categories are conditions",
            remedy="Set --unseen to 0, or name more conditions.",
        )
    combinations, which = torch.unique(codes[:, places], dim=0, return_inverse=True)
    left = torch.ones(len(combinations), dtype=torch.bool, device="cpu")
    wanted = max(1, round(share * len(combinations)))
    for number in torch.randperm(
        len(combinations), generator=Randomness(seed).at("unseen combinations"), device="cpu"
    ).tolist():
        if int((~left).sum()) == wanted:
            break
        left[number] = False
        others = combinations[left]
        if not all((others[:, place] == value).any() for place, value in enumerate(combinations[number])):
            left[number] = True
    if left.all():
        raise UsageError(
            "no combination can be kept from training: each has a value that no other has",
            remedy="Set --unseen to 0, or name other conditions.",
        )
    return ~left[which]
