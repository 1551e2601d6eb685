"""Registries of named parts, and how a word such as `penalty:weight=0.1` becomes an object.

Objectives, constraints, networks, optimisers, kernels and divergences each have a `Registry` of frozen dataclasses,
whose fields are the parameters of the word. A new row is accepted by the settings, listed by the command line and
described in the reference without another edit. Only registered names can be used: settings never import or unpickle
anything. Rows without parameters (embeddings, toy distributions) are in a `Table`. `register` adds a user's own row to
either.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar, cast

from wgan.errors import UsageError, WganError
from wgan.system.text import did_you_mean

T = TypeVar("T")
Row = TypeVar("Row")

OWN = "own"
"""The name in the word of a user's own object that is not registered: "own:class=Mine,digest=0f12ab34"."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


class Table(Mapping[str, T]):
    """Rows by name.

    Args:
        noun: What users call a row ("embedding").
        rows: The rows by name.
        fault: What is wrong with an object as a row, in a few words; an empty text if nothing.
        added: Called with the name and the row after `register` has added it.
        reserved: Names that cannot be registered, besides those of the rows.
    """

    def __init__(
        self,
        noun: str,
        rows: Mapping[str, T],
        *,
        fault: Callable[[Any], str] = lambda row: "",
        added: Callable[[str, Any], None] = lambda name, row: None,
        reserved: Iterable[str] = (),
    ) -> None:
        self.noun, self.rows = noun, dict(rows)
        self._fault, self._added = fault, added
        self._built_in = frozenset([*rows, *reserved])

    def __getitem__(self, name: str) -> T:
        return self.rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, name: str, row: T, *, replace: bool = False) -> None:
        """Add a user's own row; see `register`."""
        self._check_name(name, replace=replace)
        self._check_row(f"{self.noun} {name!r}", row)
        self.rows[name] = row
        self._added(name, row)

    def _check_name(self, name: object, *, replace: bool) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot be the name of a {self.noun}",
                remedy="Use letters, digits, - and _, with a letter first.",
            )
        if name == OWN or name in self._built_in:
            why = "stands for objects that are not registered" if name == OWN else f"is a built-in {self.noun}"
            raise UsageError(
                f"{self.noun} {name!r} cannot be registered: the name {why}", remedy="Choose another name."
            )
        if name in self and not replace:
            raise UsageError(
                f"{self.noun} {name!r} is registered already",
                remedy="Choose another name, or register with replace=True.",
            )

    def _check_row(self, what: str, row: Any) -> None:  # noqa: ANN401 - what the user gave
        if fault := self._fault(row):
            raise UsageError(f"{what} {fault}")


class Registry(Table[type[T]]):
    """Frozen dataclasses by name, which are built from words with parameters.

    Args:
        noun: What users call a row ("constraint").
        rows: The dataclasses by name.
        parent: The class that every row inherits from; `object` if only the methods matter.
        members: Methods and attributes that every row must have.
    """

    def __init__(
        self, noun: str, rows: Mapping[str, type[T]], *, parent: type = object, members: tuple[str, ...] = ()
    ) -> None:
        super().__init__(noun, rows)
        self.parent, self.members = parent, members

    def build(self, text: str) -> T:
        """Build the object that a word describes.

        Args:
            text: "penalty", or with parameters "penalty:weight=0.1,one_sided=true".

        Returns:
            An instance of the row of that name, with these parameters.

        Raises:
            UsageError: An unknown name or parameter, a value of the wrong type, or a value that the row refuses.
        """
        name, _, rest = text.strip().partition(":")
        if name == OWN:
            raise UsageError(
                f"{self.noun} '{text}' is a user's own object, which a file can only name",
                remedy="Give the object in Python.",
            )
        if name not in self.rows:
            raise UsageError(f"{self.noun} '{name}' is not known", remedy=did_you_mean(name, self.rows))
        row = self.rows[name]
        fields = _parameters(row)
        values: dict[str, Any] = {}
        for part in filter(None, (part.strip() for part in rest.split(","))):
            key, equals, value = part.partition("=")
            key = key.strip().replace("-", "_")
            if not equals or key not in fields:
                raise UsageError(
                    f"{self.noun} '{name}' has no parameter '{part}'",
                    remedy=did_you_mean(key, [f"{known}=" for known in fields]) if fields else "It has none.",
                )
            if key in values:
                raise UsageError(f"{self.noun} '{name}': {key} is given twice", remedy="Give it once.")
            values[key] = _convert(value.strip(), fields[key], f"{self.noun} '{name}', {key}")
        needed = [field.name for field in dataclasses.fields(row) if _is_needed(field)]  # type: ignore[arg-type]
        if missing := [key for key in needed if key not in values]:
            example = ",".join(f"{key}=..." for key in missing)
            raise UsageError(f"{self.noun} '{name}' needs {', '.join(missing)}", remedy=f"Write {name}:{example}.")
        try:
            return row(**values)
        except WganError as error:
            raise UsageError(f"{self.noun} '{name}': {error.message}", remedy=error.remedy) from None
        except ValueError as error:
            raise UsageError(f"{self.noun} '{name}': {error}") from None

    def _check_row(self, what: str, row: Any) -> None:  # noqa: ANN401
        if not isinstance(row, type):
            raise UsageError(
                f"{what} must be a class, not {row!r}", remedy="Register the class; settings build its objects."
            )
        if not dataclasses.is_dataclass(row) or not row.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise UsageError(
                f"{what} must be a frozen dataclass, whose fields are the parameters of the word",
                remedy=f"Put @dataclass(frozen=True) before class {row.__name__}.",
            )
        if fault := self.fault(row):
            raise UsageError(f"{what}: {row.__name__} {fault}")
        for key, kind in _parameters(row).items():
            if not _is_convertible(kind):
                raise UsageError(
                    f"{what}: the field '{key}' has the type {kind}, which a word cannot express",
                    remedy="Use int, float, bool, str, a Literal, or one of these or None.",
                )

    def fault(self, row: object) -> str:
        """What is wrong with a class or an object as a row, in a few words; empty if nothing."""
        kind = row if isinstance(row, type) else type(row)
        if not issubclass(kind, self.parent):
            top = ".".join(self.parent.__module__.split(".")[:2])
            return f"does not inherit from {top}.{self.parent.__name__}"
        fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
        missing = [name for name in self.members if name not in fields and not hasattr(row, name)]
        missing += sorted(getattr(kind, "__abstractmethods__", ()))
        return f"does not define {', '.join(missing)}" if missing else ""

    def word_of(self, part: object) -> str | None:
        """The word that builds an object equal to this one; None if there is none."""
        for name, row in self.rows.items():
            if type(part) is not row:
                continue
            given = [
                f"{field.name}={_spell(getattr(part, field.name))}"
                for field in dataclasses.fields(row)  # type: ignore[arg-type]
                if _is_needed(field) or getattr(part, field.name) != field.default
            ]
            word = ":".join(filter(None, (name, ",".join(given))))
            try:
                return word if self.build(word) == part else None
            except UsageError:
                return None
        return None

    def describe(self) -> list[tuple[str, str]]:
        """For each row, its word with all defaults, and the first line of its docstring."""
        described = []
        for name, row in self.rows.items():
            fields = dataclasses.fields(row)  # type: ignore[arg-type]
            defaults = [f"{field.name}={_spell(field.default)}" for field in fields]
            text = f"{name}:{','.join(defaults)}" if defaults else name
            described.append((text, (row.__doc__ or "").strip().splitlines()[0]))
        return described


