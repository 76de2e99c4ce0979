"""Outputs to make, and what lies there afterwards."""

from pathlib import Path

from spacy_bert_zh.files import outputs as files


def make(output: Path, command: str = "export", text: str = "1", **options: object) -> None:
    """Make a folder with a few entries, at two depths."""
    with files.owned(output, command, **options) as part:  # type: ignore[arg-type]
        (part / "inner" / "none").mkdir(parents=True)
        (part / "config.cfg").write_text(text)
        (part / "inner" / "model").write_text(text)


def tree(folder: Path) -> dict[str, bytes]:
    paths = sorted(folder.rglob("*"))
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"/"
        for path in paths
    }


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
