"""Characters that sound or look like others, in whose place they stand: put back.

A noisy channel (Kernighan, Church and Gale 1990, *A spelling correction program based on a noisy
channel model*): of all texts in whose place this one may stand, that which is likeliest by the
texts of the training, if each character that is put back makes it clearly likelier.
"""

from collections.abc import Container

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.repair.counts import BITS, Counts
from spacy_bert_zh.repair.likelihood import Codes, Likelihood

LIKELIER = 10_000
"""What it takes unless something else is asked for: clean texts are then hardly ever changed."""
WIDTH = 32
"""Texts that are looked at side by side."""
LONGEST = 64
"""Characters after which the best of them is taken at the latest."""
_TWO = (1 << 2 * BITS) - 1


class Restorer:
    """Puts back the characters that clearly stood there.

    Args:
        counts: Of the training's texts.
        clearly: So many times likelier a text must be for each character that is put back.
    """

    def __init__(self, counts: Counts, clearly: float = LIKELIER) -> None:
        self._counts, self._likelihood = counts, Likelihood(counts)
        self._price = float(np.log(clearly))

    def __call__(self, text: str) -> str:
        """A text with the characters that were put back."""
        doubtful = {place for place in range(len(text)) if self._is_doubtful(text, place)}
        restored = ""
        for place in sorted(doubtful):
            if place >= len(restored):  # else its neighbour's paths have read it, too
                restored += text[len(restored) : place]
                restored += self._best(text, restored, doubtful)
        return restored + text[len(restored) :]

    def _best(self, text: str, before: str, doubtful: Container[int]) -> str:
        """The best path after what is restored, up to where all paths end alike."""
        paths, scores, contexts = [""], np.zeros(1), np.asarray([_context(before)])
        for place in range(len(before), min(len(before) + LONGEST, len(text))):
            if place not in doubtful and len(paths) == 1:
                break
            others = self._counts.alike[text[place]] if place in doubtful else ""
            paths, scores, contexts = self._longer(text[place] + others, paths, scores, contexts)
        return paths[0]

    def _is_doubtful(self, text: str, place: int) -> bool:
        """Whether a character may stand for others, and was never seen beside a neighbour."""
        pairs = (text[i : i + 2] for i in (place - 1, place) if 0 <= i < len(text) - 1)
        return text[place] in self._counts.alike and not all(self._counts.of(p, 1) for p in pairs)

    def _longer(
        self, characters: str, paths: list[str], scores: NDArray[np.float64], contexts: Codes
    ) -> tuple[list[str], NDArray[np.float64], Codes]:
        """Paths with a character more, the first free; of those that end alike the best."""
        codes = np.asarray([ord(character) for character in characters])
        gains = self._likelihood.after(contexts, codes)
        gains[:, 1:] -= self._price
        every = (scores[:, None] + gains).ravel()
        ends = (((contexts[:, None] << BITS) | codes) & _TWO).ravel()
        best = np.argsort(-every, kind="stable")
        best = best[np.sort(np.unique(ends[best], return_index=True)[1])][:WIDTH]
        made = [paths[i // len(codes)] + characters[i % len(codes)] for i in best]
        return made, every[best], ends[best]


def _context(text: str) -> int:
    key = 0
    for character in text[-2:]:
        key = key << BITS | ord(character)
    return key
