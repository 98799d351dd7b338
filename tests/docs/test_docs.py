"""What README and docs say is so: commands and Python run, names exist, links lead somewhere.

Commands and Python blocks run as they stand, with a small budget: minutes become 16 samples each, sizes 8 pixels, and
no more than twelve samples are made (``cut``). Blocks marked ``text`` are not run.
"""

import importlib
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest
import typer.main
from PIL import Image

import ficta
from ficta import api, presets
from ficta.base import errors
from ficta.cli import main
from ficta.cli.app import app
from ficta.models.registry import FAMILIES
from ficta.train.recipe import Recipe

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGE = Path(ficta.__file__).parent
MODULES = [  # whose constants the pages quote as `NAME` = value
    "ficta.data.folders",
    "ficta.data.report",
    "ficta.data.scan",
    "ficta.data.splits",
    "ficta.explore.pictures",
    "ficta.runs.folder",
    "ficta.train.loop",
    "ficta.train.observe",
    "ficta.train.probe",
    "ficta.train.session",
    "ficta.train.probe",
    "ficta.train.stepper",
    "ficta.train.verdicts",
]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
WRONG_CALL: Any = typer.BadParameter.__base__
OTHERS_OPTIONS = {"--help"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text_of(page: Path) -> str:
    """A page without its comments."""
    return re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), flags=re.DOTALL | re.MULTILINE)


def spans(page: Path) -> list[str]:
    """Code within sentences and tables."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE))


def commands(page: Path) -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks(page, "bash") for line in block.splitlines()]
    return [line for line in lines if line]


def cut(command: str) -> str:
    """The same command with a small budget."""
    command = re.sub(r"--minutes (\d+)", lambda found: f"--samples {16 * int(found[1])}", command)
    command = re.sub(r"-n (\d+)", lambda found: f"-n {min(12, int(found[1]))}", command)
    return re.sub(r"--size \d+", "--size 8", command)


def settings_paths(settings: Any, path: str) -> Iterator[str]:
    for name, field in settings.model_fields.items():
        yield path + name
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, pydantic.BaseModel):
            yield from settings_paths(inner, f"{path}{name}.")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``photos`` of cats and dogs, where the work is done."""
    random = np.random.default_rng(0)
    for label in ("cats", "dogs"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    monkeypatch.setenv("FICTA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None), command


def test_readme_commands_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = [cut(command) for command in commands(README) if command.startswith("ficta ")]
    assert len(ran) >= 10
    for command in ran:
        run(command, monkeypatch)
    assert (place / "runs/photos/report.html").exists()
    assert len(list((place / "new-pictures").glob("0*.png"))) == 12
    assert api.open_run("runs/photos").history[-1]["seen"] == 16 * 20
    assert not (place / "runs/photos-vae").exists()  # --dry-run writes nothing


@pytest.mark.parametrize(
    "page", [README, ROOT / "docs" / "api.md", ROOT / "docs" / "evaluate.md"], ids=lambda page: page.name
)
def test_python_runs(page: Path, place: Path) -> None:
    found = blocks(page, "python")
    assert found
    for block in found:
        exec(compile(re.sub(r'"minutes": \d+', '"samples": 160', block), str(page), "exec"), {})
    if page == README:
        assert (place / "sheet.png").exists()
        assert len([line for line in found[0].splitlines() if line]) <= 10


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for page in PAGES:
        wanted = re.findall(r"^make ([\w-]+)", "\n".join(blocks(page, "(?:bash|text)")), flags=re.MULTILINE)
        wanted += [span.split()[1] for span in spans(page) if span.startswith("make ")]
        assert set(wanted) <= targets, page


def check_command(command: str) -> None:
    """Parse it by the real command line, and its settings by the real settings."""
    name, *arguments = shlex.split(command)[1:]
    assert name in COMMANDS, command
    try:
        context = COMMANDS[name].make_context(name, arguments)
    except WRONG_CALL as error:
        pytest.fail(f"{command}: {error.format_message()}")
    if name == "train":
        given = context.params
        api.recipe_for(given["model"], given["data"], {}, given["assignments"] or [])


@each_page
def test_commands_parse(page: Path) -> None:
    for command in commands(page):
        if not command.startswith("make "):
            assert command.startswith("ficta "), command
            check_command(command)


def test_commands_of_the_makefile_parse() -> None:
    found = re.findall(r"\$\(BIN\)/(ficta [^\"\n]+)", (ROOT / "Makefile").read_text())
    assert len(found) >= 4
    for command in found:
        check_command(command)


@each_page
def test_options_in_sentences_exist(page: Path) -> None:
    known = {option for command in COMMANDS.values() for item in command.params for option in item.opts}
    for span in spans(page):
        words = span.split()
        if words[0] == "ficta" and len(words) > 1 and words[1] not in OTHERS_OPTIONS:
            assert words[1] in COMMANDS, span
            own = {option for item in COMMANDS[words[1]].params for option in item.opts}
            assert {word for word in words if word.startswith("-")} <= own | OTHERS_OPTIONS, span
        elif words[0].startswith("--"):
            assert {word for word in words if word.startswith("-")} <= known | OTHERS_OPTIONS, span


@each_page
def test_local_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"


@each_page
def test_settings_and_presets_exist(page: Path) -> None:
    known = set(settings_paths(Recipe, ""))
    for entry in FAMILIES.values():
        known |= set(settings_paths(entry.family.settings_type, "model."))
    for span in spans(page):
        for path in re.findall(r"(?<![\w./])(?:model|train|data)\.[a-z]\w*(?:\.[a-z]\w*)*", span):
            if path.rpartition(".")[2] not in ("json", "md", "py"):
                assert path in known, f"{page.name}: {path}"
        for preset in re.findall(r"(?<![\w./-])article-[a-z]+(?:-[a-z]+)*(?![\w./-])", span):
            assert preset in presets.names(), f"{page.name}: {preset}"


@each_page
def test_quoted_constants_are_those_of_the_code(page: Path) -> None:
    found = re.findall(r"`([A-Z][A-Z_]+)` = ([\d.]*\d)", text_of(page))
    sources = [Path(str(importlib.import_module(name).__file__)).read_text() for name in MODULES]  # unpatched
    for name, value in found:
        values = [float(number) for text in sources for number in re.findall(rf"(?m)^{name} = ([\d._]+)", text)]
        assert values, f"{page.name}: {name}"
        assert float(value) in values, f"{page.name}: {name} = {value}, but {values}"
    assert found or page.name != "train.md"


@each_page
def test_code_that_is_named_exists(page: Path) -> None:
    for span in spans(page):
        if re.fullmatch(r"(src|tests|docs|benchmarks)/[\w./-]+\.(py|md|toml)", span):
            assert (ROOT / span).exists(), f"{page.name}: {span}"
        if re.fullmatch(r"ficta(\.\w+)+", span):
            check_dotted(span)


def check_dotted(name: str) -> None:
    module, _, rest = name.rpartition(".")
    while True:
        try:
            found: Any = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, before = module.rpartition(".")
            rest = f"{before}.{rest}"
    for part in rest.split("."):
        if not hasattr(found, part):
            importlib.import_module(f"{found.__name__}.{part}")
        found = getattr(found, part)


def rooms_there_are() -> set[str]:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))}
    return folders | {path.stem for path in PACKAGE.glob("*.py") if not path.name.startswith("_")}


