import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foodkd.data import PhotoError, Preprocessing, open_photo


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def two_halves(mode: str = "RGB") -> Image.Image:
    """Left half red, right half blue, 40 x 20."""
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    image.paste((0, 0, 255), (20, 0, 40, 20))
    return image.convert(mode)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims any size and holds a few bytes of data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def assert_one_sentence(error: pytest.ExceptionInfo[PhotoError], *words: str) -> None:
    text = str(error.value)
    assert "\n" not in text and len(text) < 400, text
    for word in words:
        assert word in text


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF"])
def test_every_format_gives_the_same_picture(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.bin"  # the content decides, not the name
    path.write_bytes(saved(two_halves(), kind))
    photo = open_photo(path)
    assert photo.mode == "RGB" and photo.size == (40, 20)
    assert np.abs(np.asarray(photo).astype(int) - np.asarray(two_halves())).mean() < 12


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "PA", "RGBA", "RGBX", "RGBa", "La", "CMYK", "YCbCr", "HSV", "LAB", "I", "F"]
)
def test_every_mode_becomes_rgb(mode: str) -> None:
    grey = Image.new("L", (8, 6), 128)
    sources = {
        "LAB": grey.convert("RGB"),
        "RGBa": grey.convert("RGBA"),
        "La": grey.convert("LA"),
        "HSV": grey.convert("RGB"),
    }
    source = sources.get(mode, grey)
    if mode == "LAB":
        from PIL import ImageCms

        transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        source = ImageCms.applyTransform(source, transform)
    photo = open_photo(source if source.mode == mode else source.convert(mode))
    assert photo.mode == "RGB" and photo.size == (8, 6)
    if mode != "1":  # one bit has no middle grey
        assert abs(np.asarray(photo).mean() - 128) < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = two_halves()
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that lays the photo down
    lying = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = open_photo(saved(lying, "PNG", exif=exif))
    assert photo.size == upright.size
    assert np.array_equal(np.asarray(photo), np.asarray(upright))
    assert not photo.getexif() and not photo.info


def test_damaged_exif_leaves_the_photo_as_it_lies() -> None:
    photo = open_photo(saved(two_halves(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\xffgarbage"))
    assert photo.size == (40, 20)


def test_16_bit_grey_is_scaled_and_turned() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = np.asarray(open_photo(saved(Image.fromarray(ramp), "PNG", exif=exif)))
    assert photo.shape == (256, 4, 3)
    assert np.array_equal(photo[:, 0, 0], np.arange(256))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 65535]], np.uint16), [0, 255]),
        (np.array([[0, 255]], np.int32), [0, 255]),
        (np.array([[-1000, 0, 1000]], np.int32), [0, 128, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, np.nan, 1, np.inf]], np.float32), [0, 0, 255, 0]),
    ],
)
def test_deep_tiffs_are_scaled_to_their_range(values: np.ndarray, expected: list[int]) -> None:
    photo = np.asarray(open_photo(saved(Image.fromarray(values), "TIFF")))
    assert photo[0, :, 0].tolist() == expected


def test_transparency_lies_over_white() -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)  # black, half of it invisible
    rgba[:, :2, 3] = 255
    rgba[:, 2, 3] = 128
    photo = np.asarray(open_photo(saved(Image.fromarray(rgba), "PNG")))
    assert photo[0, :, 0].tolist() == [0, 0, 127, 255]


