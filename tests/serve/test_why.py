"""Explanations over HTTP and on the page: as `explain` says them, within limits."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import spacy
from spacy.language import Language

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.explain import contrast, explain
from spacy_bert_zh.serve import Limits
from spacy_bert_zh.serve.batching import Batcher, QueueFull, Unanswerable
from spacy_bert_zh.serve.metrics import Metrics
from tests.serve.browsing import origin, viewing
from tests.serve.serving import Running, save_stock, serving
from tests.serve.test_page import contrast as contrast_of

TEXT = "这家店外卖太慢😀，米饭难吃。"


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("why")
    stock = save_stock(folder / "stock")
    with serving(folder, str(trained), str(stock), key="k", max_explained=30) as running:
        running.wait_for("ready")
        yield running
        assert not [line for line in running.lines() if line["level"] == "error"]


def ask(server: Running, **question: Any) -> httpx.Response:
    return server.client.post("/explain", json=question)


def add_up(share: dict[str, Any]) -> list[float]:
    pairs = zip(share["ngram_characters"], share["network_characters"], strict=True)
    return [one + other for one, other in pairs]


def test_it_says_what_explain_says(server: Running, trained: Path) -> None:
    nlp = spacy.load(trained)
    (expected,) = explain(nlp, [TEXT])
    reply = ask(server, text=TEXT, contrast=True, rating=True).json()
    told = reply["explanation"]
    assert reply["pipeline"] == "model-best" and told["text"] == TEXT
    assert told["given"] == list(expected.given)
    assert told["words"] == [list(span) for span in expected.words]
    share = told["shares"][0]
    added = add_up(share)
    assert added == pytest.approx(expected.shares[0].characters, abs=1e-4)
    found = contrast(nlp, expected)
    assert (found is None) == (reply["contrast"] is None)
    if found:
        assert reply["contrast"]["given"] == list(found.given)
    assert reply["rating"]["texts"] == 1
    plain = ask(server, text=TEXT).json()
    assert (plain["contrast"], plain["rating"]) == (None, None)
    (one,) = ask(server, text=TEXT, labels=["neg"], against="pos").json()["explanation"]["shares"]
    assert (one["label"], one["against"]) == ("neg", "pos")
    assert ask(server, text="").json()["explanation"]["words"] == []
    assert server.metric('bert_zh_explain_seconds_count{pipeline="model-best"}') == 4
    assert server.metric("bert_zh_texts_total") >= 4


@pytest.mark.parametrize(
    ("question", "place", "said"),
    [
        ({"text": "好" * 31}, "text", "31 characters are more than 30"),
        ({"text": "好", "labels": ["neg", "坏"]}, "labels", "no such label"),
        ({"text": "好", "against": "坏"}, "against", "no such label"),
        ({"text": "好", "against": ""}, "against", "no such label"),
        ({"text": "好", "labels": []}, "labels", "at least 1"),
        ({"text": "好", "labels": ["neg"] * 11}, "labels", "at most 10"),
        ({"text": "好", "pipeline": "坏"}, "pipeline", "no such pipeline"),
        ({"text": "好", "pipeline": "stock"}, "pipeline", "can't be explained"),
        ({"texts": ["好"]}, "text", "required"),
        ({"text": "好", "samples": 9}, "samples", "not permitted"),
    ],
)
def test_what_is_wrong_is_named(
    question: dict[str, Any], place: str, said: str, server: Running
) -> None:
    reply = ask(server, **question)
    assert reply.status_code == 422
    fault = reply.json()["detail"][0]
    assert fault["loc"] == ["body", place] and said in fault["msg"]


def test_who_has_no_key_gets_no_reasons(server: Running) -> None:
    url = f"{server.client.base_url}/explain"
    assert httpx.post(url, json={"text": TEXT}).status_code == 401
    told = httpx.get(f"{server.client.base_url}/pipelines").json()
    assert [one["explains"] for one in told["pipelines"]] == [True, False]
    document = httpx.get(f"{server.client.base_url}/openapi.json").json()
    asked = document["components"]["schemas"]["WhyQuestion"]["properties"]
    assert asked["text"]["maxLength"] == 30
    assert document["paths"]["/explain"]["post"]["security"]


def test_a_classification_waits_for_one_explanation_at_most(tmp_path: Path) -> None:
    nlp = spacy.load(save_stock(tmp_path / "stock"))
    batcher = Batcher(nlp, "stock", Limits(max_batch=3), Metrics())
    done: list[str] = []

    def work(nlp: Language) -> bytes:
        time.sleep(0.1)
        done.append("explained")
        return b"why"

    def fail(error: Exception) -> Callable[[Language], bytes]:
        def work(nlp: Language) -> bytes:
            raise error

        return work

    async def scene() -> None:
        running = asyncio.create_task(batcher.run())
        waiting = [asyncio.create_task(batcher.alone(work)) for _ in range(3)]
        await asyncio.sleep(0.01)  # the first is being computed
        await asyncio.sleep(0)
        more = asyncio.create_task(batcher.alone(work))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await batcher.alone(work)
        more.cancel()  # it leaves the queue
        await batcher.classify(["好"], lambda _: done.append("classified") or b"")
        assert await asyncio.gather(*waiting) == [b"why"] * 3
        assert done == ["explained", "classified", "explained", "explained"]
        with pytest.raises(Unanswerable):
            await batcher.alone(fail(RuntimeError("坏")))
        with pytest.raises(BertZhError):
            await batcher.alone(fail(BertZhError("no")))
        running.cancel()

    asyncio.run(scene())


def test_the_page_colours_what_speaks_for_a_label(
    browser: Any, server: Running, tmp_path: Path
) -> None:
    with viewing(browser, origin(server), tmp_path, viewport={"width": 360, "height": 700}) as view:
        page = view.page
        view.open(origin(server))
        view.write(TEXT)
        page.wait_for_selector("#key:focus")
        page.keyboard.insert_text("k")
        page.keyboard.press("Enter")
        page.click(".why button")
        page.wait_for_selector(".reasons")
        assert page.inner_text(".reasons") == TEXT
        share = ask(server, text=TEXT).json()["explanation"]["shares"][0]
        added = add_up(share)
        strongest = max(range(len(added)), key=lambda i: abs(added[i]))
        kind = "for" if added[strongest] > 0 else "against"
        strong = page.locator(f".reasons .{kind}").evaluate_all(
            "all => all.filter(n => n.style.getPropertyValue('--part') === '1')"
            ".map(n => n.textContent).join('')"
        )
        assert TEXT[strongest] in strong
        said = page.inner_text(".why")
        assert f"{share['label']}: " in said and "by the network" in said
        assert "Without" in said or "No few words" in said
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0
        page.click("#language")
        assert "蓝色支持该标签" in page.inner_text(".why")
        page.click(".why button")
        assert page.is_hidden(".reasons")
        view.write(TEXT * 3)
        page.locator(".why", has_text="30").wait_for()
        assert page.locator(".why button").count() == 0
        page.select_option("#pipeline", "stock")
        view.write(TEXT)
        page.wait_for_selector(".result .bars")
        page.wait_for_selector(".why", state="detached")


def test_coloured_characters_can_be_read(browser: Any, server: Running, tmp_path: Path) -> None:
    for scheme in ("light", "dark"):
        with viewing(browser, origin(server), tmp_path, color_scheme=scheme) as view:
            view.open(origin(server))
            names = ("ink", "card", "for", "against")
            style = "getComputedStyle(document.documentElement).getPropertyValue('--' + name)"
            found = {n: view.page.evaluate(f"name => {style}", n).strip() for n in names}
            ground = [int(found["card"][i : i + 2], 16) for i in (1, 3, 5)]
            for name in ("for", "against"):
                over = [int(part) for part in found[name].split()]
                mixed = [round((one + other) / 2) for one, other in zip(ground, over, strict=True)]
                assert contrast_of(found["ink"], "#{:02x}{:02x}{:02x}".format(*mixed)) >= 4.5
