import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.images import ImageError, describe_source, load_image, sources


@pytest.fixture
def scene() -> np.ndarray:
    """Four flat quarters, so that a turned image and a lossy file are both recognized."""
    image = np.zeros((24, 40, 3), np.uint8)
    image[:12, :20], image[:12, 20:], image[12:, :20], image[12:, 20:] = (
        (220, 30, 40),
        (30, 200, 60),
        (20, 50, 210),
        128,
    )
    return image


def encode(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_files_come_back_exactly(scene, kind):
    assert np.array_equal(load_image(encode(Image.fromarray(scene), kind)), scene)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_lossy_files_come_back_nearly(scene, kind):
    loaded = load_image(encode(Image.fromarray(scene), kind))
    away_from_edges = [(slice(4, 8), slice(4, 16)), (slice(4, 8), slice(24, 36)), (slice(16, 20), slice(4, 16))]
    for rows, columns in away_from_edges:
        assert np.abs(loaded[rows, columns].astype(int) - scene[rows, columns]).max() <= 40


class PosixPathLike:
    """A path of some library that is no `Path`."""

    def __init__(self, path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


def test_every_kind_of_source(scene, tmp_path):
    path = tmp_path / "scene.png"
    Image.fromarray(scene).save(path)
    data = path.read_bytes()
    with path.open("rb") as file, path.open() as text_mode, os.scandir(tmp_path) as entries:
        files = [path, str(path), *entries, PosixPathLike(path), file, text_mode]
        sources = [*files, data, bytearray(data), memoryview(data), io.BytesIO(data), Image.open(path), scene]
        for source in sources:
            assert np.array_equal(load_image(source), scene), type(source)
    assert describe_source(path) == describe_source(PosixPathLike(path)) == str(path)
    assert describe_source(data) == ""


# EXIF orientation: how to turn an upright image so that a viewer which obeys the tag shows it upright again.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", sorted(STORED))
def test_exif_orientation_is_applied(scene, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](scene))
    assert np.array_equal(load_image(encode(Image.fromarray(stored), "PNG", exif=exif)), scene)


def test_transparent_pixels_are_put_on_white():
    rgba = np.zeros((2, 3, 4), np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    rgba[0, 1] = (0, 0, 0, 128)
    expected = np.full((2, 3, 3), 255, np.uint8)
    expected[0, 0], expected[0, 1] = (10, 20, 30), 127
    assert np.array_equal(load_image(encode(Image.fromarray(rgba), "PNG")), expected)
    assert np.array_equal(load_image(rgba), expected)


def test_transparent_palette_and_gray_are_put_on_white():
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([200, 0, 0, 0, 0, 200])
    palette.putpixel((0, 0), 0)
    loaded = load_image(encode(palette, "PNG", transparency=0))
    assert loaded[0, 0].tolist() == [255, 255, 255]
    assert loaded[1, 1].tolist() == [0, 0, 200]
    gray = Image.new("LA", (2, 2), (40, 0))
    assert (load_image(encode(gray, "PNG")) == 255).all()


def test_gray_and_one_bit():
    gray = np.arange(48, dtype=np.uint8).reshape(6, 8)
    expected = np.repeat(gray[..., None], 3, axis=2)
    assert np.array_equal(load_image(encode(Image.fromarray(gray), "PNG")), expected)
    assert np.array_equal(load_image(gray), expected)
    assert np.array_equal(load_image(gray[..., None]), expected)
    one_bit = load_image(encode(Image.fromarray(gray > 20), "PNG"))
    assert np.array_equal(one_bit[..., 0], (gray > 20) * 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind):
    levels = np.array([[0, 257, 25700], [32896, 65278, 65535]], np.uint16)
    assert load_image(encode(Image.fromarray(levels), kind))[..., 1].tolist() == [[0, 1, 100], [128, 254, 255]]


def test_cmyk():
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    red, green, blue = load_image(encode(cyan, "JPEG", quality=95)).reshape(-1, 3).mean(axis=0)
    assert red < 60
    assert min(green, blue) > 150


def test_first_frame_of_an_animation(scene):
    frames = [Image.fromarray(scene), Image.fromarray(255 - scene)]
    data = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(load_image(data), scene)


def one_line(error: pytest.ExceptionInfo) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_bad_paths(tmp_path):
    with pytest.raises(ImageError, match="no such file") as error:
        load_image(tmp_path / "missing.jpg")
    assert "missing.jpg" in one_line(error)
    with pytest.raises(ImageError, match="is a folder"):
        load_image(tmp_path)
    with pytest.raises(ImageError, match="URLs are fetched only with --allow-url"):
        load_image("https://example.org/a.jpg")
    with pytest.raises(ImageError, match="cannot read"):
        load_image("a\0b.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"empty\.png is empty \(0 bytes\)"):
        load_image(tmp_path / "empty.png")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(ImageError, match="Permission denied"):
        load_image(path)


def test_not_a_image(tmp_path):
    path = tmp_path / "letter.jpg"
    path.write_text("Dear Sir or Madam,\n" * 50)
    with pytest.raises(ImageError, match=r"letter\.jpg is not a readable image"):
        load_image(path)
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
    with pytest.raises(ImageError, match="is not a readable image"):  # Pillow would call Ghostscript
        load_image(postscript)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about the damage
def test_truncated_and_corrupted_files_give_image_errors(kind):
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    data = encode(noise, kind)
    for share in (0.02, 0.3, 0.6, 0.9):
        with pytest.raises(ImageError) as error:
            load_image(data[: int(len(data) * share)])
        one_line(error)
    readable = 0
    for _ in range(60):
        broken = bytearray(data)
        for place in rng.integers(0, min(len(data), 400), 4):
            broken[place] = rng.integers(256)
        try:
            readable += load_image(bytes(broken), max_pixels=10**6).ndim == 3
        except ImageError:
            continue
    assert readable < 60, "the corruption did nothing: the loop tests nothing"


def test_too_many_pixels():
    data = encode(Image.new("1", (300, 200)), "PNG")
    with pytest.raises(ImageError, match=r"300x200 is 0\.1 million pixels") as error:
        load_image(data, max_pixels=59_999)
    assert "max_pixels" in one_line(error)
    assert load_image(data, max_pixels=60_000).shape == (200, 300, 3)
    with pytest.raises(ImageError, match="too large"):
        load_image(np.zeros((300, 200), np.uint8), max_pixels=59_999)


def test_decompression_bomb_is_refused_before_it_is_decoded():
    data = encode(Image.new("1", (8, 8)), "PNG")
    start = data.index(b"IHDR")
    header = b"IHDR" + struct.pack(">II", 20_000, 20_000) + data[start + 12 : start + 17]
    bomb = data[:start] + header + struct.pack(">I", zlib.crc32(header)) + data[start + 21 :]
    with pytest.raises(ImageError, match="too large"):
        load_image(bomb)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "must be uint8"),
        (np.zeros((4, 4, 2), np.uint8), "must have shape"),
        (np.zeros(5, np.uint8), "must have shape"),
        (np.zeros((0, 5, 3), np.uint8), "has no pixels"),
    ],
)
def test_arrays_that_are_no_images(array, message):
    with pytest.raises(ImageError, match=message):
        load_image(array)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 0.25, 0.5, 1], [0, 64, 128, 255]), ([0, 1.5, 64, 200.4], [0, 2, 64, 200]), ([0, 0, 0, 0], [0, 0, 0, 0])],
)
def test_floating_point_images_of_a_known_range(values, expected):
    levels = np.array([values], np.float32)
    assert load_image(encode(Image.fromarray(levels), "TIFF"))[0, :, 0].tolist() == expected