def test_transparent_palette_lies_over_white() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putpixel((0, 0), 0)
    photo = open_photo(saved(image, "GIF", transparency=0))
    assert photo.getpixel((0, 0)) == (255, 255, 255) and photo.getpixel((1, 1)) == (10, 20, 30)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    photo = open_photo(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
    red, green, blue = photo.getpixel((4, 4))  # type: ignore[misc]
    assert red > 240 and green < 15 and blue < 15


def test_cmyk_jpeg_has_its_colours() -> None:
    photo = np.asarray(open_photo(saved(two_halves("CMYK"), "JPEG", quality=95))).astype(int)
    assert np.abs(photo[10, 5] - (255, 0, 0)).max() < 20 and np.abs(photo[10, 35] - (0, 0, 255)).max() < 20


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not a photo"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a photo"),
        (b"%PDF-1.7\n", "not a photo"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not a photo"),
        (b"\x89PNG\r\n\x1a\n", "photo"),
        (b"\xff\xd8\xff\xe0", "photo"),
        (png_header(0, 5), "photo"),
    ],
)
def test_no_photo_gets_one_sentence(content: bytes, word: str, tmp_path: Path) -> None:
    path = tmp_path / "strange.jpg"
    path.write_bytes(content)
    with pytest.raises(PhotoError) as error:
        open_photo(path)
    assert_one_sentence(error, "strange.jpg", word)
    with pytest.raises(PhotoError):
        open_photo(content)
    with pytest.raises(PhotoError):
        open_photo(io.BytesIO(content))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF"])
