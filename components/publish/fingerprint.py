"""A cheap name for a directory's content: hashing all of it would have to come before the upload.

Hashing overlaps the transfer, so a candidate's address must be known before its bytes are hashed.
Small files are read whole; of large ones, 256 windows of 4 KiB spread evenly: training moves every
weight, so two checkpoints that share all windows are rare, and `upload_candidate` does not rely
on there being none.
"""

import hashlib
from pathlib import Path
from typing import BinaryIO

WHOLE_BYTES = 1024**2
WINDOWS = 256
WINDOW_BYTES = 4096


def fingerprint(directory: Path) -> str:
    """Names a directory's content by a sample of it.

    Args:
        directory: Links to files are followed.

    Returns:
        The sha256 in hex over names, sizes and samples of all files, sorted by name.
    """
    digest = hashlib.sha256()
    named = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*")}
    for name, path in sorted(named.items()):
        if path.is_file():
            size = path.stat().st_size
            digest.update(f"{name}\0{size}\0".encode())
            with path.open("rb") as file:
                digest.update(_sample(file, size))
    return digest.hexdigest()


def _sample(file: BinaryIO, size: int) -> bytes:
    if size <= WHOLE_BYTES:
        return file.read()
    windows = bytearray()
    for number in range(WINDOWS):
        # the first window at the very start, the last at the very end
        file.seek((size - WINDOW_BYTES) * number // (WINDOWS - 1))
        windows += file.read(WINDOW_BYTES)
    return bytes(windows)
