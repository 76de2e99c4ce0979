"""Questions with answers, in miniature."""

import json
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

from tests.conftest import BAD, GOOD, NOUNS

FAQ = [
    {"question": f"{noun}{word}吗", "answer": f"答{number}", "similar": [f"请问{noun}是否{word}"]}
    for number, (noun, word) in enumerate(product(NOUNS, [*GOOD, *BAD]))
]


def write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Write JSON lines."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, "utf-8")
    return path
