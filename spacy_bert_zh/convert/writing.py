"""Rows as spaCy's training data: DocBin shards, or JSON lines of text."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING

from spacy_bert_zh.characters import word_cutter
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.spool import Written

if TYPE_CHECKING:
    from spacy.tokens import Doc, DocBin

# A shard ends early at this many tokens and categories: what it takes in memory is up to a
# hundred bytes for each.
MAX_CELLS = 500_000

Rows = Iterable[Written]
Pack = Callable[[object], bytes]
Tokenize = Callable[[str], Iterable[tuple[str, str]]]


def write_texts(rows: Rows, path: Path) -> int:
    """Write JSON lines for spaCy's JsonlCorpus and return how many."""
    written = 0
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({"text": row.text}, ensure_ascii=False) + "\n")
            written += 1
    return written


def write_docs(
    rows: Rows, folder: Path, labels: Sequence[str], tokenize: Tokenize, options: Options
) -> int:
    """Write a folder of DocBin shards and return the number of documents."""
    folder.mkdir()
    written = 0
    for number, shard in enumerate(_shards(rows, labels, tokenize, options)):
        shard.to_disk(folder / f"{number:05}.spacy")
        written += len(shard)
    return written


def make_tokenize(options: Options) -> Tokenize:
    """Build the function from a text to words with tags, the empty tag without --pos.

    Args:
        options: Say whether words are jieba's, and whether its flags are wanted.
    """
    if not (options.segment or options.pos):
        return lambda text: zip(text, repeat(""))
    words = word_cutter("convert", "--segment")
    if not options.pos:
        return lambda text: zip(words.cut(text), repeat(""))
    import jieba.posseg

    tagger = jieba.posseg.POSTokenizer(words)
    return lambda text: ((pair.word, pair.flag) for pair in tagger.cut(text))


def spaced(tokens: Iterable[tuple[str, str]]) -> tuple[list[str], list[bool], list[str]]:
    """Words, the space after each, and tags, such that they spell the text again.

    The same tokens as spaCy's `get_words_and_spaces` makes, but in linear time: one space
    after a word belongs to the word, all further white space is one token.
    """
    words: list[str] = []
    spaces: list[bool] = []
    tags: list[str] = []

    def add(word: str, tag: str) -> None:
        words.append(word)
        spaces.append(False)
        tags.append(tag)

    gap = ""
    for word, tag in chain(tokens, [("", "")]):
        if word.isspace():
            gap += word
            continue
        if gap and words and gap[0] == " ":
            spaces[-1] = True
            gap = gap[1:]
        if gap:
            add(gap, "")
            gap = ""
        if word:
            add(word, tag)
    return words, spaces, tags


def _shards(
    rows: Rows, labels: Sequence[str], tokenize: Tokenize, options: Options
) -> Iterator["DocBin"]:
    from spacy.tokens import Doc, DocBin
    from spacy.vocab import Vocab
    from srsly.msgpack import Packer

    @cache
    def cats(names: str) -> dict[str, float]:
        # One object for all documents of the same labels, where a shard would hold 10,000.
        chosen = set(json.loads(names))
        return {label: 1.0 if label in chosen else 0.0 for label in labels}

    attrs = ["TAG"] if options.pos else []
    # One for all: `srsly.msgpack_dumps` looks through the plugins that are installed each time.
    pack = Packer(use_bin_type=True).pack
    shard, vocab, cells = DocBin(attrs, store_user_data=True), Vocab(), 0
    for row in rows:
        words, spaces, tags = spaced(tokenize(row.text))
        doc = Doc(vocab, words, spaces, tags=tags if options.pos else None)
        doc.cats = cats(row.labels or "[]")
        # Where it came from, for whoever finds something odd about it.
        doc.user_data = {"file": row.file, "line": row.line}
        if row.family:
            doc.user_data["changed"] = row.family
        _add(shard, doc, {*words, *tags}, pack)
        cells += len(words) + len(labels)
        if len(shard) >= options.shard_size or cells >= MAX_CELLS:
            yield shard
            # A new vocabulary as well, or all words of the corpus would stay in memory.
            shard, vocab, cells = DocBin(attrs, store_user_data=True), Vocab(), 0
    if len(shard):
        yield shard


def _add(shard: "DocBin", doc: "Doc", strings: set[str], pack: Pack) -> None:
    """Do what `DocBin.add` does, ten times faster: it asks every token for nine strings."""
    shard.tokens.append(doc.to_array(list(shard.attrs)).reshape(len(doc), -1))
    shard.spaces.append(doc.to_array(["SPACY"]).reshape(len(doc), 1).astype(bool))
    shard.cats.append(doc.cats)
    shard.user_data.append(pack(doc.user_data))
    shard.flags.append({"has_unknown_spaces": False})
    shard.span_groups.append(b"")
    shard.strings.update(strings)
