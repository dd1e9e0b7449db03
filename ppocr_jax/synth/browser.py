"""Pictures of HTML pages with the exact text of every line, rendered by Chromium without a window.

The page's own document says what is written where, so labels need no reading. What the document does not say, or what a
picture does not show entirely, becomes an ignored region: neither text nor background.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ppocr_jax.data.labels import Region
from ppocr_jax.data.labels.records import box_points, ignore_region, text_region
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
DRIVERS = ("chromedriver", "chromium.chromedriver")
_ARGUMENTS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # a page may name files of its own, but gets nothing from the network
)
_SECONDS = 20  # for a page to load
_SCRIPTS = Path(__file__).parent / "resources"
# In units of the font size: spaces are at least a fifth of it, columns at least as far apart as it.
_WIDEST_SPACE = 0.9
_WIDEST_JUSTIFIED = 2.0
_WIDEST_BETWEEN_BLOCKS = 0.35
_WIDEST_WITHOUT_SPACE = 0.45  # such as the padding of <code>
_NARROWEST_SPACE = 0.05
_MOST_OVERLAP = 0.3
# Text of one line is at most this much larger than its neighbor.
_SIZE_RATIO = 1.6
# Share of the way from the background to the text's color: edges of letters are in between, and strokes thinner than a
# pixel do not get there. The first one relative to the darkest pixel of a word.
_INK = 0.25
_PALEST = 0.1
_FAINTEST = 12.0  # difference of two colors (Euclidean, of 3 x 255) that nobody sees
_FAINT = 60.0  # difference that is hard to see; light gray (#ddd) on white has 59
_LOWEST = 8  # pixels; lower boxes, of letters of about 3 pixels, are illegible
# Around the ink, as labeled receipts have it: the ink of SROIE's lines takes .83 of the height of their boxes (median),
# of WildReceipt's .89. One pixel at least, because the edges of letters are blurred.
_MARGIN = 0.07
_LEAST_MARGIN = 1.0
# Ink of some fonts leaves the place that they claim: this far, in units of its height, if nothing else claims it.
_OVERHANG = 0.25
_COVERED = 0.25  # share of a line's box that lies in another's where both are unclear


class PageError(UserError):
    """Page that cannot be opened."""


@dataclass(frozen=True)
class Window:
    """What is shown of a page.

    Attributes:
        width: In CSS pixels.
        height: In CSS pixels.
        scale: Image pixels per CSS pixel.
        scroll: 0 shows the begin of the page, 1 its end.
    """

    width: int = 1024
    height: int = 768
    scale: float = 1.0
    scroll: float = 0.0


@dataclass(frozen=True, eq=False)
class Screenshot:
    """Image of a page.

    Attributes:
        image_rgb: (h, w, 3) uint8.
        lines: Text lines in the order of the document; cut-off or covered lines, pictures and form controls are ignored
            regions.
        words: The words of the lines, and the same ignored regions. A word is as high as its line.
    """

    image_rgb: np.ndarray
    lines: tuple[Region, ...]
    words: tuple[Region, ...]


class Browser:
    """A running Chromium; use it as a context manager, or close it."""

    def __init__(self) -> None:
        """Start Chromium.

        Raises:
            UserError: selenium, Chromium or its driver is not installed, or Chromium does not start.
        """
        self._program, self._driver_program = _programs()
        self._prepare = (_SCRIPTS / "prepare_page.js").read_text(encoding="utf-8")
        self._measure = (_SCRIPTS / "words_on_page.js").read_text(encoding="utf-8")
        self._driver = self._start()

    def _start(self) -> WebDriver:
        from selenium import webdriver
        from selenium.common.exceptions import WebDriverException
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = self._program
        options.unhandled_prompt_behavior = "dismiss"
        for argument in _ARGUMENTS:
            options.add_argument(argument)
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            options.add_argument("--no-sandbox")  # Chromium has none for the superuser, and does not start without this
        try:
            # Both paths are given, so selenium does not download anything. Ctrl-C ends the session from here.
            service = Service(self._driver_program, popen_kw={"start_new_session": True})
            driver = webdriver.Chrome(options=options, service=service)
        except WebDriverException as error:
            raise UserError(f"Chromium does not start: {_first_line(error)}") from error
        driver.set_page_load_timeout(_SECONDS)
        driver.set_script_timeout(_SECONDS)
        return driver

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End Chromium."""
        self._driver.quit()

    def screenshot(
        self, page: Path, window: Window | None = None, *, css: str = "", ground: str | None = None
    ) -> Screenshot:
        """Render an HTML file.

        Args:
            page: The file.
            window: What to show of it.
            css: Style to add to the page's own.
            ground: Color behind elements that lie over others, for a `css` that makes backgrounds transparent.

        Raises:
            PageError: The page cannot be opened.
        """
        from PIL import Image
        from selenium.common.exceptions import WebDriverException

        window = window or Window()
        metrics = {"width": window.width, "height": window.height, "deviceScaleFactor": window.scale, "mobile": False}
        try:
            self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            self._driver.get(page.resolve().as_uri())
            failure = self._driver.execute_script(self._prepare, css, ground)
            if failure:
                raise PageError(f"cannot open {page}: {failure}")
            self._driver.execute_script(
                "scrollTo(0, arguments[0] * (document.documentElement.scrollHeight - innerHeight))", window.scroll
            )
            found = self._driver.execute_script(self._measure)
            png = self._driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
        except WebDriverException as error:
            self.close()  # a page that does not end keeps its window busy
            self._driver = self._start()
            raise PageError(f"cannot open {page}: {_first_line(error)}") from error
        with Image.open(io.BytesIO(base64.b64decode(png))) as image:
            image_rgb = np.asarray(image.convert("RGB"))
        return _labeled(image_rgb, found, image_rgb.shape[1] / found["width"])


