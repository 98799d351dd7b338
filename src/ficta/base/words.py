"""Numbers and names as people read them."""

import difflib
from collections.abc import Iterable

WITH_PRIOR = " with prior "  # in the name of a result: what was measured, then the prior that latents came from


def nearest(name: str, known: Iterable[str]) -> str:
    """Say what there is, and which of it was probably meant: for errors about an unknown ``name``."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"did you mean {close[0]!r}? " if close else ""
    return f"{guess}there is: {', '.join(known)}"


def duration(seconds: float) -> str:
    """Seconds as ``45 s``, ``12 min 05 s`` or ``3 h 07 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count_bytes: float) -> str:
    """Bytes as ``512 B``, ``3.4 MB`` (powers of 1000)."""
    value = float(count_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def count(number: float) -> str:
    """A count with thousands separated: ``1,234,567``."""
    return f"{round(number):,}"


def plural(number: float, one: str, many: str | None = None) -> str:
    """``1 picture``, ``2 pictures``."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"
