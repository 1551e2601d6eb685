"""From a command's words to typed options: dataclasses are the only description of an option there is.

tyro reads the words and writes the help. Where it refuses, the words are gone through once more to say in a line each
what is wrong with them, since tyro stops at the first fault and draws a box around it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from wgan.settings import refuse
from wgan.system.text import escaped, nearest

_MISSING = dataclasses.MISSING


@dataclass(frozen=True, kw_only=True)
class Group:
    """Options that the help shows together: the fields of one dataclass.

    Attributes:
        title: What the options are for; the help shows them under this word and "options".
        kind: A dataclass whose docstring has an "Attributes:" section, a line or more each.
        defaults: An instance of it, or None where the fields' own defaults stand.
        positional: Fields given by place, not by name, with the word that the help shows for each; one of them may take
            several words, and is then the last.
        hidden: Fields that are not options, and keep their defaults.
        more: Added to the help of the fields.
    """

    title: str
    kind: type[Any]
    defaults: Any = None
    positional: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    more: Mapping[str, str] = field(default_factory=dict)

    def options(self) -> list[Option]:
        """The options, in the order of the fields."""
        hints, lines = typing.get_type_hints(self.kind), attribute_lines(self.kind)
        return [
            Option(
                name=item.name,
                hint=hints[item.name],
                default=getattr(self.defaults, item.name) if self.defaults is not None else item.default,
                help=" ".join(filter(None, (lines.get(item.name, ""), self.more.get(item.name, "")))),
                place=self.positional.get(item.name, ""),
            )
            for item in dataclasses.fields(self.kind)
            if item.name not in self.hidden
        ]


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a command.

    Attributes:
        name: The field.
        hint: Its type.
        default: Its default, or `dataclasses.MISSING`.
        help: What it is.
        place: The word that stands for it where it is given by place; empty where it is given by name.
    """

    name: str
    hint: Any
    default: Any
    help: str
    place: str

    @property
    def flag(self) -> str:
        """As it is typed."""
        return self.place or "--" + self.name.replace("_", "-")

    @property
    def bare(self) -> Any:  # noqa: ANN401 - the type is itself data here
        """The type of one value: without "or None", and of an item where the option may be given several times."""
        if isinstance(self.hint, types.UnionType):
            return next(part for part in typing.get_args(self.hint) if part is not type(None))
        return typing.get_args(self.hint)[0] if typing.get_origin(self.hint) is tuple else self.hint

    @property
    def repeats(self) -> bool:
        """Whether it may be given several times."""
        return typing.get_origin(self.hint) is tuple and typing.get_args(self.hint)[-1] is ...

    @property
    def num_values(self) -> int:
        """How many words follow it."""
        if self.hint is bool:
            return 0
        return len(typing.get_args(self.hint)) if typing.get_origin(self.hint) is tuple and not self.repeats else 1


def parse(words: Sequence[str], groups: Sequence[Group], *, command: str, description: str) -> list[Any]:
    """Read a command's words.

    Args:
        words: What was typed after the command.
        groups: What may be typed.
        command: The command, for the help.
        description: What it does, for the help.

    Returns:
        One instance of each group's dataclass.

    Raises:
        UsageError: Words that cannot be used, all of them listed.
        SystemExit: After printing the help, when it was asked for.
    """
    import tyro

    fields = [(f"group{number}", _tyro_group(group), dataclasses.field()) for number, group in enumerate(groups)]
    form = dataclasses.make_dataclass("Form", fields, frozen=True, kw_only=True)
    asks_for_help = wants_help(words)
    # Beside other words tyro would leave those out of the help which it has read by then.
    args = ["--help"] if asks_for_help else gathered(words, [option for group in groups for option in group.options()])
    # Some of its complaints tyro prints whatever it is told.
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            read: Any = tyro.cli(
                form, args=args, prog=f"wgan {command}", description=description, console_outputs=asks_for_help
            )
    except SystemExit as stop:
        if stop.code:
            refuse_words(words, groups)
            sys.stderr.write(complaint.getvalue())
        raise
    return [_instance(group, getattr(read, f"group{number}")) for number, group in enumerate(groups)]


def wants_help(words: Sequence[str]) -> bool:
    """Whether the words ask for help."""
    return "-h" in words or "--help" in words


def refuse_words(words: Sequence[str], groups: Sequence[Group]) -> None:
    """Raise one error that lists the words which cannot be used, if there are any.

    Raises:
        UsageError: Unknown options, values of another type, values that are missing or too many.
    """
    _, faults = go_through(words, [option for group in groups for option in group.options()])
    refuse(faults, noun="options")


