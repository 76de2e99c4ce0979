"""The page as people use it: a real server, a real browser."""

import csv
import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy

from tests.conftest import make_rows
from tests.serve.browsing import View, chromium, viewing
from tests.serve.serving import Running, save_moody, save_stock, serving

TEXTS = [text for text, _ in make_rows(40, seed=11)]
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>好吃"


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
def narrow(moody: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """No room for two requests at a time, an API key, and little patience."""
    limits = {"max_queue": 4, "max_texts": 4, "max_batch": 1, "max_length": 10, "deadline": 1.0}
    with serving(tmp_path_factory.mktemp("narrow"), str(moody), key="秘密", **limits) as running:
        running.wait_for("ready")
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


def origin(running: Running) -> str:
    return str(running.client.base_url).rstrip("/")


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


def percent(score: float) -> str:
    return f"{100 * score:.1f}%"


def scores(server: Running, texts: list[str]) -> list[dict[str, float]]:
    found = [server.classify(text=text).json()["results"][0]["labels"] for text in texts]
    return [{item["label"]: item["score"] for item in labels} for labels in found]


def to_csv(rows: list[list[str]]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    return file.getvalue()


def from_csv(text: str) -> list[dict[str, str]]:
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


def test_the_page_is_served_under_strict_rules(server: Running) -> None:
    page = server.client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    script = server.client.get("/page/page.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    for reply in (page, script, server.client.get("/page/page.css")):
        assert reply.headers["content-security-policy"].startswith("default-src 'none'; ")
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cache-control"] == "no-cache"
    for name in ("none.js", "..%2Fapp.py", "%2e%2e/app.py"):
        assert server.client.get(f"/page/{name}").status_code == 404


def test_a_text_is_classified_by_keyboard_alone(look: Callable, server: Running) -> None:
    page = look().page

    def tab_to(name: str, key: str = "Tab") -> None:
        for _ in range(10):
            page.keyboard.press(key)
            if page.evaluate("document.activeElement.id") == name:
                return
        raise AssertionError(f"no way to {name}")

    tab_to("text")
    page.keyboard.press("Control+Enter")
    assert page.inner_text("#status") == "Write a text first."
    page.keyboard.insert_text(TEXTS[0])
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".result .bars")
    view = View(page, Path())
    (found,) = scores(server, TEXTS[:1])
    expected = sorted(found.items(), key=lambda item: -item[1])
    assert view.bars() == [(label, percent(score)) for label, score in expected]
    assert page.inner_text("#status") == "1 text classified."

    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    assert page.is_checked("[value=lines]")
    tab_to("text")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(f"{TEXTS[1]}\n\n{TEXTS[2]}\n")
    tab_to("explain")
    page.keyboard.press("Space")
    tab_to("go")
    page.keyboard.press("Enter")
    page.locator(".result").nth(1).wait_for()
    assert page.locator(".result .text").all_inner_texts() == TEXTS[1:3]
    assert "pieces read, in 1 window" in page.inner_text(".result .reading >> nth=0")


ROWS = [
    ["编号", "内容", "备注"],
    ["1", f'他说：“好吃”，\n老板说 "{TEXTS[0]}"', "=1+1"],
    ["2", TEXTS[1], "-5"],
    ["3", "", "空"],
    ["4", f"好吃, {TEXTS[2]}\r\n", "@SUM(A1)"],
    ["5", "长" * 501, ""],
    ["6", MARKUP, "-cmd|' /C calc'!A0"],
    *([str(number), text, "\t"] for number, text in enumerate(TEXTS, 7)),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_table_comes_back_row_for_row(look: Callable, server: Running, encoding: str) -> None:
    view = look()
    view.choose("表.csv", to_csv(ROWS).encode(encoding))
    assert view.page.input_value("#column") == "1"
    assert view.page.inner_text("#go") == f"Classify {len(ROWS) - 1} rows"
    view.run()
    assert view.status() == f"{len(ROWS) - 3} texts classified, 2 without an answer."
    errors = {"3": "no text", "5": "501 characters are more than 500"}
    told, objects = from_csv(view.download("csv")), view.rows()
    assert len(told) == len(objects) == len(ROWS) - 1
    known = [row for row in ROWS[1:] if row[0] not in errors]
    found = scores(server, [text for _, text, _ in known])
    expected = {number: found[i] for i, (number, *_) in enumerate(known)}
    dangerous = {"=1+1", "@SUM(A1)", "-cmd|' /C calc'!A0", "\t"}
    for (number, text, note), row, item in zip(ROWS[1:], told, objects, strict=True):
        assert (item["编号"], item["内容"], item["备注"]) == (number, text, note)
        assert row["内容"] == text
        assert row["备注"] == (f"'{note}" if note in dangerous else note)
        assert row["error"] == errors.get(number, "")
        assert item["error"] == errors.get(number)
        if number in errors:
            assert row["label"] == row["score_pos"] == ""
            assert item["label"] is item["scores"] is None
        else:
            assert item["scores"] == pytest.approx(expected[number], abs=1e-5)
            assert row["label"] == item["label"] == max(item["scores"], key=item["scores"].get)
            assert float(row["score_pos"]) == item["scores"]["pos"]
    counts = dict(bar for bar in view.bars())
    assert counts["no answer"] == "2 (4.3%)"
    assert sum(int(value.split()[0]) for value in counts.values()) == len(ROWS) - 1
    view.page.uncheck("#header")
    assert view.page.inner_text("#go") == f"Classify {len(ROWS)} rows"
    assert view.page.locator("#results .downloads").count() == 0


def test_lines_of_json_keep_their_places(look: Callable) -> None:
    lines = [
        '{"id": 12345678901234567890, "sentence": "好吃", "label": "old"}',
        '{"id": 2, "sentence": ',
        "[1]",
        '"难吃"',
        '{"sentence": "坏", "__proto__": 1}',
        "",
        '{"sentence": "太慢\\ud800"}',
        '{"sentence": "推荐"}  ',
    ]
    view = look()
    view.page.select_option("#pipeline", "moody")
    view.choose("a.jsonl", "\r\n".join(lines).encode())
    view.page.select_option("#column", label="sentence")
    view.run()
    items = view.rows()
    surrogate = "Value error, character 2 is half of a surrogate pair"
    failing = "the pipeline fails on this text"
    errors = [None, "no JSON", "neither an object nor a text", "no text", failing, surrogate, None]
    assert [item["error"] for item in items] == errors
    assert items[0]["id"] == 12345678901234567890
    assert (items[0]["label"], items[0]["label_"]) == ("old", "pos")
    assert items[1]["line"] == lines[1]
    assert items[3]["text"] == "难吃"
    told = from_csv(view.download("csv"))
    assert told[0]["id"] == "12345678901234567890"
    assert [row["error"] for row in told] == [error or "" for error in errors]
    view.page.select_option("#column", label="text")
    view.run()
    assert [bool(item["scores"]) for item in view.rows()] == [i == 3 for i in range(7)]


def test_a_large_file_shows_its_beginning_and_holds_all(look: Callable) -> None:
    view = look(accept_downloads=True)
    view.page.select_option("#pipeline", "several")
    view.choose("many.txt", "\n".join(f"第{i}条" for i in range(450)).encode())
    view.run()
    assert view.page.locator("tbody tr").count() == 200
    assert "The first 200 of 450" in view.page.inner_text("#results")
    items = view.rows()
    assert [item["text"] for item in items] == [f"第{i}条" for i in range(450)]
    assert {tuple(item["labels"]) for item in items} == {("体育",)}
    assert view.bars() == [("体育", "450 (100.0%)")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"PK", "This file is none of CSV, TSV, JSONL and TXT."),
        ("a.csv", b"\xff\xff\xff", "This file is neither UTF-8 nor GB18030."),
        ("a.tsv", b"\n\n", "There are no rows in this file."),
    ],
)
def test_a_file_that_will_not_do_is_refused(
    look: Callable, name: str, content: bytes, message: str
) -> None:
    view = look()
    view.page.set_input_files("#input", {"name": name, "mimeType": "", "buffer": content})
    view.page.wait_for_selector("#status.error")
    assert view.status() == message


def test_a_malformed_row_is_not_guessed_at(look: Callable) -> None:
    view = look()
    view.choose("a.csv", 'text;id\n好吃;1\n"难吃;";2;3\n推荐;"4\n太慢;5\n'.encode())
    assert view.page.inner_text("#go") == "Classify 3 rows"
    view.run()
    errors = [None, "3 fields, not 2", "a quote is opened and never closed"]
    assert [item["error"] for item in view.rows()] == errors
    assert view.rows()[1]["text"] == "难吃;"
    assert from_csv(view.download("csv"))[2]["id"] == "4\n太慢;5\n"


def test_the_button_opens_a_choice_of_files(look: Callable, tmp_path: Path) -> None:
    page = look().page
    # The browser is told of the expectation without an answer: it needs a moment before Enter.
    with page.expect_file_chooser() as chooser:
        page.check("[value=file]", force=True)
        page.keyboard.press("Tab")
        page.locator("#choose:focus").wait_for()
        page.keyboard.press("Enter")
    (tmp_path / "a.txt").write_text("好吃\n难吃\n", "utf-8")
    chooser.value.set_files(tmp_path / "a.txt")
    page.locator("#filename", has_text="a.txt: 2 rows, UTF-8").wait_for()


def test_a_file_can_be_dropped_and_must_not_be_huge(look: Callable) -> None:
    view = look()
    drop = """(size) => {
        const transfer = new DataTransfer();
        const content = size ? new Uint8Array(size) : "好吃\\t1\\n难吃\\t2";
        transfer.items.add(new File([content], "a.tsv"));
        const settings = { dataTransfer: transfer, bubbles: true, cancelable: true };
        document.body.dispatchEvent(new DragEvent("drop", settings));
    }"""
    view.page.evaluate(drop, 51_000_000)
    view.page.wait_for_selector("#status.error")
    assert view.status().startswith("This file has 51 MB; 50 MB is the most")
    view.page.evaluate(drop, 0)
    view.page.wait_for_selector("tbody tr")
    assert view.page.is_checked("[value=file]")
    assert not view.page.is_checked("#header")
    assert view.page.locator("tbody .text").all_inner_texts() == ["好吃", "难吃"]


def test_markup_is_text(look: Callable) -> None:
    view = look()
    view.write(MARKUP)
    view.page.wait_for_selector(".result .bars")
    assert view.page.inner_text(".result .text") == MARKUP
    view.choose("<b>.csv", to_csv([["text", MARKUP], ["好吃", ""], [MARKUP, MARKUP]]).encode())
    view.run()
    assert MARKUP in view.page.inner_text("tbody")
    assert view.page.locator("main img, main script, main b").count() == 0


def test_labels_that_reach_the_threshold_are_marked(look: Callable, server: Running) -> None:
    view = look()
    view.page.select_option("#pipeline", "several")
    assert view.page.inner_text("#labels") == "2 labels: 财经, 体育"
    view.write("好")
    view.page.wait_for_selector(".result .bars")
    names = view.page.locator(".bars .name").all_text_contents()
    assert names == ["体育 ✓given", "财经"]
    assert "A label is given from 75.0% on." in view.page.inner_text("#results")
    assert view.page.inner_text(".verdict") == "Given: 体育"


def test_a_text_without_a_label_has_it_said(look: Callable) -> None:
    view = look()
    view.page.select_option("#pipeline", "none")
    view.write("好\n难吃", "lines")
    view.page.wait_for_selector(".result .bars")
    said = view.page.locator(".verdict").all_inner_texts()
    assert said == ["No label is given: none reaches the threshold."] * 2
    assert view.page.locator(".bars .strong").count() == 0
    view.choose("a.txt", "好\n难吃".encode())
    view.run()
    assert view.bars() == [("none", "2 (100.0%)")]
    assert [item["labels"] for item in view.rows()] == [[], []]
    view.page.select_option("#pipeline", "first")
    view.write("好")
    view.page.wait_for_selector(".result .bars")
    best = view.page.inner_text(".bars .strong .name")
    assert view.page.inner_text(".verdict") == f"Given: {best}"


def test_a_text_that_is_not_read_whole_is_pointed_out(look: Callable, server: Running) -> None:
    text = "味道不错" * 120
    (result,) = server.classify(text=text, explain=True).json()["results"]
    assert result["pieces_read"] < result["pieces"]
    view = look()
    view.write(text)
    view.page.wait_for_selector(".result .warning")
    said = f"Not read whole: {result['pieces_read']} of {result['pieces']} pieces."
    assert said in view.page.inner_text(".result .warning")
    assert "plays no part" in view.page.inner_text(".result .warning")
    assert view.page.is_hidden(".reading")
    view.choose("a.txt", f"好吃\n{text}".encode())
    view.run()
    assert "1 text not read whole." in view.page.inner_text(".summary")
    assert view.page.locator("tbody .warning").count() == 1


def test_what_follows_is_not_said_to_play_no_part_where_it_does(
    browser: Any, server: Running, tmp_path: Path
) -> None:
    told = server.client.get("/pipelines").json()
    for pipeline in told["pipelines"]:
        pipeline["reads_rest"] = True
    with viewing(browser, origin(server), tmp_path) as view:
        view.page.route("**/pipelines", lambda route: route.fulfill(json=told))
        view.open(origin(server))
        view.write("味道不错" * 120)
        view.page.wait_for_selector(".result .warning")
        assert "What follows counts as well" in view.page.inner_text(".result .warning")


def test_the_interface_has_a_page_that_needs_nothing_from_elsewhere(
    browser: Any, narrow: Running, tmp_path: Path
) -> None:
    with viewing(browser, origin(narrow), tmp_path) as view:
        view.page.goto(f"{origin(narrow)}/docs")
        view.page.wait_for_selector(".opblock-summary-path")
        paths = view.page.locator(".opblock-summary-path").all_inner_texts()
        assert "/classify" in [path.replace("\u200b", "") for path in paths]
        view.page.click(".opblock-post .opblock-summary")
        view.page.wait_for_selector(
            ".opblock-post .parameters-container, .opblock-post .body-param"
        )
        assert view.page.locator(".authorize").count() >= 1


def test_a_key_is_asked_for_and_refusals_are_retried(
    browser: Any, narrow: Running, tmp_path: Path
) -> None:
    with viewing(browser, origin(narrow), tmp_path) as view:
        view.open(origin(narrow))
        view.write("好吃")
        view.page.wait_for_selector("#key:focus")
        view.page.keyboard.type("wrong")
        view.page.keyboard.press("Enter")
        view.page.locator("#keyHint", has_text="doesn't accept").wait_for()
        view.page.keyboard.insert_text("秘密")
        view.page.keyboard.press("Enter")
        view.page.wait_for_selector(".result .bars")
        assert view.page.is_hidden("#keyForm")
        before = {code: narrow.metric(counted(code)) for code in (503, 504)}
        texts = ["慢一", "慢二", "慢三", "慢四", "好", "坏", "好吃好吃好吃好吃好吃好"]
        view.choose("a.txt", "\n".join(texts).encode())
        view.run()
        found = [item["error"] or bool(item["scores"]) for item in view.rows()]
        errors = ["the pipeline fails on this text", "11 characters are more than 10"]
        assert found == [True] * 5 + errors
        # Four slow texts were too many for the deadline, and both requests for the queue.
        assert narrow.metric(counted(504)) > before[504]
        assert narrow.metric(counted(503)) > before[503]
    assert narrow.process.poll() is None


def counted(status: int) -> str:
    return f'bert_zh_requests_total{{status="{status}"}}'


def test_a_run_can_be_cancelled(look: Callable) -> None:
    view = look()
    view.page.select_option("#pipeline", "moody")
    view.choose("a.txt", "\n".join(["好吃"] * 4 + ["慢"] * 60).encode())
    view.page.click("#go")
    view.page.wait_for_selector("tbody tr:first-child td.label:not(:empty)")
    assert 0 < view.page.evaluate("bar.value") < 1
    view.page.click("#cancel")
    view.page.wait_for_selector(".downloads")
    assert view.status() == "Cancelled."
    assert view.page.is_hidden("#cancel")
    errors = [item["error"] for item in view.rows()]
    assert errors[0] is None
    assert errors[-1] == "cancelled"
    assert len(errors) == 64
    view.page.select_option("#pipeline", "first")
    view.write(TEXTS[0])
    view.page.wait_for_selector(".result .bars")


def test_it_waits_for_a_service_that_is_not_there_yet(
    browser: Any, server: Running, tmp_path: Path
) -> None:
    with viewing(browser, origin(server), tmp_path) as view:
        seen = []

        def answer(route: Any) -> None:
            seen.append(view.page.evaluate("document.getElementById('status')?.innerText"))
            if len(seen) == 1:
                route.abort()
            elif len(seen) == 2:
                route.fulfill(
                    status=503, body='{"detail": "loading"}', headers={"Retry-After": "1"}
                )
            else:
                route.continue_()

        view.page.route("**/pipelines", answer)
        view.page.goto(origin(server))
        view.page.wait_for_selector("#go[aria-disabled=false]")
        unreachable = "The service can't be reached; trying again…"
        assert seen[1:] == [unreachable, "The pipelines are being loaded…"]
        assert view.status() == ""
        detail = json.dumps({"detail": "something broke"})
        view.page.route("**/classify", lambda route: route.fulfill(status=500, body=detail))
        view.write("好吃")
        view.page.wait_for_selector("#status.error")
        assert view.status() == "The service answers: something broke"


def test_it_gives_up_on_a_service_that_has_gone(look: Callable) -> None:
    view = look()
    view.page.clock.install()
    asked = []
    view.page.route("**/classify", lambda route: (asked.append(1), route.abort()))
    view.choose("a.txt", "\n".join(TEXTS).encode())
    view.page.click("#go")
    view.page.locator("#status", has_text="can't be reached; trying again").wait_for()
    while not view.page.is_visible(".downloads"):
        view.page.clock.run_for(5000)
    assert view.status() == "0 texts classified, 40 without an answer."
    assert {item["error"] for item in view.rows()} == {"The service can't be reached"}
    assert 7 <= len(asked) <= 14


def test_it_works_below_another_path(browser: Any, server: Running, tmp_path: Path) -> None:
    with viewing(browser, origin(server), tmp_path) as view:

        def forward(route: Any) -> None:
            url = route.request.url
            assert url.startswith(f"{origin(server)}/below/this/")
            route.fulfill(response=route.fetch(url=url.replace("/below/this/", "/")))

        view.page.route("**/*", forward)
        view.open(f"{origin(server)}/below/this/")
        view.write(TEXTS[0])
        view.page.wait_for_selector(".result .bars")


def test_it_speaks_both_languages(look: Callable) -> None:
    view = look(locale="zh-CN")
    assert view.page.evaluate("document.documentElement.lang") == "zh-Hans"
    assert view.page.inner_text("#go") == "分类"
    view.write("好吃")
    view.page.wait_for_selector(".result .bars")
    assert view.status() == "已分类 1 条文本。"
    view.page.click("#language")
    assert view.page.evaluate("document.documentElement.lang") == "en"
    assert view.status() == "1 text classified."
    assert view.page.title() == "Text classification"
    assert view.page.get_attribute("#text", "placeholder") == "Write or paste a text…"
    keys = view.page.evaluate(
        "import('/page/words.js').then(({ words: { en, zh } }) => [en, zh].map(Object.keys))"
    )
    assert sorted(keys[0]) == sorted(keys[1])
    used = set(view.page.locator("[data-say]").evaluate_all("all => all.map(n => n.dataset.say)"))
    assert used <= set(keys[0])


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted([luminance(one), luminance(other)], reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_it_can_be_read_in_the_light_and_in_the_dark(look: Callable) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        view = look(color_scheme=scheme)
        names = "ground card ink quiet accent on-accent error warning warning-tint edge track tint"
        style = "getComputedStyle(document.documentElement).getPropertyValue('--' + name)"
        color = {n: view.page.evaluate(f"name => {style}", n).strip() for n in names.split()}
        pairs = [
            (fore, back)
            for fore in ("ink", "quiet", "accent", "error", "warning")
            for back in ("ground", "card")
        ]
        pairs += [("on-accent", "accent"), ("warning", "warning-tint"), ("ink", "track")]
        pairs += [("accent", "tint"), ("ink", "tint"), ("quiet", "tint")]
        poor = [pair for pair in pairs if contrast(*map(color.get, pair)) < 4.5]
        assert poor == []
        assert contrast(color["edge"], color["card"]) >= 3
        grounds[scheme] = view.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert grounds["light"] != grounds["dark"]


def test_it_fits_a_narrow_screen(look: Callable) -> None:
    view = look(viewport={"width": 360, "height": 640}, locale="zh-CN")

    def overflow() -> int:
        wide: int = view.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return wide

    assert overflow() <= 0
    view.write("a" * 300)
    view.page.wait_for_selector(".result .bars")
    assert overflow() <= 0
    view.choose("a-very-long-name-of-a-file" * 5 + ".csv", to_csv(ROWS).encode())
    view.run()
    assert overflow() <= 0


def test_everything_to_operate_has_a_name(look: Callable) -> None:
    view = look()
    nameless = """() => [...document.querySelectorAll("input, select, textarea, button, progress")]
        .filter(n => !(n.labels?.length || n.getAttribute("aria-label") || n.innerText.trim()
                       || n.dataset.say)).map(n => n.outerHTML)"""
    assert view.page.evaluate(nameless) == []


def test_tables_are_read_as_python_reads_them(look: Callable) -> None:
    draw = random.Random(0)
    pieces = ['"', ",", "\n", "\r", "\r\n", "中文", " ", "a", "", "'", "，", "\t"]
    made = [
        to_csv([["".join(draw.choices(pieces, k=draw.randrange(5))) for _ in range(3)]] * 4)
        for _ in range(100)
    ]
    # And what no writer would write.
    wild = ["".join(draw.choices(pieces, k=draw.randrange(30))) for _ in range(400)]
    texts = [*made, *wild]
    view = look()
    read = "import('/page/table.js').then(m => texts.map(t => m.readTable(t, ',').rows))"
    found = view.page.evaluate(f"texts => {read}", texts)
    for text, rows in zip(texts, found, strict=True):
        assert rows == [row for row in csv.reader(io.StringIO(text, newline="")) if row], text
