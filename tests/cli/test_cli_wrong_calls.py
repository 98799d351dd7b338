"""A wrong call is one line that names the way out, and exit code 2; nothing is written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TRAIN = "train vae --data digits --out {out}"
WRONG = [
    ("trian vae", "'train'"),
    ("train", "model"),
    ("train vae", "--data"),
    ("train vea --data digits", "no family or preset 'vea': did you mean 'vae'"),
    ("train artcle-vae --data digits", "did you mean 'article-vae'"),
    ("train vae --dta digits", "--data"),
    ("train vae --data nowhere", "nowhere: no such path or name"),
    ("train vae --data mnits", "did you mean 'mnist'"),
    ("train vae more --data digits", "more"),
    (f"{TRAIN} --samples many", "--samples"),
    (f"{TRAIN} --samples 0", "train.samples = 0"),
    (f"{TRAIN} --minutes -1", "train.minutes = -1"),
    (f"{TRAIN} --minutes nan", "train.minutes = nan"),
    (f"{TRAIN} --minutes inf", "train.minutes = inf"),
    (f"{TRAIN} --minutes 1 --epochs 1", "one of epochs and minutes"),
    (f"{TRAIN} --set model.latnt_dim=3", "did you mean 'latent_dim'"),
    (f"{TRAIN} --set trian.batch=3", "did you mean 'train'"),
    (f"{TRAIN} --set model.latent_dim", "name=value"),
    (f"{TRAIN} --set model.latent_dim=0", "model.latent_dim = 0"),
    (f"{TRAIN} --set train.batch=1.5", "train.batch = 1.5"),
    (f"{TRAIN} --size 0", "data.image.size = '0'"),
    (f"{TRAIN} --size 8x", "data.image.size = '8x'"),
    (f"{TRAIN} --size -8", "data.image.size = '-8'"),
    (f"{TRAIN} --channels 2", "data.image.channels = 2"),
    (f"{TRAIN} --fit crpo", "did you mean 'crop'? there is: crop, pad"),
    (f"{TRAIN} --precision fp16", "there is: auto, bf16, float32"),
    (f"{TRAIN} --device cudda", "device 'cudda'"),
    (f"{TRAIN} --devices 0", "train.devices = 0"),
    (f"{TRAIN} --seed -1", "--seed"),
    (f"{TRAIN} --on-verdict halt", "there is: stop, warn"),
    (f"{TRAIN} --save-every-samples 0", "train.save_every_samples = 0"),
    (f"{TRAIN} --from nowhere", "nowhere does not exist"),
    (f"{TRAIN} --labels nowhere.csv", "nowhere.csv"),
    (f"{TRAIN} --set model.encoder.conv.channels=[4,4,4,4,4,4]", "name fewer channels"),
    (f"{TRAIN} --set data.image.binarise=fixed --set model.head=gaussian", "gaussian"),
    (
        "train gan --data digits --out {out} --set data.image.binarise=fixed",
        "a discriminator needs continuous or mixed data",
    ),
    ("sample", "run"),
    ("sample nowhere", "nowhere does not exist; 'ficta runs' lists what there is"),
    ("sample {vae} -n 0", "-n"),
    ("sample {vae} -n many", "-n"),
    ("sample {vae} --label 7", "trained without labels; train with --conditional"),
    ("sample {conditional} --label 77", "no label '77': did you mean '7'"),
    ("sample {vae} --seed -3", "--seed"),
    ("sample {vae} --temperature -1", "--temperature"),
    ("sample {vae} --temperature nan", "temperature"),
    ("sample {vae} --truncation 0.5", "a vae has no styles to truncate"),
    ("sample {vae} --truncation 0.5", "--temperature"),
    ("sample {vae} --out {file}", "is a file"),
    ("explore nowhere", "nowhere does not exist"),
    ("explore {vae} --map tsen", "tsne"),
    ("data nowhere", "nowhere: no such path or name"),
    ("data digits --set data.validaton=0", "did you mean 'validation'"),
    ("presets artcle-vae", "did you mean 'article-vae'"),
    ("cache --claer", "--clear"),
    ("compare {vae}", "compare needs two runs or more"),
    ("compare {vae} {conditional} --out {out}", "give a path ending in .html"),
    ("compare {vae} {conditional} --out {out}.html", "was not evaluated; give 'ficta evaluate"),
]


class Ficta:
    """What a call of the command line gives, for annotations."""

    code: int
    out: str
    err: str


@pytest.mark.parametrize(("call", "said"), WRONG, ids=[call for call, _ in WRONG])
def test_wrong_calls(
    call: str,
    said: str,
    tmp_path: Path,
    small_runs: Callable[[str], Path],
    ficta: Callable[..., Ficta],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    places = {"vae": small_runs("vae"), "conditional": small_runs("vae-conditional"), "file": tmp_path / "file"}
    before = {run: sorted(places[run].rglob("*")) for run in ("vae", "conditional")}
    done = ficta(*(word.format(out=tmp_path / "out", **places) for word in call.split()))
    assert {run: sorted(places[run].rglob("*")) for run in before} == before
    assert done.code == 2, done.err
    assert done.out == ""
    assert done.err.startswith("ficta: ")
    assert len(done.err.splitlines()) == 1
    assert said in done.err
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {"file", "lock"}


@pytest.mark.parametrize("option", [["--data", "mnits"], ["--data", "digits", "--from", "nowhere"]])
def test_a_wrong_call_leaves_no_folder_behind(option: list[str], tmp_path: Path, ficta: Callable[..., Ficta]) -> None:
    assert ficta("train", "vae", "--out", tmp_path / "new", *option).code == 2
    assert not (tmp_path / "new").exists()


def test_an_error_is_one_line_with_json_too(ficta: Callable[..., Ficta]) -> None:
    done = ficta("sample", "nowhere", "--json")
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)


def test_debug_shows_the_traceback() -> None:
    command = [sys.executable, "-c", "from ficta.cli import main; main()", "presets", "nowhere"]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (plain.returncode, plain.stderr.count("\n")) == (2, 1)
    debug = subprocess.run([*command, "--debug"], capture_output=True, text=True, check=False)
    assert debug.returncode == 1
    assert "Traceback" in debug.stderr
