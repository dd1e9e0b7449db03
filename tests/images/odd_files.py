"""Files that Pillow does not write, byte by byte: interlaced PNG, bombs, PDF documents with and without a password."""

from __future__ import annotations

import hashlib
import struct
import zlib

import numpy as np

# Adam7: first column, first row, and the steps between columns and rows of every pass.
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]

_PASSWORD_PAD = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, color_type: int, rows: bytes, interlaced: bool = False) -> bytes:
    """A PNG file of these already filtered rows."""
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, interlaced)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows, 9)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def interlaced_png(gray: np.ndarray) -> bytes:
    """(H, W) uint8, stored in the seven passes of Adam7."""
    passes = [gray[top::down, left::right] for left, top, right, down in _ADAM7]
    rows = b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)
    return png(gray.shape[1], gray.shape[0], 8, 0, rows, interlaced=True)


def rgb16_png(image_rgb: np.ndarray) -> bytes:
    """(H, W, 3) uint8, stored with sixteen bits a channel."""
    rows = b"".join(b"\0" + row.tobytes() for row in (image_rgb.astype(">u2") * 257))
    return png(image_rgb.shape[1], image_rgb.shape[0], 16, 2, rows)


def rgb16_tiff(image_rgb: np.ndarray) -> bytes:
    """(H, W, 3) uint8, stored with sixteen bits a channel in one strip."""
    height, width = image_rgb.shape[:2]
    pixels = (image_rgb.astype("<u2") * 257).tobytes()
    short, long = 3, 4
    tags = [(256, short, 1, width), (257, short, 1, height), (258, short, 3, 8), (259, short, 1, 1), (262, short, 1, 2)]
    tags += [(273, long, 1, 14), (277, short, 1, 3), (278, short, 1, height), (279, long, 1, len(pixels))]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 14 + len(pixels)) + struct.pack("<HHH", 16, 16, 16) + pixels + directory


def bomb_png(side: int = 30_000) -> bytes:
    """`side` x `side` black pixels of one bit each, in half a megabyte."""
    packer = zlib.compressobj(1)
    rows = packer.compress(bytes(1 + (side + 7) // 8) * side) + packer.flush()
    chunks = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)) + png_chunk(b"IDAT", rows)
    return b"\x89PNG\r\n\x1a\n" + chunks + png_chunk(b"IEND", b"")


def bomb_gif() -> bytes:
    """65535 x 65535 pixels in 35 bytes."""
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0)
        + b"\xff\xff\xff\0\0\0"
        + (b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\0;")
    )


def pdf(lines: list[str], *, pages: int = 1, password: str = "", size: tuple[int, int] = (360, 120)) -> bytes:
    """A PDF document with text in Helvetica, of 30 points; encrypted with 40 bits if a password is given.

    Args:
        lines: of every page.
        pages: how many.
        password: latin-1.
        size: of a page (width, height) in points.
    """
    width, height = size
    content = "".join(f"BT /F 30 Tf 20 {height - 45 * (i + 1)} Td ({line}) Tj ET\n" for i, line in enumerate(lines))
    owner, key = _keys(password.encode("latin-1")) if password else (b"", b"")
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(pages))
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Count {pages}/Kids[{kids}]>>".encode()]
    objects.append(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    for i in range(pages):
        box = f"/MediaBox[0 0 {width} {height}]/Resources<</Font<</F 3 0 R>>>>"
        objects.append(f"<</Type/Page/Parent 2 0 R{box}/Contents {5 + 2 * i} 0 R>>".encode())
        stream = _rc4(_object_key(key, 5 + 2 * i), content.encode()) if password else content.encode()
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream))
    trailer = b""
    if password:
        user = _rc4(key, _PASSWORD_PAD).hex().encode()
        objects.append(b"<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>" % (owner.hex().encode(), user))
        trailer = b"/Encrypt %d 0 R/ID[<00><00>]" % len(objects)
    return _pdf_file(objects, trailer)


def form_pdf(value: str) -> bytes:
    """A PDF document whose only text was filled into a form's field, which has no appearance of its own."""
    field = f"/FT/Tx/T(name)/V({value})/DA(/F 30 Tf 0 g)/Rect[20 20 340 100]/F 4/P 4 0 R"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[5 0 R]/DR<</Font<</F 3 0 R>>>>/DA(/F 30 Tf 0 g)>>>>",
        b"<</Type/Pages/Count 1/Kids[4 0 R]>>",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 360 120]/Annots[5 0 R]>>",
        f"<</Type/Annot/Subtype/Widget{field}>>".encode(),
    ]
    return _pdf_file(objects, b"")


def _pdf_file(objects: list[bytes], trailer: bytes) -> bytes:
    file, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    end = b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, len(file))
    return file + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + end


def _keys(password: bytes) -> tuple[bytes, bytes]:
    """The /O entry and the key of revision 2 of PDF's standard security, user's and owner's password the same."""
    padded = (password + _PASSWORD_PAD)[:32]
    owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
    return owner, hashlib.md5(padded + owner + struct.pack("<i", -4) + b"\0").digest()[:5]


def _object_key(key: bytes, number: int) -> bytes:
    return hashlib.md5(key + number.to_bytes(3, "little") + b"\0\0").digest()[:10]


def _rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
