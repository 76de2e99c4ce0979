"""Search over HTTP and on the page: as `retrieve` finds it, within limits."""

import json
import shutil
import signal
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.retrieve import Options, Retriever, build
from spacy_bert_zh.serve.searcher import search_each
from spacy_bert_zh.serve.service import load_all
from tests.conftest import NOUNS
from tests.retrieve.tables import FAQ, write
from tests.serve.browsing import MARKUP, origin, viewing
from tests.serve.serving import Running, save_stock, serving
from tests.serve.test_page import contrast

QUESTION = FAQ[3]["similar"][0]
ROWS = [*FAQ, {"question": MARKUP, "answer": "一行\n两行", "similar": []}]


@pytest.fixture(scope="module")
def folders(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`faq` knows when to refuse; `both` has vectors, too."""
    folder = tmp_path_factory.mktemp("folders")
    table = write(folder / "faq.jsonl", ROWS)
    asked = [{"question": f"想问{row['question']}", "expected": row["answer"]} for row in FAQ]
    asked += [
        {"question": f"{noun}{more}{number}号", "expected": ""}
        for noun, more, number in product(NOUNS, ("多少钱", "几点开门"), range(4))
    ]
    held = write(folder / "held.jsonl", asked)
    columns = {"text_column": "question", "answer_column": "answer", "wordings_column": "similar"}
    build(table, folder / "faq", Options(**columns, questions=held, right=0.8))
    build(table, folder / "both", Options(**columns), pipeline=trained)
    return folder


@pytest.fixture(scope="module")
def server(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("search")
    stock = save_stock(folder / "stock")
    sources = f"问答={folders / 'faq'}", str(stock), str(folders / "both")
    with serving(folder, *sources, key="k", max_length=60) as running:
        running.wait_for("ready")
        yield running
        assert not [line for line in running.lines() if line["level"] == "error"]


def ask(server: Running, **question: Any) -> httpx.Response:
    return server.client.post("/search", json=question)


def test_it_finds_what_retrieve_finds(server: Running, folders: Path) -> None:
    for name, by in (("faq", "words"), ("both", "words"), ("both", "vectors"), ("both", "both")):
        served = "问答" if name == "faq" else name
        reply = ask(server, text=QUESTION, folder=served, by=by, top_k=7).json()
        expected = Retriever.load(folders / name).search(QUESTION, 7, by)  # type: ignore[arg-type]
        assert reply["folder"] == served and len(reply["hits"]) == 7
        for hit, other in zip(reply["hits"], expected.hits, strict=True):
            assert hit.keys() == {"text", "answer", "source", "score", "words", "cosine"}
            assert (hit["text"], hit["source"]) == (other.entry.text, other.entry.source)
            assert hit["score"] == pytest.approx(other.score, abs=1e-4)
            assert (hit["words"] is None, hit["cosine"] is None) == (
                other.words is None,
                other.cosine is None,
            )
        assert reply["known"] == expected.known
        assert reply["confidence"] == pytest.approx(expected.confidence)
    first = ask(server, text=QUESTION).json()
    assert (first["folder"], len(first["hits"]), first["known"]) == ("问答", 5, True)
    assert first["hits"][0]["answer"] == FAQ[3]["answer"]
    assert first["confidence"] > 0.5
    other = ask(server, text="外卖几点开门").json()
    assert other["known"] is False and other["confidence"] < first["confidence"]
    assert ask(server, text="qwerty").json()["hits"] == []


@pytest.mark.parametrize(
    ("question", "place", "said"),
    [
        ({"text": "好" * 61}, "text", "61 characters are more than 60"),
        ({"text": " \n"}, "text", "nothing to search for"),
        ({"text": "好", "folder": "stock"}, "folder", "no such folder, but 问答, both"),
        ({"text": "好", "by": "vectors"}, "by", "can be searched by words"),
        ({"text": "好", "by": "luck"}, "by", "'words', 'vectors' or 'both'"),
        ({"text": "好", "top_k": 0}, "top_k", "greater than or equal to 1"),
        ({"text": "好", "top_k": 101}, "top_k", "less than or equal to 100"),
        ({"texts": ["好"]}, "text", "required"),
        ({"text": "好", "pipeline": "stock"}, "pipeline", "not permitted"),
    ],
)
def test_what_is_wrong_is_named(
    question: dict[str, Any], place: str, said: str, server: Running
) -> None:
    reply = ask(server, **question)
    assert reply.status_code == 422
    fault = reply.json()["detail"][0]
    assert fault["loc"] == ["body", place] and said in fault["msg"]


def test_who_has_no_key_finds_nothing_but_what_can_be_asked(server: Running) -> None:
    url = str(server.client.base_url)
    assert httpx.post(f"{url}/search", json={"text": QUESTION}).status_code == 401
    told = httpx.get(f"{url}/pipelines").json()
    assert [one["name"] for one in told["pipelines"]] == ["stock"]
    entries = {"entries": len(ROWS), "max_length": 60}
    assert told["folders"] == [
        {"name": "问答", "by": ["words"], "refuses": True, **entries},
        {"name": "both", "by": ["words", "vectors", "both"], "refuses": False, **entries},
    ]
    document = httpx.get(f"{url}/openapi.json").json()
    asked = document["components"]["schemas"]["SearchQuestion"]["properties"]
    assert asked["text"]["maxLength"] == 60
    assert (asked["top_k"]["minimum"], asked["top_k"]["maximum"]) == (1, 100)
    assert asked["folder"]["anyOf"][0]["enum"] == ["问答", "both"]
    assert document["paths"]["/search"]["post"]["security"]
    assert str(FAQ[3]["answer"]) not in json.dumps([told, document], ensure_ascii=False)


def test_searches_are_counted_and_gathered(server: Running) -> None:
    counted = 'bert_zh_batch_texts_count{pipeline="both"}', "bert_zh_texts_total"
    before = [server.metric(line) for line in counted]
    ask(server, text=QUESTION, folder="both")
    assert [server.metric(line) for line in counted] == [number + 1 for number in before]
    assert not any(QUESTION in line for line in server.log.read_text("utf-8").splitlines())


def test_a_folder_alone_is_served_and_loaded_again(folders: Path, tmp_path: Path) -> None:
    served = shutil.copytree(folders / "faq", tmp_path / "faq")
    with serving(tmp_path, str(served), max_per_minute=8) as running:
        running.wait_for("ready")
        client = running.client
        assert client.get("/ready").status_code == 200
        assert client.get("/openapi.json").json()["paths"].keys() & {"/search", "/classify"} == {
            "/search"
        }
        refused = client.post("/classify", json={"text": "好"})
        assert refused.status_code == 422 and "has no pipeline" in refused.text
        shutil.rmtree(served)
        build(write(tmp_path / "new.jsonl", [{"text": "新的问题"}]), served)
        running.process.send_signal(signal.SIGHUP)
        running.wait_for("reloaded")
        assert [hit["text"] for hit in ask(running, text="新的问题").json()["hits"]] == ["新的问题"]
        (served / "retriever.json").write_text("{}")
        running.process.send_signal(signal.SIGHUP)
        assert "lacks entries" in running.wait_for("reload failed")["reason"]
        assert ask(running, text="新的问题").status_code == 200  # the old one stays
        assert {ask(running, text="问题").status_code for _ in range(8)} == {200, 429}


def test_what_cannot_be_served_is_named(folders: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(folders / "faq", tmp_path / "faq")
    (damaged / "entries.jsonl").write_text("")
    with pytest.raises(BertZhError, match=r"entries\.jsonl holds nothing to search"):
        load_all([str(damaged)])
    with pytest.raises(BertZhError, match="Two pipelines are named 'faq'"):
        load_all([str(folders / "faq")] * 2)


def test_a_question_on_which_the_pipeline_fails_fails_alone(folders: Path) -> None:
    retriever = Retriever.load(folders / "both")
    assert retriever.encoder is not None
    tokenizer = retriever.encoder.nlp.tokenizer

    def moody(text: str) -> Any:
        if "坏" in text:
            raise RuntimeError(text)
        return tokenizer(text)

    retriever.encoder.nlp.tokenizer = moody
    told = search_each(retriever, ["米饭", "坏了", QUESTION])
    assert told[1] is None
    assert told[0] is not None and told[2] is not None
    expected = Retriever.load(folders / "both").search(QUESTION, 3)
    assert [hit.entry for hit in told[2](3, None).hits] == [hit.entry for hit in expected.hits]


# --- the page


def test_a_question_is_asked_by_keyboard_alone(
    browser: Any, server: Running, tmp_path: Path
) -> None:
    with viewing(browser, origin(server), tmp_path, viewport={"width": 360, "height": 700}) as view:
        page = view.page
        page.goto(f"{origin(server)}/find")
        page.wait_for_selector("#text:focus")
        assert page.inner_text("#entries") == f"{len(ROWS)} entries"
        page.keyboard.press("Enter")
        assert page.inner_text("#status") == "Write a question first."
        page.keyboard.insert_text(QUESTION)
        page.keyboard.press("Enter")
        page.wait_for_selector("#key:focus")
        page.keyboard.insert_text("k")
        page.keyboard.press("Enter")
        page.wait_for_selector(".hit")
        expected = ask(server, text=QUESTION, top_k=10).json()
        texts = page.locator(".hit .text").all_inner_texts()
        assert texts == [hit["text"] for hit in expected["hits"]]
        assert page.inner_text(".hit .answer >> nth=0") == FAQ[3]["answer"]
        assert page.inner_text("#status") == f"{len(texts)} entries found, the best first."
        assert "The first is right with a probability of" in page.inner_text("#results")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        page.fill("#text", "外卖几点开门")
        page.press("#text", "Enter")
        page.wait_for_selector(".doubt")
        assert "None of these answers it for sure" in page.inner_text(".doubt")
        page.click("#language")
        assert "这些都不能确定是答案" in page.inner_text(".doubt")
        page.fill("#text", "qwerty")
        page.press("#text", "Enter")
        page.locator("#status", has_text="没有找到").wait_for()
        assert page.locator(".hit").count() == 0


def test_where_and_by_what_can_be_chosen(browser: Any, server: Running, tmp_path: Path) -> None:
    with viewing(browser, origin(server), tmp_path, extra_http_headers={"X-API-Key": "k"}) as view:
        page = view.page
        view.open(origin(server))
        page.click("#find")
        page.wait_for_selector("#go[aria-disabled=false]")
        assert page.is_hidden("#by")
        page.select_option("#folder", "both")
        page.fill("#text", MARKUP)
        page.press("#text", "Enter")
        page.wait_for_selector(".hit")
        assert page.inner_text(".hit .text >> nth=0") == MARKUP  # and nothing of it ran
        assert page.inner_text(".hit .answer >> nth=0") == "一行\n两行"
        page.check("[name=by][value=words]", force=True)
        page.locator(".hits", has_not_text="meaning").wait_for()
        page.click("#classify")
        page.wait_for_selector("#question")
        too_long = "好" * 61
        page.goto(f"{origin(server)}/find")
        page.wait_for_selector("#go[aria-disabled=false]")
        page.fill("#text", too_long)
        page.press("#text", "Enter")
        assert page.inner_text("#status") == "61 characters are more than 60"


def test_a_server_of_folders_alone_shows_the_search(
    browser: Any, folders: Path, tmp_path: Path
) -> None:
    with serving(tmp_path, str(folders / "faq")) as running:
        running.wait_for("ready")
        with viewing(browser, origin(running), tmp_path, color_scheme="dark") as view:
            view.open(origin(running))
            assert view.page.url.endswith("/find") and view.page.is_hidden("#classify")
            page = view.page
            page.fill("#text", "外卖几点开门")
            page.press("#text", "Enter")
            page.wait_for_selector(".doubt")
            style = "getComputedStyle(document.documentElement).getPropertyValue('--' + name)"
            colours = [
                page.evaluate(f"name => {style}", name).strip()
                for name in ("warning", "warning-tint")
            ]
            assert contrast(*colours) >= 4.5
            policy = running.client.get("/find").headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
