"""The pipelines and folders of a server: loaded, replaced; and whether it is ready."""

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.explain import can_explain, explain
from spacy_bert_zh.loading import answer_all, load_pipeline, textcats, warm_up
from spacy_bert_zh.retrieve import Retriever, can_search
from spacy_bert_zh.serve.batching import Batcher
from spacy_bert_zh.serve.metrics import Metrics
from spacy_bert_zh.serve.searcher import Searcher
from spacy_bert_zh.serve.settings import Limits

log = logging.getLogger(__name__)


class Service:
    """What the application and the server share.

    Args:
        pipelines: ``NAME=FOLDER_OR_PACKAGE`` or ``FOLDER_OR_PACKAGE``; the first is the default.
            Those that `retrieve build` made are searched.
        limits: What is accepted.

    Attributes:
        batchers: Pipelines by name, in their order; empty until they are loaded.
        searchers: Folders that are searched, likewise.
        metrics: What was counted.
        reader: Reads large bodies, one at a time: parsers let nobody else compute meanwhile.
        reload: Set it to have the pipelines loaded again.
        active: Number of requests that are read or answered.
    """

    def __init__(self, pipelines: Sequence[str], limits: Limits) -> None:
        self.limits = limits
        self.batchers: dict[str, Batcher] = {}
        self.searchers: dict[str, Searcher] = {}
        self.metrics = Metrics()
        self.reader = ThreadPoolExecutor(1, "reader")
        self.reload = asyncio.Event()
        self.active = 0
        self._pipelines = pipelines
        self._stop_by: float | None = None

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop_by is not None

    @property
    def ready(self) -> bool:
        """Whether requests are accepted: once what there is to load is loaded."""
        loaded = self.batchers or self.searchers or not self._pipelines
        return bool(loaded) and not self.stopping

    @property
    def drained(self) -> bool:
        """Whether it is stopping and has no request left that will still be answered."""
        return self._stop_by is not None and (not self.active or time.monotonic() > self._stop_by)

    def stop(self) -> None:
        """Accept no further requests."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self.limits.max_read + self.limits.deadline

    async def run(self) -> None:
        """Load the pipelines, then compute and reload, forever.

        Raises:
            BertZhError: They can't be loaded.
        """
        loaded = await asyncio.to_thread(load_all, self._pipelines)
        shared = self.limits, self.metrics
        batchers, searchers = apart(loaded)
        self.searchers = {name: Searcher(one, name, *shared) for name, one in searchers.items()}
        self.batchers = {name: Batcher(one, name, *shared) for name, one in batchers.items()}
        log.info({"event": "ready", "pipelines": list(loaded)})
        async with asyncio.TaskGroup() as tasks:
            for batcher in self.batchers.values():
                tasks.create_task(batcher.run())
            for searcher in self.searchers.values():
                tasks.create_task(searcher.run())
            tasks.create_task(self._keep_fresh())

    async def _keep_fresh(self) -> None:
        while True:
            await self.reload.wait()
            self.reload.clear()
            try:
                batchers, searchers = apart(await asyncio.to_thread(load_all, self._pipelines))
                if (len(batchers), len(searchers)) != (len(self.batchers), len(self.searchers)):
                    raise BertZhError("A pipeline has become a folder to search, or the reverse")
            except Exception as error:
                log.error({"event": "reload failed", "reason": str(error)}, exc_info=True)
                continue
            # By place: a pipeline keeps its name here, also if its new version has another.
            for batcher, nlp in zip(self.batchers.values(), batchers.values(), strict=True):
                batcher.nlp = nlp
            for searcher, made in zip(self.searchers.values(), searchers.values(), strict=True):
                searcher.nlp = made
            log.info({"event": "reloaded", "pipelines": [*self.batchers, *self.searchers]})


Loaded = Language | Retriever


def apart(loaded: dict[str, Loaded]) -> tuple[dict[str, Language], dict[str, Retriever]]:
    """Pipelines, and folders to search."""
    pipelines = {name: one for name, one in loaded.items() if isinstance(one, Language)}
    folders = {name: one for name, one in loaded.items() if isinstance(one, Retriever)}
    return pipelines, folders


def load_all(pipelines: Sequence[str]) -> dict[str, Loaded]:
    """Load pipelines, or folders to search, and let each answer once: that shows what is wrong.

    Returns:
        All by name, in their order.

    Raises:
        BertZhError: One can't be loaded, is no text classifier or can't classify, or two have
            the same name.
    """
    loaded: dict[str, Loaded] = {}
    for spec in pipelines:
        name, source = split_name(spec)
        one = load_folder(source) if can_search(source) else load_one(source)
        name = name or own_name(source, one)
        if name.encode("utf-8", "replace").decode() != name:
            raise BertZhError(f"{name!r} is no UTF-8: give the pipeline another name, NAME=FOLDER")
        if name in loaded:
            raise BertZhError(
                f"Two pipelines are named '{name}': give them names of their own, as in "
                f"'{name}-2={source}'"
            )
        loaded[name] = one
    return loaded


def load_one(source: str) -> Language:
    """Load a pipeline; see `load_all`."""
    nlp = load_pipeline(source)
    if not textcats(nlp):
        raise BertZhError(f"The pipeline '{source}' has no text classifier: nothing to serve")
    warm_up(nlp)
    if answer_all(nlp, ["好"]) == [None]:
        raise BertZhError(f"The pipeline '{source}' fails on a text: the log says where")
    if can_explain(nlp):
        explain(nlp, ["好"])  # jieba's dictionary takes longer than a request may
    return nlp


def load_folder(source: str) -> Retriever:
    """Load what `retrieve build` made; see `load_all`."""
    retriever = Retriever.load(source)
    if retriever.encoder is not None:
        warm_up(retriever.encoder.nlp)
    retriever.search("好")  # jieba's dictionary takes longer than a request may
    return retriever


def split_name(spec: str) -> tuple[str, str]:
    """Take ``NAME=FOLDER_OR_PACKAGE`` apart; the name is empty where there is none."""
    name, equals, source = spec.partition("=")
    # A folder may have an equals sign in its own name.
    return (name, source) if equals and not Path(spec).exists() else ("", spec)


def own_name(source: str, one: Loaded) -> str:
    """What a pipeline is called that was given no name: as its folder, or as its package.

    The name in its ``meta.json`` won't do for a folder, for training calls them all "pipeline".
    """
    if Path(source).exists() or not isinstance(one, Language):
        return Path(os.path.abspath(source)).name
    return f"{one.lang}_{one.meta['name']}"
