"""Scalable fonts of the system, the characters that each can draw, and the choice among them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import string
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppocr_jax.charset import Charset

if TYPE_CHECKING:
    from PIL import ImageFont

logger = logging.getLogger("ppocr_jax")

SYSTEM_FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/usr/share/texmf/fonts/opentype",
    "~/.local/share/fonts",
    "~/.fonts",
    "/Library/Fonts",
    "/System/Library/Fonts",
    "C:/Windows/Fonts",
)
LETTERS_AND_DIGITS = string.ascii_letters + string.digits

# Their letters are images, keys, outlines or capitals (the label would not match what is drawn), or hairlines.
_UNSUITABLE = re.compile(
    r"symbol|dingbat|d050000l|inverted|hairline|ultralight|thin\b|icon|emoji|barcode|awesome|keyboard|initials|"
    r"ornament|outline|shadow|math|smallcap|small cap|capitals|caps\d|caps\b|unicase|braille|musical|"
    r"lastresort|webdings|wingdings",
    re.IGNORECASE,
)
# "Alegreya SC" has small capitals, "Noto Sans CJK SC" has Simplified Chinese: the characters tell them apart.
_SMALL_CAPITALS_OR_CHINESE = re.compile(r"\bsc\b|sc-|sc\d+-", re.IGNORECASE)
_SIMPLIFIED_CHINESE = frozenset("这们国")
_TESTED = string.printable.strip() + "€£¥¢₹"
_COLLECTION_SUFFIXES = {".ttc", ".otc"}
_SUFFIXES = {".ttf", ".otf"} | _COLLECTION_SUFFIXES
_HINT = (
    "install some, e.g. on Debian or Ubuntu `apt-get install fonts-dejavu-core fonts-liberation fonts-freefont-ttf "
    "fonts-open-sans fonts-ocr-b`, or name folders that hold .ttf or .otf files"
)

# Probability of monospaced faces and of common families; otherwise all families are equally likely.
_FAMILY_SHARES = {
    "receipt": (0.42, 0.38),
    "document": (0.25, 0.45),
    "scene": (0.03, 0.35),
    "code": (0.85, 0.1),
    "screen": (0.08, 0.5),
}
# Fonts that most printers, offices and shops use, and fonts with the same metrics or look.
_COMMON = re.compile(
    r"arial|arimo|helvetica|liberation|nimbus|dejavu|verdana|roboto|times|tinos|courier|cousine|free(sans|serif|mono)|"
    r"open sans|heros|termes|cursor|segoe|calibri|carlito|noto sans|noto serif|narrow",
    re.IGNORECASE,
)


@lru_cache(maxsize=65536)
def is_wide(character: str) -> bool:
    """Return whether a character is as wide as an ideograph: CJK, kana, Hangul, full-width forms and punctuation."""
    return unicodedata.east_asian_width(character) in "WF"


class NoFontsError(RuntimeError):
    """No scalable font with the required characters was found."""


@dataclass(frozen=True)
class FontFace:
    """One face of a font file.

    Attributes:
        path: The font file.
        index: Index of the face in a collection (.ttc); 0 otherwise.
        family: E.g. "DejaVu Sans Mono".
        name: Family and style, e.g. "DejaVu Sans Mono Bold".
        monospaced: Whether all letters are equally wide.
        slanted: Whether the face is italic or oblique.
        characters: Drawable characters (the character map without glyphs that are blank or the "missing" box).
    """

    path: str
    index: int
    family: str
    name: str
    monospaced: bool
    slanted: bool
    characters: frozenset[str] = field(repr=False, compare=False)

    def covers(self, text: Iterable[str]) -> bool:
        """Return whether every character of `text` can be drawn; a space always can."""
        return self.characters.issuperset(text)

    def at(self, size: int) -> ImageFont.FreeTypeFont:
        """Return the Pillow font of `size` pixels per em, without ligatures; loaded once per process."""
        return _load(self.path, self.index, size)


def find_fonts(
    folders: Sequence[str | Path] | None = None, *, required: str = LETTERS_AND_DIGITS, exclude: Iterable[str] = ()
) -> list[FontFace]:
    """Return fonts that can draw `required`, sorted by path, so that equal folders give equal lists.

    Symbol fonts, small capitals, fonts whose small letters look like capitals, and broken files are left out.

    Args:
        folders: Font files, and folders to search with their subfolders; default: the system's font folders.
        required: Characters that a font must have.
        exclude: Words; a font with one of them in its name (ignoring case) is left out. For held-out fonts.

    Raises:
        NoFontsError: No font was found, or one of `folders` does not exist.
    """
    roots = [Path(f).expanduser() for f in (SYSTEM_FONT_FOLDERS if folders is None else folders)]
    if folders is not None and (lost := [str(root) for root in roots if not root.exists()]):
        raise NoFontsError(f"fonts: no such file or folder: {', '.join(lost)}")
    files = (file for root in roots for file in ([root] if root.is_file() else root.rglob("*")))
    paths = sorted({file.resolve() for file in files if file.suffix.lower() in _SUFFIXES})
    words = [w.lower() for w in exclude]
    faces = [face for path in paths for face in _faces(str(path))]
    faces = [f for f in faces if f.covers(required) and not any(w in f.name.lower() for w in words)]
    if not faces:
        raise NoFontsError(f"no font with the characters {required[:20]!r}... in {[str(r) for r in roots]}: {_HINT}")
    return faces


def warn_of_missing(faces: Sequence[FontFace], charset: Charset) -> None:
    """Log how many characters of `charset` are in none of the fonts and will therefore never be drawn."""
    missing = {c for c in charset.characters if not c.isspace()}.difference(*(face.characters for face in faces))
    if missing:
        some, hint = "".join(sorted(missing)[:8]), ""
        if any(map(is_wide, missing)):
            hint = "; install fonts-noto-cjk or fonts-wqy-zenhei, or name a folder of such fonts"
        count = len(charset.characters)
        logger.warning(
            "no font has %d of the %d characters, such as %s: they are never drawn%s", len(missing), count, some, hint
        )


def split_fonts(faces: Sequence[FontFace], held_out: Iterable[str]) -> tuple[list[FontFace], list[FontFace]]:
    """Return (others, held out): a face with a word of `held_out` in its name (ignoring case) is held out."""
    words = [w.lower() for w in held_out]
    flags = [any(w in face.name.lower() for w in words) for face in faces]
    return (
        [face for face, held in zip(faces, flags, strict=True) if not held],
        [face for face, held in zip(faces, flags, strict=True) if held],
    )


@lru_cache(maxsize=1024)
def _load(path: str, index: int, size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    # The basic layout makes no ligatures, so that every character keeps its own place.
    return ImageFont.truetype(path, size, index=index, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def _faces(path: str) -> tuple[FontFace, ...]:
    found = cached_lookup(path, digest_of(__file__), lambda path: [_json_values(face) for face in _read_faces(path)])
    names = [f.name for f in fields(FontFace)][1:-1]
    return tuple(
        FontFace(path, **dict(zip(names, values, strict=True)), characters=frozenset(characters))
        for *values, characters in found
    )


def _json_values(face: FontFace) -> list[object]:
    """Return all fields but the path as JSON values."""
    *values, characters = (getattr(face, f.name) for f in fields(face) if f.name != "path")
    return [*values, "".join(sorted(characters))]


def _read_faces(path: str) -> tuple[FontFace, ...]:
    from fontTools.ttLib import TTCollection, TTFont, TTLibError

    try:
        if Path(path).suffix.lower() in _COLLECTION_SUFFIXES:
            fonts = TTCollection(path, lazy=True).fonts
        else:
            fonts = [TTFont(path, lazy=True)]
        faces = [_face(path, index, font) for index, font in enumerate(fonts)]
    except (TTLibError, OSError, KeyError, AssertionError) as error:
        logger.warning("font %s skipped: %s", path, error)
        return ()
    return tuple(face for face in faces if face is not None)


def _face(path: str, index: int, font: object) -> FontFace | None:
    names = font["name"]  # type: ignore[index]
    name = names.getDebugName(4) or Path(path).stem
    family = names.getDebugName(16) or names.getDebugName(1) or name
    cmap = font.getBestCmap() or {}  # type: ignore[attr-defined]
    characters = {chr(code) for code in cmap}
    unsuitable = any(_is_unsuitable(n, characters) for n in (name, Path(path).name))
    if unsuitable or not characters.issuperset(LETTERS_AND_DIGITS):
        return None
    pil_font = _load(path, index, 24)
    characters -= _without_glyph(pil_font, characters)
    if not characters.issuperset(LETTERS_AND_DIGITS) or _small_letters_are_capitals(pil_font):
        return None
    monospaced = len({pil_font.getlength(c) for c in "iMW.0"}) == 1
    # Not read from the name, because some families give all their styles the same one.
    italic_flag = "OS/2" in font and font["OS/2"].fsSelection & 1  # type: ignore[operator,index]
    slanted = bool(italic_flag) or font["post"].italicAngle != 0  # type: ignore[index]
    return FontFace(path, index, family, name, monospaced, slanted, frozenset(characters | {" "}))


def _is_unsuitable(name: str, characters: set[str]) -> bool:
    """Return whether the name of a face or file says that it lacks ordinary small and capital letters."""
    if _UNSUITABLE.search(name):
        return True
    return bool(_SMALL_CAPITALS_OR_CHINESE.search(name)) and not characters >= _SIMPLIFIED_CHINESE


def _without_glyph(font: ImageFont.FreeTypeFont, characters: set[str]) -> set[str]:
    """Return the tested characters that the font shows as nothing or as its box for missing characters."""
    missing_box = _glyph(font, "\uffff")
    glyphs = {c: _glyph(font, c) for c in _TESTED if c in characters}
    return {c for c, glyph in glyphs.items() if not glyph.any() or np.array_equal(glyph, missing_box)}


def _small_letters_are_capitals(font: ImageFont.FreeTypeFont) -> bool:
    def shape(character: str) -> np.ndarray:
        from PIL import Image

        values = np.asarray(Image.fromarray(_glyph(font, character)).resize((16, 16)), np.float32)
        return (values - values.mean()) / (values.std() + 1e-6)

    same_shape = [float(np.mean(shape(c) * shape(c.upper()))) > 0.85 for c in "abdeghnqrt"]
    return sum(same_shape) > 5


def _glyph(font: ImageFont.FreeTypeFont, character: str) -> np.ndarray:
    """Return the (h, w) uint8 drawing of a character; h and w may be 0."""
    mask = font.getmask(character)
    return np.frombuffer(bytes(mask), np.uint8).reshape(mask.size[::-1])  # type: ignore[arg-type]


def cached_lookup(path: str, rules: str, look: Callable[[str], Any]) -> Any:
    """Return `look(path)`, or its cached result for the same file.

    Results are kept in the user's cache folder, one small file each; if that cannot be written, nothing is kept.

    Args:
        path: A file; if its size or modification time changes, it counts as another file.
        rules: Identifies the code of `look`.
        look: Function of the path with a JSON-serializable result.
    """
    try:
        facts = os.stat(path)
    except OSError:
        return look(path)
    key = hashlib.sha256(f"{rules}\0{path}\0{facts.st_mtime_ns}\0{facts.st_size}".encode()).hexdigest()
    kept = _cache_folder() / f"{key[:40]}.json"
    try:
        return json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = look(path)
        _write_atomically(kept, found)
        return found


def _write_atomically(file: Path, value: Any) -> None:
    """Write the file atomically, because other processes may read and write the same one."""
    with suppress(OSError):  # without the cache, everything works, only more slowly
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
        try:
            with open(handle, "w", encoding="utf-8") as out:
                json.dump(value, out)
            os.replace(name, file)
        except OSError:
            os.unlink(name)


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ppocr_jax" / "fonts"


@cache
def digest_of(module_file: str) -> str:
    """Return a hash of a module's code."""
    return hashlib.sha256(Path(module_file).read_bytes()).hexdigest()[:16]


