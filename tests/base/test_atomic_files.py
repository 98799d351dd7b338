"""Files are whole or absent, whatever happens while they are written."""

import json
import math
import os
from pathlib import Path

import pytest

from ficta.base.files import replacing, write_json, write_text


def only(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_content_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "facts"
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert only(tmp_path) == ["facts"]


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [True, False])
def test_an_error_in_the_block_changes_nothing(tmp_path: Path, raised: type[BaseException], before: bool) -> None:
    path = tmp_path / "facts"
    if before:
        path.write_text("old")

    def stopped() -> None:
        with replacing(path) as file:
            file.write(b"ne")
            raise raised("halfway")

    with pytest.raises(raised, match="halfway"):
        stopped()
    assert only(tmp_path) == (["facts"] if before else [])
    assert not before or path.read_text() == "old"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "facts"
    write_text(path, "old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert only(tmp_path) == ["facts"]


def test_content_is_on_disk_before_the_name_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "facts"
    write_text(path, "old")
    seen = []
    sync = os.fsync

    def watched(handle: int) -> None:
        seen.append((path.read_text(), os.fstat(handle).st_size))
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    write_text(path, "newer")
    assert seen[0] == ("old", 5)  # the whole new content, while the name still leads to the old one
    assert seen[1][0] == "newer"  # then the folder, so that the rename lasts


def test_json_is_readable_utf8(tmp_path: Path) -> None:
    write_json(tmp_path / "facts.json", {"größe": [1, None]})
    text = (tmp_path / "facts.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"größe": [1, None]}
    assert "größe" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_refuses_what_json_cannot_say(tmp_path: Path, number: float) -> None:
    write_json(tmp_path / "facts.json", {"loss": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "facts.json", {"loss": number})
    assert json.loads((tmp_path / "facts.json").read_text()) == {"loss": 1}
    assert only(tmp_path) == ["facts.json"]
