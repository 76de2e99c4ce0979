"""A folder that is searched, for all requests: their questions are gathered into batches."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from spacy_bert_zh.retrieve import By, Found, Retriever
from spacy_bert_zh.serve.batching import Gatherer
from spacy_bert_zh.serve.searching import SearchQuestion, make_reply

log = logging.getLogger(__name__)

Told = Callable[[int, By | None], Found]
"""Gives as many hits of a search that was made as are asked for, by what is asked for."""


class Searcher(Gatherer[Retriever, Told]):
    """A folder and the questions that wait for it; see `Gatherer`."""

    async def search(self, question: SearchQuestion, name: str) -> bytes:
        """The reply to a question; raises as `gather`."""

        def finish(told: Told) -> bytes:
            return make_reply(told(question.top_k, question.by), name)

        (reply,) = await self.gather([question.text], finish)
        return reply

    def answer_all(self, texts: Sequence[str]) -> list[Told | None]:
        """What was found of each text."""
        return search_each(self.nlp, texts)


def search_each(retriever: Retriever, texts: Sequence[str]) -> list[Told | None]:
    """Search for texts; if that fails, one by one, so that a bad one doesn't fail the others.

    Returns:
        What was found of each text; None where the pipeline fails on it.
    """
    try:
        lists = retriever.lists(texts, retriever.modes[-1])
        return [partial(retriever.found, pair) for pair in lists]
    except Exception:
        log.warning({"event": "search failed", "texts": len(texts)}, exc_info=True)
    if len(texts) == 1:
        return [None]
    return [told for text in texts for told in search_each(retriever, [text])]
