"""Reading converted texts without what holds spaCy's own reading up."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from spacy.tokens import Doc, DocBin
from spacy.training import Corpus
from spacy.vocab import Vocab
from srsly.msgpack import msgpack_decoders, unpackb


def read_docbin(path: Path, vocab: Vocab) -> Iterator[Doc]:
    """Yield the documents of a shard.

    `DocBin.get_docs` decodes each text's user data by `srsly.msgpack_loads`, which looks through
    the plugins that are installed each time. Here it is done once for all texts.
    """
    shard = DocBin().from_disk(path)
    packed, shard.user_data = iter(shard.user_data), []
    unpack = partial(unpackb, raw=False, use_list=False, object_pairs_hook=_hook())
    for doc in shard.get_docs(vocab):
        if (data := next(packed, None)) is not None:
            doc.user_data.update(unpack(data))
        yield doc


class ShardCorpus(Corpus):
    """``spacy.Corpus.v1`` with `read_docbin`."""

    def read_docbin(self, vocab: Vocab, locs: Iterable[str | Path]) -> Iterator[Doc]:
        """Yield the documents of all shards that have a token, `limit` at most if it isn't 0."""
        docs = (doc for path in locs for doc in read_docbin(Path(path), vocab) if len(doc))
        return islice(docs, self.limit or None)


def _hook() -> Any:
    """What makes an object of pairs, NumPy arrays and those of plugins among them."""
    decode: Any = dict
    for decoder in msgpack_decoders.get_all().values():
        decode = partial(_decoded, decoder, decode)
    return decode


def _decoded(decoder: Any, inner: Any, pairs: Any) -> Any:
    return decoder(inner(pairs), chain=None)
