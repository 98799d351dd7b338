"""card.md: only what stands in the run, and nothing of it as markup."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ficta.report import write_card, write_report
from ficta.report.card import plain


def card_of(run: Any) -> str:
    path = write_card(run)
    assert path == run.path / "card.md"
    return path.read_text()


def test_sections_stand_in_order(run: Any) -> None:
    card = card_of(run)
    assert re.findall(r"^#+ .*$", card, re.MULTILINE) == [
        "# digits-vae",
        "## What it was trained on",
        "## How it was trained",
        "## How good it is",
        "## Limits and warnings",
        "## How to use it",
    ]
    assert "- Data: only 1,527 pictures" in card
    assert "| splits | train 1,527 (rest), validation 90, test 180 |" in card


def test_what_was_not_measured_is_said_so(run: Any) -> None:
    card = card_of(run)
    assert "## How good it is\n\nNot evaluated. The last report of the training itself" in card
    assert "| held-out negative ELBO | 46.48 nats |\n| variety of samples | 90% of that of the data |" in card
    assert "not measured" in card.split("## Limits")[1]


def test_what_was_measured_is_there_with_its_protocol(run: Any) -> None:
    run.results = [
        {
            "name": "FD(x)",
            "value": 12.5,
            "unit": "",
            "better": "lower",
            "n": 180,
            "interval": [11, 14],
            "fingerprint": "ab",
            "real": {"value": 0.5, "interval": None},
        },
        {"name": "precision", "value": None, "unit": "%", "n": 0, "interval": None, "reason": "3 samples are too few"},
    ]
    card = card_of(run)
    assert "| FD(x) (lower is better) | 12.5 | 11 to 14 | 0.5 |  | 180 | ab |" in card
    assert "| precision | not measured: 3 samples are too few | none |  |  | not recorded | not recorded |" in card
    assert "Not measured." not in card


def test_an_unfinished_run_with_a_bad_verdict_says_both(run: Any) -> None:
    run.finished = False
    run.history[-1] |= {"verdict": "diverged", "advice": "lower the learning rate"}
    limits = card_of(run).split("## Limits")[1]
    assert "Training is not finished." in limits
    assert "“diverged”: lower the learning rate" in limits


def test_a_run_without_a_report_yet(run: Any) -> None:
    run.history, run.plan, run.finished = [], {}, False
    assert "| samples seen | not recorded | not yet |  |" in card_of(run)


def test_what_the_user_named_is_no_markup(tmp_path: Path, make_run: Callable[..., Any]) -> None:
    run = make_run(tmp_path / "run")
    run.recipe["data"]["path"] = "<script>|*a*|\n# b"
    run.data["warnings"] = ["[link](http://x)"]
    card = card_of(run)
    assert "<script>" not in card
    assert "\n# b" not in card
    assert r"| source | &lt;script&gt;\|\*a\*\| \# b |" in card
    assert r"\[link\](http://x)" in card


def test_plain_keeps_names_readable() -> None:
    assert plain("latent_dim = 16") == "latent_dim = 16"
    assert plain("_a_") == r"\_a\_"


def test_what_other_priors_gain_is_a_table_of_its_own(run: Any) -> None:
    def result(name: str, value: float) -> dict[str, Any]:
        return {"name": name, "value": value, "better": "lower", "interval": [value - 1, value + 1], "n": 180}

    run.results = [result("FD(x)", 12.0), result("FD(x) with prior flow", 9.0), result("FD(x) with prior mixture", 8.0)]
    card, page = card_of(run), write_report(run).read_text()
    for text in (card, page):
        assert "prior flow" not in text
    assert "| measure | as trained | flow | mixture |" in card
    assert "| FD(x) (lower is better) | 12 (11 to 13) | 9 (8 to 10) | 8 (7 to 9) |" in card
    assert "What other priors gain" in page
    del run.results[1:]
    assert "other priors" not in card_of(run)
    assert "What other priors gain" not in write_report(run).read_text()
