"""How what can be searched lies in a folder, which others may have changed or damaged."""

import json
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading import load_pipeline, portable
from spacy_bert_zh.retrieve import lists
from spacy_bert_zh.retrieve.refusal import Refusal
from spacy_bert_zh.retrieve.retriever import Encoder, Entry, Retriever
from spacy_bert_zh.retrieve.words import Words
from spacy_bert_zh.textcat.space import Space, read_space
from spacy_bert_zh.untrusted import Closed, checked, parse_json, read_bytes, read_json, read_text

ABOUT, ENTRIES, VECTORS, LISTS, WORDS, PIPELINE = (
    *("retriever.json", "entries.jsonl", "vectors.safetensors", "lists.safetensors"),
    *("words", "pipeline"),
)
PROBED = 8
"""Texts by which it is told whether the vectors are of the pipeline beside them."""
_MOST_BYTES = 1 << 30


class About(Closed):
    """What ``retriever.json`` says.

    Attributes:
        entries: How many there are.
        component: Whose backbone makes the vectors; None for words alone.
        refusal: When to say that none is right.
    """

    entries: int
    component: str | None = None
    refusal: Refusal | None = None


def can_search(folder: str | Path) -> bool:
    """Whether a folder is one of those that `build` makes."""
    return (Path(folder) / ABOUT).is_file()


def write(retriever: Retriever, folder: Path) -> None:
    """Write it into a new folder."""
    folder.mkdir()
    encoder, refusal = retriever.encoder, retriever.refusal
    about = About(
        entries=len(retriever.entries),
        component=encoder.pipe.name if encoder else None,
        refusal=refusal,
    )
    text = json.dumps(about.model_dump(), ensure_ascii=False, indent=2)
    (folder / ABOUT).write_text(f"{text}\n", "utf-8")
    lines = (json.dumps(entry.model_dump(), ensure_ascii=False) for entry in retriever.entries)
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
    (folder / ENTRIES).write_bytes(data)
    retriever.words.save(folder / WORDS)
    if retriever.space is not None and encoder is not None:
        if isinstance(retriever.space, lists.Lists):
            retriever.space.save(folder / LISTS)
        else:
            (folder / VECTORS).write_bytes(retriever.space.to_bytes())
        portable(encoder.nlp).to_disk(folder / PIPELINE)


def read(folder: Path) -> dict[str, Any]:
    """The parts of a `Retriever`, by name.

    Raises:
        BertZhError: They are missing, damaged or don't fit each other.
    """
    if not can_search(folder):
        raise BertZhError(f"{folder} is nothing to search: make it with 'retrieve build'")
    about = checked(About, read_json(folder / ABOUT), folder / ABOUT)
    entries = _read_entries(folder / ENTRIES, about.entries)
    texts = [text for entry in entries for text in entry.texts]
    found: dict[str, Any] = {"entries": entries, "refusal": about.refusal}
    found["words"] = Words.load(folder / WORDS, len(texts))
    if about.component is None:
        return found
    path = folder / (LISTS if len(texts) > lists.EXACT else VECTORS)
    space: Space | lists.Lists
    if path.name == LISTS:
        space = lists.read_lists(path, len(texts))
    else:
        space = read_space(read_bytes(path, _MOST_BYTES), len(texts), path)
    nlp = load_pipeline(folder / PIPELINE)
    encoder = Encoder(nlp, find_encoder(nlp, about.component))
    if not space.is_of(encoder.vectors(texts[:PROBED])):
        raise BertZhError(
            f"{path} holds vectors of another encoder than {folder / PIPELINE}: "
            "build the folder again with the pipeline that is to answer"
        )
    return {**found, "space": space, "encoder": encoder}


def _read_entries(path: Path, count: int) -> list[Entry]:
    # Not splitlines: a text may hold other ends of lines.
    lines = read_text(path, _MOST_BYTES).split("\n")[:-1]
    if not lines:
        raise BertZhError(f"{path} holds nothing to search: build the folder again")
    if len(lines) != count or not 1 <= count <= lists.MOST:
        raise BertZhError(f"{path} is damaged: {len(lines):,} entries, expected {count:,}")
    return [
        checked(Entry, parse_json(line, f"{path}, line {number}"), f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
    ]


def find_encoder(nlp: Any, name: str | None) -> Any:
    """The component of that name with a backbone, or else the only one.

    Raises:
        BertZhError: There is none, or several.
    """
    pipes = {
        pipe_name: pipe
        for pipe_name, pipe in nlp.pipeline
        if hasattr(pipe, "model") and pipe.model.has_ref("backbone")
    }
    if name in pipes:
        return pipes[name]
    if name or not pipes:
        raise BertZhError(
            f"The pipeline has no component{f' {name!r}' if name else ''} with a BERT that makes "
            f"vectors; its components: {', '.join(nlp.pipe_names) or 'none'}"
        )
    if len(pipes) > 1:
        raise BertZhError(
            f"The pipeline has several components that make vectors: choose --component "
            f"{' or '.join(pipes)}"
        )
    return next(iter(pipes.values()))
