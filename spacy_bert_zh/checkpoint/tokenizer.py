"""Tokenizers read: from ``tokenizer.json`` or ``vocab.txt``, made of steps that are known.

A step that `tokenizers` can't do makes it panic or end the process, some only when the first text
comes. So each step and each of its values is checked before `tokenizers` sees it.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from spacy_bert_zh.checkpoint.charsmap import check_charsmap
from spacy_bert_zh.checkpoint.roles import find_roles, new_names, rename
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.untrusted import (
    Closed,
    Strict,
    checked,
    one_line,
    parse_json,
    read_json,
    read_text,
)

# The last one only pretraining needs.
SPECIAL = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]")

Piece = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Id = Annotated[int, Field(ge=0, lt=10_000_000)]
Score = Annotated[float, Field(ge=-1e9, le=1e9)]


class _Bert(Closed):
    type: Literal["BertNormalizer"]
    clean_text: bool = True
    handle_chinese_chars: bool = True
    strip_accents: bool | None = None
    lowercase: bool = True


class _Plain(Closed):
    type: Literal["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt"]


class _Strip(Closed):
    type: Literal["Strip"]
    strip_left: bool = True
    strip_right: bool = True


class _Pattern(Closed):
    String: Piece | None = None
    # XLM-R's: others may take a text's length squared, or more.
    Regex: Literal[" {2,}"] | None = None


class _Replace(Closed):
    type: Literal["Replace"]
    pattern: _Pattern
    content: str

    @model_validator(mode="after")
    def _never_grows(self) -> Self:
        given = [len(self.pattern.String or ""), 2 * (self.pattern.Regex is not None)]
        if 0 not in given or len(self.content) > max(given):
            raise ValueError("a text would grow, or it is not clear what is replaced")
        return self


class _Precompiled(Closed):
    type: Literal["Precompiled"]
    precompiled_charsmap: str

    @field_validator("precompiled_charsmap")
    @classmethod
    def _is_whole(cls, charsmap: str) -> str:
        check_charsmap(charsmap)
        return charsmap


_OneNormalizer = Annotated[
    _Bert | _Plain | _Strip | _Replace | _Precompiled, Field(discriminator="type")
]


class _Normalizers(Closed):
    type: Literal["Sequence"]
    normalizers: list[_OneNormalizer] = Field(max_length=16)


class _Splitter(Closed):
    type: Literal["BertPreTokenizer", "Whitespace", "WhitespaceSplit"]


class _Punctuation(Closed):
    type: Literal["Punctuation"]
    behavior: Literal["Isolated", "Removed"] = "Isolated"


class _Digits(Closed):
    type: Literal["Digits"]
    individual_digits: bool = False


class _Metaspace(Closed):
    type: Literal["Metaspace"]
    replacement: Annotated[str, StringConstraints(min_length=1, max_length=1)]
    prepend_scheme: Literal["first", "never", "always"] | None = None
    split: bool = True
    # How older versions wrote the same.
    add_prefix_space: bool | None = None
    str_rep: str | None = None


_OneSplitter = Annotated[
    _Splitter | _Punctuation | _Digits | _Metaspace, Field(discriminator="type")
]


class _Splitters(Closed):
    type: Literal["Sequence"]
    pretokenizers: list[_OneSplitter] = Field(max_length=16)


class _WordPiece(Closed):
    type: Literal["WordPiece"] = "WordPiece"
    unk_token: Literal["[UNK]"] = "[UNK]"
    continuing_subword_prefix: Annotated[str, StringConstraints(max_length=8)] = "##"
    # A word takes the square of this.
    max_input_chars_per_word: Annotated[int, Field(ge=1, le=1_000)] = 100
    vocab: dict[Piece, Id] = Field(min_length=1)

    def pieces(self) -> list[str]:
        """In the order of their ids."""
        return sorted(self.vocab, key=self.vocab.__getitem__)

    @field_validator("vocab")
    @classmethod
    def _has_no_gaps(cls, vocab: dict[str, int]) -> dict[str, int]:
        if sorted(vocab.values()) != list(range(len(vocab))):
            raise ValueError("the ids must be 0, 1, 2, … without gaps, each one once")
        return vocab


class _Unigram(Closed):
    type: Literal["Unigram"]
    unk_id: Id
    byte_fallback: bool = False
    # JSON has no tuples, only lists.
    vocab: list[Annotated[tuple[Piece, Score], Field(strict=False)]] = Field(min_length=1)

    def pieces(self) -> list[str]:
        """In the order of their ids."""
        return [piece for piece, _ in self.vocab]

    @model_validator(mode="after")
    def _has_each_once(self) -> Self:
        if len(set(self.pieces())) < len(self.vocab):
            raise ValueError("a piece is there twice")
        if self.unk_id >= len(self.vocab):
            raise ValueError("unk_id is no id of a piece")
        return self


class _Added(Closed):
    id: Id
    content: Piece
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    special: bool = False


class _Steps(Strict):
    """What is read of a ``tokenizer.json``: [CLS], [SEP], padding and windows are our own."""

    added_tokens: list[_Added] = Field(default=[], max_length=10_000)
    normalizer: Annotated[_OneNormalizer | _Normalizers, Field(discriminator="type")] | None = None
    pre_tokenizer: Annotated[_OneSplitter | _Splitters, Field(discriminator="type")] | None = None
    model: Annotated[_WordPiece | _Unigram, Field(discriminator="type")]

    @model_validator(mode="after")
    def _added_have_their_ids(self) -> Self:
        pieces = self.model.pieces()
        known = {piece: id for id, piece in enumerate(pieces)}
        for token in self.added_tokens:
            if known.setdefault(token.content, len(known)) != token.id:
                raise ValueError(f"the added piece {token.content!r} can't have id {token.id}")
        return self


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read the word-piece tokenizer of a BERT checkpoint folder.

    Takes ``tokenizer.json``, or builds BERT's own steps (Devlin et al. 2019) around
    ``vocab.txt``, lower-casing as ``tokenizer_config.json`` says (yes, if it doesn't). Special
    pieces have BERT's names afterwards, see `roles`.

    Args:
        folder: A checkpoint in the Hugging Face layout.

    Raises:
        BertZhError: No readable vocabulary there, or one without the special pieces.
    """
    whole, vocab = folder / "tokenizer.json", folder / "vocab.txt"
    if whole.exists():
        return read_tokenizer(whole)
    if vocab.exists():
        return _from_vocabulary(vocab, folder / "tokenizer_config.json")
    way_out = ""
    if any(folder.glob("*.model")):
        way_out = (
            '; make the latter of the SentencePiece model once: python -c "from transformers '
            f"import AutoTokenizer; AutoTokenizer.from_pretrained('{folder}')"
            f".save_pretrained('{folder}')\""
        )
    raise BertZhError(f"No vocabulary in {folder}: expected vocab.txt or tokenizer.json{way_out}")


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a ``tokenizer.json`` and the roles of its special pieces; see `parse_tokenizer`."""
    parts = parse_json(read_text(path), path)
    return _parsed(rename(parts, find_roles(path.parent, parts)), path)


def parse_tokenizer(text: str, where: Path | str) -> Tokenizer:
    """A tokenizer from its JSON, without padding, truncation, [CLS] and [SEP].

    Args:
        text: What `Tokenizer.to_str` wrote, here or elsewhere.
        where: Of what an error shall speak.

    Raises:
        BertZhError: It has a step that is not known, or no special pieces.
    """
    return _parsed(parse_json(text, where), where)


def _parsed(parts: dict[str, Any], where: Path | str) -> Tokenizer:
    model = parts.get("model")
    if isinstance(model, dict):  # older versions say no type
        model.setdefault("type", "WordPiece" if isinstance(model.get("vocab"), dict) else None)
        if model["type"] == "BPE":
            raise BertZhError(
                f"{where} is a BPE tokenizer (as ModernBERT and mmBERT have), which isn't read: "
                "take a checkpoint with WordPiece or SentencePiece's Unigram"
            )
    steps = checked(_Steps, parts, where)
    content = steps.model_dump(exclude_none=True)
    content["model"]["vocab"] = steps.model.vocab
    return _checked(_built(json.dumps({"version": "1.0", **content}), where), where)


def _built(text: str, where: Path | str) -> Tokenizer:
    try:
        return Tokenizer.from_str(text)
    except BaseException as error:  # tokenizers raises nothing finer, and a panic isn't even that
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BertZhError(f"{where} can't be read: {one_line(error)}") from error


def _checked(tokenizer: Tokenizer, where: Path | str) -> Tokenizer:
    for piece in SPECIAL[:4]:
        if tokenizer.token_to_id(piece) is None:
            raise BertZhError(f"The vocabulary in {where} lacks the special piece {piece}")
    return tokenizer


class _Settings(Strict):
    """What is read of a ``tokenizer_config.json``."""

    do_lower_case: bool = True
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool = True


def _from_vocabulary(path: Path, settings_path: Path) -> Tokenizer:
    # Not splitlines: it would break lines at pieces that are signs of their own.
    lines = read_text(path).rstrip("\n").split("\n")
    given = read_json(settings_path) if settings_path.exists() else {}
    settings = checked(_Settings, given, settings_path)
    names = new_names(set(lines), find_roles(path.parent))
    lines = [names.get(line, line) for line in lines]
    vocab: dict[str, int] = {}
    for number, line in enumerate(lines):
        if len(line) > 256:
            raise BertZhError(f"{path}, line {number + 1}, is too long for a piece")
        if not line or vocab.setdefault(line, number) != number:
            what = f"has the piece {line!r} of line {vocab[line] + 1} again" if line else "is empty"
            raise BertZhError(
                f"{path}, line {number + 1}, {what}: each line is one piece, its number the id; "
                "name one that the model doesn't use [unused…]"
            )
    tokenizer = Tokenizer(WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = BertNormalizer(
        lowercase=settings.do_lower_case,
        strip_accents=settings.strip_accents,
        handle_chinese_chars=settings.tokenize_chinese_chars,
    )
    tokenizer.pre_tokenizer = BertPreTokenizer()
    # A text that spells one out has it as one piece, as in transformers.
    tokenizer.add_special_tokens([piece for piece in SPECIAL if piece in vocab])
    return _checked(tokenizer, path.parent)


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """One more than its highest id."""
    return max(tokenizer.get_vocab().values()) + 1
