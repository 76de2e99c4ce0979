"""How clear it must be for `zh_repair` to put a character back, on training texts alone.

    python benchmarks/repair.py CORPUS/train

Nine tenths of the texts are counted, and teach a linear SVM of n-grams, with a changed copy of
each. The others are clean, to see what it costs to put back what sounds or looks alike, and some of
them changed by chance, to see what that restores to the letter. Nothing of dev is read.
"""

import random
import zlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import spacy
import typer
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from spacy_bert_zh.changes import change_anywhere, make_families
from spacy_bert_zh.characters import homophones, look_alikes
from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.repair import Counts
from spacy_bert_zh.repair.alike import Restorer

FAMILIES = make_families(("sound", "shape"))


def main(
    train: Annotated[Path, typer.Argument(help="Converted training texts.")],
    clearly: Annotated[str, typer.Option(help="Between commas.")] = "10000,3000,1000,300,100,30",
    changed: Annotated[int, typer.Option(help="Texts that are changed.")] = 400,
    most: Annotated[int, typer.Option(help="Texts of train that are read; 0: all.")] = 0,
) -> None:
    """Print a table in Markdown."""
    docs = list(read_shards(spacy.blank("zh"), train))
    rows = [(doc.text, max(doc.cats, key=doc.cats.__getitem__)) for doc in docs[: most or None]]
    kept = [row for row in rows if _part(row[0])]
    held = [row for row in rows if not _part(row[0])]
    counts = Counts.learn((text for text, _ in kept), {}, [homophones(), look_alikes()])
    svm = _teach([*kept, *((_changed(text), label) for text, label in kept)])
    some = [text for text, _ in random.Random(0).sample(held, min(changed, len(held)))]
    print("| clearly | clean texts changed | their accuracy | restored: sound, shape; 1, 2 |")
    print("| ---: | ---: | ---: | ---: |")
    print(f"| – | – | {_accuracy(svm, held, str):.4f} | – |")
    for value in map(float, clearly.split(",")):
        repair = Restorer(counts, value)
        share = np.mean([repair(text) != text for text, _ in held])
        back = [
            np.mean([repair(_attacked(text, family, size)) == text for text in some])
            for size in (1, 2)
            for family in FAMILIES
        ]
        cells = ", ".join(f"{one:.1%}" for one in back)
        print(f"| {value:g} | {share:.1%} | {_accuracy(svm, held, repair):.4f} | {cells} |")


def _part(text: str) -> int:
    """0 for a tenth of the texts, whatever their order."""
    return zlib.crc32(text.encode()) % 10


def _changed(text: str) -> str:
    chance = random.Random(text)
    family = chance.choice(FAMILIES)
    return change_anywhere(text, family, chance.randint(1, 4), chance)


def _attacked(text: str, family: Any, size: int) -> str:
    return change_anywhere(text, family, size, random.Random(f"{size}{text}"))


def _teach(rows: list[tuple[str, str]]) -> Any:
    words = HashingVectorizer(
        analyzer="char", ngram_range=(1, 3), n_features=2**19, alternate_sign=False, norm=None
    )
    svm = make_pipeline(words, TfidfTransformer(sublinear_tf=True), LinearSVC(C=0.3))
    return svm.fit([text for text, _ in rows], [label for _, label in rows])


def _accuracy(svm: Any, rows: list[tuple[str, str]], repair: Any) -> float:
    said = svm.predict([repair(text) for text, _ in rows])
    return float(np.mean(said == np.asarray([label for _, label in rows])))


if __name__ == "__main__":
    typer.run(main)
