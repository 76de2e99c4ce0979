"""Texts, and what a pipeline says of them."""

from collections.abc import Callable, Iterable
from typing import Any

from spacy.language import Language

Make = Callable[..., Language]
TEXTS = ["味道不错，推荐", "", "这家店太慢，老板服务冷淡", "x"]


def cats_of(nlp: Language, texts: Iterable[str] = TEXTS, **kwargs: Any) -> list[dict[str, float]]:
    return [doc.cats for doc in nlp.pipe(texts, **kwargs)]
