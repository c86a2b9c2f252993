"""This file owns settings: values written in TOML, guarded before parsing, fitted to the types that are wanted.

A refusal is a UsageError that says where, which value, what is allowed and one thing to try.
"""

import csv
import inspect
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from wflow.problems import NAMES, Problem, build, function_of, nearest, parameters_of

MOST_BYTES = 64 * 1024
MOST_CHARACTERS = 4096
MOST_DOTS = 64
MOST_BRACKETS = 32
MOST_DEPTH = 8
LARGEST = 2**53
HIGHEST_KEY = 10_000
"""The highest mode number: beyond what any method here resolves, and it is the length of an array."""
LONGEST = 1e6
"""The longest horizon: an explicit method would need years beyond."""
WHOLE = "whole"
"""What a setting says where code says None."""
_WORD = re.compile(r"[A-Za-z_][\w./-]*")
_NAMES = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}


class UsageError(ValueError):
    """A wrong argument, setting or config."""


def refused(where: str, value: object, allowed: str, remedy: str) -> UsageError:
    """The house form of a refusal."""
    text = value if isinstance(value, str) and "\n" not in value else repr(value)
    shown = text if len(text) <= 60 else text[:57] + "..."
    return UsageError(f"{where}: {shown} is not allowed; allowed: {allowed}; {remedy}")


def parsed(text: str, where: str) -> dict[str, Any]:
    """TOML text as plain values; digit keys become whole numbers. UsageError where it is hostile or no TOML."""
    _guard(text, where)
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise refused(where, "its nesting", f"{MOST_DEPTH} levels", "write it flatter") from None
    except ValueError as error:  # TOMLDecodeError is one, and so is an integer of 5000 digits
        raise UsageError(f"{where}: this is not TOML: {error}; correct that line") from None
    return {key: _plain(f"{where}: {key}", value, 0) for key, value in table.items()}


def _guard(text: str, where: str) -> None:
    """The shapes on which a TOML parser takes minutes or overflows its stack."""
    if len(text.encode()) > MOST_BYTES:
        raise refused(where, f"more than {MOST_BYTES} bytes", "less", "move data into a CSV file")
    for number, line in enumerate(text.splitlines(), 1):
        limits = (
            ("characters", len(line), MOST_CHARACTERS),
            ("dots", line.count("."), MOST_DOTS),
            ("brackets", line.count("[") + line.count("{"), MOST_BRACKETS),
        )
        for what, count, most in limits:
            if count > most:
                raise refused(f"{where}: line {number}", f"{count} {what}", f"{most} in a line", "break the line")


def _plain(where: str, value: object, depth: int) -> Any:
    if depth > MOST_DEPTH:
        raise refused(where, "its nesting", f"{MOST_DEPTH} levels", "write it flatter")
    match value:
        case bool() | str():
            return value
        case int():
            if abs(value) > LARGEST:
                size = f"a whole number of {len(str(abs(value)))} digits"
                raise refused(where, size, f"up to {LARGEST} in size", "write a smaller number")
            return value
        case float():
            if not math.isfinite(value):
                raise refused(where, value, "finite numbers", "write a finite number")
            return value
        case list():
            return [_plain(f"{where}[{k}]", entry, depth + 1) for k, entry in enumerate(value)]
        case dict():
            return {_key(where, key): _plain(f"{where}.{key}", entry, depth + 1) for key, entry in value.items()}
    raise refused(where, type(value).__name__, "numbers, texts, true, false, lists, tables", "write it as a text")


def _key(where: str, key: str) -> str | int:
    if not (key.isascii() and key.isdigit()):
        return key
    if len(key) > len(str(HIGHEST_KEY)) or int(key) > HIGHEST_KEY:
        raise refused(f"{where}.{key}", key, f"mode numbers up to {HIGHEST_KEY}", "write a lower mode")
    return int(key)


def assignments(given: Sequence[str]) -> dict[str, Any]:
    """`key=value` pairs of --set: TOML values, a bare word is a text, digit keys become whole numbers."""
    found: dict[str, Any] = {}
    for item in given:
        key, equals, value = item.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key.isidentifier():
            raise refused("--set", item, "key=value", "write for instance --set horizon=5")
        if key in found:
            raise refused(f"--set {key}", value, "one value a key", "give it once")
        found[key] = value if _is_word(value) else _value(f"--set {key}", value)
    return found


def _is_word(value: str) -> bool:
    return bool(_WORD.fullmatch(value)) and value not in ("true", "false", "nan", "inf")