@pytest.mark.parametrize("values", [[0, 256], [-0.5, 1], [0, np.nan], [0, np.inf]])
def test_floating_point_images_of_an_unknown_range_are_refused(values):
    with pytest.raises(ImageError, match=r"floating-point pixels .* range is not known") as error:
        load_image(encode(Image.fromarray(np.array([values], np.float32)), "TIFF"))
    one_line(error)


@pytest.mark.parametrize(("bits", "white"), [(8, 255), (10, 1023), (12, 4095), (14, 16383), (16, 65535)])
def test_gray_of_scanners_is_scaled_by_its_own_depth(bits, white):
    levels = np.array([[0, white // 2, white]], np.uint16)
    for kind in ("PNG", "TIFF"):
        assert load_image(encode(Image.fromarray(levels), kind))[0, :, 0].tolist() == [0, 127, 255], bits


def test_negative_gray_values_are_refused():
    with pytest.raises(ImageError, match="gray values below 0"):
        load_image(Image.fromarray(np.array([[-5, 10]], np.int32)))


def test_lab():
    # L* a* b* of white, black and sRGB red (53.2, 80.1, 67.2), in the eight bits of TIFF: L * 2.55, a and b signed.
    lab = np.array([[[255, 0, 0], [0, 0, 0], [136, 80, 67]]], np.uint8)
    loaded = load_image(encode(Image.frombytes("LAB", (3, 1), lab.tobytes()), "TIFF"))
    assert np.abs(loaded[0].astype(int) - [[255, 255, 255], [0, 0, 0], [255, 0, 0]]).max() <= 3


def on_nothing(*colors: tuple[int, ...], outline: tuple[int, ...] = ()) -> np.ndarray:
    """(60, 60 n, 4): n squares of 20 pixels, each 20 pixels from the transparent edge, framed in `outline`."""
    rgba = np.zeros((60, 60 * len(colors), 4), np.uint8)
    for i, color in enumerate(colors):
        if outline:
            rgba[18:42, 60 * i + 18 : 60 * i + 42] = (*outline, 255)
        rgba[20:40, 60 * i + 20 : 60 * i + 40] = (*color, 255)[:4]
    return rgba


WHITE, BLACK, YELLOW, RED, GRAY = (255,) * 3, (0,) * 3, (255, 255, 0), (200, 0, 0), (128,) * 3


@pytest.mark.parametrize(
    ("rgba", "ground"),
    [
        (on_nothing(BLACK), 255),
        (on_nothing(RED, GRAY), 255),
        (on_nothing(WHITE), 0),
        (on_nothing(YELLOW, WHITE, GRAY), 0),
        (on_nothing(YELLOW, RED), 128),
        (on_nothing(WHITE, BLACK), 128),
        (on_nothing(WHITE, outline=BLACK), 0),
        (on_nothing(WHITE, BLACK, outline=BLACK), 128),
        (on_nothing((255, 255, 255, 20)), 255),
        (np.zeros((5, 5, 4), np.uint8), 255),
    ],
)
def test_nothing_vanishes_on_its_ground(rgba, ground):
    for source in (rgba, encode(Image.fromarray(rgba), "PNG"), Image.fromarray(rgba)):
        loaded = load_image(source)
        assert (loaded[rgba[..., 3] == 0] == ground).all()
        assert np.array_equal(loaded[rgba[..., 3] == 255], rgba[rgba[..., 3] == 255][:, :3])


def test_opaque_alpha_changes_nothing(scene):
    rgba = np.dstack([scene, np.full(scene.shape[:2], 255, np.uint8)])
    assert np.array_equal(load_image(rgba), scene)
    assert np.array_equal(load_image(encode(Image.fromarray(rgba), "WEBP", lossless=True)), scene)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF", "PPM", "JPEG2000"])
@pytest.mark.filterwarnings("error")
def test_the_limit_is_an_argument_and_not_pillows(monkeypatch, scene, kind):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)  # the scene has 960: Image.open would warn
    data = encode(Image.fromarray(scene), kind)
    assert load_image(data).shape == scene.shape
    with pytest.raises(ImageError, match="too large: 40x24"):
        load_image(data, max_pixels=959)
    assert Image.MAX_IMAGE_PIXELS == 600


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "PPM"])
def test_the_limit_can_be_raised_above_pillows(monkeypatch, scene, kind):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # the scene has 960: Image.open would refuse
    assert load_image(encode(Image.fromarray(scene), kind)).shape == scene.shape


def test_files_without_end_are_given_up(monkeypatch):
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 3 * 2**20)
    with pytest.raises(ImageError, match="/dev/zero is too large: more than 3 MiB"):
        load_image("/dev/zero")


def test_other_types():
    with pytest.raises(TypeError, match="not int"):
        load_image(7)
    with pytest.raises(TypeError, match="binary mode"):
        load_image(io.StringIO("text"))
