"""When two names of a dish are one."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foodkd.data.names import plain, readable
from foodkd.errors import FoodkdError
from foodkd.explain.names import find_class


@pytest.mark.parametrize("spelled", ["apple_pie", "Apple pie", " apple-pie ", "APPLE__PIE"])
def test_spaces_underscores_hyphens_and_case_make_no_difference(spelled: str) -> None:
    assert plain(spelled) == "apple pie"


@given(st.text())
def test_an_accent_is_one_however_it_is_encoded(name: str) -> None:
    composed, apart = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    assert plain(composed) == plain(apart) == plain(name)
    assert "_" not in readable(name)


def test_a_class_is_found_by_any_spelling_and_the_exact_one_first() -> None:
    classes = ["cr\N{LATIN SMALL LETTER E WITH GRAVE}me", "hot-dog", "hot_dog"]
    assert find_class(classes, unicodedata.normalize("NFD", classes[0]).upper()) == 0
    assert [find_class(classes, name) for name in ("hot_dog", "hot-dog", "Hot Dog")] == [2, 1, 1]
    with pytest.raises(FoodkdError, match="'hotdogs'; the closest names are hot-dog"):
        find_class(classes, "hotdogs")
