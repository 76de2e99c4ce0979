"""The family ``synonym``: other words that the head of a checkpoint expects in a word's place.

As Li et al. 2020, *BERT-ATTACK*, find them, of those alone whose vectors are near the word's, for
a place may well expect an opposite. What is near may still be none: 股价 stands in for 股市.
"""

import random
from functools import lru_cache
from pathlib import Path

import torch
from tokenizers import Encoding

from spacy_bert_zh.changes import HEAD, Edit
from spacy_bert_zh.characters import is_chinese
from spacy_bert_zh.checkpoint import find_tokenizer
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pretrain.network import load_model

LIKELY = 50
"""Pieces that the head is asked for."""
NEAR = 0.5
"""Cosine of a piece's vector with the word's, at least."""
AROUND = 60
"""Pieces before and after a word that the head reads."""
KEPT = 100_000
"""Words whose synonyms are remembered: a search comes back to them for a second change."""


class Synonyms:
    """Words for words, by a checkpoint's head of masked language modelling.

    Args:
        folder: The checkpoint.

    Raises:
        BertZhError: It is none, or its weights have no such head.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise BertZhError(f"--checkpoint {folder} is no folder: give {HEAD}")
        self._tokenizer = find_tokenizer(str(folder))
        self._model, has_head = load_model(folder, 0.0)
        if not has_head:
            raise BertZhError(
                f"--checkpoint {folder}: its weights have no head of masked language modelling, "
                "which the family 'synonym' asks; take one that has it, such as assets/bert_small"
            )
        self._model.eval()
        self._vectors = self._model.bert.embeddings.word_embeddings.weight  # (pieces, width)
        self._encode = lru_cache(1)(self._encode_text)
        self.of = lru_cache(KEPT)(self._find)

    def change(self, text: str, place: int, chance: random.Random) -> Edit | None:
        """Another word for the one that begins at a place."""
        word, others = self.of(text, place)
        return Edit(place, place + len(word), chance.choice(others)) if others else None

    def _find(self, text: str, place: int) -> tuple[str, tuple[str, ...]]:
        """The word that begins at a place of a text, and others for it."""
        encoding = self._encode(text)
        number = encoding.char_to_token(place)
        if number is None or encoding.offsets[number][0] != place:
            return "", ()
        word = text[slice(*encoding.offsets[number])]
        if not all(map(is_chinese, word)):
            return word, ()
        expected = map(self._tokenizer.id_to_token, self._expected(encoding, number))
        others = (piece for piece in expected if piece and _may_stand_for(piece, word))
        return word, tuple(others)

    @torch.inference_mode()
    def _expected(self, encoding: Encoding, number: int) -> list[int]:
        """Pieces that the head expects in the place of one, of those near it."""
        start, own = max(number - AROUND, 0), encoding.ids[number]
        known = self._tokenizer.token_to_id
        around = [*encoding.ids[start : number + AROUND + 1]]
        around[number - start] = known("[MASK]")
        ids = torch.tensor([[known("[CLS]"), *around, known("[SEP]")]])
        hidden = self._model.bert(input_ids=ids).last_hidden_state[0, number - start + 1]  # (width)
        likely = self._model.cls(hidden).topk(min(LIKELY, len(self._vectors))).indices
        near = torch.cosine_similarity(self._vectors[likely], self._vectors[own], dim=-1)
        return [int(piece) for piece in likely[near >= NEAR]]

    def _encode_text(self, text: str) -> Encoding:
        return self._tokenizer.encode(text, add_special_tokens=False)


def _may_stand_for(piece: str, word: str) -> bool:
    return len(piece) == len(word) and piece != word and all(map(is_chinese, piece))
