"""The options of a command: dataclasses describe them, argparse parses them and formats the help.

argparse stops at the first error. Here the options collect theirs, so that a user sees all of them at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import re
import shutil
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from wgan.settings import refuse
from wgan.settings.former import SETTINGS
from wgan.system.text import escaped, nearest

_MISSING = dataclasses.MISSING
_MAX_WIDTH = 100
_NEGATIVE = re.compile(r"-\.?\d")


def arg(meaning: str, default: Any = _MISSING) -> Any:  # noqa: ANN401 - the type of the field
    """A field of a dataclass of options; one without a default is required."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class Group:
    """Options under one heading of the help: the fields of one dataclass.

    Attributes:
        title: The heading, without the word "options".
        dataclass: A dataclass whose fields have a "meaning" in their metadata.
        defaults: An instance of it; None for the defaults of the fields.
        positional: Fields that are positional arguments, with their names in the help. The last may take several words.
        hidden: Fields that are not options and keep their defaults.
        more: Text to add to the help of a field.
    """

    title: str
    dataclass: type[Any]
    defaults: Any = None
    positional: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    more: Mapping[str, str] = field(default_factory=dict)

    def options(self) -> list[Option]:
        """The options, in the order of the fields."""
        hints = typing.get_type_hints(self.dataclass)
        return [
            Option(
                name=item.name,
                type=hints[item.name],
                default=getattr(self.defaults, item.name) if self.defaults is not None else item.default,
                help=" ".join(filter(None, (item.metadata["meaning"], self.more.get(item.name, "")))),
                metavar=self.positional.get(item.name, ""),
            )
            for item in dataclasses.fields(self.dataclass)
            if item.name not in self.hidden
        ]

    def build(self, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - an instance of the dataclass
        """An instance of the dataclass with the values that were given; values of other groups are ignored."""
        own = {item.name: values[item.name] for item in dataclasses.fields(self.dataclass) if item.name in values}
        return self.dataclass(**own) if self.defaults is None else dataclasses.replace(self.defaults, **own)


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option or positional argument.

    Attributes:
        name: The field.
        type: Its type.
        default: Its default, or `dataclasses.MISSING`.
        help: Its description.
        metavar: The name of a positional argument in the help; empty for an option.
    """

    name: str
    type: Any
    default: Any
    help: str
    metavar: str

    @property
    def flag(self) -> str:
        """The option as it is typed, or the name of a positional argument."""
        return self.metavar or "--" + self.name.replace("_", "-")

    @property
    def flags(self) -> list[str]:
        """All forms of the option: a Boolean one can be negated."""
        return [self.flag, f"--no-{self.flag[2:]}"] if self.type is bool else [self.flag]

    @property
    def item(self) -> Any:  # noqa: ANN401 - the type is itself data here
        """The type of one value: without "or None", and of an element if the type is a tuple."""
        if isinstance(self.type, types.UnionType):
            return next(part for part in typing.get_args(self.type) if part is not type(None))
        return typing.get_args(self.type)[0] if typing.get_origin(self.type) is tuple else self.type

    @property
    def repeats(self) -> bool:
        """Whether it may be given several times."""
        return typing.get_origin(self.type) is tuple and typing.get_args(self.type)[-1] is ...

    @property
    def num_values(self) -> int:
        """The number of words that it takes each time."""
        if self.type is bool:
            return 0
        return len(typing.get_args(self.type)) if typing.get_origin(self.type) is tuple and not self.repeats else 1


def parse(words: Sequence[str], groups: Sequence[Group], *, command: str, description: str) -> list[Any]:
    """Parse the words of a command.

    Args:
        words: The words after the command.
        groups: The options.
        command: The name of the command, for the help.
        description: What the command does, for the help.

    Returns:
        One instance of each group's dataclass.

    Raises:
        UsageError: Unknown options, missing or invalid values, all of them listed.
        SystemExit: After printing the help, if `--help` is among the words.
    """
    if wants_help(words):
        print(help_text(groups, command=command, description=description), end="")
        raise SystemExit(0)
    values = given(words, groups)
    return [group.build(values) for group in groups]


def wants_help(words: Sequence[str]) -> bool:
    """Whether `--help` is among the words."""
    return "-h" in words or "--help" in words


def help_text(groups: Sequence[Group], *, command: str, description: str) -> str:
    """The help of a command."""
    width = min(_MAX_WIDTH, shutil.get_terminal_size((_MAX_WIDTH, 24)).columns)
    parser = argparse.ArgumentParser(
        description=description, formatter_class=lambda prog: argparse.HelpFormatter(prog, width=width)
    )
    positional = [option for group in groups for option in group.options() if option.metavar]
    parser.usage = " ".join(["wgan", command, *(option.metavar for option in positional), "[options]"])
    for option in positional:
        parser.add_argument(option.name, metavar=option.metavar, help=_help(option))
    _add_options(parser, groups, faults=[])
    return parser.format_help()


def given(words: Sequence[str], groups: Sequence[Group]) -> dict[str, Any]:
    """The values of the options that were given, by field.

    Raises:
        UsageError: As `parse`.
    """
    options = [option for group in groups for option in group.options()]
    end = words.index("--") if "--" in words else len(words)
    named = _with_known_flags(words[:end], options)
    faults: list[str] = []
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    # argparse takes some negative numbers, such as -1e3, for options.
    parser._negative_number_matcher = _NEGATIVE
    _add_options(parser, groups, faults=faults)
    namespace, rest = argparse.Namespace(), list[str]()
    try:
        _, rest = parser.parse_known_args(named, namespace)
    except argparse.ArgumentError as error:
        # The wrong number of values: what the words after it belong to is not known.
        wrong = next(option for option in options if "/".join(option.flags) == error.argument_name)
        refuse([*faults, _count_fault(wrong, _values_behind(wrong, named))], noun="options")
    values = vars(namespace)
    arguments = _without_unknown(rest, named, options, faults)
    _assign(arguments + list(words[end + 1 :]), [option for option in options if option.metavar], values, faults)
    said = " ".join(faults)
    missing = [each for each in options if each.default is _MISSING and each.name not in values]
    refuse([*faults, *(f"{each.flag} is needed" for each in missing if each.flag not in said)], noun="options")
    return values


def _with_known_flags(words: Sequence[str], options: Sequence[Option]) -> list[str]:
    """The words with dashes in the names of options, and each of several values as a word."""
    several = {flag for option in options if option.num_values > 1 for flag in option.flags}
    named: list[str] = []
    for word in words:
        flag, equals, value = word.partition("=")
        if word.startswith("--"):
            flag = flag.replace("_", "-")
        named += [flag, *value.split()] if equals and flag in several else [f"{flag}{equals}{value}"]
    return named


def _values_behind(option: Option, words: Sequence[str]) -> list[str]:
    """The words that stand where the values of an option should."""
    at = next(index for index, word in enumerate(words) if word.partition("=")[0] in option.flags)
    if "=" in words[at]:
        return [words[at].partition("=")[2]]
    behind = words[at + 1 : at + 1 + max(1, option.num_values)]
    return list(itertools.takewhile(lambda word: not word.startswith("--"), behind))


def _count_fault(option: Option, values: Sequence[str]) -> str:
    wanted = {0: "no value", 1: "a value"}.get(option.num_values, f"{option.num_values} values")
    return f"{option.flag} takes {wanted}, not {' '.join(map(_shown, values)) or 'none'}"


def _add_options(parser: argparse.ArgumentParser, groups: Sequence[Group], *, faults: list[str]) -> None:
    for group in groups:
        section = parser.add_argument_group(f"{group.title} options")
        for option in group.options():
            if not option.metavar:
                section.add_argument(*option.flags, action=_Store, option=option, faults=faults)


class _Store(argparse.Action):
    """Stores the value of an option, or adds what is wrong with it to a list."""

    def __init__(self, option_strings: Sequence[str], dest: str, *, option: Option, faults: list[str]) -> None:
        super().__init__(
            option_strings,
            option.name,
            nargs=None if option.num_values == 1 else option.num_values,
            default=argparse.SUPPRESS,
            help=_help(option),
            metavar=_metavar(option),
        )
        self._option, self._faults = option, faults

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        flag: str | None = None,
    ) -> None:
        words = [values] if isinstance(values, str) else values or []
        if len(words) != self._option.num_values:
            # argparse takes the value of --option=-- away.
            self._faults.append(_count_fault(self._option, ["--"]))
            return
        value = _convert(self._option, words, self._faults, negated=flag != self._option.flag)
        if value is not None:
            before = getattr(namespace, self.dest, ()) if self._option.repeats else ()
            setattr(namespace, self.dest, (*before, *value) if self._option.repeats else value)


def _without_unknown(rest: list[str], words: list[str], options: Sequence[Option], faults: list[str]) -> list[str]:
    """Those of the words left by argparse that are positional; unknown options are added to the faults."""
    known = [flag for option in options if not option.metavar for flag in option.flags]
    arguments: list[str] = []
    value_of_unknown: list[str] = []
    for word in rest:
        flag, equals, _ = word.partition("=")
        if word.startswith("-") and not _NEGATIVE.match(word):
            name = flag.lstrip("-")
            name = SETTINGS.get(name.replace("-", "_"), name).replace("_", "-")
            near = nearest(name, [option.lstrip("-") for option in known])
            remedy = f"did you mean --{near[0]}?" if near else "--help lists them"
            faults.append(f"there is no option {_shown(flag)}; {remedy}")
            # The next word is probably its value, and not a separate error.
            value_of_unknown = [] if equals else words[words.index(word) + 1 :][:1]
        elif [word] == value_of_unknown:
            value_of_unknown = []
        else:
            arguments.append(word)
    return arguments


def _assign(words: list[str], positional: list[Option], values: dict[str, Any], faults: list[str]) -> None:
    """Add the positional arguments to `values`, and what is wrong with them to `faults`."""
    for word in words:
        if not positional:
            faults.append(f"unexpected argument {word!r}")
            continue
        option = positional[0] if positional[0].repeats else positional.pop(0)
        value = _convert(option, [word], faults)
        if value is not None:
            values[option.name] = (*values.get(option.name, ()), *value) if option.repeats else value


def _convert(option: Option, words: Sequence[str], faults: list[str], *, negated: bool = False) -> Any:  # noqa: ANN401
    """The value that the words give to an option, or None after adding what is wrong with them to `faults`."""
    shown = " ".join(map(_shown, words))
    if option.num_values == 0:
        return not negated
    if typing.get_origin(option.item) is Literal:
        known = typing.get_args(option.item)
        if words[0] in known:
            return words[0]
        faults.append(f"{option.flag} takes one of {', '.join(known)}, not {shown}")
        return None
    try:
        values = tuple(option.item(word) for word in words)
    except ValueError:
        noun = "whole number" if option.item is int else "number"
        wanted = f"a {noun}" if len(words) == 1 else f"{len(words)} {noun}s"
        faults.append(f"{option.flag} takes {wanted}, not {shown}")
        return None
    return values if option.repeats or option.num_values > 1 else values[0]


def _shown(word: str) -> str:
    return escaped(word) or "''"


def _help(option: Option) -> str:
    default = option.default
    if default is None or default is False or default in ("", ()) or (default is _MISSING and option.metavar):
        return option.help.replace("%", "%%")
    shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
    more = "(required)" if default is _MISSING else f"(default: {shown})"
    return f"{option.help} {more}".replace("%", "%%")


def _metavar(option: Option) -> str | tuple[str, ...]:
    if typing.get_origin(option.item) is Literal:
        return f"{{{','.join(typing.get_args(option.item))}}}"
    word = {int: "N", float: "X", str: "WORD"}.get(option.item, "PATH")
    return word if option.num_values == 1 else (word,) * option.num_values
