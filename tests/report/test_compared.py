"""The page of several runs: its structure, what may not be compared in words, and that nothing in it is trusted."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ficta.report import write_comparison

PROTOCOL = {"features": "pixels:ab12", "n": 180, "parts": 5, "reference": {"items": 180}}


@dataclasses.dataclass
class Row:
    name: str
    better: str
    unit: str
    results: Sequence[dict[str, Any] | None]
    refused: str = ""
    unlike: Mapping[str, Sequence[str | None]] = dataclasses.field(default_factory=dict)
    best: Sequence[int] = ()

    @property
    def holds(self) -> bool:
        return len(self.best) == 1


def result(value: float, half: float | None = 0.5, **protocol: Any) -> dict[str, Any]:
    interval = None if half is None else [value - half, value + half]
    found = {"value": value, "interval": interval, "protocol": {**PROTOCOL, **protocol}}
    return found | {"real": {"value": 1.0}, "shuffled": {"value": 90.0}}


@pytest.fixture
def pair(tmp_path: Path, make_run: Callable[..., Any], with_pictures: Callable[..., None]) -> list[Any]:
    runs = [make_run(tmp_path / name) for name in ("one", "two")]
    with_pictures(runs[0], 3)
    return runs


def page_of(runs: Sequence[Any], rows: Sequence[Row]) -> str:
    path = runs[0].path.parent / "new" / "compare.html"
    assert write_comparison(path, runs, rows) == path
    return path.read_text()


def text_of(page: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", page.split("</style>")[1]).split())


def test_runs_and_measures_stand_side_by_side(pair: list[Any]) -> None:
    rows = [
        Row("frechet(pixels)", "lower", "", [result(10.0), result(20.0)], best=(0,)),
        Row("recall(pixels)", "higher", "", [result(0.5), result(0.6)], best=(0, 1)),
        Row("elbo(gaussian)", "lower", "nats", [result(3.0, features=""), None]),
    ]
    page = page_of(pair, rows)
    assert re.findall("<h[1-3][^>]*>([^<]+)<", page) == [
        *("2 runs side by side", "The runs", "Measured", "The same, drawn"),
        *("Feature space pixels", "Without a feature space"),
    ]
    text = text_of(page)
    assert (
        "2 measures can be compared: in 1 of them one run is better than every other by more than chance (one in 1)"
        in text
    )
    assert "after 3,000 samples seen no sheet yet model VAE (article-vae) VAE (article-vae) data digits digits" in text
    assert "samples seen 200,000 200,000 training time 1 min 40 s 1 min 40 s parameters 50,000 50,000" in text
    assert "frechet lower is better 10 ★ best 9.5 to 10.5 20 19.5 to 20.5 ✓ holds 1 90" in text
    assert "recall higher is better 0.5 0 to 1 0.6 0.1 to 1.1 may be chance 1 90" in text
    assert "elbo(gaussian) nats, lower is better 3 2.5 to 3.5 not measured one run alone" in text


def test_the_page_needs_nothing_from_outside_and_can_be_read_aloud(pair: list[Any]) -> None:
    page = page_of(pair, [Row("frechet(pixels)", "lower", "", [result(10.0), result(20.0)], best=(0,))])
    assert "<script" not in page
    assert all(address.startswith("data:image/webp;base64,") for address in re.findall('src="([^"]*)"', page))
    sheet, forest = re.findall('alt="([^"]*)"', page)
    assert sheet == "Sheet of generated samples after 3,000 samples seen"
    assert forest.startswith("Feature space pixels: values and 95 % intervals of one and two by frechet, beside what")


@pytest.mark.parametrize(
    ("results", "best", "said", "marks"),
    [
        ((result(1), result(1), result(9)), (0, 1), "best not told apart", 2),
        ((result(1), result(2), result(9)), (0,), "✓ holds", 1),
        ((result(1), result(2), result(3)), (0, 1, 2), "may be chance", 0),
        ((result(1, None), result(2, None), None), (0, 1), "not known, for want of intervals", 0),
    ],
)
def test_the_best_are_marked_by_a_word_if_anything_tells_them_from_the_others(
    results: Sequence[Any], best: Sequence[int], said: str, marks: int, tmp_path: Path, make_run: Callable[..., Any]
) -> None:
    runs = [make_run(tmp_path / name) for name in "abc"]
    page = page_of(runs, [Row("frechet(pixels)", "lower", "", results, best=best)])
    assert said in text_of(page)
    assert len(re.findall("★ (?:tied )?best", page)) == marks


def test_what_may_not_be_compared_says_what_differs_between_whom(pair: list[Any]) -> None:
    names, values = ("frechet(pixels)", "recall(pixels)"), [result(1.0), result(2.0)]
    unlike = {"n": ("180", "90"), "reference.items": ("180", "90")}
    rows = [Row(name, "lower", "", values, refused="unlike protocols", unlike=unlike) for name in names]
    rows.append(Row("older(pixels)", "lower", "", [result(1.0), result(2.0)], refused="other versions of this measure"))
    pair[1].results = [{"name": name, "value": None, "reason": "no likelihood"} for name in ("elbo", "rate")]
    text = text_of(page_of(pair, rows))
    assert "No measure says which of these runs is better. 3 measures may not be compared; why stands below." in text
    assert "There is no measure that may be compared." in text
    assert (
        "frechet(pixels), recall(pixels) Samples in a part: 180 (one), 90 (two). "
        "Number of real items: 180 (one), 90 (two). older(pixels) Other versions of this measure." in text
    )
    assert "elbo, rate of two: no likelihood" in text


def test_what_depends_on_the_run_is_shown_as_a_range(pair: list[Any]) -> None:
    results = [result(1.0) | {"shuffled": {"value": value}} for value in (70.0, 60.0)]
    assert "may be chance 1 60 to 70" in text_of(
        page_of(pair, [Row("elbo(pixels)", "lower", "", results, best=(0, 1))])
    )


def test_training_that_went_on_is_told(pair: list[Any]) -> None:
    pair[1].results = [{"name": "frechet", "value": 1.0, "seen": 1000}]
    rows = [Row("frechet(pixels)", "lower", "", [result(10.0), result(20.0)], best=(0,))]
    assert "Training of two went on after it was evaluated" in text_of(page_of(pair, rows))


def test_nothing_is_trusted_and_runs_of_one_name_are_told_apart(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    hostile = "<script>alert(1)<script>"
    runs = [make_run(tmp_path / folder / hostile) for folder in "ab"]
    runs[0].results = [{"name": hostile, "value": None, "reason": hostile}]
    runs[1].recipe["data"]["path"] = runs[1].recipe["family"] = hostile
    found = [result(1.0, features=f"{hostile}:1", n=hostile), None]
    unlike = {hostile: (hostile, None)}
    rows = [
        Row(f"frechet({hostile})", hostile, hostile, found, refused=refused, unlike=unlike) for refused in ("", hostile)
    ]
    page = page_of(runs, rows)
    assert "<script" not in page
    assert re.findall('<th scope="col">([^<]*alert[^<]*)<', page) == 2 * [
        str(run.path).replace("<", "&lt;").replace(">", "&gt;") for run in runs
    ]


def test_runs_without_a_report_and_many_of_them(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    runs = [make_run(tmp_path / str(number)) for number in range(12)]
    for run in runs:
        run.history, run.plan = [], {}
    values = [result(float(number)) for number in range(12)]
    text = text_of(page_of(runs, [Row("frechet(pixels)", "lower", "", values, best=(0,))]))
    assert "training time not yet" in text
    assert "parameters not recorded" in text
