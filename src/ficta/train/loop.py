"""The loop: steps, reports, sheets, verdicts, saved states, and a clean end whatever ends it."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from ficta.base.errors import InterruptedRun, VerdictError
from ficta.base.words import count
from ficta.compute import device as machine
from ficta.data.dataset import Store
from ficta.models.family import Family
from ficta.runs.folder import RunFolder
from ficta.train.best import Best, to_keep
from ficta.train.observe import SIGN_ITEMS, Signs, fixed_samples, heldout
from ficta.train.stepper import Stepper
from ficta.train.verdicts import Verdict, judge

TICK_SECONDS = 0.25
VOTE_STEPS = 10
REPEATED_SECONDS = 1.0  # a terminal and a parent process may both pass on one Ctrl-C
EARLY = 1024  # first report after so many samples, then after twice as many, until the regular ones begin


NOT_FINITE = Verdict(
    "diverged",
    {},
    "a weight is no longer a number, or what it makes is none: lower the learning rate (--set model….rate=…), or clip "
    "gradients (--set train.clip_norm=1)",
)


class Watcher(Protocol):
    """Somebody who is told how a run goes."""

    def planned(self, plan: Mapping[str, Any], note: str) -> None:
        """Before the first step."""

    def tick(self, seen: int, target: int, seconds_left: float) -> None:
        """Several times a second."""

    def reported(self, line: Mapping[str, Any], target: int) -> None:
        """After each report."""

    def said(self, message: str) -> None:
        """Something worth a line."""

    def closed(self) -> None:
        """The loop is over, however it ended."""


def report_points(target: int, reports: int) -> list[int]:
    """Numbers of samples at which a report is due: a few early ones, then evenly up to ``target``."""
    regular = [round(target * (number + 1) / reports) for number in range(reports)]
    early = [EARLY << number for number in range(64) if EARLY << number < regular[0]]
    return sorted({*early, *regular} - {0})


class Loop:
    """One training of one run, on this process's rank."""

    def __init__(
        self,
        stepper: Stepper[Family],
        validation: Store,
        signs: Signs,
        folder: RunFolder,
        watchers: Sequence[Watcher],
        seconds: float,
        best: Best | None,
    ) -> None:
        self.stepper, self.validation, self.signs = stepper, validation, signs
        self.folder, self.watchers, self.best = folder, watchers, best
        self.settings, self.target = stepper.settings, stepper.target
        self.leads = stepper.collectives.leads
        self.points = [point for point in report_points(self.target, self.settings.reports) if point > stepper.seen]
        self.history = folder.lines("history") if self.leads else []
        self.seconds_before = seconds
        self.saved_seen = stepper.seen
        self.started = self.saved_at = self.ticked_at = self.reported_at = time.perf_counter()
        self.reported_seen = stepper.seen

    def run(self) -> None:
        """Train up to the target; save at the end.

        Raises:
            VerdictError: numbers are not finite, or a bad verdict where those are to stop the run.
            InterruptedRun: a signal; the run is saved.
        """
        with _signals() as received:
            if self.stepper.seen == 0:
                self.save()  # what the first weights were must survive a kill, too
            while self.stepper.seen < self.target:
                self.stepper.advance()
                self._tick()
                if self.points and self.stepper.seen >= self.points[0]:
                    self.points = [point for point in self.points if point > self.stepper.seen]
                    self._report()
                if self._asked_to_stop(received):
                    self._interrupt(received)
                if self._save_is_due():
                    self.save()
        self.save()

    def save(self) -> None:
        """Save state and averaged weights."""
        self.saved_at, self.saved_seen = time.perf_counter(), self.stepper.seen
        if not self.stepper.is_finite():  # every process holds the same weights, and comes to the same answer
            if self.leads:
                self.folder.append_history(self._line({}, 0.0) | _judged(NOT_FINITE))
            self._stop(NOT_FINITE)
        if not self.leads:
            return
        tensors, facts = self.stepper.state()
        facts["seconds"] = repr(self._seconds())
        if self.best is not None:
            more, known = self.best.state()
            tensors, facts = tensors | more, facts | known
        kept = to_keep(self.best, self.stepper.seen, self.stepper.average.state_dict())
        self.folder.save(self.stepper.seen, tensors, facts, *kept)

    def _asked_to_stop(self, received: list[int]) -> bool:
        """Whether a signal came; several processes compare notes every few steps and stop at the same one."""
        if self.stepper.collectives.ranks == 1:
            return bool(received)
        return self.stepper.step % VOTE_STEPS == 0 and self.stepper.collectives.any(bool(received))

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    def _tick(self) -> None:
        now = time.perf_counter()
        if now - self.ticked_at < TICK_SECONDS or not self.leads:
            return
        self.ticked_at = now
        rate = max(self.stepper.seen - self.reported_seen, 1) / max(now - self.reported_at, 1e-9)
        for watcher in self.watchers:
            watcher.tick(self.stepper.seen, self.target, (self.target - self.stepper.seen) / rate)

    def _save_is_due(self) -> bool:
        minutes, samples = self.settings.save_every_minutes, self.settings.save_every_samples
        by_time = minutes is not None and time.perf_counter() - self.saved_at >= 60 * minutes
        return by_time or (samples is not None and self.stepper.seen - self.saved_seen >= samples)

    def _report(self) -> None:
        """Measure, judge, write down, tell; stop, all processes together, if that is called for."""
        means = self.stepper.take_means()
        stopping = self.stepper.collectives.broadcast(self._tell(means) if self.leads else None)
        if stopping is None:
            return
        verdict, broken = Verdict(**stopping["verdict"]), stopping["broken"]
        if not broken:
            self.save()
        self._stop(verdict)

    def _tell(self, means: Mapping[str, float]) -> dict[str, Any] | None:
        """The first process's part of a report. Gives what is to stop the run, if anything is."""
        now = time.perf_counter()
        line = self._line(means, (self.stepper.seen - self.reported_seen) / max(now - self.reported_at, 1e-9))
        finite = _are_finite(means) and self.stepper.is_finite()
        with self.stepper.as_written():
            measured = self._measure() if finite else None
        line |= {name: value for name, value in (measured or {}).items() if math.isfinite(value)}
        verdict = judge(line, self.history, self.target)
        broken = measured is None or not _are_finite(measured)
        if broken and verdict.name != "diverged":
            verdict = NOT_FINITE
        if self.best is not None and not broken:
            line["kept"] = self.best.consider(line, self.stepper.average.state_dict())
        line |= _judged(verdict)
        line["losses"] = {name: value if math.isfinite(value) else str(value) for name, value in means.items()}
        self.folder.append_history(line)
        self.history.append(line)
        for watcher in self.watchers:
            watcher.reported(line, self.target)
        self.reported_at, self.reported_seen = time.perf_counter(), self.stepper.seen
        if broken or (self.settings.on_verdict == "stop" and verdict.name != "healthy"):
            return {"verdict": dataclasses.asdict(verdict), "broken": broken}
        return None

    def _line(self, means: Mapping[str, float], rate: float) -> dict[str, Any]:
        """A line of the history, before anything is measured or judged."""
        return {
            "seen": self.stepper.seen,
            "step": self.stepper.step,
            "seconds": round(self._seconds(), 3),
            "samples_per_second": round(rate, 2),
            "memory_bytes": machine.peak_memory_bytes(self.stepper.device),
            "losses": means,
        }

    def _measure(self) -> dict[str, float] | None:
        """Held-out bound, signs, and the sheet, by the averaged weights; None if samples are not finite."""
        family, codec, seed = self.stepper.average, self.stepper.codec, self.stepper.seed
        family.eval()
        shown = self.settings.sheet_size
        items = fixed_samples(family, codec, max(shown, SIGN_ITEMS), seed)
        if items is None:
            return None
        self.folder.save_picture(f"samples/{self.stepper.seen:012d}.png", codec.overview(items[:shown]))
        measured = heldout(family, codec, self.validation, self.settings.heldout_samples, seed)
        measured |= self.signs.of(items[:SIGN_ITEMS], family)
        self.stepper.family.train()
        return measured

    def _stop(self, verdict: Verdict) -> None:
        self.stepper.collectives.wait()  # whoever left before all is written would have it cut short
        kept = count(self.folder.latest_seen())
        state = f"the state at {kept} samples is kept" if self.folder.has_state else "no state had been saved yet"
        raise VerdictError(f"{verdict.name} at {count(self.stepper.seen)} samples: {verdict.advice}; {state}")

    def _interrupt(self, received: list[int]) -> None:
        self.save()
        self.stepper.collectives.wait()  # whoever left before the save is done would have it cut short
        number = received[0] if received else signal.SIGTERM
        raise InterruptedRun(
            f"stopped by {signal.Signals(number).name} and saved at {count(self.stepper.seen)} of {count(self.target)} "
            "samples; the same command goes on from here",
            number,
        )


def _judged(verdict: Verdict) -> dict[str, Any]:
    return {"verdict": verdict.name, "evidence": dict(verdict.evidence), "advice": verdict.advice}


def _are_finite(values: Mapping[str, float]) -> bool:
    return all(math.isfinite(value) for value in values.values())


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying of them; one that is repeated later acts as usual."""
    received: list[int] = []
    first: list[float] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: object) -> None:
        now = time.monotonic()
        if received and now - first[0] > REPEATED_SECONDS:
            signal.signal(number, before[signal.Signals(number)])
            signal.raise_signal(number)
        first.append(now)
        received.append(number)

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
