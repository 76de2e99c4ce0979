"""The vocabulary: given, extended, or trained on the corpus."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.processors import BertProcessing
from tokenizers.trainers import WordPieceTrainer

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces import load_tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
DEFAULT_SIZE = 8_000
# Enough text to rank pieces by; more makes no difference to a list of some thousands.
SAMPLE = 20_000_000
SLICE = 10_000


def read_vocabulary(path: Path) -> Tokenizer:
    """Build BERT's tokenizer around a ``vocab.txt``.

    Raises:
        BertZhError: A special piece is missing, or a line occurs twice.
    """
    return tokenizer_of(read_lines(path), str(path))


def read_lines(path: Path) -> list[str]:
    """Read a list of lines.

    Raises:
        BertZhError: The file is not UTF-8.
    """
    try:
        return path.read_text("utf-8").rstrip("\n").split("\n")
    except UnicodeDecodeError as error:
        raise BertZhError(f"{path} is not UTF-8: {error}") from error


def train_vocabulary(texts: Iterable[str], size: int, given: Path | None = None) -> Tokenizer:
    """Train a word-piece vocabulary: every Chinese character is a piece of its own, and
    frequent letters and digits join.

    Args:
        texts: The corpus; an even sample of `SAMPLE` characters at most is used.
        size: Pieces in all, the special ones included; the most used ones stay.
        given: A ``vocab.txt`` whose lines all stay, in their order.

    Raises:
        BertZhError: The size leaves no room.
    """
    kept = read_lines(given) if given else list(SPECIAL)
    if size <= len(kept):
        what = f"more than the {len(kept):,} of {given}" if given else "more than the special ones"
        raise BertZhError(f"--vocab-size {size}: it must be {what}")
    sample = _thinned(texts)
    candidates = _candidates(sample, 2 * size)
    used: Counter[int] = Counter()
    for start in range(0, len(sample), SLICE):
        part = sample[start : start + SLICE]
        for encoding in candidates.encode_batch_fast(part, add_special_tokens=False):
            used.update(encoding.ids)
    known = set(kept)
    ranked = (candidates.id_to_token(i) for i, _ in used.most_common())
    added = [piece for piece in ranked if piece not in known][: size - len(kept)]
    return tokenizer_of(kept + added, "the trained vocabulary")


def _candidates(sample: list[str], size: int) -> Tokenizer:
    """More pieces than wanted: all characters, and what word-piece training joins."""
    blank = tokenizer_of(list(SPECIAL), "the special pieces")
    trained = Tokenizer(WordPiece(unk_token="[UNK]"))
    trained.normalizer, trained.pre_tokenizer = blank.normalizer, blank.pre_tokenizer
    alphabet = {character for text in sample for character in text}
    trainer = WordPieceTrainer(
        vocab_size=size + len(alphabet), special_tokens=list(SPECIAL), show_progress=False
    )
    trained.train_from_iterator(sample, trainer)
    return trained


def tokenizer_of(lines: list[str], where: str) -> Tokenizer:
    """BERT's tokenizer around a list of pieces.

    Raises:
        BertZhError: A special piece is missing, or a piece occurs twice.
    """
    if len(set(lines)) < len(lines):
        twice = next(line for i, line in enumerate(lines) if line in lines[:i])
        raise BertZhError(f"{where} has the piece {twice!r} twice")
    for piece in SPECIAL:
        if piece not in lines:
            raise BertZhError(f"{where} lacks the special piece {piece}")
    with TemporaryDirectory() as folder:
        write_lines(lines, Path(folder) / "vocab.txt")
        return load_tokenizer(Path(folder))


def write_lines(lines: Iterable[str], path: Path) -> None:
    """Write a ``vocab.txt``."""
    path.write_text("\n".join(lines) + "\n", "utf-8")


def write_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int) -> None:
    """Write ``tokenizer.json``, ``tokenizer_config.json`` and ``vocab.txt``.

    transformers' `AutoTokenizer` then adds [CLS] and [SEP] and puts pieces together again.
    """
    whole = Tokenizer.from_str(tokenizer.to_str())
    cls, sep = ((piece, whole.token_to_id(piece)) for piece in ("[CLS]", "[SEP]"))
    whole.post_processor = BertProcessing(sep, cls)
    whole.decoder = WordPieceDecoder()
    whole.save(str(folder / "tokenizer.json"))
    normalizer = json.loads(tokenizer.to_str())["normalizer"] or {}
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": normalizer.get("lowercase", True),
        "strip_accents": normalizer.get("strip_accents"),
        "tokenize_chinese_chars": normalizer.get("handle_chinese_chars", True),
        "model_max_length": max_length,
    }
    text = json.dumps(settings, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, "utf-8")
    write_lines(pieces_of(tokenizer), folder / "vocab.txt")


def pieces_of(tokenizer: Tokenizer) -> list[str]:
    """The pieces in the order of their ids."""
    return sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)


def _thinned(texts: Iterable[str]) -> list[str]:
    """Every text, or of a large corpus every second, fourth, … one."""
    kept: list[str] = []
    size, stride = 0, 1
    for number, text in enumerate(texts):
        if number % stride:
            continue
        kept.append(text)
        size += len(text)
        while size > SAMPLE and len(kept) > 1:
            kept, stride = kept[::2], 2 * stride
            size = sum(map(len, kept))
    return kept
