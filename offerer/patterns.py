"""Regular expressions that take no longer than their text is long, whatever the pattern.

Patterns come from frameworks and service files, and the master matches them. `re` tries one way after the other, and
may take for ever over ``(a+)+`` and thirty letters. Here all ways are gone at once, as the set of places in the text
that they have come to. Python's own parser reads the pattern, so it means what it means in `re`.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from offerer.errors import InvalidInput

LONGEST: Final = 1000
"""Characters of a pattern."""

_NO_FLAGS: Final = "not a regular expression: flags such as (?i) are not supported; leave them out"
_Places = frozenset[int]
_CATEGORIES: Final = {
    f"CATEGORY_{name}": re.compile(pattern)
    for name, pattern in {
        "DIGIT": r"\d", "NOT_DIGIT": r"\D", "SPACE": r"\s", "NOT_SPACE": r"\S", "WORD": r"\w", "NOT_WORD": r"\W",
    }.items()
}  # fmt: skip


class Pattern:
    """One checked pattern."""

    def __init__(self, text: str) -> None:
        """Raises `InvalidInput` for what is no pattern, or goes beyond classes, groups, ``|``, repeats and anchors."""
        if len(text) > LONGEST:
            raise InvalidInput(f"not a regular expression: it has {len(text)} characters, at most {LONGEST} are read")
        try:
            re.compile(text)
            self._tree: Any = re._parser.parse(text)  # type: ignore[attr-defined]  # there is no public one
        except (re.error, OverflowError, RecursionError) as error:
            raise InvalidInput(f"not a regular expression: {error}") from None
        if self._tree.state.flags & ~re.UNICODE:
            raise InvalidInput(_NO_FLAGS)
        self._after(self._tree, "", frozenset({0}))  # finds what is not supported

    def fits(self, text: str) -> bool:
        """Whether the whole text matches."""
        return len(text) in self._after(self._tree, text, frozenset({0}))

    def _after(self, sequence: Any, text: str, places: _Places) -> _Places:
        for kind, argument in sequence:
            places = self._step(str(kind), argument, text, places)
        return places

    def _step(self, kind: str, argument: Any, text: str, places: _Places) -> _Places:
        if kind in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            accepts = _CHARACTERS[kind]
            return frozenset(i + 1 for i in places if i < len(text) and accepts(argument, text[i]))
        if kind == "BRANCH":
            return frozenset().union(*(self._after(each, text, places) for each in argument[1]))
        if kind == "SUBPATTERN":
            if argument[1] or argument[2]:
                raise InvalidInput(_NO_FLAGS)
            return self._after(argument[3], text, places)
        if kind in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, inner = argument
            return self._repeated(least, most, inner, text, places)
        if kind == "AT" and str(argument) in _ANCHORS:
            holds = _ANCHORS[str(argument)]
            return frozenset(i for i in places if holds(text, i))
        what = kind.lower().replace("_", " ")
        raise InvalidInput(f"not a regular expression: {what} is not supported; use classes, groups, | and repeats")

    def _repeated(self, least: int, most: int, inner: Any, text: str, places: _Places) -> _Places:
        for _ in range(least):
            before, places = places, self._after(inner, text, places)
            if places == before:  # it goes on like this
                break
        found = new = places
        times = least
        while new and times < most:
            new = self._after(inner, text, new) - found
            found |= new
            times += 1
        return found


def _one_of(items: Any, character: str) -> bool:
    negated = str(items[0][0]) == "NEGATE"
    return negated != any(_CHARACTERS[str(kind)](argument, character) for kind, argument in items[negated:])


_CHARACTERS: Final[dict[str, Callable[[Any, str], bool]]] = {
    "LITERAL": lambda code, character: ord(character) == code,
    "NOT_LITERAL": lambda code, character: ord(character) != code,
    "ANY": lambda _, character: character != "\n",
    "RANGE": lambda bounds, character: bounds[0] <= ord(character) <= bounds[1],
    "CATEGORY": lambda name, character: _CATEGORIES[str(name)].match(character) is not None,
    "IN": _one_of,
}


def _at_boundary(text: str, i: int) -> bool:
    return _is_word(text[i - 1 : i]) != _is_word(text[i : i + 1])


def _is_word(character: str) -> bool:
    return _CATEGORIES["CATEGORY_WORD"].match(character) is not None


_ANCHORS: Final[dict[str, Callable[[str, int], bool]]] = {
    "AT_BEGINNING": lambda _, i: i == 0,
    "AT_BEGINNING_STRING": lambda _, i: i == 0,
    "AT_END": lambda text, i: text[i:] in ("", "\n"),
    "AT_END_STRING": lambda text, i: i == len(text),
    "AT_BOUNDARY": _at_boundary,
    "AT_NON_BOUNDARY": lambda text, i: not _at_boundary(text, i),
}


@lru_cache(maxsize=1024)
def read_pattern(text: str) -> Pattern:
    """The pattern of this text. Raises `InvalidInput`."""
    return Pattern(text)


@lru_cache(maxsize=65536)
def fits(pattern: str, text: str) -> bool:
    """Whether the whole text matches the pattern; the same is asked again for every offer of a host."""
    return read_pattern(pattern).fits(text)