def register(table: Table[Any], name: str, row: Row, *, replace: bool = False) -> Row:
    """Register a row of your own under a name, for this process. Settings and parameters then accept the name.

    The registries are `OBJECTIVES`, `CONSTRAINTS`, `NETWORKS` and `OPTIMIZERS`, whose rows are frozen dataclasses with
    the methods of the built-in ones. The rows of `EMBEDDINGS` are functions without arguments that return an embedding.
    Those of `TOYS` draw points: `draw(size, rng)` of shape (size, columns).

    A run that was trained with the row can be resumed and sampled from in any program that registers it under the same
    name.

    Args:
        table: One of the registries.
        name: Letters, digits, - and _.
        row: The class or object of that name.
        replace: Whether to replace a row of yours of the same name, for example if a notebook cell is run again.

    Returns:
        The row.

    Raises:
        UsageError: A name that is taken or has another form, or a row that cannot be used.

    Example:
        >>> from dataclasses import dataclass
        >>> from wgan import register
        >>> from wgan.optimizers import OPTIMIZERS
        >>> import torch
        >>> @dataclass(frozen=True)
        ... class AdamW:
        ...     lr: float = 1e-4
        ...     def build(self, parameters):
        ...         return torch.optim.AdamW(parameters, lr=self.lr)
        >>> _ = register(OPTIMIZERS, "adamw", AdamW, replace=True)
        >>> OPTIMIZERS.build("adamw:lr=0.01")
        AdamW(lr=0.01)
    """
    if not isinstance(table, Table):
        raise UsageError(
            f"a row is registered in a registry such as wgan.objectives.OBJECTIVES, not in a {type(table).__name__}",
            remedy="register(OBJECTIVES, 'mine', Mine)",
        )
    table.add(name, cast(Any, row), replace=replace)
    return row


def _parameters(row: type) -> dict[str, Any]:
    """The fields of a row with their types."""
    hints = typing.get_type_hints(row)
    return {field.name: hints[field.name] for field in dataclasses.fields(row)}


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    """Whether a field has no default."""
    return field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_convertible(kind: Any) -> bool:  # noqa: ANN401 - the type is itself data here
    """Whether a word can express values of this type."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(kind) if part is not type(None)]
        return len(parts) == 1 and _is_convertible(parts[0])
    return origin is Literal or kind in (int, float, bool, str)


def _spell(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _convert(text: str, kind: Any, where: str) -> Any:  # noqa: ANN401 - the type is itself data here
    """Convert the text of a parameter to the type of its field."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if text.lower() == "none":
            return None
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
        return _convert(text, kind, where)
    if origin is Literal:
        known = typing.get_args(kind)
        for value in known:
            if text == str(value):
                return value
        raise UsageError(f"{where}: '{text}' is not one of {', '.join(map(str, known))}")
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise UsageError(f"{where}: '{text}' is neither true nor false")
    try:
        return kind(text)
    except ValueError:
        wanted = {"int": "a whole number", "float": "a number"}.get(kind.__name__, kind.__name__)
        raise UsageError(f"{where}: '{text}' is not {wanted}") from None
