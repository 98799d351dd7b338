"""Help is complete, and costs nothing."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from ficta.cli.app import app

COMMANDS = {command.callback.__name__: command.callback for command in app.registered_commands if command.callback}


class Ficta:
    """What a call of the command line gives, for annotations."""

    code: int
    out: str
    err: str


@pytest.mark.parametrize("words", [["--help"], ["-h"], []])
def test_help_lists_every_command_and_the_exit_codes(words: list[str], ficta: Callable[..., Ficta]) -> None:
    done = ficta(*words)
    assert (done.code, done.err) == (0, "")
    for name, callback in COMMANDS.items():
        first = inspect.getdoc(callback).split()[:3]  # type: ignore[union-attr]
        assert re.search(rf"^  {name} +{' '.join(first)}", done.out, re.MULTILINE)
    assert "Exit codes: 0 done, 1 failed, 2 wrong call, 3 stopped by a verdict" in " ".join(done.out.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is(name: str, ficta: Callable[..., Ficta], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    done = ficta(name, "--help")
    assert done.code == 0
    told = set()
    for line in done.out.splitlines():
        names, _, text = line.strip().partition("  ")  # "--seed <int range>  of everything random  [default: 0]"
        if line.startswith("  ") and len(text.split("[default")[0].strip()) > 5:
            told |= {word.strip("-,.").replace("-", "_") for word in names.split() if not word.startswith("<")}
    renamed = {"as_json": "json", "start": "from", "assignments": "set", "projection": "map"}
    for parameter in inspect.signature(COMMANDS[name]).parameters:
        assert renamed.get(parameter, parameter) in told, done.out


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom ficta.cli import main\nsys.argv = ['ficta', 'train', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'numpy', 'PIL', 'scipy', 'sklearn', 'matplotlib', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_package_itself_imports_nothing_heavy() -> None:
    script = "import sys, ficta\nassert not {'torch', 'numpy'} & set(sys.modules)\nassert 'train' in ficta.__all__\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