def test_readme_names_the_rooms() -> None:
    listed = re.findall(r"^- `(\w+)`: ", text_of(README), flags=re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == rooms_there_are()


def test_the_map_is_the_table_of_the_contract() -> None:
    table = runpy.run_path(str(ROOT / "tests/contracts/test_rooms.py"))["TABLE"]
    rows = re.findall(r"^\| `(\w+)` \| .* \| ([^|]+) \|$", text_of(ROOT / "docs/rooms.md"), flags=re.MULTILINE)
    there = rooms_there_are()
    said = {
        room: {"all": there, "all but cli": there - {"cli"}, "–": set()}.get(may, set(may.split(", ")))
        for room, may in rows
    }
    assert said.keys() == there
    for room in there:
        assert said[room] - {room} == (table[room] & there) - {room}, room


def test_readme_tables_are_the_registries() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| `([\w.]+)` \| (\d+) \| (.*) \|$", text_of(README), flags=re.MULTILINE)
    assert [row[0] for row in rows] == list(FAMILIES)
    for name, dotted, year, paper in rows:
        entry = FAMILIES[name]
        assert dotted == f"{entry.family.__module__}.{entry.family.__qualname__}"
        assert int(year) == entry.year
        assert entry.title in paper
        assert f"[{entry.paper}]" in paper
    _, _, below = text_of(README).partition("| preset | what it is |")
    listed = re.findall(r"^\| `([\w-]+)` \| ", below.partition("\n\n")[0], flags=re.MULTILINE)
    assert sorted(listed) == presets.names()


@pytest.mark.parametrize("page", [README, ROOT / "docs/first-run.md"], ids=lambda page: page.name)
def test_exit_codes_are_those_of_the_errors(page: Path) -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d) \| ", text_of(page), flags=re.MULTILINE)}
    assert codes == {0, *(error.exit_code for error in (errors.FictaError, errors.UsageError, errors.VerdictError))}


def test_the_page_of_settings_has_every_setting() -> None:
    page = runpy.run_path(str(ROOT / "docs/conf.py"))
    tables = page["settings_tables"]()
    assert page["PLACE"] in (ROOT / "docs/settings.md").read_text()
    leaves = {
        path
        for path in settings_paths(Recipe, "")
        if path not in ("data", "data.image", "data.table", "train", "model")
    }
    assert leaves == set(re.findall(r"^\| `([\w.]+)` ", tables.split("\n\n## `")[0], flags=re.MULTILINE))
    assert (
        f"| `model.generator_optimiser.rate` | `{FAMILIES['gan'].family.settings_type().generator_optimiser.rate}`"
        in tables
    )


def test_the_documentation_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "dummy"]
    built = subprocess.run(
        [*command, "-d", str(tmp_path / "trees"), str(ROOT / "docs"), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
