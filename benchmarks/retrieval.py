"""What search is worth: titles found by the first sentences of what stands below them.

    python benchmarks/retrieval.py ../shared/data/corpus pairs
    spacy-bert-zh train configs/pairs.cfg -o training --paths.train pairs/train.jsonl \
        --paths.dev pairs/dev.jsonl --training.max_steps 150
    spacy-bert-zh retrieve build pairs/faq.jsonl faq --text-column question \
        --pipeline training/model-best --questions pairs/held.jsonl
    spacy-bert-zh retrieve evaluate faq pairs/test.jsonl retrieval.json --text-column question

It takes the questions of zhihu_hot and the posts of v2ex that have a text below their title.
The first sentence of that is the question, the title what it should find. Of pairs that
near-duplicates link, whichever side they stand on, one is kept, so that no part knows another's. Of
5,000 pairs 1,000 lack their title in the table: none of its entries answers them.
"""

import json
import lzma
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from spacy_bert_zh.reading.duplicates import group, near_pairs

CORPORA = ("zhihu_hot", "v2ex")
SENTENCE = re.compile(r"(?<=[。！？!?])")
TITLE, FIRST = (8, 80), (10, 200)
"""Characters of a title and of a first sentence, the fewest and the most."""

Pair = tuple[str, str]


def paragraphs(path: Path) -> Iterator[list[str]]:
    """The documents of a corpus, each as its lines."""
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        found: list[str] = []
        for line in (one.strip() for one in lines):
            if line:
                found.append(line)
            elif found:
                yield found
                found = []
        if found:
            yield found


def read_pairs(folder: Path) -> Iterator[Pair]:
    """First sentences and titles."""
    for name in CORPORA:
        for document in paragraphs(folder / f"{name}.txt.xz"):
            if len(document) > 1:
                title, first = document[0], SENTENCE.split(document[1])[0]
                sizes = (len(title), TITLE), (len(first), FIRST)
                if title != first and all(low <= size <= high for size, (low, high) in sizes):
                    yield first, title


def one_of_each(pairs: list[Pair]) -> list[Pair]:
    """One of all pairs that near-duplicates link."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    texts = [text for pair in pairs for text in pair]
    groups = group(len(texts), near_pairs(texts))
    size = groups.max() + 1
    links = coo_matrix((np.ones(len(pairs)), (groups[::2], groups[1::2])), shape=(size, size))
    clusters = connected_components(links, directed=False)[1][groups[::2]]
    _, first = np.unique(clusters, return_index=True)
    return [pairs[place] for place in sorted(first)]


def main(
    corpus: Annotated[Path, typer.Argument(help="Folder of the corpora.")],
    output: Annotated[Path, typer.Argument(help="Folder to make.")],
) -> None:
    """Write pairs to learn from, a table of titles, and questions to it."""
    pairs = list(read_pairs(corpus))
    random.Random(0).shuffle(pairs)
    pairs = one_of_each(pairs)
    pairs = [pairs[place] for place in np.random.default_rng(0).permutation(len(pairs))]
    output.mkdir(parents=True)
    for name, part in (("train", pairs[8000:]), ("dev", pairs[5000:8000])):
        write(output / f"{name}.jsonl", [{"question": a, "answer": b} for a, b in part])
    entries = [*pairs[500:1500], *pairs[2000:5000]]
    write(output / "faq.jsonl", [{"question": title} for _, title in entries])
    known = {title for _, title in entries}
    for name, part in (("held", pairs[:1500]), ("test", pairs[1500:5000])):
        rows = [{"question": a, "expected": b if b in known else ""} for a, b in part]
        write(output / f"{name}.jsonl", rows)


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """Write JSON lines."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, "utf-8")
    print(f"{path}: {len(rows):,}")


if __name__ == "__main__":
    typer.run(main)
