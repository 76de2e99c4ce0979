"""The vocabulary: given, extended, or trained on the corpus."""

import math
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from tokenizers import Tokenizer
from tokenizers.models import Unigram, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.saving import SPECIAL, write_lines
from spacy_bert_zh.tokenizer import load_tokenizer, read_tokenizer

DEFAULT_SIZE = 8_000
# Enough text to rank pieces by; more makes no difference to a list of some thousands.
SAMPLE = 20_000_000
SLICE = 10_000


def read_vocabulary(path: Path) -> Tokenizer:
    """Build BERT's tokenizer around a ``vocab.txt``, or read a ``tokenizer.json``.

    Raises:
        BertZhError: A special piece is missing, or a line occurs twice.
    """
    if path.suffix == ".json":
        return read_tokenizer(path)
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


def train_vocabulary(
    texts: Iterable[str], size: int, given: Iterable[str] = (), words: bool = False
) -> Tokenizer:
    """Train a vocabulary: Chinese characters, and letters and digits that often join.

    With `words`, frequent Chinese words are pieces too, as in WoBERT (Su 2020): shorter rows,
    and each piece has a meaning of its own. A text is then cut into its most probable pieces
    by their frequencies (a unigram model, Kudo 2018), rare words into characters.

    Args:
        texts: The corpus; an even sample of `SAMPLE` characters at most is used.
        size: Pieces in all, the special ones included; the most used ones stay.
        given: Pieces that all stay, in their order.
        words: Whether words that jieba finds are pieces.

    Raises:
        BertZhError: The size leaves no room.
    """
    # A unigram model knows no "##": its pieces stand anywhere in a word.
    kept = [piece for piece in given if not (words and piece.startswith("##"))] or list(SPECIAL)
    if size <= len(kept):
        raise BertZhError(f"--vocab-size {size}: it must be more than the {len(kept):,} given ones")
    sample = _thinned(texts)
    candidates = _word_candidates(sample, 2 * size) if words else _candidates(sample, 2 * size)
    ids: Counter[int] = Counter()
    for start in range(0, len(sample), SLICE):
        part = sample[start : start + SLICE]
        for encoding in candidates.encode_batch_fast(part, add_special_tokens=False):
            ids.update(encoding.ids)
    used = Counter({candidates.id_to_token(i): count for i, count in ids.items()})
    known = {*kept, *SPECIAL}
    added = [piece for piece, _ in used.most_common() if piece not in known][: size - len(kept)]
    pieces = kept + added
    if words:
        return unigram_of({piece: used[piece] for piece in pieces})
    return tokenizer_of(pieces, "the trained vocabulary")


def _candidates(sample: list[str], size: int) -> Tokenizer:
    """More pieces than wanted: all characters, and what word-piece training joins."""
    blank = tokenizer_of(list(SPECIAL), "the special pieces")
    trained = Tokenizer(WordPiece(unk_token="[UNK]"))
    trained.normalizer, trained.pre_tokenizer = blank.normalizer, blank.pre_tokenizer
    trainer = WordPieceTrainer(
        vocab_size=size + len(_alphabet(sample)), special_tokens=list(SPECIAL), show_progress=False
    )
    trained.train_from_iterator(sample, trainer)
    return trained


def _word_candidates(sample: list[str], size: int) -> Tokenizer:
    """More pieces than wanted: all characters, and the most frequent words."""
    try:
        import jieba
    except ImportError:
        raise missing_extra("jieba", "pretrain", "--words") from None
    jieba.setLogLevel("CRITICAL")
    blank = unigram_of(dict.fromkeys(SPECIAL, 0))
    lowered = [blank.normalizer.normalize_str(text) for text in sample]
    cutter = jieba.Tokenizer()
    with TemporaryDirectory() as cutter.tmp_dir:  # its cache has a name that others could guess
        counts = Counter(word for text in lowered for word in cutter.cut(text))
    whole = (word for word, _ in counts.most_common() if _is_whole(word, blank))
    pieces = [*SPECIAL, *_alphabet(lowered), *islice(whole, size)]
    return unigram_of({piece: counts[piece] for piece in pieces})


def _is_whole(word: str, tokenizer: Tokenizer) -> bool:
    """Whether word is one stretch for the tokenizer: no space, no sign between letters."""
    return len(word) > 1 and tokenizer.pre_tokenizer.pre_tokenize_str(word) == [
        (word, (0, len(word)))
    ]


def _alphabet(sample: list[str]) -> list[str]:
    return sorted({character for text in sample for character in text if not character.isspace()})


def unigram_of(counts: dict[str, int]) -> Tokenizer:
    """A tokenizer that cuts a text into its most probable pieces.

    Args:
        counts: How often each piece occurs; the special pieces are among them.
    """
    total = sum(counts.values()) + len(counts)
    scores = [(piece, math.log((count + 0.5) / total)) for piece, count in counts.items()]
    tokenizer = Tokenizer(Unigram(scores, unk_id=list(counts).index("[UNK]")))
    tokenizer.normalizer = BertNormalizer(handle_chinese_chars=False)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


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
