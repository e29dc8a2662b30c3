"""Does a job in the quantize environment: `python -m components.quantize.worker FOLDER`."""

import logging
import sys
from pathlib import Path

from components.core.errors import FinistError
from components.core.whole_files import write_text
from components.quantize.checkpoint import decompress
from components.quantize.compress import compress
from components.quantize.job import FAILURE, JOB, RESULT, Failure, Job


def main(folder: Path) -> int:
    """Does the job of a folder; what is known of a quantized model goes there too.

    Args:
        folder: Holds a `Job` as JSON.

    Returns:
        The exit code: 0, or 2 with a `Failure` in the folder.
    """
    # PyTorch warns of a change in its tracing, which llm-compressor's is not concerned by.
    logging.getLogger("torch.fx").setLevel(logging.ERROR)
    job = Job.model_validate_json((folder / JOB).read_bytes())
    try:
        if job.settings is None:
            decompress(job.model, job.out)
        else:
            done = compress(job.model, job.rows, job.settings, job.out)
            write_text(folder / RESULT, done.model_dump_json(indent=1))
    except FinistError as error:
        failure = Failure(kind=type(error).__name__, message=str(error))
        write_text(folder / FAILURE, failure.model_dump_json())
        return error.exit_code
    return 0


if __name__ == "__main__":
    try:
        code = main(Path(sys.argv[1]))
    except KeyboardInterrupt:  # the process that waits says what is to be said
        code = 130
    sys.exit(code)
