"""MATLAB files of levels v5 to v7: where their arrays of numbers lie, and a memory map of those that are not packed.

A header of 128 bytes, then elements: a tag of two 32-bit numbers (type, bytes) and the content. An array (type 14)
holds four elements: class, sizes, name, values in Fortran order; a packed one (type 15) is that array behind zlib.
Source: MathWorks, MAT-File Format (2016).
"""

import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HEADER, ARRAY, PACKED = 128, 14, 15
TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMBERS = range(6, 16)  # classes of full arrays of numbers; the others are cells, structures, texts, sparse matrices
BEGINNING = 1 << 12  # bytes that hold class, sizes and name


@dataclass(frozen=True)
class Stored:
    """An array in a file.

    Arguments:
        shape: in MATLAB's order of axes.
        dtype: of the stored numbers, with their byte order.
        element: place of the element's content in the file, in bytes.
        size: bytes of that content.
        offset: of the values in the (unpacked) content.
        packed: whether the content is compressed.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    element: int
    size: int
    offset: int
    packed: bool

    def open(self, path: Path) -> np.ndarray:
        """The values: a memory map, or where they are packed an array in memory.

        Raises:
            ValueError: packed values that are damaged.
        """
        if 0 in self.shape:
            return np.empty(self.shape, self.dtype)
        if not self.packed:
            place = self.element + self.offset
            return np.memmap(path, self.dtype, "r", offset=place, shape=self.shape, order="F")
        with Path(path).open("rb") as file:
            file.seek(self.element)
            try:
                content = zlib.decompress(file.read(self.size))
            except zlib.error as error:
                raise ValueError(f"{path} is damaged or incomplete ({error})") from error
        values = np.frombuffer(content, self.dtype, count=math.prod(self.shape), offset=self.offset)
        return values.reshape(self.shape, order="F")


def arrays(path: Path) -> dict[str, Stored]:
    """The arrays of real numbers of a file, by name.

    Raises:
        ValueError: the file ends before its last array does, or is none of these levels.
    """
    size, found = Path(path).stat().st_size, {}
    with Path(path).open("rb") as file:
        order = {b"IM": "<", b"MI": ">"}.get(file.read(HEADER)[126:])
        if order is None:
            raise ValueError("its header names no byte order")
        place = HEADER
        while place < size:
            file.seek(place)
            kind, length = _numbers(file.read(8), order, 2)
            place += 8
            if place + length > size:
                raise ValueError(f"it ends after {size} bytes, inside an array")
            if kind in (ARRAY, PACKED):
                beginning = file.read(min(length, BEGINNING))
                entry = _array(beginning, order, place, length, kind == PACKED)
                found |= {entry[0]: entry[1]} if entry else {}
            place += length
    return found


def _array(beginning: bytes, order: str, element: int, size: int, packed: bool) -> tuple[str, Stored] | None:
    """Name and place of an array of real numbers from the first bytes of its content; None for another kind."""
    if packed:
        try:
            beginning = zlib.decompressobj().decompress(beginning, BEGINNING)
        except zlib.error as error:
            raise ValueError(f"a packed array cannot be unpacked ({error})") from error
    place = 8 if packed else 0  # unpacked content begins with the tag of the array
    flags, place = _element(beginning, place, order)
    word = int(_numbers(flags, order, 1)[0])
    sizes, place = _element(beginning, place, order)
    name, place = _element(beginning, place, order)
    if (word & 0xFF) not in NUMBERS or word & 0x0800 or not name:  # 0x0800: complex
        return None
    kind = int(_numbers(beginning[place:], order, 1)[0])
    place += 4 if kind >> 16 else 8
    kind &= 0xFFFF
    if kind not in TYPES:
        return None
    shape = tuple(int(n) for n in np.frombuffer(sizes, f"{order}i4"))
    return name.decode("latin-1"), Stored(shape, np.dtype(order + TYPES[kind]), element, size, place, packed)


def _element(content: bytes, place: int, order: str) -> tuple[bytes, int]:
    """One element's content and the place of the next; up to four bytes are kept in the tag itself."""
    first, second = _numbers(content[place:], order, 2)
    if first >> 16:
        return content[place + 4 : place + 4 + int(first >> 16)], place + 8
    start, length = place + 8, int(second)
    return content[start : start + length], start + (length + 7) // 8 * 8


def _numbers(content: bytes, order: str, count: int) -> np.ndarray:
    """Unsigned 32-bit numbers at the start of some bytes.

    Raises:
        ValueError: too few bytes.
    """
    if len(content) < 4 * count:
        raise ValueError("it ends inside a tag")
    return np.frombuffer(content, f"{order}u4", count=count).astype(np.int64)