class FontPicker:
    """Random choice of faces by families, with more monospaced and common ones for some kinds of lines."""

    def __init__(self, fonts: Sequence[FontFace], charset: Charset):
        """Raise ValueError if there are no fonts, or none of them can draw any character of the charset."""
        visible = [c for c in charset.characters if not c.isspace()]
        self._faces = tuple(f for f in fonts if any(c in f.characters for c in visible))
        if not self._faces:
            raise ValueError("no font can draw the charset: pass the result of find_fonts(required=...)")
        families: dict[str, list[FontFace]] = {}
        for face in self._faces:
            families.setdefault(face.family, []).append(face)
        self._families = tuple(tuple(faces) for faces in families.values())
        self._monospaced = tuple(f for f in self._families if f[0].monospaced)
        self._wide = tuple(f for f in self._faces if "的" in f.characters)
        self._common = tuple(f for f in self._families if _COMMON.search(f[0].family) and not f[0].monospaced)

    @property
    def has_wide(self) -> bool:
        """Whether a face has ideographs."""
        return bool(self._wide)

    def pick(self, rng: np.random.Generator, kind: str, *, wide: bool = False) -> FontFace:
        """Return a random face for text of `kind`: "receipt", "document", "scene", "code" or "screen".

        With `wide`, it is a face with ideographs, if there are any.
        """
        if wide and self._wide:
            return self._wide[int(rng.integers(len(self._wide)))]
        monospaced, common = _FAMILY_SHARES[kind]
        value = rng.random()
        families = self._families
        if self._monospaced and value < monospaced:
            families = self._monospaced
        elif self._common and value < monospaced + common:
            families = self._common
        faces = families[int(rng.integers(len(families)))]
        upright = [f for f in faces if not f.slanted]
        if upright and rng.random() < 0.8:
            faces = tuple(upright)
        return faces[int(rng.integers(len(faces)))]

    def drawable(self, rng: np.random.Generator, text: str, face: FontFace) -> tuple[str, FontFace]:
        """Return `text` and a face with all of it, `face` if possible; else the part that the best face tried has."""
        if face.covers(text):
            return text, face
        # There are few faces with ideographs; each of them is equally likely to be tried first.
        faces = self._wide if self._wide and any(map(is_wide, text)) else self._faces
        begin = int(rng.integers(len(faces)))
        candidates = faces[begin:] + faces[:begin]
        found = next((f for f in candidates if f.covers(text)), None)
        if found is not None:
            return text, found
        best = max((face, *candidates[:32]), key=lambda f: sum(c in f.characters for c in text))
        kept = " ".join("".join([c for c in text if c in best.characters]).split())
        return (kept, best) if kept else ("1", face if face.covers("1") else best)