def test_a_truncated_photo_gets_one_sentence(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = saved(noise, kind)
    with pytest.raises(PhotoError) as error:
        open_photo(content[: len(content) // 2])
    assert_one_sentence(error)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere.jpg", str(tmp_path / "a\0b"), "x" * 5000, ""):
        with pytest.raises(PhotoError) as error:
            open_photo(path)
        assert str(tmp_path.parent) not in str(error.value)  # a server's folders are nobody's business


@pytest.mark.parametrize("size", [(20_000, 20_000), (8_000, 8_000), (1, 2**31 - 1)])
def test_an_enormous_photo_is_refused_by_its_header(size: tuple[int, int]) -> None:
    # The data stops after 100 bytes: a decoder that started would complain of truncation, not of pixels.
    with pytest.raises(PhotoError) as error:
        open_photo(png_header(*size))
    assert_one_sentence(error, "pixels")


def test_a_large_jpeg_is_reduced_while_decoding() -> None:
    big = Image.new("RGB", (400, 200), (200, 100, 50))
    photo = open_photo(saved(big, "JPEG"), max_pixels=20_000)
    assert photo.size == (200, 100)
    assert np.abs(np.asarray(photo).astype(int) - (200, 100, 50)).max() < 5
    with pytest.raises(PhotoError, match="million pixels"):
        open_photo(saved(big, "JPEG"), max_pixels=1000)
    with pytest.raises(PhotoError, match="million pixels"):
        open_photo(saved(big, "JPEG", progressive=True), max_pixels=20_000)


def phone_photos() -> dict[str, Image.Image]:
    """2600 x 2000: soft colours, hard edges, noise in every pixel, rings too fine for any reduced picture."""
    random = np.random.default_rng(3)
    coarse = random.integers(0, 256, (15, 20, 3), dtype=np.uint8)
    y, x = np.mgrid[-1000:1000, -1300:1300]
    rings = (127.5 + 127.5 * np.cos((x**2 + y**2) / 1500)).astype(np.uint8)
    return {
        "soft": Image.fromarray(coarse).resize((2600, 2000), Image.Resampling.BICUBIC),
        "edges": Image.fromarray(coarse).resize((2600, 2000), Image.Resampling.NEAREST),
        "noise": Image.fromarray(random.integers(0, 256, (2000, 2600, 3), dtype=np.uint8)),
        "rings": Image.fromarray(rings).convert("RGB"),
    }


def test_a_photo_reduced_while_decoding_looks_the_same_to_the_networks() -> None:
    preprocessing = Preprocessing(resolution=64)
    for name, picture in phone_photos().items():
        content = saved(picture, "JPEG", quality=90)
        whole, part = open_photo(content), open_photo(content, shorter=preprocessing.enough)
        assert whole.size == (2600, 2000) and part.size == (1300, 1000)
        apart = np.abs(preprocessing.small(whole).astype(int) - preprocessing.small(part))
        assert apart.max() <= 2 and apart.mean() < 0.5, name


@pytest.mark.parametrize(
    ("size", "shorter", "opened"),
    [
        ((400, 300), 75, (100, 75)),
        ((403, 301), 75, (101, 76)),
        ((400, 300), 76, (200, 150)),
        ((300, 400), 20, (38, 50)),  # an eighth is the least
        ((400, 300), 151, (400, 300)),
        ((400, 300), 1000, (400, 300)),  # never enlarged
    ],
)
def test_the_shorter_side_keeps_as_many_pixels_as_are_asked_for(
    size: tuple[int, int], shorter: int, opened: tuple[int, int]
) -> None:
    picture = Image.new("RGB", size, (200, 100, 50))
    assert open_photo(saved(picture, "JPEG"), shorter=shorter).size == opened
    assert open_photo(saved(picture, "PNG"), shorter=shorter).size == size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_reduced_while_decoding_stands_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(two_halves().resize((400, 200)), "JPEG", exif=exif, quality=95)
    whole, part = open_photo(content), open_photo(content, shorter=50)
    assert part.size == (whole.width // 4, whole.height // 4)
    assert np.abs(np.asarray(part).astype(int) - np.asarray(whole.resize(part.size, Image.Resampling.BOX))).max() < 40
    assert not part.getexif() and not part.info


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_odd_jpegs_are_reduced_with_their_colours(mode: str, progressive: bool) -> None:
    picture = two_halves(mode).resize((400, 200))
    content = saved(picture, "JPEG", quality=95, progressive=progressive)
    part = np.asarray(open_photo(content, shorter=50)).astype(int)
    whole = np.asarray(open_photo(content)).astype(int)
    assert part.shape == (50, 100, 3)
    assert np.abs(part[25, 10] - whole[100, 40]).max() < 5 and np.abs(part[25, 90] - whole[100, 360]).max() < 5


def test_a_damaged_photo_reduced_while_decoding_gets_one_sentence() -> None:
    content = saved(phone_photos()["soft"], "JPEG")
    with pytest.raises(PhotoError) as error:
        open_photo(content[: len(content) // 2], shorter=640)
    assert_one_sentence(error)


@pytest.mark.parametrize(
    ("array", "pixel"),
    [
        (np.full((3, 4), 7, np.uint8), (7, 7, 7)),
        (np.full((3, 4, 1), 7, np.uint8), (7, 7, 7)),
        (np.full((3, 4, 3), 65535, np.uint16), (255, 255, 255)),
        (np.full((3, 4, 3), 0.5, np.float32), (128, 128, 128)),
        (np.full((3, 4), True), (255, 255, 255)),
        (np.array([[[10, 20, 30, 0]]], np.uint8), (255, 255, 255)),
    ],
)
def test_arrays(array: np.ndarray, pixel: tuple[int, int, int]) -> None:
    assert open_photo(array).getpixel((0, 0)) == pixel


@pytest.mark.parametrize("shape", [(0, 5, 3), (5,), (2, 3, 4, 5), (4, 4, 2), ()])
def test_arrays_that_are_no_photo(shape: tuple[int, ...]) -> None:
    with pytest.raises(PhotoError, match="array"):
        open_photo(np.zeros(shape, np.uint8))
    with pytest.raises(PhotoError, match="array"):
        open_photo(np.array([["a"]]))


def test_the_source_is_left_alone(tmp_path: Path) -> None:
    image = two_halves()
    before = image.tobytes()
    photo = open_photo(image)
    photo.putpixel((0, 0), (1, 2, 3))
    assert image.tobytes() == before
    path = tmp_path / "photo.png"
    image.save(path)
    with path.open("rb") as file:
        open_photo(file)
        assert not file.closed


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"BM", b"P6 "]),
)
def test_random_bytes_never_raise_anything_else(content: bytes, start: bytes) -> None:
    try:
        photo = open_photo(start + content)
    except PhotoError as error:
        assert "\n" not in str(error)
    else:
        assert photo.mode == "RGB" and min(photo.size) > 0


@given(st.data())
def test_a_flipped_byte_gives_a_picture_or_a_sentence(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]))
    content = bytearray(saved(two_halves(), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert open_photo(bytes(content), max_pixels=1_000_000).mode == "RGB"
    except PhotoError as error:
        assert str(error)
