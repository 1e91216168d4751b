"""Patterns mean what they mean in `re`, and take no longer than their text is long."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offerer.constraints import Constraint, check_constraint
from offerer.errors import InvalidInput
from offerer.patterns import Pattern

_ATOMS = st.sampled_from(["a", "b", ".", r"\d", r"\W", "[ab]", "[^a1-]", "-", r"\b", r"\B", "^", "$", r"\Z", "ab", "é"])
_PATTERNS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda each: f"({'|'.join(each)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "{2}", "{1,2}", "{0,1}", "{2,}"])).map(
            lambda each: f"(?:{each[0]}){each[1]}"
        ),
    ),
    max_leaves=8,
)


@given(_PATTERNS, st.text("ab1- é\n", min_size=1, max_size=7))  # in an empty one, releases of Python differ over \\B
def test_a_pattern_means_what_it_means_in_re(pattern: str, text: str) -> None:
    assert Pattern(pattern).fits(text) == (re.compile(pattern).fullmatch(text) is not None)


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|aa)+", "((a*)*)*b", "(.*)*x", "(a?){500}a{500}", "(a{1,200}){1,200}"])
def test_no_pattern_takes_long(pattern: str) -> None:
    started = time.process_time()
    assert not Pattern(pattern).fits("a" * 250 + "!")
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(((", "missing )"),
        (r"(a)\1", "groupref is not supported"),
        ("(?=a)b", "assert is not supported"),
        ("(x|(?!a)b)*", "assert not is not supported"),
        ("a++", "possessive repeat is not supported"),
        ("(?i)a", "flags such as (?i) are not supported"),
        ("(?i:a)", "flags such as (?i) are not supported"),
        ("a" * 1001, "it has 1001 characters"),
        ("(" * 400, "missing )"),
    ],
)
def test_what_is_refused_is_said(pattern: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)):
        check_constraint(Constraint("zone", "=~", (pattern,)))
