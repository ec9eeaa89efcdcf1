"""Tar headers, and the small gzip members that carry them between the data of two files. Pure.

An archive has one such member for every file, and they are all alike: the padding of the file
before, a path, a size, and fields that never change. So their deflate streams are joined of parts
that are encoded once, with the fixed codes of RFC 1951, section 3.2.6. A compressor saves a dozen
bytes of each and takes several times as long, file by file, which was most of a pack's time.
"""

import functools
import struct
import tarfile
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

BLOCK: Final = 512
GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952: deflate, no flags, no time, no extra flags, unknown operating system."""

_NAME: Final = 100
_USTAR_SIZE: Final = 8 << 30
_AFTER_MODE: Final = b"0000000\x000000000\x00"
_AFTER_SIZE: Final = b"\x0000000000000\x00"
_AFTER_CHECKSUM: Final = b"\x00 0" + bytes(100) + b"ustar\x0000" + bytes(247)
_SUM_OF_CONSTANTS: Final = sum(_AFTER_MODE + _AFTER_SIZE + _AFTER_CHECKSUM[2:]) + 8 * ord(" ")
"""The checksum counts its own eight bytes as blanks."""


def tar_header(path: str, *, size: int = 0, mode: int = 0o777, link: str = "") -> bytes:
    """The header of one member: no owner, no time; pax records only where ustar has no room."""
    name = path.encode()
    if link or not _is_common(name, size):
        info = tarfile.TarInfo(path)
        info.size, info.mode, info.linkname = size, mode, link
        if link:
            info.type = tarfile.SYMTYPE
        return info.tobuf(tarfile.PAX_FORMAT)
    # The common case, written out: tarfile's own way costs more than all else in a pack.
    return _common_header(name, size, mode)[0]


def directory_header(path: str) -> bytes:
    """That of a directory which everybody may read and its owner write."""
    info = tarfile.TarInfo(path)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info.tobuf(tarfile.PAX_FORMAT)


def header_member(padding: int, path: str, *, size: int, mode: int) -> bytes | None:
    """A gzip member of `padding` zeros, fewer than a block, and a file's header.

    None where the header is not of the common form, which is a compressor's work.
    """
    name = path.encode()
    if not _is_common(name, size):
        return None
    header, digits, checksum = _common_header(name, size, mode)
    zeros, zeros_crc = _start(padding)
    to_size = _to_size(_NAME - len(name), mode, 11 - len(digits))
    stream, bits = zeros
    stream |= _literals(name) << bits
    bits += 8 * len(name)
    stream |= to_size.stream << bits
    bits += to_size.bits
    stream |= _literals(digits) << bits
    bits += 8 * len(digits)
    stream |= _TO_CHECKSUM.stream << bits
    bits += _TO_CHECKSUM.bits
    stream |= _literals(checksum) << bits
    bits += 8 * len(checksum)
    stream |= _TO_END.stream << bits
    bits += _TO_END.bits
    return b"%b%b%b" % (
        GZIP_HEADER,
        stream.to_bytes((bits + 7) // 8, "little"),
        struct.pack("<II", zlib.crc32(header, zeros_crc), padding + BLOCK),
    )


def _is_common(name: bytes, size: int) -> bool:
    return len(name) <= _NAME and size < _USTAR_SIZE and name.isascii()


def _common_header(name: bytes, size: int, mode: int) -> tuple[bytes, bytes, bytes]:
    """The header, and of it the digits of the size and of the checksum."""
    digits = b"%o" % size
    permissions = b"%07o\0" % mode
    padded = digits.rjust(11, b"0")
    # Adler-32's lower half is one more than the sum of so few bytes, and takes no loop in Python.
    total = (zlib.adler32(name) & 0xFFFF) + (zlib.adler32(permissions + padded) & 0xFFFF) - 2
    checksum = b"%06o" % (total + _SUM_OF_CONSTANTS)
    header = b"%b%b%b%b%b%b%b" % (
        name.ljust(_NAME, b"\0"),
        permissions,
        _AFTER_MODE,
        padded,
        _AFTER_SIZE,
        checksum,
        _AFTER_CHECKSUM,
    )
    return header, digits, checksum


class _Bits(NamedTuple):
    """A part of a deflate stream, its first bit the lowest."""

    stream: int
    bits: int


def _reversed(code: int, bits: int) -> int:
    """Huffman codes stand in the stream from their highest bit on."""
    return int(f"{code:0{bits}b}"[::-1], 2)


_LITERAL: Final = bytes(_reversed(0x30 + byte, 8) if byte < 0x80 else 0 for byte in range(256))
"""The codes of ASCII: eight bits each, so that a text is encoded by `translate`."""


def _literals(data: bytes) -> int:
    return int.from_bytes(data.translate(_LITERAL), "little")


def _joined(parts: Sequence[_Bits]) -> _Bits:
    stream = bits = 0
    for part in parts:
        stream |= part.stream << bits
        bits += part.bits
    return _Bits(stream, bits)


def _text(data: bytes) -> _Bits:
    return _Bits(_literals(data), 8 * len(data))


_LENGTHS: Final = (
    *((length, 257 + length - 3, 0) for length in range(3, 11)),
    *(
        (base + step, 265 + 4 * (extra - 1) + step // (1 << extra), extra)
        for extra, base in ((1, 11), (2, 19), (3, 35), (4, 67), (5, 131))
        for step in range(0, 4 << extra, 1 << extra)
    ),
    (258, 285, 0),
)
"""RFC 1951, section 3.2.5: each code's least length, the code, and its number of extra bits."""


def _repeat(length: int) -> _Bits:
    """The byte before, `length` times more: 3 to 258."""
    least, code, extra = max(row for row in _LENGTHS if row[0] <= length)
    symbol = (
        _Bits(_reversed(code - 256, 7), 7)
        if code < 280
        else _Bits(_reversed(0xC0 + code - 280, 8), 8)
    )
    return _joined((symbol, _Bits(length - least, extra), _Bits(0, 5)))  # distance 1 is five zeros


def _run(byte: bytes, count: int) -> _Bits:
    """`count` times the same byte."""
    parts = [_text(byte * min(count, 1))]
    left = count - 1
    while left >= 3:
        length = min(left, 258)
        parts.append(_repeat(length))
        left -= length
    parts.append(_text(byte * left))  # too few for a repetition
    return _joined(parts)


_FINAL_FIXED: Final = _Bits(0b011, 3)
"""A deflate stream's first bits: this block is the last, and has the fixed codes."""

_END_OF_BLOCK: Final = _Bits(0, 7)


@functools.cache
def _start(padding: int) -> tuple[_Bits, int]:
    """The stream up to a header, and the CRC-32 so far."""
    return _joined((_FINAL_FIXED, _run(b"\0", padding))), zlib.crc32(bytes(padding))


@functools.cache
def _to_size(after_name: int, mode: int, zeros: int) -> _Bits:
    """From the end of a name to the first digit of a size that is not zero."""
    return _joined(
        (
            _run(b"\0", after_name),
            _text(b"%07o\0" % mode),
            *(part for _ in range(2) for part in (_run(b"0", 7), _text(b"\0"))),
            _run(b"0", zeros),
        )
    )


_TO_CHECKSUM: Final = _joined((_text(b"\0"), _run(b"0", 11), _text(b"\0")))
_TO_END: Final = _joined(
    (
        _text(b"\0 0"),
        _run(b"\0", 100),
        _text(b"ustar\x0000"),
        _run(b"\0", 247),
        _END_OF_BLOCK,
    )
)
