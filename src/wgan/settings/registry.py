"""How a word in the settings becomes an object: `name:key=value,key=value`, looked up in one room's table.

Each room (objectives, constraints, networks, optimisers) keeps one `Registry` of frozen dataclasses. A new row in it is
at once accepted by the settings, listed by the command line and described in the docs. Only rows of a table can be
named: settings never import or unpickle anything. What is not named with parameters (embeddings, toy distributions) is
kept in a `Table`. `register` adds a row of the user's own to either.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, Literal, TypeVar, cast

from wgan.errors import UsageError, WganError
from wgan.system.text import did_you_mean

T = TypeVar("T")
Row = TypeVar("Row")

OWN = "own"
"""The word for an object that no table has: "own:class=Mine,digest=0f12ab34"."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


class Registry(Generic[T]):
    """One room's table: names to frozen dataclasses, whose fields are the parameters that settings may give.

    Args:
        noun: What a row is, as users say it ("constraint").
        rows: Name to dataclass.
        parent: The class that every row inherits from; `object` where the methods alone matter.
        members: Methods and attributes that every row must have.
    """

    def __init__(
        self, noun: str, rows: Mapping[str, type[T]], *, parent: type = object, members: tuple[str, ...] = ()
    ) -> None:
        self.noun, self.parent, self.members = noun, parent, members
        self.rows = dict(rows)
        self._built_in = frozenset(rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def build(self, text: str) -> T:
        """Build the row that `text` names.

        Args:
            text: "penalty", or with parameters "penalty:weight=0.1,one_sided=true".

        Returns:
            An instance of the row, its defaults overridden.

        Raises:
            UsageError: An unknown name or parameter, a value of the wrong type, or one that the row refuses.
        """
        name, _, rest = text.strip().partition(":")
        if name == OWN:
            raise UsageError(
                f"{self.noun} '{text}' is an object of the user's own, which a file can only name",
                remedy="Give the object in Python.",
            )
        if name not in self.rows:
            raise UsageError(f"{self.noun} '{name}' is not known", remedy=did_you_mean(name, self.rows))
        row = self.rows[name]
        hints = typing.get_type_hints(row)
        fields = {field.name: hints[field.name] for field in dataclasses.fields(row)}  # type: ignore[arg-type]
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

    def add(self, name: str, row: type[T], *, replace: bool = False) -> None:
        """Add a row of the user's own; see `register`."""
        check_name(self.noun, name, self.rows, self._built_in, replace=replace)
        what = f"{self.noun} {name!r}"
        if not isinstance(row, type):
            raise UsageError(
                f"{what} must be a class, not {row!r}", remedy="Register the class; settings build its objects."
            )
        if not dataclasses.is_dataclass(row) or not row.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise UsageError(
                f"{what} must be a frozen dataclass, whose fields are the parameters that settings may give",
                remedy=f"Put @dataclass(frozen=True) before class {row.__name__}.",
            )
        if lack := self.lacks(row):
            raise UsageError(f"{what}: {row.__name__} {lack}")
        for key, kind in typing.get_type_hints(row).items():
            if key in {field.name for field in dataclasses.fields(row)} and not _is_convertible(kind):
                raise UsageError(
                    f"{what}: the field '{key}' is of type {kind}, which cannot be written in a word",
                    remedy="Take int, float, bool, str, a Literal, or one of them or None.",
                )
        self.rows[name] = row

    def lacks(self, row: object) -> str:
        """What a class or an object lacks for a row of this table, in a few words; empty if nothing."""
        kind = row if isinstance(row, type) else type(row)
        if not issubclass(kind, self.parent):
            top = ".".join(self.parent.__module__.split(".")[:2])
            return f"does not inherit from {top}.{self.parent.__name__}"
        fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
        missing = [name for name in self.members if name not in fields and not hasattr(row, name)]
        missing += sorted(getattr(kind, "__abstractmethods__", ()))
        return f"does not define {', '.join(missing)}" if missing else ""

    def word_of(self, part: object) -> str | None:
        """The word that builds an object equal to this one; None where no row or no word does."""
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
        """For each row, its text with every default spelled out, and the first sentence of its docstring."""
        described = []
        for name, row in self.rows.items():
            fields = dataclasses.fields(row)  # type: ignore[arg-type]
            defaults = [f"{field.name}={_spell(field.default)}" for field in fields]
            text = f"{name}:{','.join(defaults)}" if defaults else name
            described.append((text, (row.__doc__ or "").strip().splitlines()[0]))
        return described


class Table(dict[str, T]):
    """A table whose rows are objects that a name alone stands for.

    Args:
        noun: What a row is, as users say it ("embedding").
        rows: The rows.
        fault: What is wrong with an object as a row, in a few words; an empty text if nothing.
        added: Called with the name and the row of each that `register` adds.
        reserved: Names that no row may be added under, beside those of the rows.
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
        super().__init__(rows)
        self.noun, self._fault, self._added = noun, fault, added
        self._built_in = frozenset([*rows, *reserved])

    def add(self, name: str, row: T, *, replace: bool = False) -> None:
        """Add a row of the user's own; see `register`."""
        check_name(self.noun, name, self, self._built_in, replace=replace)
        if fault := self._fault(row):
            raise UsageError(f"{self.noun} {name!r} {fault}")
        self[name] = row
        self._added(name, row)


def register(table: Registry[Any] | Table[Any], name: str, row: Row, *, replace: bool = False) -> Row:
    """Add a row of your own to a table, for this process: settings and parameters then take its name.

    The tables are `OBJECTIVES`, `CONSTRAINTS`, `NETWORKS` and `OPTIMIZERS`, whose rows are frozen dataclasses with the
    methods of the others there; `EMBEDDINGS`, whose rows are functions without arguments that return an embedding; and
    `TOYS`, whose rows draw points: `draw(size, rng)` of shape (size, columns).

    A run that was trained with it is resumed and sampled from in any program that has registered it under the same
    name.

    Args:
        table: One of those above.
        name: Letters, digits, - and _.
        row: What the name stands for.
        replace: Whether the name may stand for another row of yours already, as where a notebook's cell is run again.

    Returns:
        The row.

    Raises:
        UsageError: A name that is taken or has another form, or a row that lacks something.

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
    if not isinstance(table, Registry | Table):
        raise UsageError(
            f"rows are registered in a table such as wgan.objectives.OBJECTIVES, not in {type(table).__name__}",
            remedy="register(OBJECTIVES, 'mine', Mine)",
        )
    table.add(name, cast(Any, row), replace=replace)
    return row


def check_name(noun: str, name: object, taken: Iterable[str], built_in: Iterable[str], *, replace: bool) -> None:
    """Refuse a name for a row that is to be added.

    Raises:
        UsageError: It is taken, reserved or has another form.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a row", remedy="Begin with a letter; take letters, digits, - and _ alone."
        )
    if name == OWN or name in set(built_in):
        why = "stands for objects that no table has" if name == OWN else f"is a {noun} that wgan brings"
        raise UsageError(f"{noun} {name!r} cannot be registered: the name {why}", remedy="Choose another name.")
    if name in set(taken) and not replace:
        raise UsageError(
            f"{noun} {name!r} is registered already", remedy="Choose another name, or register with replace=True."
        )


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    """Whether a field of a row has no default."""
    return field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _is_convertible(kind: Any) -> bool:  # noqa: ANN401 - the type is itself data here
    """Whether the text of a word can be converted to this type."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(kind) if part is not type(None)]
        return len(parts) == 1 and _is_convertible(parts[0])
    return origin is Literal or kind in (int, float, bool, str)


def _spell(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _convert(text: str, kind: Any, where: str) -> Any:  # noqa: ANN401 - the type is itself data here
    """Convert the text of one value to the type that the field declares."""
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