def _programs() -> tuple[str, str]:
    """Return the paths of Chromium and of its driver.

    Raises:
        UserError: selenium or one of them is not installed.
    """
    try:
        import selenium  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError('screenshots need selenium: pip install "ppocr-jax[screenshots]"') from error
    program, driver = _found(PROGRAMS), _found(DRIVERS)
    if program is None or driver is None:
        missing = "Chromium" if program is None else "Chromium's driver (chromedriver)"
        raise UserError(f"screenshots need {missing}: apt-get install chromium chromium-driver")
    return program, driver


def _found(names: Sequence[str]) -> str | None:
    return next(filter(None, map(shutil.which, names)), None)


def _first_line(error: Exception) -> str:
    text = getattr(error, "msg", None) or str(error)
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__


@dataclass
class _Word:
    """A word on the screen; lengths are in image pixels.

    Attributes:
        text: The text as shown.
        box: Left, top, right and bottom of its place in the layout, which is higher than the ink.
        size: Font size.
        color: (3,) RGB.
        spaced: Whether white space precedes it.
        block: Number of the block of text that contains it.
        cell: Whether that is a cell of a table.
        justified: Whether its spaces may be stretched.
        certain: Whether the image shows all of it.
        ink: Box of the drawn pixels; None if nothing is drawn.
    """

    text: str
    box: np.ndarray
    size: float
    color: np.ndarray
    spaced: bool
    block: int
    cell: bool
    justified: bool
    certain: bool
    ink: np.ndarray | None = None


