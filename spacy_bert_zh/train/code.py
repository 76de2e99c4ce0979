"""Python of the user's own, which registers functions that a config names."""

from pathlib import Path

from spacy.util import import_file

from spacy_bert_zh.errors import BertZhError


def import_code(path: Path | None) -> str:
    """Run a file, as ``spacy train --code`` does.

    Args:
        path: Of the file; None where there is none.

    Returns:
        What stands in it, since it is a part of what makes a training's result; else "".

    Raises:
        BertZhError: It can't be read, or fails.
    """
    if path is None:
        return ""
    try:
        import_file("python_code", path)
        return path.read_text("utf-8")
    except Exception as error:
        raise BertZhError(f"{path} can't be imported: {type(error).__name__}: {error}") from error
