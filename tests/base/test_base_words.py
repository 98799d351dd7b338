"""Numbers and names as people read them."""

import pytest

from ficta.base.words import count, duration, nearest, size


def test_nearest_guesses_and_lists_in_order() -> None:
    assert nearest("vea", ["vae", "gan"]) == "did you mean 'vae'? there is: gan, vae"


def test_nearest_does_not_guess_wildly() -> None:
    assert nearest("diffusion", iter(["vae", "gan"])) == "there is: gan, vae"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-3, "0 s"),
        (45.4, "45 s"),
        (59.6, "1 min 00 s"),  # rounded first: never "60 s"
        (725, "12 min 05 s"),
        (3599.7, "1 h 00 min"),
        (11_279, "3 h 07 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count_bytes", "text"),
    [(0, "0 B"), (512, "512 B"), (1000, "1.0 kB"), (3_400_000, "3.4 MB"), (25e9, "25.0 GB"), (7e15, "7000.0 TB")],
)
def test_size(count_bytes: float, text: str) -> None:
    assert size(count_bytes) == text


def test_count() -> None:
    assert (count(999), count(1234567), count(0.6)) == ("999", "1,234,567", "1")
