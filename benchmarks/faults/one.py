"""One scenario in this process; ``python -m benchmarks.faults`` starts one such for each."""

from __future__ import annotations

import faulthandler
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.faults.everything import SCENARIOS

_LONG = 600  # seconds after which to say where it is


def main(number: str, form: str, answer: str) -> None:
    faulthandler.dump_traceback_later(_LONG)
    with tempfile.TemporaryDirectory() as folder:
        outcome = SCENARIOS[int(number)].run(form == "full", Path(folder))
    Path(answer).write_text(json.dumps(asdict(outcome)), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
