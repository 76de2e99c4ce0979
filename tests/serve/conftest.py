"""The page's server and browser; other tests here have servers of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy

from tests.serve.browsing import View, chromium, origin, viewing
from tests.serve.serving import Running, save_moody, save_stock, serving


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline whose labels don't exclude each other; it gives 体育 to every text."""
    nlp = spacy.blank("zh")
    architecture = {"@architectures": "spacy.TextCatBOW.v3", "exclusive_classes": False}
    architecture |= {"ngram_size": 1, "no_output_layer": False}
    settings = {"threshold": 0.75, "model": architecture}
    pipe = nlp.add_pipe("textcat_multilabel", config=settings)
    for label in ("财经", "体育"):
        pipe.add_label(label)
    nlp.initialize()
    pipe.model.get_ref("output_layer").set_param("b", [0.5, 3.0])
    folder = tmp_path_factory.mktemp("several") / "model"
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def moody(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_moody(trained, tmp_path_factory.mktemp("moody") / "model")


@pytest.fixture(scope="module")
def server(
    trained: Path, moody: Path, several: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("server")
    none = save_stock(folder / "none", exclusive=False)
    pipelines = (f"first={trained}", f"moody={moody}", f"several={several}", str(none))
    limits = {"max_texts": 8, "max_length": 500, "max_body": 3000, "max_scores": 6}
    with serving(folder, *pipelines, **limits) as running:
        running.wait_for("ready")
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture
def look(browser: Any, server: Running, tmp_path: Path) -> Iterator[Callable[..., View]]:
    """Open the page with settings of the browser."""
    views = []

    def open_view(**settings: Any) -> View:
        manager = viewing(browser, origin(server), tmp_path, **settings)
        view = manager.__enter__()
        views.append(manager)
        view.open(origin(server))
        return view

    yield open_view
    for manager in views:
        manager.__exit__(None, None, None)