def go_through(words: Sequence[str], options: Sequence[Option]) -> tuple[dict[str, Any], list[str]]:
    """Sort words into values by option and faults.

    Returns:
        The values that could be read, by field (the last where an option was repeated), and a line for each fault.
    """
    named = {option.flag: option for option in options if not option.place}
    named |= {f"--no-{flag[2:]}": option for flag, option in named.items() if option.num_values == 0}
    places = [option for option in options if option.place]
    values: dict[str, Any] = {}
    faults: list[str] = []
    rest = list(words)
    while rest:
        word, equals, joined = rest.pop(0).partition("=")
        flag = word.replace("_", "-")
        if not word.startswith("-"):
            word += equals + joined
            if not places:
                faults.append(f"unexpected argument {word!r}")
                continue
            option, given = places[0] if places[0].repeats else places.pop(0), [word]
        elif flag not in named:
            faults.append(f"there is no option {_shown(word)}; {_nearest(flag, named)}")
            # What follows was meant as its value, and is no fault of its own.
            if not equals and rest and not rest[0].startswith("--"):
                rest.pop(0)
            continue
        else:
            option, given = named[flag], [joined] if equals else []
            while len(given) < option.num_values and rest and not rest[0].startswith("--"):
                given.append(rest.pop(0))
        value, fault = _convert(option, given, negated=flag.startswith("--no-") and flag in named)
        if fault:
            faults.append(fault)
        else:
            values[option.name] = (*values.get(option.name, ()), *value) if option.place and option.repeats else value
    needed = [option for option in options if option.default is _MISSING and option.name not in values]
    mentioned = " ".join(faults)
    return values, faults + [f"{option.flag} is needed" for option in needed if option.flag not in mentioned]


def gathered(words: Sequence[str], options: Sequence[Option]) -> list[str]:
    """Put words that are given by place side by side, in front, where one place takes several: tyro wants them so."""
    if not any(option.place and option.repeats for option in options):
        return list(words)
    values = {option.flag: option.num_values for option in options if not option.place}
    placed: list[str] = []
    named: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*placed, *named, word, *rest]
        if not word.startswith("-"):
            placed.append(word)
            continue
        named.append(word)
        for _ in range(0 if "=" in word else values.get(word.replace("_", "-"), 0)):
            named += [rest.pop(0)] if rest else []
    return placed + named


def attribute_lines(kind: type[Any]) -> dict[str, str]:
    """The "Attributes:" section of a class's docstring: name to text."""
    section = (kind.__doc__ or "").partition("Attributes:")[2]
    found = re.findall(r"^ +(\w+): (.+(?:\n {9,}.+)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _convert(option: Option, given: list[str], *, negated: bool) -> tuple[Any, str]:
    """The option's value, or what is wrong with the words given for it."""
    if len(given) != option.num_values:
        wanted = {0: "no value", 1: "a value"}.get(option.num_values, f"{option.num_values} values")
        return None, f"{option.flag} takes {wanted}, not {' '.join(map(_shown, given)) or 'none'}"
    if option.num_values == 0:
        return not negated, ""
    if typing.get_origin(option.bare) is Literal:
        known = typing.get_args(option.bare)
        fault = f"{option.flag} takes one of {', '.join(known)}, not {_shown(given[0])}"
        return given[0], "" if given[0] in known else fault
    try:
        read = [option.bare(word) for word in given]
    except ValueError:
        noun = "whole number" if option.bare is int else "number"
        wanted = f"a {noun}" if len(given) == 1 else f"{len(given)} {noun}s"
        return None, f"{option.flag} takes {wanted}, not {' '.join(map(_shown, given))}"
    if option.repeats or option.num_values > 1:
        return tuple(read), ""
    return read[0], ""


def _nearest(flag: str, known: Mapping[str, Option]) -> str:
    near = nearest(flag, known)
    return f"did you mean {near[0]}?" if near else "--help lists them"


def _shown(word: str) -> str:
    return escaped(word) or "''"


def _tyro_group(group: Group) -> Any:  # noqa: ANN401 - a class made here
    import tyro

    fields = []
    for option in group.options():
        is_plain = option.default in (None, "", ()) or (option.place and option.repeats)
        hint = "" if is_plain else None
        about = tyro.conf.arg(help=option.help, metavar=option.place or _metavar(option), help_behavior_hint=hint)
        marks: list[Any] = [about]
        marks += [tyro.conf.Positional] if option.place else []
        marks += [tyro.conf.UseAppendAction] if option.repeats and not option.place else []
        item: Any = dataclasses.field() if option.default is _MISSING else dataclasses.field(default=option.default)
        fields.append((option.name, typing.Annotated[option.hint, *marks], item))
    made = dataclasses.make_dataclass("Options", fields, frozen=True, kw_only=True)
    return typing.Annotated[made, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name=group.title)]


def _metavar(option: Option) -> str | None:
    words = {int: "N", float: "X", str: "WORD"}
    if option.hint is bool or typing.get_origin(option.bare) is Literal:
        return None
    return " ".join([words.get(option.bare, "PATH")] * option.num_values)


def _instance(group: Group, read: Any) -> Any:  # noqa: ANN401
    values = {item.name: getattr(read, item.name) for item in dataclasses.fields(read)}
    if group.defaults is not None:
        return dataclasses.replace(group.defaults, **values)
    return group.kind(**values)
