"""Feature networks from files: what they are given, what they may give back, and how those that do not fit are told."""

import re
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ficta.base.errors import UsageError
from ficta.evaluate.ground import EvaluateSettings, _spaces
from ficta.metrics.extractors import Extractor
from ficta.metrics.file_extractor import BATCH, FileExtractor

Nodes = list[tuple[str, list[str], list[str]]]
FREE = ("n", 3, "h", "w")
FLAT: Nodes = [("Flatten", ["x"], ["y"])]
MEANS: Nodes = [("GlobalAveragePool", ["x"], ["p"]), ("Flatten", ["p"], ["y"])]


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x


class Whole(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).long()


class Single(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).mean(0, keepdim=True)


class Picky(nn.Module):
    def forward(self, x: Tensor, sides: int) -> Tensor:
        return x.flatten(1)


def script(path: Path, network: nn.Module) -> str:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is", DeprecationWarning)
        torch.jit.save(torch.jit.script(network), path)
    return f"file:{path}"


def write_onnx(
    path: Path,
    nodes: Nodes = FLAT,
    shape: tuple[int | str, ...] | None = FREE,
    kind: int = TensorProto.FLOAT,
    result: int = TensorProto.FLOAT,
    others: tuple[str, ...] = (),
    outputs: tuple[str, ...] = ("y",),
    w: np.ndarray | None = None,
    **saving: Any,
) -> str:
    takes = [helper.make_tensor_value_info(name, kind, shape) for name in ("x", *others)]
    gives = [helper.make_tensor_value_info(name, result, None) for name in outputs]
    attributes: dict[str, Any] = {"Cast": {"to": result}}
    made = [helper.make_node(*node, **attributes.get(node[0], {})) for node in nodes]
    weights = [] if w is None else [numpy_helper.from_array(w, "w")]
    graph = helper.make_graph(made, "network", takes, gives, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path, **saving)
    return f"file:{path}"


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


def unit(items: np.ndarray) -> Tensor:
    return torch.from_numpy(items.astype(np.float32) / np.float32(255))


def thinned(items: np.ndarray) -> np.ndarray:
    """Bilinear interpolation without antialiasing from 12 to 4 pixels looks at the middle one of three."""
    return unit(items)[:, :, 1::3, 1::3].flatten(1).numpy()


def pooled(*more: nn.Module) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *more)


def refused(setting: str, shape: tuple[int, ...] = (3, 8, 8)) -> str:
    with pytest.raises(UsageError) as told:
        FileExtractor(setting, shape)
    assert "\n" not in str(told.value)
    assert setting in str(told.value)
    return str(told.value).replace(setting, "IT")


def test_torchscript_features_are_what_the_network_computes(tmp_path: Path) -> None:
    extractor = FileExtractor(script(tmp_path / "flat.net.pt", nn.Flatten()), (3, 5, 4))
    items = pictures(BATCH + 3, 3, 5, 4)
    found = extractor.features(items)
    assert (extractor.name, extractor.size, extractor.is_inception) == ("file:flat.net", 60, False)
    assert (found.dtype, found.shape) == (np.float32, (BATCH + 3, 60))
    assert np.array_equal(found, unit(items).flatten(1).numpy())
    assert extractor.features(items[:0]).shape == (0, 60)


def test_onnx_features_are_what_the_network_computes(tmp_path: Path) -> None:
    extractor = FileExtractor(write_onnx(tmp_path / "pool.onnx", MEANS), (3, 5, 4))
    items = pictures(BATCH + 3, 3, 5, 4)
    assert (extractor.name, extractor.size) == ("file:pool", 3)
    np.testing.assert_allclose(extractor.features(items), unit(items).mean((2, 3)).numpy(), rtol=1e-5)


def test_features_of_one_pixel_are_flattened(tmp_path: Path) -> None:
    for setting in (
        script(tmp_path / "a.ts", nn.AdaptiveAvgPool2d(1)),
        write_onnx(tmp_path / "b.onnx", [("GlobalAveragePool", ["x"], ["y"])]),
    ):
        assert FileExtractor(setting, (3, 8, 8)).features(pictures(4, 3, 8, 8)).shape == (4, 3)


def test_grey_is_repeated_and_alpha_dropped(tmp_path: Path) -> None:
    setting = script(tmp_path / "flat.pth", nn.Flatten())
    grey, clear = pictures(2, 1, 4, 4), pictures(2, 4, 4, 4)
    found = FileExtractor(setting, (1, 4, 4)).features(grey)
    assert np.array_equal(found, unit(grey).repeat(1, 3, 1, 1).flatten(1).numpy())
    assert np.array_equal(FileExtractor(setting, (4, 4, 4)).features(clear), unit(clear[:, :3]).flatten(1).numpy())