def _value(where: str, value: str) -> Any:
    if "\n" in value or "\r" in value:
        raise refused(where, value, "a value on one line", "take out the line break")
    try:
        return parsed(f"value = {value}", where)["value"]
    except UsageError as error:
        if "not TOML" not in str(error):
            raise
        remedy = "write for instance --set 'modes={1 = 0.5, 3 = 0.3}' or --set activation=relu"
        raise refused(where, value or "nothing", "a TOML value or a bare word", remedy) from None


def problem(name: str, given: Mapping[str, Any], where: str = "problem") -> Problem:
    """The named problem of the catalogue with these parameters; UsageError for whatever it does not take."""
    if name not in NAMES:
        raise UsageError(f"{where}: unknown name {name!r}; {nearest(name, list(NAMES))}")
    hints = get_type_hints(function_of(name))
    settings = fitted(where, given, {key: hints[key] for key in parameters_of(name)})
    try:
        posed = build(name, **settings)
    except (ValueError, TypeError, OSError, csv.Error) as error:
        raise UsageError(f"{where} {name}: {error}") from error
    except (MemoryError, OverflowError) as error:
        raise UsageError(f"{where} {name}: it does not fit into memory ({error}); lower its numbers") from error
    if posed.flow.horizon > LONGEST:
        raise refused(f"{where}: horizon", posed.flow.horizon, f"up to {LONGEST:g}", "shorten it")
    return posed


def fitted(where: str, given: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """The given values as the types that the hints name; UsageError for unknown keys, with the nearest, and types."""
    for key in given:
        if key not in hints:
            raise UsageError(f"{where}: unknown key {str(key)!r}; {nearest(str(key), list(hints))}")
    return {key: fit(f"{where}: {key}", value, hints[key]) for key, value in given.items()}


def fit(where: str, value: Any, hint: Any) -> Any:
    """One plain value as the type of a hint: numbers, texts, choices, lists, pairs and tables of these."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _one_of(where, value, [entry for entry in inner if entry is not type(None)], hint)
    if origin is Literal:
        if value not in inner:
            raise UsageError(f"{where}: unknown choice {value!r}; {nearest(str(value), [str(c) for c in inner])}")
        return value
    if hint is float and type(value) in (int, float):
        return float(value)
    if hint in _NAMES and type(value) is hint:
        return value
    if origin is Mapping and isinstance(value, dict):
        return {fit(f"{where}: key {k}", k, inner[0]): fit(f"{where}.{k}", v, inner[1]) for k, v in value.items()}
    if origin is Sequence and isinstance(value, list | str):
        return [fit(f"{where}[{k}]", v, inner[0]) for k, v in enumerate([value] if isinstance(value, str) else value)]
    if origin is tuple and isinstance(value, list) and len(value) == len(inner):
        return tuple(fit(f"{where}[{k}]", v, h) for k, (v, h) in enumerate(zip(value, inner, strict=True)))
    raise refused(where, value, described(hint), "correct it")


def _one_of(where: str, value: Any, kinds: list[Any], hint: Any) -> Any:
    """The first kind that the value fits; the word "whole" stands for None where that is one of them."""
    if value == WHOLE and type(None) in get_args(hint):
        return None
    for kind in kinds[:-1]:
        with suppress(UsageError):
            return fit(where, value, kind)
    try:
        return fit(where, value, kinds[-1])
    except UsageError as error:
        raise (error if len(kinds) == 1 else refused(where, value, described(hint), "correct it")) from None


def described(hint: Any) -> str:
    """What a hint allows, in words."""
    inner = [entry for entry in get_args(hint) if entry is not type(None)]
    match get_origin(hint):
        case None:
            return _NAMES.get(hint, getattr(hint, "__name__", str(hint)))
        case origin if origin is Literal:
            return " or ".join(map(str, inner))
        case origin if origin is Mapping:
            return "a table such as {1 = 0.5, 3 = 0.3}"
        case origin if origin is Sequence:
            return f"a list, each entry {described(inner[0])}"
        case origin if origin is tuple:
            return f"a list of {len(inner)}, each entry {described(inner[0])}"
    return " or ".join(map(described, inner))


def defaults(name: str) -> str:
    """The parameters of a problem with their defaults, as one would write them."""
    pairs = parameters_of(name).items()
    return ", ".join(key if value is inspect.Parameter.empty else f"{key}={value}" for key, value in pairs)
