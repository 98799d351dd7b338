"""The room table: who may import whom, over whole files, so that imports hidden in functions count too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ficta

PACKAGE = Path(ficta.__file__).parent
TABLE: dict[str, set[str]] = {
    "base": set(),
    "compute": {"base"},
    "draw": {"base"},
    "data": {"base", "compute", "draw"},
    "nets": {"base", "compute"},
    "losses": {"base"},
    "models": {"base", "compute", "nets", "losses"},
    "metrics": {"base", "compute", "nets"},
    "privacy": {"base", "compute", "metrics"},
    "provenance": {"base"},
    "runs": {"base", "compute", "data", "models", "provenance"},
    "train": {"base", "compute", "draw", "data", "nets", "models", "metrics", "privacy", "runs"},
    "evaluate": {
        *("base", "compute", "draw", "data", "nets", "losses", "models", "metrics", "privacy", "provenance"),
        *("runs", "train"),
    },
    "explore": {"base", "compute", "draw", "data", "models", "metrics", "runs"},
    "report": {"base", "draw", "runs"},
    "export": {"base", "compute", "models", "provenance", "runs"},
    "studio": {"base", "draw", "data", "models", "runs", "evaluate", "explore", "export"},
    "presets": set(),  # data
    "api": {
        *("base", "compute", "draw", "data", "nets", "losses", "models", "metrics", "privacy", "provenance"),
        *("runs", "train", "evaluate", "explore", "report", "export", "studio", "presets"),
    },
    "cli": {
        *("base", "compute", "draw", "data", "nets", "losses", "models", "metrics", "privacy", "provenance"),
        *("runs", "train", "evaluate", "explore", "report", "export", "studio", "presets", "api"),
    },
    "": {"api"},  # ficta/__init__.py, which hands on the public face
    "__main__": {"cli"},  # python -m ficta
}
WITHOUT_TORCH = {"base", "draw", "provenance", "report", "presets"}


def room_of(path: Path, package: Path) -> str:
    first = path.relative_to(package).parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imported(tree: ast.AST, path: Path, package: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import: plain, from, relative, and by ``import_module`` with a literal name."""
    inside = [package.name, *path.relative_to(package).parent.parts]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = inside[: len(inside) - node.level + 1] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def room_named(name: str, package: str) -> str | None:
    """The room that a dotted name leads to; None for other packages and for the version."""
    first, *rest = name.split(".")
    if first != package or rest == ["__version__"]:
        return None
    if rest and rest[0] in TABLE:
        return rest[0]
    return "api"  # the package itself and the names it hands on


def violations(package: Path) -> list[str]:
    found = []
    for path in sorted(package.rglob("*.py")):
        room = room_of(path, package)
        for line, name in imported(ast.parse(path.read_text(encoding="utf-8")), path, package):
            target = room_named(name, package.name)
            if target is not None and target not in {room, *TABLE[room]}:
                where = f"{path.relative_to(package.parent)}:{line}"
                found.append(f"{where}: {room or 'the package'} may not import {name}")
    return found


def test_rooms_import_only_what_the_table_allows() -> None:
    assert violations(PACKAGE) == []


def test_every_room_is_in_the_table() -> None:
    entries = [entry for entry in PACKAGE.iterdir() if not entry.name.startswith((".", "__pycache__"))]
    rooms = {room_of(entry, PACKAGE) for entry in entries if entry.is_dir() or entry.suffix == ".py"}
    assert rooms - TABLE.keys() == set()
    assert {"base", "models", "train", "api", "cli"} <= rooms


def test_the_table_runs_one_way() -> None:
    done: set[str] = set()
    left = dict(TABLE)
    while left:
        free = {room for room, allowed in left.items() if allowed <= done}
        assert free, f"a ring among {sorted(left)}"
        done |= free
        left = {room: allowed for room, allowed in left.items() if room not in free}
    assert all("cli" not in allowed for room, allowed in TABLE.items() if room != "__main__")


def test_rooms_that_need_no_torch_have_none() -> None:
    found = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if room_of(path, PACKAGE) in WITHOUT_TORCH
        for line, name in imported(ast.parse(path.read_text(encoding="utf-8")), path, PACKAGE)
        if name.split(".")[0] in ("torch", "safetensors")
    ]
    assert found == []


PLANTED = [
    ("losses/kl.py", "import ficta.models.vae", "losses may not import ficta.models.vae"),
    ("losses/kl.py", "from ficta.models.vae import Vae", "losses may not import ficta.models.vae.Vae"),
    ("losses/kl.py", "from ficta import models", "losses may not import ficta.models"),
    ("losses/kl.py", "from ..models import vae", "losses may not import ficta.models.vae"),
    ("losses/deep/kl.py", "from ...models import vae", "losses may not import ficta.models.vae"),
    ("losses/kl.py", "from .. import models as m", "losses may not import ficta.models"),
    ("losses/kl.py", "import importlib; importlib.import_module('ficta.nets')", "losses may not import ficta.nets"),
    (
        "train/loop.py",
        "from ficta.explore.explore import explore",
        "train may not import ficta.explore.explore.explore",
    ),
    ("train/loop.py", "from ficta import train as public", ""),
    ("train/loop.py", "from ficta import open_run", "train may not import ficta.open_run"),
    ("train/loop.py", "import ficta", "train may not import ficta"),
    ("train/loop.py", "from ficta import __version__", ""),
    ("api/run.py", "from ficta.cli.app import app", "api may not import ficta.cli.app.app"),
    ("api/run.py", "from ficta import presets", ""),
    ("train/loop.py", "from ficta import presets", "train may not import ficta.presets"),
    ("presets/__init__.py", "from ficta.base import words", "presets may not import ficta.base.words"),
    ("__init__.py", "from ficta.train import loop", "the package may not import ficta.train.loop"),
    ("cli/app.py", "from ficta.train import loop", ""),
    ("base/spec.py", "import json, torch", ""),
]


@pytest.mark.parametrize(("where", "line", "told"), PLANTED)
@pytest.mark.parametrize("hidden", [False, True])
def test_the_check_finds_what_is_planted(tmp_path: Path, where: str, line: str, told: str, hidden: bool) -> None:
    path = tmp_path / "ficta" / where
    path.parent.mkdir(parents=True)
    path.write_text(f"def later():\n    {line}\n" if hidden else f"\n{line}\n")
    assert violations(tmp_path / "ficta") == ([f"ficta/{where}:2: {told}"] if told else [])


def test_only_data_and_the_public_face_know_modalities() -> None:
    parts = [path.name for path in (PACKAGE / "data").iterdir() if (path / "__init__.py").exists()]
    assert "table" in parts
    for path in PACKAGE.rglob("*.py"):
        for _, name in imported(ast.parse(path.read_text()), path, PACKAGE):
            knows = any(name.startswith(f"ficta.data.{part}") for part in parts)
            assert not knows or room_of(path, PACKAGE) in ("data", "api"), f"{path} imports {name}"
