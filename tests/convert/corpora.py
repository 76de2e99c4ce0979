"""Small corpora, and what became of them."""

import json
from pathlib import Path
from typing import Any

from spacy_bert_zh.convert import convert, parse_options


def write_corpus(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{text}\t{label}\n" for text, label in rows), "utf-8")
    return path


def numbered(count: int, labels: str = "ab") -> list[tuple[str, str]]:
    return [(f"第{n}条新闻", labels[n % len(labels)]) for n in range(count)]


def corpus(path: Path, rows: list[tuple[str, Any]], name: str = "corpus.jsonl") -> Path:
    lines = (json.dumps({"text": t, "label": v}, ensure_ascii=False) for t, v in rows)
    (path / name).write_text("\n".join(lines), "utf-8")
    return path / name


def table(path: Path, labels: list[str], name: str = "corpus.csv") -> Path:
    rows = "".join(f"第{n}条,{label}\n" for n, label in enumerate(labels))
    (path / name).write_text("text,label\n" + rows, "utf-8")
    return path / name


def converted(source: Path, format: str, **options: Any) -> dict[str, Any]:
    given = {"split": "0.5,0.5,0", "split_by": "stratified", **options}
    return convert(source, source.parent / "out", parse_options(format=format, **given))


def rejected(source: Path) -> list[str]:
    lines = (source.parent / "out" / "rejects.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["reason"] for line in lines]