def _labeled(image_rgb: np.ndarray, found: dict[str, Any], scale: float) -> Screenshot:
    """Return the screenshot with its regions.

    Args:
        image_rgb: (h, w, 3) uint8.
        found: Result of words_on_page.js.
        scale: Image pixels per CSS pixel.
    """
    height, width = image_rgb.shape[:2]
    frame = np.array([[0, 0, 0, 0], [width, height, width, height]])  # least and largest coordinates of a box
    words = []
    for entry in found["words"]:
        scaled = {"box": np.array(entry["box"]) * scale, "size": entry["size"] * scale}
        word = _Word(**{**entry, **scaled, "color": np.array(entry["color"], float)})
        word.text = unicodedata.normalize("NFC", word.text)
        words.append(word)
    rooms = _room(np.array([word.box for word in words]).reshape(-1, 4))
    words = [word for word, room in zip(words, rooms, strict=True) if _find_ink(image_rgb, word, room)]
    rows = _rows(words)
    boxes = [_box(row, frame) for row in rows]
    lines: list[Region] = []
    parts: list[Region] = []
    for row, box, covered in zip(rows, boxes, _covered(boxes), strict=True):
        known = [word.certain and not covered for word in row]
        lines.append(_region(box, "".join(" " * word.spaced + word.text for word in row), all(known)))
        begins = [i for i, word in enumerate(row) if i == 0 or word.spaced]
        for begin, end in zip(begins, [*begins[1:], len(row)], strict=True):
            left, _, right, _ = _box(row[begin:end], frame)
            part = np.array([left, box[1], right, box[3]])
            parts.append(_region(part, "".join(word.text for word in row[begin:end]), all(known[begin:end])))
    others = [np.array(box) * scale for box in found["pictures"]]
    others += [ink for box in found["numbers"] if (ink := _drawn(image_rgb, np.array(box) * scale)) is not None]
    ignored = [ignore_region(box_points(*np.clip(box, *frame))) for box in others]
    return Screenshot(image_rgb, (*lines, *ignored), (*parts, *ignored))


def _region(box: np.ndarray, text: str, known: bool) -> Region:
    return text_region(box_points(*box), text) if known else ignore_region(box_points(*box))


def _room(boxes: np.ndarray) -> np.ndarray:
    """Return how far ink above and below each box can only be its own, (n, 2), at most `_OVERHANG` of its height.

    Args:
        boxes: (n, 4), left, top, right and bottom.
    """
    reach = _OVERHANG * (boxes[:, 3] - boxes[:, 1])
    above, below = boxes.copy(), boxes.copy()
    above[:, 3], above[:, 1] = boxes[:, 1], boxes[:, 1] - reach
    below[:, 1], below[:, 3] = boxes[:, 3], boxes[:, 3] + reach
    room = np.zeros((len(boxes), 2))
    for side, strips in enumerate((above, below)):
        low = np.maximum(strips[:, None, :2], boxes[None, :, :2])
        common = np.minimum(strips[:, None, 2:], boxes[None, :, 2:]) - low
        touched = (common[..., 0] > 0) & (common[..., 1] > 0)
        room[:, side] = np.where(np.any(touched, axis=1), 0, reach)
    return room


