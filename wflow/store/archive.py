"""This file owns named arrays as bytes: an npz file whose members are stored as they are, without pickle or time.

The same arrays give the same bytes. Nothing unpacks to more than the file itself holds.
"""

import errno
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wflow.errors import Damaged

MOST_BYTES = 1 << 31
"""A file that is, or says that it would unpack to, more than this is refused; none is written."""
# what zipfile, numpy and our own constructors raise at damaged bytes (NotImplementedError is a RuntimeError)
UNREADABLE = (
    OSError, EOFError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
Arrays = dict[str, NDArray[Any]]


class _Members(zipfile.ZipFile):
    """An archive in memory that whatever ends its making leaves as it is.

    ZipFile would close it, and raise a ValueError in place of the signal that came while a member was being opened.
    """

    left = False

    def __exit__(self, *raised: Any) -> None:
        self.left = raised[0] is not None
        self.close()

    def close(self) -> None:
        if not self.left:
            super().close()


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays, contiguous in either order, as bytes; OSError above MOST_BYTES."""
    size = sum(array.nbytes for array in arrays.values())
    if size > MOST_BYTES:
        raise OSError(
            errno.EFBIG,
            f"a file of {size:.3g} bytes would not be read back, allowed: {MOST_BYTES}; "
            "save fewer times or lower the resolution",
        )
    stream = io.BytesIO()
    with _Members(stream, "w", zipfile.ZIP_STORED) as members:
        for name, array in arrays.items():
            # an entry made by hand has no time of day in it
            with members.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def unpacked(data: bytes) -> Arrays:
    """What `packed` wrote. Raises Damaged, or one of UNREADABLE, at anything else."""
    with zipfile.ZipFile(io.BytesIO(data)) as members:
        entries = members.infolist()
        size = sum(entry.file_size for entry in entries)
        if size > MOST_BYTES:
            raise Damaged(f"it would unpack to {size:.3g} bytes, allowed: {MOST_BYTES}")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise Damaged("its members are compressed, which wflow never writes")
        return {entry.filename.removesuffix(".npy"): _array(members.read(entry)) for entry in entries}


def _array(member: bytes) -> NDArray[Any]:
    """The array of a member, whose header is believed only where its length fits the bytes that follow."""
    stream = io.BytesIO(member)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array has another format than 1.0")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(member) - stream.tell():
        raise ValueError(f"an array says that it is {shape} of {dtype}, which its {len(member)} bytes are not")
    entries: NDArray[Any] = np.frombuffer(member, dtype, offset=stream.tell())
    return entries.reshape(shape, order="F" if by_columns else "C").copy(order="K")