def test_side_in_the_setting_resizes_without_antialiasing(tmp_path: Path) -> None:
    setting = script(tmp_path / "flat.pt", nn.Flatten())
    items = pictures(2, 3, 12, 12)
    extractor = FileExtractor(f"{setting}@4", (3, 12, 12))
    assert (extractor.name, extractor.size) == ("file:flat", 48)
    np.testing.assert_allclose(extractor.features(items), thinned(items), atol=1e-6)


def test_fixed_side_of_an_onnx_input_resizes(tmp_path: Path) -> None:
    setting = write_onnx(tmp_path / "flat.onnx", shape=("n", 3, 4, 4))
    items = pictures(2, 3, 12, 12)
    np.testing.assert_allclose(FileExtractor(setting, (3, 12, 12)).features(items), thinned(items), atol=1e-6)
    same = FileExtractor(f"{setting}@4", (3, 12, 12))
    assert same.fingerprint == FileExtractor(setting, (3, 12, 12)).fingerprint
    assert refused(f"{setting}@5") == "IT takes 4 x 4 pixels and no others; leave @5 away"


def test_onnx_input_without_declared_shape_is_tried(tmp_path: Path) -> None:
    assert FileExtractor(write_onnx(tmp_path / "open.onnx", shape=None), (3, 8, 8)).size == 192


def test_2048_features_are_taken_for_inception(tmp_path: Path) -> None:
    assert FileExtractor(script(tmp_path / "inception.pt", pooled(nn.Linear(3, 2048))), (3, 8, 8)).is_inception


def test_network_evaluates_and_keeps_no_gradient(tmp_path: Path) -> None:
    network = pooled(nn.Dropout(), nn.Linear(3, 2))
    extractor = FileExtractor(script(tmp_path / "drops.pt", network.train()), (3, 8, 8))
    items = pictures(6, 3, 8, 8)
    wanted = network.eval()(unit(items)).detach().numpy()
    np.testing.assert_allclose(extractor.features(items), wanted, rtol=1e-5, atol=1e-6)


def test_fingerprint_knows_the_bytes_and_the_side(tmp_path: Path) -> None:
    network = pooled(linear := nn.Linear(3, 2))
    setting = script(tmp_path / "net.pt", network)
    first = FileExtractor(setting, (3, 8, 8)).fingerprint
    (tmp_path / "copy.pt").write_bytes((tmp_path / "net.pt").read_bytes())
    assert FileExtractor(f"file:{tmp_path / 'copy.pt'}", (3, 8, 8)).fingerprint == first
    assert FileExtractor(f"{setting}@4", (3, 8, 8)).fingerprint != first
    linear.bias.data += 1
    assert FileExtractor(script(tmp_path / "net.pt", network), (3, 8, 8)).fingerprint != first


def test_items_that_are_no_pictures_are_refused(tmp_path: Path) -> None:
    setting = script(tmp_path / "flat.pt", nn.Flatten())
    assert refused(setting, (7,)) == "IT reads pictures of 1, 3 or 4 channels, not items of shape (7,)"
    assert "not items of shape (2, 8, 8)" in refused(setting, (2, 8, 8))
    extractor = FileExtractor(setting, (3, 8, 8))
    with pytest.raises(ValueError, match=r"C of 1, 3 or 4 are wanted, not \(1, 2, 8, 8\)"):
        extractor.features(pictures(1, 2, 8, 8))
    with pytest.raises(ValueError, match="uint8 from 0 to 255, not float32"):
        extractor.features(pictures(1, 3, 8, 8).astype(np.float32))
    with pytest.raises(UsageError, match="makes 27 features here and made 192 before"):
        extractor.features(pictures(1, 3, 3, 3))


@pytest.mark.parametrize("name", ["net.safetensors", "net", "net.pt@", "net.pt@0", "net.pt@x", "net.onnx@64@"])
def test_setting_of_another_form_is_refused(name: str) -> None:
    told = refused(f"file:{name}")
    assert told == "'IT' is not file:PATH or file:PATH@PIXELS with a PATH in .onnx, .pt, .pth, .ts"


def test_missing_file_is_refused(tmp_path: Path) -> None:
    assert refused(f"file:{tmp_path / 'none.pt'}") == "IT cannot be read: No such file or directory"


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_checkpoint_is_refused(tmp_path: Path, zipped: bool) -> None:
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "net.pt", _use_new_zipfile_serialization=zipped)
    told = refused(f"file:{tmp_path / 'net.pt'}")
    assert told.startswith("IT is not TorchScript; a checkpoint of weights lacks the network: write both by torch.jit")


def test_pickle_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "sprung",)

    torch.save(Trap(), tmp_path / "net.pt")
    assert "is not TorchScript" in refused(f"file:{tmp_path / 'net.pt'}")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (Pair(), "makes a tuple of pictures float32 (2, 3, 8, 8), not features float (n, d)"),
        (nn.Identity(), "makes float32 (2, 3, 8, 8) of pictures float32 (2, 3, 8, 8), not features float (n, d)"),
        (Whole(), "makes int64 (2, 192) of pictures"),
        (Single(), "makes float32 (1, 192) of pictures"),
        (
            nn.Linear(4, 2),
            "fails on pictures float32 (2, 3, 8, 8): RuntimeError: mat1 and mat2 shapes cannot be multiplied",
        ),
        (Picky(), "fails on pictures float32 (2, 3, 8, 8): forward() is missing value for argument 'sides'"),
    ],
)
def test_torchscript_that_does_not_fit_is_refused(tmp_path: Path, network: nn.Module, told: str) -> None:
    assert refused(script(tmp_path / "net.pt", network)).startswith(f"IT {told}")


