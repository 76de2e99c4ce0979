"""The vocabulary: given, extended, or trained on the corpus.

A trained one is a function of the texts alone: every choice is by count and then by piece, from
counts of our own. (The trainers of `tokenizers` break ties by the order of a hash table.)
"""

import math
import string
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from spacy_bert_zh.characters import word_cutter
from spacy_bert_zh.checkpoint import SPECIAL, load_tokenizer, read_tokenizer, write_lines
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pretrain.joining import join_pieces, ranked

DEFAULT_SIZE = 8_000
# Enough text to rank pieces by; more makes no difference to a list of some thousands.
SAMPLE = 20_000_000
SLICE = 10_000
# Years, sizes and names of products are in every text that will ever be read, however small the
# corpus of pretraining is. The wave is no sign for BERT: 8～10 is one word.
LETTERS = string.ascii_lowercase + string.digits + "～"
SIGNS = string.punctuation + "，。！？、；：…—·“”‘’（）《》【】「」"


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

    Every letter and digit of ASCII is a piece, at the start of a word and within one, and so are
    the common signs: no word of up to 100 of them is unknown.

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
    within = [] if words else [f"##{letter}" for letter in LETTERS]
    kept = list(dict.fromkeys([*kept, *LETTERS, *within, *SIGNS]))
    if size <= len(kept):
        raise BertZhError(
            f"--vocab-size {size}: it must be more than the {len(kept):,} pieces that always "
            "stay (special and given ones, letters, digits and signs)"
        )
    sample = _thinned(texts)
    used = _used_words(sample, 2 * size) if words else _used_pieces(sample, 2 * size)
    known = {*kept, *SPECIAL}
    added = (piece for piece in ranked(used) if piece not in known)
    pieces = [*kept, *islice(added, size - len(kept))]
    if words:
        return unigram_of({piece: used[piece] for piece in pieces})
    return tokenizer_of(pieces, "the trained vocabulary")


def _used_pieces(sample: list[str], size: int) -> Counter[str]:
    """How often each piece is used, of all characters and the joins of most use."""
    blank = tokenizer_of(list(SPECIAL), "the special pieces")
    stretches: Counter[str] = Counter()
    for text in sample:
        stretches.update(blank.normalizer.normalize_str(text).split())
    counts: Counter[str] = Counter()
    for stretch, count in stretches.items():
        for word, _ in blank.pre_tokenizer.pre_tokenize_str(stretch):
            counts[word] += count
    pieces = [*SPECIAL, *join_pieces(counts, size)]
    return _used(tokenizer_of(pieces, "the candidates"), counts)


def _used_words(sample: list[str], size: int) -> Counter[str]:
    """How often each piece is used, of all characters and the most frequent words."""
    cutter = word_cutter("pretrain", "--words")
    blank = unigram_of(dict.fromkeys(SPECIAL, 0))
    lowered = [blank.normalizer.normalize_str(text) for text in sample]
    counts = Counter(word for text in lowered for word in cutter.cut(text))
    whole = (word for word in ranked(counts) if _is_whole(word, blank))
    pieces = [*SPECIAL, *_alphabet(lowered), *islice(whole, size)]
    return _used(unigram_of({piece: counts[piece] for piece in pieces}), Counter(sample))


def _used(tokenizer: Tokenizer, counts: Counter[str]) -> Counter[str]:
    """How often each piece is used in texts that occur so often."""
    ids: Counter[int] = Counter()
    texts = list(counts)
    for start in range(0, len(texts), SLICE):
        part = texts[start : start + SLICE]
        encodings = tokenizer.encode_batch_fast(part, add_special_tokens=False)
        for text, encoding in zip(part, encodings, strict=True):
            for number in encoding.ids:
                ids[number] += counts[text]
    return Counter({tokenizer.id_to_token(number): count for number, count in ids.items()})


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
