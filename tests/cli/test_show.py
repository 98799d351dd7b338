"""What the terminal shows."""

from __future__ import annotations

from typing import Any

import pytest

from ficta.cli import show


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(show.time, "monotonic", lambda: now[0])
    return now


def test_work_is_shown_with_rate_and_time_left(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    shower = show.ProgressShower()
    shower("reading", 0, 400)
    clock[0] += 10
    shower("reading", 100, 400)
    assert capsys.readouterr().err.strip() == "reading: 100 of 400 (10/s, 30 s left)"


@pytest.mark.parametrize("finished", [True, False])
def test_a_second_piece_of_the_same_work_is_timed_by_itself(
    finished: bool, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    shower = show.ProgressShower()
    for done in (100, 400) if finished else (100, 399):
        shower("reading", done, 400)
    capsys.readouterr()
    clock[0] += 1000
    shower("reading", 50, 400)  # the first of another source, or of another read of the same
    clock[0] += 10
    shower("reading", 100, 400)
    assert capsys.readouterr().err.strip() == "reading: 100 of 400 (10/s, 30 s left)"


def test_a_last_batch_beyond_the_target_is_no_more_than_all() -> None:
    line: dict[str, Any] = {"seen": 2048, "samples_per_second": 10.0, "losses": {}, "verdict": "healthy"}
    assert show.report_text(line, 2000).startswith("100%       2,048 samples")