WANTED = "one input, pictures float32 (n, 3, S, S), is expected"
ADD: Nodes = [("Add", ["x", "mask"], ["s"]), ("Flatten", ["s"], ["y"])]
CAST: Nodes = [("Flatten", ["x"], ["f"]), ("Cast", ["f"], ["y"])]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ({"nodes": ADD, "others": ("mask",)}, f"has 2 inputs (x, mask); {WANTED}"),
        ({"shape": ("n", 192)}, f"has an input of 2 axes (n, 192); {WANTED}"),
        ({"shape": ("n", 1, "h", "w")}, f"has an input of 1 channel (n, 1, h, w); {WANTED}"),
        ({"shape": ("n", 8, 8, 3)}, f"has an input of 8 channels (n, 8, 8, 3); {WANTED}"),
        ({"shape": ("n", 3, 8, 6)}, f"has an input that is no square (n, 3, 8, 6); {WANTED}"),
        ({"kind": TensorProto.DOUBLE, "result": TensorProto.DOUBLE}, f"has an input of type tensor(double); {WANTED}"),
        ({"shape": (1, 3, 8, 8)}, "has an input of always 1 picture (1, 3, 8, 8); leave n free in the export"),
        ({"nodes": MEANS, "outputs": ("y", "p")}, "has 2 outputs (y, p); one, features float (n, d), is expected"),
        ({"nodes": [("Identity", ["x"], ["y"])]}, "makes float32 (2, 3, 8, 8) of pictures float32 (2, 3, 8, 8), not"),
        ({"nodes": CAST, "result": TensorProto.INT64}, "makes int64 (2, 192) of pictures float32 (2, 3, 8, 8), not"),
        ({"nodes": [("Nonsense", ["x"], ["y"])]}, "is no network that onnxruntime can run: [ONNXRuntimeError]"),
    ],
)
def test_onnx_that_does_not_fit_is_refused(tmp_path: Path, made: dict[str, Any], told: str) -> None:
    assert refused(write_onnx(tmp_path / "net.onnx", **made)).startswith(f"IT {told}")


def test_onnx_that_fails_on_the_pictures_is_refused(tmp_path: Path) -> None:
    nodes: Nodes = [("Flatten", ["x"], ["f"]), ("MatMul", ["f", "w"], ["y"])]
    setting = write_onnx(tmp_path / "net.onnx", nodes, w=np.ones((48, 2), np.float32))
    assert FileExtractor(f"{setting}@4", (3, 8, 8)).size == 2
    assert refused(setting).startswith("IT fails on pictures float32 (2, 3, 8, 8): [ONNXRuntimeError]")


def test_onnx_with_weights_in_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where onnxruntime would look for them
    nodes: Nodes = [("Mul", ["x", "w"], ["m"]), ("Flatten", ["m"], ["y"])]
    apart: dict[str, Any] = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}
    setting = write_onnx(Path("net.onnx"), nodes, w=np.ones((1, 3, 8, 8), np.float32), **apart)
    assert refused(setting).startswith("IT keeps weights in another file; put all into one: ")
    onnx.save(onnx.load("net.onnx"), "one.onnx")  # as it says
    assert FileExtractor("file:one.onnx", (3, 8, 8)).size == 192


def test_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"something else")
    assert "is no network that onnxruntime can run" in refused(f"file:{tmp_path / 'net.onnx'}")


def test_missing_onnxruntime_is_told_with_the_install_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = write_onnx(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert refused(setting) == "IT needs onnxruntime: pip install 'ficta[onnx]'"


def spaces(*names: str) -> tuple[Extractor, ...]:
    codec = SimpleNamespace(spec=SimpleNamespace(shape=(3, 8, 8)), measures=("random-conv",))
    dataset: Any = SimpleNamespace(report={}, codec=codec)
    nothing: Any = None
    return _spaces(dataset, "test", nothing, EvaluateSettings(features=names), nothing)[0]


def test_evaluation_knows_files_by_their_prefix(tmp_path: Path) -> None:
    setting = script(tmp_path / "flat.pt", nn.Flatten())
    assert [space.name for space in spaces(setting, "random-conv", setting)] == ["file:flat", "random-conv"]
    with pytest.raises(UsageError, match=re.escape("there is: classifier, columns, file:PATH, pixels, random-conv")):
        spaces("inception")
    with pytest.raises(UsageError, match="are told apart by their names"):
        spaces(setting, f"{setting}@4")
