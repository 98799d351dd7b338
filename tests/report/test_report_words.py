"""Numbers with their units."""

from typing import Any

import pytest

from ficta.report.words import flatten, listed, name_and_unit, number, quantity, sentence


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (156.312, "156.3"),
        (12340.0, "12,340"),
        (0.25, "0.25"),
        (2.1e-5, "2.1e-5"),
        (1.0, "1"),
        (999.96, "1,000"),
    ],
)
def test_four_digits(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("kl_nats", 1.5, "1.5 nats"),
        ("memory_bytes", 3_400_000, "3.4 MB"),
        ("spread_ratio", 0.123, "12.3%"),
        ("seconds", 12.0, "12"),
        ("train_seconds", 65.0, "1 min 05 s"),
        ("r1", 0.5, "0.5"),
        ("kl_nats", "nan", "nan"),
        ("kl_nats", float("inf"), "inf"),
    ],
)
def test_quantities(name: str, value: Any, text: str) -> None:
    assert quantity(name, value) == text


def test_names() -> None:
    assert name_and_unit("heldout_negative_elbo_nats") == ("held-out negative ELBO", "nats")
    assert name_and_unit("generator") == ("generator", "")


def test_remarks_of_any_form_become_lines() -> None:
    assert listed(None) == listed([]) == listed(0) == []
    assert listed("one") == ["one"]
    assert listed({"a": 2}) == ["a: 2"]
    assert listed([1, "b"]) == ["1", "b"]


def test_sentences() -> None:
    assert sentence("lower the rate, as in NaN") == "Lower the rate, as in NaN."
    assert sentence("Done.") == "Done."
    assert sentence("") == ""


def test_settings_are_flat_and_readable() -> None:
    values = {"a": {"b": [1, 2], "c": None}, "d": True, "rate": 1e-4, "n": 5000}
    assert flatten(values) == {"a.b": "1, 2", "a.c": "none", "d": "yes", "rate": "0.0001", "n": "5,000"}
