"""What lies in the folder of trainings on parts of a corpus, and tells these from others."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import whole
from spacy_bert_zh.folds.rows import Rows

if TYPE_CHECKING:
    from thinc.api import Config

CONFIG, LABELS, SETUP = WORKBENCH = "config.cfg", "labels.json", "setup.json"


def begin(
    folder: Path, command: str, config: "Config", rows: Rows, options: dict[str, Any]
) -> None:
    """Write what all trainings have in common, or go on with the same.

    Args:
        folder: Where the command works.
        command: Which one, for the message.
        config: What is trained; becomes ``config.cfg``.
        rows: The corpus; its labels become ``labels.json``.
        options: What else makes another result.

    Raises:
        BertZhError: The folder holds others.
    """
    contents = {CONFIG: config.to_str(), LABELS: json.dumps(rows.labels, ensure_ascii=False)}
    setup = json.dumps({"corpus": rows.digest(), "options": options, "files": contents})
    path = folder / SETUP
    if path.exists():
        if path.read_text("utf-8") != setup:
            raise BertZhError(
                f"{folder} holds another {command} (its config, corpus or options differ): name "
                "another folder, or remove it"
            )
        return
    for name, content in {**contents, SETUP: setup}.items():
        with whole(folder / name) as part:
            part.write_text(content, "utf-8")
