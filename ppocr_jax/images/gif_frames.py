"""How far the frames of a GIF file reach, without decoding it.

A frame may lie outside of the size that the file's header gives. Pillow makes its canvas larger then, as soon as it
comes to that frame; a limit of pixels has to be checked before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

_HEADER_BYTES = 13
_END, _EXTENSION, _FRAME = b";!,"
_COMMENT = 254


def canvas_size(data: bytes, frames: int | None = None) -> tuple[int, int]:
    """(width, height) of a canvas that holds the first `frames` frames, or all, as far as the file can be followed."""
    corners = list(islice(_corners(data), None if frames is None else frames + 1))
    return max((right for right, _ in corners), default=1), max((bottom for _, bottom in corners), default=1)


def _corners(data: bytes) -> Iterator[tuple[int, int]]:
    """(right, bottom) of the header's canvas, then of every frame; damage is stepped over in the way Pillow does it."""
    if len(data) < _HEADER_BYTES:
        return
    yield struct.unpack_from("<HH", data, 6)
    at = _HEADER_BYTES + _palette_bytes(data[10])
    while at < len(data) and data[at] != _END:
        if data[at] == _EXTENSION:
            at = _after_extension(data, at)
        elif data[at] == _FRAME and at + 10 <= len(data):
            left, top, width, height, flags = struct.unpack_from("<HHHHB", data, at + 1)
            yield left + width, top + height
            at = _after_blocks(data, at + 10 + _palette_bytes(flags) + 1)
        else:
            at += 1


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 128 else 0


def _after_extension(data: bytes, at: int) -> int:
    kind, size = data[at + 1 : at + 2], data[at + 2 : at + 3]
    no_first_block = size == b"\0" and kind != bytes([_COMMENT])  # Pillow looks for a second one then
    return _after_blocks(data, at + (3 if no_first_block else 2))


def _after_blocks(data: bytes, at: int) -> int:
    """Behind a series of blocks, each with its length before it, the last one empty."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1
