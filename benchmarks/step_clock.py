"""A callback that writes down when each step of a training begins, for `train --code`."""

import os
import time
from collections.abc import Callable
from typing import Any

import spacy
from spacy.language import Language


@spacy.registry.callbacks("step_clock.v1")
def make_step_clock(path: str) -> Callable[[Language, dict[str, Any]], None]:
    """Seconds of a clock, a line each step; of several processes, the first one's.

    Args:
        path: Of the file that gets them.
    """

    def write_time(nlp: Language, info: dict[str, Any]) -> None:
        if os.environ.get("RANK", "0") == "0":
            with open(path, "a", encoding="utf-8") as file:
                print(time.perf_counter(), file=file)

    return write_time
