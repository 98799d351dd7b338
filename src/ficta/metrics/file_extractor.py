"""A feature space that the user brings as a file: the network whose Fréchet distance other people's papers report."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ficta.base.errors import UsageError
from ficta.base.words import plural
from ficta.metrics.extractors import Extractor, as_unit, digest

BATCH = 32  # pictures at a time: inside a large network one takes tens of megabytes
CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
INCEPTION_SIZE = 2048  # features of Inception-v3's last pooling (Heusel et al. 2017, arXiv:1706.08500)
PREPROCESSING = "RGB float32 in [0, 1], bilinear, align_corners=False, no antialiasing"
WANTED = "one input, pictures float32 (n, 3, S, S), is expected"
SETTING = re.compile(r"file:(?P<path>.+?)(@(?P<side>[1-9]\d{0,3}))?")

Network = Callable[[Tensor], Any]  # float32 (n, 3, H, W) => whatever comes out


@final
class FileExtractor(Extractor):
    """A feature network in a file, TorchScript (.pt, .pth, .ts) or ONNX (.onnx), on the CPU.

    It gets pictures float32 (n, 3, S, S) in [0, 1]: grey is repeated, alpha is dropped, and pictures of other sides are
    brought to S by bilinear interpolation with ``align_corners=False`` and *without* antialiasing. That is what the
    usual implementations of the FID do (pytorch-fid), although it aliases when pictures shrink (Parmar et al. 2022,
    arXiv:2104.11222): who wants to compare with their numbers must err as they do. Another range, such as [-1, 1] or
    [0, 255], is up to the network itself: wrap it before it is exported.

    Attributes:
        name: ``file:`` and the file's stem.
        size: features of a picture, as a trial on two blank pictures gave them.
        fingerprint: digest of the file's bytes and of the preprocessing.
        is_inception: it gives 2048 features, as the Inception network does which the FID is defined by.
    """

    def __init__(self, setting: str, shape: tuple[int, ...]) -> None:
        """Load the network and try it.

        Args:
            setting: ``file:PATH``, or ``file:PATH@S`` for S pixels a side; an ONNX input of fixed sides knows its own
                S. Without any, pictures keep their size.
            shape: of a picture, (C, H, W).

        Raises:
            UsageError: no such file, no such network, or one that does not make (n, d) features of these pictures.
        """
        if len(shape) != 3 or shape[0] not in CHANNELS:
            raise UsageError(f"{setting} reads pictures of 1, 3 or 4 channels, not items of shape {shape}")
        parsed = SETTING.fullmatch(setting)
        path = Path(parsed["path"]).expanduser() if parsed else Path()
        if not parsed or path.suffix.lower() not in LOADERS:
            raise UsageError(f"{setting!r} is not file:PATH or file:PATH@PIXELS with a PATH in {', '.join(LOADERS)}")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"{setting} cannot be read: {error.strerror}") from None
        asked = int(parsed["side"]) if parsed["side"] else None
        self._network, fixed = LOADERS[path.suffix.lower()](setting, path, content)
        if asked and fixed and asked != fixed:
            raise UsageError(f"{setting} takes {fixed} x {fixed} pixels and no others; leave @{asked} away")
        self._setting = setting
        self._side = fixed or asked
        self.name = f"file:{path.stem}"
        self.size = self._run(np.zeros((2, *shape), np.uint8)).shape[1]
        self.is_inception = self.size == INCEPTION_SIZE
        weights = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        self.fingerprint = digest(f"file {PREPROCESSING}, side {self._side or 'kept'}", {"file": weights})

    def chunk(self, items: np.ndarray) -> np.ndarray:
        """Pictures uint8 (n, C, H, W), C 1, 3 or 4 => float32 (n, size).

        Raises:
            ValueError: items that are no such pictures.
            UsageError: the network makes no features of this size from them.
        """
        if items.ndim != 4 or items.shape[1] not in CHANNELS:
            raise ValueError(f"pictures (n, C, H, W) with C of 1, 3 or 4 are wanted, not {items.shape}")
        features = np.empty((len(items), self.size), np.float32)
        for start in range(0, len(items), BATCH):
            found = self._run(items[start : start + BATCH])
            if found.shape[1] != self.size:
                raise UsageError(f"{self._setting} makes {found.shape[1]} features here and made {self.size} before")
            features[start : start + BATCH] = found
        return features

    @torch.no_grad()
    def _run(self, items: np.ndarray) -> np.ndarray:
        """Pictures uint8 (n, C, H, W) => float32 (n, d)."""
        x = as_unit(items)[:, :3].expand(-1, 3, -1, -1)
        if self._side:
            x = F.interpolate(x, (self._side, self._side), mode="bilinear", align_corners=False, antialias=False)
        try:
            out = self._network(x.contiguous())
        except Exception as error:
            raise UsageError(f"{self._setting} fails on pictures {_sizes(x)}: {_reason(error)}") from error
        if isinstance(out, Tensor) and out.ndim == 4 and out.shape[2:] == (1, 1):
            out = out.flatten(1)
        if not isinstance(out, Tensor) or not out.is_floating_point() or out.ndim != 2 or len(out) != len(x):
            raise UsageError(
                f"{self._setting} makes {_described(out)} of pictures {_sizes(x)}, not features float (n, d)"
            )
        return np.asarray(out.float().numpy())


def _torchscript(setting: str, path: Path, content: bytes) -> tuple[Network, None]:
    with warnings.catch_warnings():
        # The format is frozen, not gone, and it is what feature networks are handed round in.
        warnings.filterwarnings("ignore", r"`torch\.jit\.load` is", DeprecationWarning)
        try:
            network: Network = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        except Exception as error:
            raise UsageError(
                f"{setting} is not TorchScript; a checkpoint of weights lacks the network: "
                f"write both by torch.jit.script(network).save({path.name!r}), or export ONNX"
            ) from error
    return network, None


def _onnx(setting: str, path: Path, content: bytes) -> tuple[Network, int | None]:
    """The network, and the side of its input if that is fixed."""
    try:
        import onnxruntime
    except ImportError:
        raise UsageError(f"{setting} needs onnxruntime: pip install 'ficta[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what goes wrong is raised as well
    # Weights in a second file would escape the fingerprint. They are looked for where no file can be: below a file.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path))
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if "external data" in str(error).lower():
            one = f"onnx.save(onnx.load({path.name!r}), 'one.onnx')"
            raise UsageError(f"{setting} keeps weights in another file; put all into one: {one}") from error
        raise UsageError(f"{setting} is no network that onnxruntime can run: {_reason(error)}") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs)
        raise UsageError(f"{setting} has {len(inputs)} inputs ({names}); {WANTED}")
    if len(outputs) != 1:
        names = ", ".join(one.name for one in outputs)
        raise UsageError(f"{setting} has {len(outputs)} outputs ({names}); one, features float (n, d), is expected")
    name = inputs[0].name

    def run(pictures: Tensor) -> Any:
        (out,) = session.run(None, {name: pictures.numpy()})
        return torch.from_numpy(out) if isinstance(out, np.ndarray) and out.dtype.kind == "f" else out

    return run, _fixed_side(setting, inputs[0].type, inputs[0].shape)


LOADERS: dict[str, Callable[[str, Path, bytes], tuple[Network, int | None]]] = {
    ".onnx": _onnx,
    ".pt": _torchscript,
    ".pth": _torchscript,
    ".ts": _torchscript,
}


def _fixed_side(setting: str, kind: str, shape: list[int | str | None]) -> int | None:
    """Side of an ONNX input (n, 3, S, S), None if it takes any; lengths that are free are words or None."""
    if kind != "tensor(float)":
        raise UsageError(f"{setting} has an input of type {kind}; {WANTED}")
    if not shape:  # nothing is declared: the trial will tell
        return None
    written = f"({', '.join(str(length or '?') for length in shape)})"
    if len(shape) != 4:
        raise UsageError(f"{setting} has an input of {len(shape)} axes {written}; {WANTED}")
    batch, channels, *sides = shape
    if isinstance(channels, int) and channels != 3:
        raise UsageError(f"{setting} has an input of {plural(channels, 'channel')} {written}; {WANTED}")
    if isinstance(batch, int):
        raise UsageError(
            f"{setting} has an input of always {plural(batch, 'picture')} {written}; leave n free in the export"
        )
    fixed = {side for side in sides if isinstance(side, int)}
    if len(fixed) > 1:
        raise UsageError(f"{setting} has an input that is no square {written}; {WANTED}")
    return next(iter(fixed), None)


def _described(out: Any) -> str:
    """What came out of a network."""
    shape, dtype = getattr(out, "shape", None), getattr(out, "dtype", None)
    return f"a {type(out).__name__}" if shape is None else f"{str(dtype).removeprefix('torch.')} {tuple(shape)}"


def _sizes(pictures: Tensor) -> str:
    return f"float32 {tuple(pictures.shape)}"


def _reason(error: Exception) -> str:
    """What a library says, in one line: after a traceback of TorchScript's, the last one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if "Traceback of TorchScript" in str(error) else " ".join(lines)
