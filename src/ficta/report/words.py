"""Names and numbers of a run as a person reads them: the unit in a name becomes the unit of the number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ficta.base import words

NOT_RECORDED = "not recorded"
LOGIT = "logit"
_UNITS = {LOGIT: LOGIT, "nats": "nats", "bits": "bits", "ratio": "%", "bytes": "bytes", "seconds": "s", "hz": "Hz"}
_ABBREVIATIONS = {
    "elbo": "ELBO",
    "kl": "KL",
    "nll": "NLL",
    "bce": "BCE",
    "r1": "R1",
    "mmd": "MMD",
    "heldout": "held-out",
}


def name_and_unit(name: str) -> tuple[str, str]:
    """``heldout_kl_nats`` => ``("held-out KL", "nats")``; the unit is empty if the name has none."""
    parts = name.split("_")
    unit = _UNITS.get(parts[-1], "") if len(parts) > 1 else ""
    kept = parts[:-1] if unit else parts
    return " ".join(_ABBREVIATIONS.get(part, part) for part in kept), unit


def number(value: float) -> str:
    """Four significant digits, thousands separated: ``156.3``, ``12,340``, ``2.1e-5``."""
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e15:
        decimals = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
        text = f"{value:,.{min(decimals, 6)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def quantity(name: str, value: Any) -> str:
    """A value with the unit that stands in its name; what is no number stays as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    unit = name_and_unit(name)[1]
    if not math.isfinite(value):
        return str(value)
    if unit == "bytes":
        return words.size(value)
    if unit == "s":
        return words.duration(value)
    if unit == "%":
        return f"{number(100 * value)}%"
    return f"{number(value)} {unit}".strip()


def rate(samples_per_second: float) -> str:
    """``1,234 samples a second``."""
    return f"{number(samples_per_second)} samples a second"


def sentence(text: str) -> str:
    """The text with a capital letter at its beginning and a full stop at its end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".") if text else ""


def listed(value: Any) -> list[str]:
    """Whatever stands where remarks are expected, as lines."""
    if value in (None, "", 0, [], {}):
        return []
    if isinstance(value, Mapping):
        return [f"{name}: {entry}" for name, entry in value.items()]
    return [str(entry) for entry in value] if isinstance(value, list | tuple) else [str(value)]


def setting(value: Any) -> str:
    """A setting as a person would write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(setting(entry) for entry in value) or "none"
    if isinstance(value, int):
        return words.count(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def flatten(values: Mapping[str, Any], path: str = "") -> dict[str, str]:
    """Nested settings => dotted path to readable value."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{path}{key}.") if isinstance(value, Mapping) else {path + key: setting(value)}
    return flat
