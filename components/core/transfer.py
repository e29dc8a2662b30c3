"""What uploads, downloads and copies share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from boto3.s3.transfer import TransferConfig
from tqdm import tqdm

TRANSFER = TransferConfig(
    multipart_threshold=16 * 1024**2, multipart_chunksize=16 * 1024**2, max_concurrency=4
)


@contextmanager
def progress(what: str, total_bytes: int) -> Iterator[Callable[[int], object]]:
    """A progress bar in bytes where a person looks on; silent elsewhere."""
    with tqdm(total=total_bytes, unit="B", unit_scale=True, desc=what, disable=None) as bar:
        yield bar.update
