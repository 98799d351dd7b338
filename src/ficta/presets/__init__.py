"""Presets: named settings, each a TOML file with only what differs from the defaults, and why."""

import tomllib
from importlib import resources
from typing import Any


def names() -> list[str]:
    """The presets there are."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in resources.files(__name__).iterdir()
        if entry.name.endswith(".toml")
    )


def text(name: str) -> str:
    """The TOML of a preset, with its comments."""
    return (resources.files(__name__) / f"{name}.toml").read_text()


def load(name: str) -> dict[str, Any]:
    """A preset as nested mappings, ``about`` included."""
    return tomllib.loads(text(name))
