"""The codec of pictures: exact both ways, and what each kind of file becomes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydantic
import pytest
import torch
from data_making import everything, picture, read
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, PngImagePlugin

from ficta.base.errors import FictaError, UsageError
from ficta.compute.noise import Noise
from ficta.data.images import ImageCodec, ImageSettings
from ficta.data.registry import codec_from_facts
from ficta.data.report import describe

STORED = st.tuples(st.integers(1, 3), st.sampled_from([1, 3, 4]), st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.uint8, shape)
)


def codec(stored: np.ndarray, **settings: object) -> ImageCodec:
    made = ImageCodec(ImageSettings.read(settings, "data.image"))
    made.fit([stored], conditional=False, labels=())
    return made


@given(STORED)
def test_decoding_what_was_encoded_gives_it_back(stored):
    door = codec(stored)
    encoded = door.encode(torch.from_numpy(stored))
    assert encoded.dtype == torch.float32
    assert encoded.shape[1:] == door.spec.shape
    assert float(encoded.min()) >= -1
    assert float(encoded.max()) <= 1
    np.testing.assert_array_equal(door.decode(encoded), stored)


@given(STORED)
def test_fixed_binarisation_is_exact_on_what_it_stores(stored):
    drawn = np.where(stored > 100, 255, 0).astype(np.uint8)
    door = codec(drawn, binarise="fixed")
    encoded = door.encode(torch.from_numpy(drawn))
    assert set(encoded.unique().tolist()) <= {0.0, 1.0}
    np.testing.assert_array_equal(door.decode(encoded), drawn)


@given(arrays(np.float32, (2, 1, 2, 2), elements=st.floats(-3, 3, width=32)))
def test_decoding_clamps_and_takes_the_nearest_level(values):
    door = codec(np.zeros((1, 1, 2, 2), np.uint8))
    levels = (np.clip(values.astype(np.float64), -1, 1) + 1) * 127.5
    assert np.abs(door.decode(torch.from_numpy(values)) - levels).max() <= 0.5 + 1e-4


def test_every_level_has_its_place():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    encoded = codec(levels).encode(torch.from_numpy(levels))
    assert encoded[0, 0, 0, 0] == -1
    assert encoded[0, 0, 15, 15] == 1
    np.testing.assert_array_equal(codec(levels).decode(encoded.to(torch.float64)), levels)


def test_pictures_that_are_not_finite_are_refused():
    door = codec(np.zeros((1, 1, 2, 2), np.uint8))
    with pytest.raises(FictaError, match="NaN"):
        door.decode(torch.full((1, 1, 2, 2), float("nan")))


def test_dynamic_binarisation_draws_with_the_brightness():
    stored = torch.from_numpy(np.stack([np.full((1, 40, 40), level, np.uint8) for level in (0, 64, 191, 255)]))
    door = codec(stored.numpy(), binarise="dynamic")
    assert door.spec.kind == "binary"
    drawn = door.encode(stored, Noise.whole(3, "cpu", 4))
    again = door.encode(stored, Noise.whole(3, "cpu", 4))
    other = door.encode(stored, Noise.whole(4, "cpu", 4))
    assert torch.equal(drawn, again)
    assert not torch.equal(drawn, other)
    np.testing.assert_allclose(drawn.mean(dim=(1, 2, 3)), [0, 64 / 255, 191 / 255, 1], atol=0.04)
    assert door.encode(stored).mean(dim=(1, 2, 3)).tolist() == [0, 0, 1, 1]


def test_a_codec_is_what_its_facts_say():
    stored = np.zeros((1, 3, 4, 6), np.uint8)
    door = ImageCodec(ImageSettings(binarise="dynamic", size="6x4"))
    door.fit([stored], conditional=True, labels=("a", "b"))
    same = codec_from_facts(door.facts())
    assert door.facts()["codec"] == "image"
    assert same.spec == door.spec
    assert same.facts() == door.facts()


@pytest.mark.parametrize(
    "facts",
    [
        {"codec": "imag"},
        {"codec": "image"},
        {"codec": "image", "settings": 3},
        {"codec": "image", "settings": {"x": 1}},
    ],
)
def test_facts_that_are_not_a_codecs_are_an_error(facts):
    with pytest.raises(FictaError, match=r"codec\.json"):
        codec_from_facts(facts)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_written_files_hold_the_pixels(tmp_path: Path, channels):
    stored = np.random.default_rng(0).integers(0, 256, (3, channels, 4, 5), np.uint8)
    codec(stored).write([stored[:2], stored[2:]], tmp_path / "out")
    paths = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in paths] == ["000000.png", "000001.png", "000002.png"]
    for path, item in zip(paths, stored, strict=True):
        with Image.open(path) as image:
            pixels = np.asarray(image).reshape(4, 5, channels).transpose(2, 0, 1)
        np.testing.assert_array_equal(pixels, item)
    assert codec(stored).preview(stored).width >= 3 * 5


@pytest.mark.parametrize("size", ["0", "64x0", "0x3", "-1", "64x", "x", "big", "64x48x3", "12345", True, "6.5"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(UsageError, match=r"data\.image\.size"):
        ImageSettings.read({"size": size}, "data.image")
    with pytest.raises(pydantic.ValidationError):
        ImageSettings(size=size)


def test_sizes_are_width_by_height():
    assert ImageSettings.read({"size": 64}, "image").sides() == (64, 64)
    assert ImageSettings(size="64x48").sides() == (64, 48)


def test_one_small_size_is_kept_and_others_become_64(pictures):
    assert read(pictures(size=(12, 10))).codec.spec.shape == (3, 10, 12)
    mixed = pictures(size=(12, 11))
    picture(5, (30, 20)).save(mixed / "other.png")
    dataset = read(mixed)
    assert dataset.codec.spec.shape == (3, 64, 64)
    assert any("brought to 64x64" in note for note in dataset.report["notes"])
    assert dataset.report["sizes"] == {"12x11": 4, "30x20": 1}
    assert read(pictures(size=(200, 200), top="large")).codec.spec.shape == (3, 64, 64)
    assert read(mixed, image={"size": "16x8"}).codec.spec.shape == (3, 8, 16)


def test_crop_fills_and_pad_shows_all(tmp_path: Path):
    (tmp_path / "wide").mkdir()
    left, right = np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)
    Image.fromarray(np.hstack([left, right])).save(tmp_path / "wide" / "a.png")
    cropped = everything(read(tmp_path / "wide", image={"size": 8}))[0, 0]
    padded = everything(read(tmp_path / "wide", image={"size": 8, "fit": "pad"}))[0, 0]
    assert (cropped[:, 0] == 0).all()
    assert (cropped[:, -1] == 255).all()
    assert (padded[:2] == 0).all()
    assert (padded[-2:] == 0).all()
    assert (padded[2:6, -1] == 255).all()


def test_a_very_long_picture_can_be_padded_and_cropped(tmp_path: Path):
    (tmp_path / "long").mkdir()
    picture(1, (900, 1)).save(tmp_path / "long" / "a.png")
    for fit in ("crop", "pad"):
        assert read(tmp_path / "long", image={"size": 8, "fit": fit}).report["read"] == 1


def modes() -> dict[str, tuple[Image.Image, dict[str, object], list[int]]]:
    """Name: picture, how it is saved, the pixel that must come out in RGB."""
    clear = Image.new("RGBA", (6, 6), (255, 0, 0, 0))
    palette = Image.new("P", (6, 6), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    deep = Image.fromarray(np.full((6, 6), 257 * 100, np.uint16))
    return {
        "grey.png": (Image.new("L", (6, 6), 90), {}, [90, 90, 90]),
        "bits.png": (Image.new("1", (6, 6), 1), {}, [255, 255, 255]),
        "clear.png": (clear, {}, [255, 255, 255]),
        "half.png": (Image.new("RGBA", (6, 6), (0, 0, 0, 51)), {}, [204, 204, 204]),
        "greyclear.png": (Image.new("LA", (6, 6), (0, 0)), {}, [255, 255, 255]),
        "palette.png": (palette, {}, [10, 20, 30]),
        "paletteclear.png": (palette, {"transparency": 1}, [255, 255, 255]),
        "deep.png": (deep, {}, [100, 100, 100]),
        "print.tif": (Image.new("CMYK", (6, 6), (0, 0, 0, 0)), {}, [255, 255, 255]),
        "web.webp": (Image.new("RGB", (6, 6), (10, 20, 30)), {"lossless": True}, [10, 20, 30]),
        "still.gif": (Image.new("RGB", (6, 6), (10, 20, 30)), {}, [10, 20, 30]),
        "map.bmp": (Image.new("RGB", (6, 6), (10, 20, 30)), {}, [10, 20, 30]),
    }


@pytest.mark.parametrize("name", modes())
def test_every_mode_becomes_colours(tmp_path: Path, name):
    image, options, pixel = modes()[name]
    (tmp_path / "one").mkdir()
    image.save(tmp_path / "one" / name, **options)
    dataset = read(tmp_path / "one", image={"channels": 3})
    assert everything(dataset)[0, :, 3, 3].tolist() == pixel
    assert read(tmp_path / "one", image={"channels": 4}).codec.spec.shape == (4, 6, 6)
    assert read(tmp_path / "one", image={"channels": 1}).codec.spec.shape == (1, 6, 6)
    if name == "deep.png":
        assert dataset.report["notes"] == ["16 bits a channel, scaled to 8: 1"]


def test_transparency_is_kept_with_four_channels(tmp_path: Path):
    (tmp_path / "one").mkdir()
    Image.new("RGBA", (6, 6), (9, 8, 7, 100)).save(tmp_path / "one" / "a.png")
    assert everything(read(tmp_path / "one", image={"channels": 4}))[0, :, 0, 0].tolist() == [9, 8, 7, 100]


def test_grey_stays_grey_unless_one_is_not(pictures):
    folder = pictures(mode="L")
    assert read(folder).codec.spec.shape[0] == 1
    Image.new("P", (12, 10), 3).save(folder / "p.png")  # a grey palette
    assert read(folder).codec.spec.shape[0] == 1
    picture(9).save(folder / "z.png")
    assert read(folder).codec.spec.shape[0] == 3


def test_a_turned_photograph_is_put_upright(tmp_path: Path):
    (tmp_path / "turned").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    image = Image.new("L", (12, 8), 0)
    image.paste(255, (0, 0, 12, 2))  # bright at the top as stored: at the right when upright
    image.save(tmp_path / "turned" / "a.jpg", exif=exif, quality=95)
    dataset = read(tmp_path / "turned")
    assert dataset.codec.spec.shape == (1, 12, 8)
    pixels = everything(dataset)[0, 0]
    assert pixels[:, -1].min() > 200
    assert pixels[:, 0].max() < 60


def test_the_first_frame_of_an_animation_is_taken(tmp_path: Path):
    (tmp_path / "moving").mkdir()
    frames = [Image.new("RGB", (6, 6), (level, 0, 0)) for level in (50, 150)]
    frames[0].save(tmp_path / "moving" / "a.gif", save_all=True, append_images=frames[1:])
    dataset = read(tmp_path / "moving")
    assert everything(dataset)[0, 0, 0, 0] == 50
    assert dataset.report["notes"] == ["several frames, the first is used: 1"]


def test_fixed_binarisation_depends_on_the_item_alone(pictures):
    folder = pictures(mode="L", n=5)
    first = everything(read(folder, image={"binarise": "fixed"}))
    assert set(np.unique(first)) == {0, 255}
    picture(77, mode="L").save(folder / "000a.png")  # sorts second
    more = everything(read(folder, image={"binarise": "fixed"}))
    np.testing.assert_array_equal(np.delete(more, 1, axis=0), first)


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_a_turned_photograph_keeps_its_sharpness(tmp_path: Path, orientation):
    """A large JPEG is decoded at a fraction of its size, which must be chosen for the upright picture."""
    ramp = np.tile(np.sin(np.arange(1600) / 8)[:, None] * 100 + 128, (1, 400)).astype(np.uint8)
    upright = Image.fromarray(ramp)
    (tmp_path / "plain").mkdir()
    upright.save(tmp_path / "plain" / "a.png")
    stored = {1: upright, 6: upright.rotate(90, expand=True), 8: upright.rotate(-90, expand=True)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "turned").mkdir()
    stored.save(tmp_path / "turned" / "a.jpg", quality=98, exif=exif)
    settings = {"image": {"size": "64x16"}, "validation": 0, "test": 0}
    plain, turned = read(tmp_path / "plain", **settings), read(tmp_path / "turned", **settings)
    assert np.abs(everything(plain).astype(int) - everything(turned).astype(int)).mean() < 2
    assert turned.report["sizes"] == {"400x1600": 1}
    assert any("turned upright" in note for note in turned.report["notes"]) == (orientation != 1)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_picture_that_is_turned_by_its_xmp_alone_keeps_its_size(tmp_path: Path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="6"/></x:xmpmeta>'
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())
    for folder, options in (("xmp", {"xmp": xmp, "pnginfo": text}), ("exif", {"exif": exif})):
        (tmp_path / folder).mkdir()
        picture(1, (40, 30)).save(tmp_path / folder / f"a{suffix}", **options)
    by_xmp, by_exif = read(tmp_path / "xmp"), read(tmp_path / "exif")
    assert by_xmp.report["sizes"] == by_exif.report["sizes"] == {"30x40": 1}
    assert by_xmp.report["stored_shape"] == [3, 40, 30]
    assert by_xmp.report["notes"] == by_exif.report["notes"]
    np.testing.assert_array_equal(everything(by_xmp), everything(by_exif))


def test_a_tiff_is_turned_once(tmp_path: Path):
    upright = picture(1, (30, 40))
    (tmp_path / "d").mkdir()
    upright.rotate(90, expand=True).save(tmp_path / "d" / "a.tif", tiffinfo={0x0112: 6, 700: b"<x/>"})
    dataset = read(tmp_path / "d")
    assert dataset.report["sizes"] == {"30x40": 1}
    np.testing.assert_array_equal(everything(dataset)[0], np.asarray(upright).transpose(2, 0, 1))


def test_the_report_counts_all_sizes(tmp_path: Path):
    for side in range(8, 41):
        Image.new("L", (side, 8), side).save(tmp_path / f"{side}.png")
    report = read(tmp_path, image={"size": 8}).report
    assert report["size_kinds"] == 33
    assert "and 23 more" in describe(report)
