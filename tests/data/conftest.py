"""Small sources made on the spot; every test has a cache of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from data_making import picture

SHARED = Path(os.environ.get("FICTA_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("FICTA_CACHE", str(folder))
    for variable in ("FICTA_DATA", "FICTA_CACHE_LIMIT_GB", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return folder


@pytest.fixture
def shared() -> Callable[[str], Path]:
    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"{path} is not there; name the folder of test data in FICTA_TEST_DATA")
        return path

    return find


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of n different pictures for each subfolder named."""

    def make(
        *folders: str,
        n: int = 4,
        size: tuple[int, int] = (12, 10),
        mode: str = "RGB",
        suffix: str = ".png",
        top: str = "photos",
    ) -> Path:
        for number, folder in enumerate(folders or ("",)):
            place = tmp_path / top / folder
            place.mkdir(parents=True, exist_ok=True)
            for index in range(n):
                picture(number * 1000 + index, size, mode).save(place / f"{index:03d}{suffix}")
        return tmp_path / top

    return make
