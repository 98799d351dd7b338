"""report.html: its structure, whatever the run's state, and that nothing in it is trusted."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from ficta.report import story, write_report

VOID = {"meta", "img", "br", "link"}


class Outline(HTMLParser):
    """Headings, images and other tags of a page; fails on tags that do not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.headings: list[tuple[str, str]] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        self.ids += [str(values["id"])] if "id" in values else []
        self.addresses += [str(values[name]) for name in ("src", "href") if name in values]
        if tag == "img":
            self.images.append(values)
        if tag not in VOID:
            self._open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((tag, ""))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and re.fullmatch("h[1-6]", self._open[-1]):
            tag, text = self.headings.pop()
            self.headings.append((tag, text + data))


def page_of(run: Any) -> str:
    path = write_report(run)
    assert path == run.path / "report.html"
    assert not list(run.path.glob("*.partial"))
    return path.read_text()


def text_of(page: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", page.split("</style>")[1]).split())


def test_the_page_tells_the_story_in_order(run: Any, with_pictures: Callable[..., None]) -> None:
    with_pictures(run, 3)
    run.results = [{"name": "FD(x)", "value": 12.5, "unit": "", "better": "lower", "n": 180, "interval": [11, 14]}]
    outline = Outline(page_of(run))
    assert [text for tag, text in outline.headings if tag == "h1"] == ["digits-vae"]
    assert [text for tag, text in outline.headings if tag == "h2"] == [
        "The plan, and what happened",
        "Measured",
        "How training went",
        "Verdicts",
        "Samples over time",
        "What the model has learnt",
        "The data",
        "Settings",
        "How to go on",
    ]
    assert [text for tag, text in outline.headings if tag == "h3"] == [
        "Losses in nats",
        "On held-out data",
        "Variety and novelty",
        "New samples",
        "Latent map",
        "Manifold",
        "Reconstructions",
        "Interpolations",
        "my own.png",
        "Balance of the labels",
    ]


def test_the_page_needs_nothing_from_outside_and_no_script(run: Any, with_pictures: Callable[..., None]) -> None:
    with_pictures(run, 2)
    page = page_of(run)
    outline = Outline(page)
    assert "script" not in outline.tags
    assert all(address.startswith(("data:image/webp;base64,", "#")) for address in outline.addresses)
    assert "url(" not in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_page_can_be_read_aloud(run: Any, with_pictures: Callable[..., None]) -> None:
    with_pictures(run, 2)
    page = page_of(run)
    outline = Outline(page)
    assert '<html lang="en">' in page
    assert len(outline.images) == 1 + 3 + 2 + 1 + 6 + 1  # latest, curves, over time, animation, explored, balance
    assert all(len(str(image["alt"])) > 10 for image in outline.images)
    assert any("negative ELBO from 87.62 to 44.98" in str(image["alt"]) for image in outline.images)
    assert len(outline.ids) == len(set(outline.ids))
    assert {f"#{name}" for name in outline.ids} >= {a for a in outline.addresses if a.startswith("#")}


def test_numbers_have_units_and_come_from_the_run(run: Any) -> None:
    text = text_of(page_of(run))
    assert "A VAE (preset article-vae) was trained on 1,527 samples from digits" in text
    assert "It saw 200,000 samples (each one about 130 times) in 1 min 40 s on a CPU." in text
    assert "Training is finished; the last verdict is “healthy”" in text
    assert "time 1 min 20 s 1 min 40 s +25%" in text
    assert "rate of the steps, on average 2,500 samples a second 2,000 samples a second −20%" in text
    assert "memory, at most 580.0 MB 612.0 MB +6%" in text
    assert "duplicates extra: 4, across splits: 0" in text
    assert "ignored: text: 2" in text
    assert "46.48 nats" in text  # 40 + 1e6 / 201,000 + 1.5
    assert "ficta sample" in text
    assert "--label seven" in text


def test_what_the_data_hold_is_escaped(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    evil = "<script>alert(1)</script>"
    run = make_run(tmp_path / "<b>run", label=evil)
    run.recipe["data"]["path"] = evil
    run.recipe["model"][evil] = evil
    run.data |= {"warnings": [evil], "notes": [evil], "skipped": [{"name": evil, "reason": evil}], "ignored": [evil]}
    run.plan["machine"]["processor"] = evil
    run.history[-1] |= {"verdict": evil, "advice": evil + " --set a.b=<i>", "evidence": {evil: 1.0}}
    run.results = [{"name": evil, "value": 1.0, "unit": evil, "n": 1, "fingerprint": evil, "better": evil}]
    page = page_of(run)
    assert "script" not in Outline(page).tags
    assert "<script" not in page
    assert "<b>run" not in page
    assert "<i>" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 10


def test_a_run_without_a_report_yet(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    run = make_run(tmp_path / "new")
    run.history, run.plan, run.finished = [], {}, False
    text = text_of(page_of(run))
    assert "is to be trained on" in text
    assert "Training has not made a report yet." in text
    assert "no verdict yet" in text
    assert "not yet" in text
    assert "Verdicts" not in text
    assert "in 0 s" not in text


def test_facts_that_are_missing_are_said_to_be_missing(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    run = type(make_run(tmp_path))(tmp_path, {"family": "gan", "train": {}}, {}, {}, [], [], finished=False)
    text = text_of(page_of(run))
    assert "A GAN" in text
    assert "not recorded" in text


def test_an_unfinished_run_is_compared_where_that_makes_sense(run: Any) -> None:
    run.history, run.finished = run.history[:5], False
    text = text_of(page_of(run))
    assert "Training is not finished: 50.0% of 200,000 samples" in text
    assert "samples seen 200,000 100,000 time 1 min 20 s 50 s rate" in text
    assert "so far" in text
    assert "give the same command again" in text


def test_a_bad_verdict_leads_to_its_advice(run: Any, report_line: Callable[..., dict[str, Any]]) -> None:
    advice = "samples are too alike: try --set model.r1_gamma=2"
    bad = {"verdict": "collapsed", "evidence": {"spread_ratio": 0.12}, "advice": advice}
    run.history[-2:] = [report_line(190_000, **bad), report_line(200_000, **bad)]
    page = page_of(run)
    assert 'class="verdict bad"' in page
    assert "<code>--set model.r1_gamma=2</code>" in page
    text = text_of(page)
    assert "20,000 to 160,000 samples, 8 reports" in text
    assert "190,000 to 200,000 samples, 2 reports" in text
    assert "Evidence: spread 12%" in text


def test_losses_that_are_no_numbers_are_shown_as_such(run: Any, report_line: Callable[..., dict[str, Any]]) -> None:
    run.history[-1]["losses"] = {"negative_elbo_nats": "nan", "distortion_nats": "inf", "kl_nats": 1e30}
    text = text_of(page_of(run))
    assert "nan inf" in text
    run.history = [report_line(1000, losses={"negative_elbo_nats": "nan"}, verdict="diverged")]
    assert "negative ELBO not a number" in page_of(run)


def test_thirty_sheets_stay_below_three_megabytes(run: Any, with_pictures: Callable[..., None]) -> None:
    with_pictures(run, 30, size=80)  # noise: nothing compresses worse
    path = write_report(run)
    assert path.stat().st_size < 3_000_000
    captions = re.findall("<figcaption>after ([0-9,]+) samples seen</figcaption>", path.read_text())
    assert len(captions) == 8
    assert captions[0] == "1,000"
    assert captions[-1] == "30,000"


def test_more_than_is_shown_is_counted(run: Any) -> None:
    run.data["skipped"] = [{"name": f"{index}.png", "reason": "torn"} for index in range(1000)]
    run.data["labels"] = {"train": {f"label {index}": 1 for index in range(300)}}
    text = text_of(page_of(run))
    assert "and 950 more in data.json" in text
    assert "and 250 more in data.json" in text
    assert "Skipped: 1000" in text


def test_writing_twice_gives_the_same_bytes(run: Any) -> None:
    assert page_of(run) == page_of(run)


def test_logits_have_a_chart_of_their_own(run: Any) -> None:
    for entry in run.history:
        entry["losses"] = {"discriminator": 1.0, "generator": 0.7, "real_logit": 2.0, "fake_logit": -2.0}
    groups = story.curve_groups(run)
    assert list(groups["loss\0"]) == ["discriminator", "generator"]
    assert list(groups["logits\0"]) == ["real", "fake"]
    assert "Logits" in text_of(page_of(run))