def _pixels(image_rgb: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Return the pixels (h, w, 3) in a box, the most frequent of their colors (3,), and the first column and row.

    That color is the background: letters cover less than half of their box.
    """
    left, top = (max(0, int(np.floor(v + 0.01))) for v in box[:2])
    right, bottom = (max(0, int(np.ceil(v - 0.01))) for v in box[2:])
    crop = image_rgb[top:bottom, left:right].astype(np.int64)
    if not crop.size:
        return crop, np.zeros(3), left, top
    colors, counts = np.unique(crop @ np.array([65536, 256, 1]), return_counts=True)
    most = int(colors[counts.argmax()])
    return crop, np.array([most >> 16, most >> 8 & 255, most & 255], float), left, top


def _bounds(mask: np.ndarray, left: int, top: int) -> np.ndarray:
    """Return the box of the true values of a mask (h, w) whose first pixel is at (left, top)."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return np.array([left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1], float)


def _find_ink(image_rgb: np.ndarray, word: _Word, room: np.ndarray) -> bool:
    """Set `ink` to the box of the pixels in the word's color, and `certain` to False if they are doubtful.

    Args:
        image_rgb: (h, w, 3) uint8.
        word: The word; its box grows upward and downward where ink at its edge goes on beyond it.
        room: (2,), how far that can be.

    Returns:
        Whether anything is drawn there.
    """
    crop, ground, left, top = _pixels(image_rgb, word.box)
    if not crop.size or (crop == crop[0, 0]).all():
        return False
    way = word.color - ground
    if np.linalg.norm(way) < _FAINTEST:  # the word has the color of its background
        return False
    strongest = float(((crop - ground) @ way).max() / (way @ way))
    if strongest >= _PALEST:
        tall, _, _, tall_top = _pixels(image_rgb, word.box + np.array([0, -room[0], 0, room[1]]))
        mask = (tall - ground) @ way / (way @ way) > _INK * min(1, strongest)
        inked = np.any(mask, axis=1)
        begin, end = top - tall_top, top - tall_top + len(crop)
        while begin > 0 and inked[begin] and inked[begin - 1]:
            begin -= 1
        while end < len(inked) and inked[end - 1] and inked[end]:
            end += 1
        word.ink = _bounds(mask[begin:end], left, tall_top + begin)
        word.box[1], word.box[3] = min(word.box[1], word.ink[1]), max(word.box[3], word.ink[3])
    readable = np.linalg.norm(way) >= _FAINT and word.box[3] - word.box[1] >= _LOWEST
    word.certain = bool(word.certain and readable and word.ink is not None)
    return True


def _drawn(image_rgb: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """Return the box of what differs from the background in a box, or None."""
    crop, ground, left, top = _pixels(image_rgb, box)
    mask = np.linalg.norm(crop - ground, axis=-1) > _FAINT / 2
    return _bounds(mask, left, top) if mask.any() else None


def _rows(words: Sequence[_Word]) -> list[list[_Word]]:
    """Join words to lines; `spaced` then tells whether a space is seen before a word, which is false for the first."""
    rows: list[list[_Word]] = []
    for word in words:
        # Small print above or below a line, such as the pronunciation of ideographs, interrupts it in the document.
        row = next((row for row in rows[:-4:-1] if _continues(row[-1], word)), None)
        if row is None:
            word.spaced = False
            rows.append([word])
            continue
        gap = (word.box[0] - row[-1].box[2]) / min(row[-1].size, word.size)
        if row[-1].block == word.block:
            word.spaced = bool(gap > (_NARROWEST_SPACE if word.spaced else _WIDEST_WITHOUT_SPACE))
        else:
            word.spaced = bool(gap > _NARROWEST_SPACE)
        row.append(word)
    return rows


def _continues(before: _Word, word: _Word) -> bool:
    """Return whether a word continues the line that ends with another."""
    height = min(before.box[3] - before.box[1], word.box[3] - word.box[1])
    if min(before.box[3], word.box[3]) - max(before.box[1], word.box[1]) < height / 2:
        return False
    small, large = sorted((before.size, word.size))
    if large > _SIZE_RATIO * small:
        return False
    widest = _WIDEST_SPACE
    if before.block != word.block:
        widest = 0.0 if before.cell or word.cell else _WIDEST_BETWEEN_BLOCKS
    elif word.justified:
        widest = _WIDEST_JUSTIFIED
    return -_MOST_OVERLAP * small < word.box[0] - before.box[2] < widest * small


def _box(words: Sequence[_Word], frame: np.ndarray) -> np.ndarray:
    """Return the box around the ink of words and a margin, at most as large as their boxes.

    Args:
        words: Words of one line.
        frame: (2, 4), least and largest coordinates of a box in the image.
    """
    layout = np.stack([word.box for word in words])
    outer = np.concatenate([layout[:, :2].min(0), layout[:, 2:].max(0)])
    inks = np.stack([word.box if word.ink is None else word.ink for word in words])
    inner = np.concatenate([inks[:, :2].min(0), inks[:, 2:].max(0)])
    margin = max(_LEAST_MARGIN, round(_MARGIN * float(inner[3] - inner[1])))
    inner += np.array([-1, -1, 1, 1]) * margin
    low = np.maximum(inner[:2], np.floor(outer[:2]))
    high = np.minimum(inner[2:], np.ceil(outer[2:]))
    return np.clip(np.concatenate([low, high]), *frame)


def _covered(boxes: Sequence[np.ndarray]) -> np.ndarray:
    """Return for each of n boxes whether a large part of it, or of a smaller one in it, lies in another, (n,) bool."""
    if not boxes:
        return np.zeros(0, bool)
    all_boxes = np.stack(boxes)
    low = np.maximum(all_boxes[:, None, :2], all_boxes[None, :, :2])
    high = np.minimum(all_boxes[:, None, 2:], all_boxes[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), -1)
    area = np.prod(all_boxes[:, 2:] - all_boxes[:, :2], -1)
    share = common / np.maximum(np.minimum(area[:, None], area[None]), 1e-6)
    np.fill_diagonal(share, 0)
    return (share > _COVERED).any(1)
