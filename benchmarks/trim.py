"""Whether a vocabulary without what Chinese texts don't use says the same of Chinese texts.

    python benchmarks/trim.py ../shared/data CHECKPOINT

Every line of the folder's files is a text. Both vocabularies cut all of them into pieces; the
vectors of a sample are compared to the bit.
"""

import lzma
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import spacy
import typer
from tokenizers import Tokenizer

from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.checkpoint import load_checkpoint
from spacy_bert_zh.checkpoint.trim import ZH, trim

SUFFIXES = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".xz")
LONGEST = 2_000
"""Characters of a line that are looked at."""


def main(
    data: Annotated[Path, typer.Argument(help="Folder of the corpora.")],
    checkpoint: Annotated[Path, typer.Argument(help="Of many languages.")],
    sample: Annotated[int, typer.Option(help="Texts whose vectors are compared.")] = 1_000,
) -> None:
    """Print how many texts are cut in another way, and how far vectors are apart."""
    whole = load_checkpoint(checkpoint)
    trimmed = trim(whole, ZH)
    texts = differing = 0
    kept: list[str] = []
    draw = random.Random(0)
    reader = read_lines(data)
    while lines := list(islice(reader, 10_000)):
        pairs = zip(pieces(whole.tokenizer, lines), pieces(trimmed.tokenizer, lines), strict=True)
        differing += sum(left != right for left, right in pairs)
        texts += len(lines)
        kept += draw.sample(lines, min(len(lines), 20))
    kept = draw.sample(kept, min(len(kept), sample))
    furthest = np.abs(vectors(checkpoint, None, kept) - vectors(checkpoint, ZH, kept)).max()
    sizes = whole.tokenizer.get_vocab_size(), trimmed.tokenizer.get_vocab_size()
    print(f"{sizes[0]:,} pieces, {sizes[1]:,} of them kept")
    print(f"{texts:,} texts, {differing:,} of them cut in another way")
    print(f"{len(kept):,} vectors, largest difference {furthest:g}")


def read_lines(data: Path) -> Iterator[str]:
    """The lines of all files."""
    for path in sorted(data.rglob("*")):
        if path.suffix not in SUFFIXES:
            continue
        opened = lzma.open if path.suffix == ".xz" else open
        with opened(path, "rt", encoding="utf-8", errors="replace") as file:
            for line in file:
                if text := line.strip()[:LONGEST]:
                    yield text


def pieces(tokenizer: Tokenizer, texts: list[str]) -> list[list[str]]:
    """What a tokenizer makes of texts."""
    return [found.tokens for found in tokenizer.encode_batch(texts, add_special_tokens=False)]


def vectors(checkpoint: Path, rule: str | None, texts: list[str]) -> np.ndarray:
    """Vectors of texts, shape (texts, hidden size)."""
    backbone = build_torch_backbone_v1(str(checkpoint), trim=rule)
    backbone.initialize()
    nlp = spacy.blank("zh")
    return np.asarray(backbone.predict([nlp.make_doc(text) for text in texts]))


if __name__ == "__main__":
    typer.run(main)
