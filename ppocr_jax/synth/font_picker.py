"""Which face a line is set in."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.synth.fonts import FontFace
from ppocr_jax.synth.glyph_metrics import is_wide

# Share of typewriter faces and of common families; the rest comes from all families alike.
_FAMILY_SHARES = {"receipt": (0.42, 0.38), "document": (0.25, 0.45), "scene": (0.03, 0.35)}
# What most printers, offices and shops use, and metric or visual twins of it.
_COMMON = re.compile(
    r"arial|arimo|helvetica|liberation|nimbus|dejavu|verdana|roboto|times|tinos|courier|cousine|free(sans|serif|mono)|"
    r"open sans|heros|termes|cursor|segoe|calibri|carlito|noto sans|noto serif|narrow",
    re.IGNORECASE,
)


class FontPicker:
    """Chooses faces: families alike, typewriter faces often on receipts, only faces that have the text's characters."""

    def __init__(self, fonts: Sequence[FontFace], charset: Charset):
        """Raises ValueError: no fonts, or none of them draws any character of the charset."""
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
        """A face for a line of `kind`; with `wide` one that has ideographs, if there is any."""
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
        """`text` and a face that has all of it, `face` if possible; else what of `text` the best face tried has."""
        if face.covers(text):
            return text, face
        # Faces with ideographs are few: every one of them is as likely to be the first tried.
        faces = self._wide if self._wide and any(map(is_wide, text)) else self._faces
        begin = int(rng.integers(len(faces)))
        candidates = faces[begin:] + faces[:begin]
        found = next((f for f in candidates if f.covers(text)), None)
        if found is not None:
            return text, found
        best = max((face, *candidates[:32]), key=lambda f: sum(c in f.characters for c in text))
        kept = " ".join("".join([c for c in text if c in best.characters]).split())
        return (kept, best) if kept else ("1", face if face.covers("1") else best)
