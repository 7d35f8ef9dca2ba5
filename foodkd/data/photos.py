"""Any file that a stranger hands over -> the right RGB picture, or one clear sentence.

    photo = open_photo("meal.jpg")          # PIL.Image, mode RGB, upright

Size is read from the header and judged before any pixel is decoded, only picture formats without a scripting
engine behind them are tried, and whatever a decoder raises on damaged bytes becomes a `PhotoError`. Colour
profiles are not applied: the training photos were read without them too.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from foodkd.errors import FoodkdError

PhotoSource = str | Path | bytes | IO[bytes] | Image.Image | np.ndarray

MAX_PIXELS = 60_000_000
"""Largest photo decoded at its full size: 60 million pixels, 180 MB as RGB; every common phone stays below."""

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
"""Formats tried. Pillow knows more, some of which start other programs (EPS) or are no photos."""

_ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, JPEG 2000 or PPM"


class PhotoError(FoodkdError):
    """A photo that cannot be used: the sentence says which one, why, and what to do."""


def open_photo(source: PhotoSource, *, max_pixels: int = MAX_PIXELS, shorter: int | None = None) -> Image.Image:
    """Open one photo as upright 8-bit RGB.

    The EXIF orientation is applied, of an animation the first frame is taken, transparency is laid over white,
    16-bit values are scaled (not clipped), CMYK and palettes are converted. Metadata is dropped.

    Args:
        source: a path, the bytes of a file, an open binary file, a PIL picture as it stands, or an array (H, W),
            (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, uint16, bool, or floats in 0..1. Never changed.
        max_pixels: a larger photo is refused before decoding; a larger JPEG is decoded at a half, a quarter or
            an eighth of its size where that brings it below.
        shorter: pixels of the shorter side that are enough. A JPEG with more is decoded at the smallest half, quarter
            or eighth that keeps them, which is several times quicker; other formats come whole. None: all pixels.

    Raises:
        PhotoError: there is no such file, it is no photo, damaged, empty or too large.
    """
    name = _name(source)
    if isinstance(source, np.ndarray):
        return _upright_rgb(_from_array(source, max_pixels), name)
    if isinstance(source, Image.Image):
        _judge_size(source, name, max_pixels)
        return _upright_rgb(source, name)
    with _opened(source, name) as image:
        if image.format in ("JPEG", "MPO"):
            if image.width * image.height > max_pixels:
                _draft(image, max_pixels)
            elif shorter is not None:
                _draft_to(image, shorter)
        _judge_size(image, name, max_pixels)
        return _upright_rgb(image, name)


def _name(source: PhotoSource) -> str:
    """How messages call the source: the file's name without its folders, which may be a server's own business."""
    if isinstance(source, (str, Path)):
        return repr(Path(source).name or str(source))
    label = getattr(source, "name", None)
    return repr(Path(label).name) if isinstance(label, str) and label else "the photo"


def _opened(source: str | Path | bytes | IO[bytes], name: str) -> Image.Image:
    """Read the header only; every way of failing gets its sentence."""
    if isinstance(source, (str, Path)):
        _judge_path(Path(source), name)
    file: Any = io.BytesIO(source) if isinstance(source, (bytes, bytearray)) else source
    if isinstance(file, io.BytesIO) and not file.getbuffer().nbytes:
        raise PhotoError(f"{name} is empty (0 bytes); choose another file.")
    try:
        Image.init()  # some builds of Pillow lack a format, and naming that one would be an error
        return Image.open(file, formats=[kind for kind in FORMATS if kind in Image.OPEN])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoError(f"{name} claims more pixels than can be opened safely; reduce it and try again.") from error
    except UnidentifiedImageError as error:
        raise PhotoError(f"{name} is not a photo that can be read; save it as {_ACCEPTED}.") from error
    except Exception as error:  # decoders raise anything on hostile bytes: SyntaxError, struct.error, ValueError ...
        raise PhotoError(f"{name} cannot be read as a photo ({_reason(error)}); save it as {_ACCEPTED}.") from error


def _judge_path(path: Path, name: str) -> None:
    """Refuse what is no file or holds nothing."""
    try:
        if not path.exists():
            raise PhotoError(f"There is no file {name}; check the path.")
        if not path.is_file():
            raise PhotoError(f"{name} is not a file; give the path of one photo.")
        if path.stat().st_size == 0:
            raise PhotoError(f"{name} is empty (0 bytes); choose another file.")
    except (OSError, ValueError) as error:  # a name with a null byte or of 5,000 letters
        raise PhotoError(f"{name} cannot be opened ({_reason(error)}); check the path.") from error


def _draft(image: Image.Image, max_pixels: int) -> None:
    """Let the JPEG decoder itself reduce a large photo by 2, 4 or 8; it then never holds the full size."""
    if image.info.get("progressive"):
        return  # a progressive file is buffered whole before it is reduced: no memory would be saved
    width, height = image.size
    for part in (2, 4, 8):
        if -(-width // part) * -(-height // part) <= max_pixels:
            image.draft(None, (width // part, height // part))
            return


def _draft_to(image: Image.Image, shorter: int) -> None:
    """Let the JPEG decoder reduce by 2, 4 or 8, as far as the shorter side keeps that many pixels."""
    width, height = image.size
    part = min(width, height) / shorter
    if part >= 2:
        image.draft(None, (int(width / part), int(height / part)))


def _judge_size(image: Image.Image, name: str, max_pixels: int) -> None:
    """Refuse empty and enormous pictures by what their header says."""
    width, height = image.size
    if width < 1 or height < 1:
        raise PhotoError(f"{name} has no pixels ({width} x {height}); choose another file.")
    if width * height > max_pixels:
        raise PhotoError(
            f"{name} is {width} x {height} = {width * height / 1e6:.0f} million pixels; "
            f"at most {max_pixels / 1e6:g} million are opened: reduce it and try again."
        )


def _upright_rgb(image: Image.Image, name: str) -> Image.Image:
    """Decode, turn upright, convert; the result is always a new picture without metadata."""
    try:
        image.load()
        turned = _upright(_eight_bit(image))
        rgb = _over_white(turned) if turned.has_transparency_data else turned.convert("RGB")
    except Exception as error:  # truncated or damaged data: the kind of error depends on the decoder
        raise PhotoError(f"{name} is damaged or incomplete ({_reason(error)}); get it again.") from error
    clean = rgb.copy() if rgb is image else rgb
    clean.info = {}
    return clean


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; damaged EXIF data leaves the photo as it lies."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the pixels are fine, only the note about them is not
        return image


def _over_white(image: Image.Image) -> Image.Image:
    """Lay a picture with transparency over white, as a browser's page would show it."""
    rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Scale the modes of more than 8 bits; Pillow's own conversion would clip them at 255."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    orientation = image.getexif().get(0x0112)
    grey = Image.fromarray(_scaled(np.asarray(image), wide=image.mode.startswith("I;16")))
    if orientation:
        grey.getexif()[0x0112] = orientation
    return grey


def _scaled(values: np.ndarray, *, wide: bool) -> np.ndarray:
    """Grey values of any depth -> uint8 (H, W): 16 bits by 65535; others by the range that they seem to use."""
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(numbers.min(initial=0.0)), float(numbers.max(initial=0.0))
    if low < 0 or high > 65535:
        numbers, top = numbers - low, high - low
    elif wide or high > 255:
        top = 65535.0
    else:
        top = 1.0 if values.dtype.kind == "f" and high <= 1 else 255.0
    return np.rint(numbers * (255.0 / top)).clip(0, 255).astype(np.uint8)


def _from_array(array: np.ndarray, max_pixels: int) -> Image.Image:
    """An array -> a PIL picture of one of Pillow's 8-bit modes."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or array.dtype.kind not in "ubf":
        raise PhotoError(
            f"An array of shape {array.shape} and type {array.dtype} is no photo; "
            "give (height, width), (height, width, 3) or (height, width, 4) of uint8, uint16, bool or floats in 0..1."
        )
    height, width = array.shape[:2]
    if not 0 < height * width <= max_pixels:
        raise PhotoError(f"An array of {width} x {height} pixels is no photo; give 1 to {max_pixels} pixels.")
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif array.dtype != np.uint8:
        array = _scaled(array, wide=array.dtype == np.uint16)
    return Image.fromarray(np.ascontiguousarray(array))


def _reason(error: Exception) -> str:
    """The decoder's own words on one line, cut to a readable length."""
    return (" ".join(str(error).split()) or type(error).__name__)[:120]
