"""One of the processes that `launch` starts: `python -m components.train.rank FOLDER LAUNCHER`.

It makes the call that lies in the folder, and leaves there what came of it. The launcher says why a
run ended: a process alone may just have lost the others.
"""

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from components.core.command_line import explain
from components.core.errors import FinistError

CALL, RESULT = "call.json", "result.json"
PR_SET_PDEATHSIG = 1


def main(folder: Path, launcher: int) -> None:
    """Trains; a sentence or a traceback is left in torchrun's error file.

    Args:
        folder: Holds `call.json`, which names a function of `training_step` and its arguments; the
            first process writes `result.json`.
        launcher: The process id of the launcher.
    """
    _end_with(launcher)
    # These take seconds to import, in which the launcher might go away.
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    from components.train import training_step

    try:
        call: dict[str, Any] = json.loads((folder / CALL).read_text("utf-8"))
        figures = getattr(training_step, call["function"])(**call["arguments"])
    except (FinistError, OSError) as error:
        explained = explain(error)
        if explained is None:
            get_error_handler().record_exception(error)
            raise
        _leave_word(explained[1])
        sys.exit(explained[0])
    except Exception as error:
        get_error_handler().record_exception(error)
        raise
    if os.environ["RANK"] == "0":
        (folder / RESULT).write_text(json.dumps(figures), "utf-8")


def _end_with(launcher: int) -> None:
    """A launcher that is killed outright cannot end its children; the kernel does."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what Ctrl-C came to is the launcher's to say
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != launcher:
        sys.exit("The launcher of this training is gone.")


def _leave_word(sentence: str) -> None:
    """Writes what `ProcessFailure.message` will be in the launcher."""
    word = json.dumps({"message": sentence, "timestamp": int(time.time())})
    Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(word, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
