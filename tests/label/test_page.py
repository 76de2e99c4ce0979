"""The labelling page as people use it: a real server, a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import make_rows
from tests.label.labelling import LABELS, labelling, write_pool
from tests.serve.browsing import MARKUP, chromium, origin, viewing
from tests.serve.serving import Running

TEXTS = ["亚冠抽签恒大遇强敌", MARKUP, "高考分数线公布", "股市收跌", "两会开幕", "比赛"]
GUIDELINE = f"# 怎么标\n\n- **体育**：比赛\n\n{MARKUP}\n\n[站外](javascript:alert(3))\n"
MANY = [f"第{number}类" for number in range(40)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    (folder / "guide.md").write_text(GUIDELINE, "utf-8")
    pool = write_pool(folder / "pool.jsonl", TEXTS)
    words = ("--labels", ",".join(LABELS), "--guideline", folder / "guide.md")
    with labelling(pool, folder / "plain", *words) as running:
        yield running


@pytest.fixture(scope="module")
def guessing(folder: Path, trained: Path) -> Iterator[Running]:
    pool = write_pool(folder / "reviews.jsonl", [text for text, _ in make_rows(6)])
    with labelling(pool, folder / "guessing", "--pipeline", trained, key="秘密") as running:
        yield running


@pytest.fixture(scope="module")
def several(folder: Path) -> Iterator[Running]:
    (folder / "labels.txt").write_text("\n".join(MANY), "utf-8")
    words = ("--labels", folder / "labels.txt", "--multilabel")
    with labelling(folder / "pool.jsonl", folder / "several", *words) as running:
        yield running


def begin(page: Any, server: Running, name: str) -> None:
    page.goto(origin(server))
    page.fill("#name", name)
    page.press("#name", "Enter")


def at(page: Any, number: int, total: int = len(TEXTS)) -> None:
    """Wait until a text is shown."""
    page.locator("#status", has_text=f"ext {number} of {total}").wait_for()


def test_the_page_is_served_under_strict_rules(server: Running) -> None:
    for path in ("/", "/page/label.js", "/page/label.css", "/page/page.css"):
        reply = server.client.get(path)
        assert reply.headers["content-security-policy"].startswith("default-src 'none'; ")
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert reply.headers["cache-control"] == "no-cache"
    for path in ("/page/page.js", "/page/..%2Fapp.py", "/docs", "/openapi.json", "/classify"):
        assert server.client.get(path).status_code in (404, 405)


def test_texts_are_labelled_by_keyboard_alone(
    browser: Any, server: Running, tmp_path: Path
) -> None:
    with viewing(browser, origin(server), tmp_path) as view:
        page = view.page
        page.goto(origin(server))
        page.keyboard.press("Enter")  # the name has the focus
        assert page.inner_text("#status") == "Write a name first."
        page.keyboard.type("Anna")
        page.keyboard.press("Enter")
        at(page, 1)
        assert page.inner_text("#text") == TEXTS[0]
        assert page.evaluate("document.activeElement.id") == "text"  # which is then read out
        page.keyboard.press("Enter")  # nothing is chosen, so it says nothing
        page.keyboard.press("Control+1")
        page.keyboard.press("1")
        at(page, 2)
        assert page.inner_text("#text") == MARKUP
        page.keyboard.press("s")
        at(page, 3)
        assert page.inner_text("#count") == "2 of 6, 1 skipped"
        page.keyboard.press("z")
        page.locator("#status", has_text="Taken back: text 2 of 6").wait_for()
        page.keyboard.press("Backspace")
        page.locator("#status", has_text="Taken back: text 1 of 6").wait_for()
        assert page.inner_text("#takeWhat") == "Take 体育"  # what was answered before
        page.keyboard.press("Enter")
        at(page, 2)
        page.keyboard.press("2")
        at(page, 3)
        for number in (4, 5, 6):
            page.keyboard.press("3")
            at(page, number)
        page.keyboard.press("3")
        page.locator("#status", has_text="That was the last text: 6 answered, 0").wait_for()
        assert page.is_hidden("#labels") and page.is_hidden("#text")
        page.keyboard.press("1")
        page.keyboard.press("z")
        page.locator("#status", has_text="Taken back: text 6 of 6").wait_for()


def test_a_guideline_holds_no_markup_of_others(
    browser: Any, server: Running, tmp_path: Path
) -> None:
    with viewing(browser, origin(server), tmp_path, locale="zh-CN") as view:
        page = view.page
        begin(page, server, "小王")
        page.wait_for_selector("#guideline h1")
        assert page.inner_text("#guideline li") == "体育：比赛"
        assert page.locator("#guideline :is(script, img, a)").count() == 0
        assert MARKUP in page.inner_text("#guideline")
        assert page.inner_text("#undo span") == "撤销"
        page.keyboard.press("?")
        assert page.is_hidden("#guideline")
        page.click("#language")
        assert page.inner_text("#undo span") == "Undo"


def test_a_second_window_is_told_and_the_first_too(
    browser: Any, server: Running, tmp_path: Path
) -> None:
    with viewing(browser, origin(server), tmp_path) as one:
        begin(one.page, server, "Eve")
        at(one.page, 1)
        one.page.reload()  # is the same window
        one.page.press("#name", "Enter")
        at(one.page, 1)
        with viewing(browser, origin(server), tmp_path) as other:
            begin(other.page, server, "Eve")
            other.page.locator("#status", has_text="Somebody labels as Eve").wait_for()
            other.page.keyboard.press("Enter")  # on the button
            at(other.page, 1)
            other.page.keyboard.press("1")
            at(other.page, 2)
        one.page.keyboard.press("2")
        one.page.locator("#status", has_text="Eve has gone on in another window").wait_for()
        one.page.click("#takeOver")
        at(one.page, 2)
        assert one.page.inner_text("#text") == MARKUP


def test_a_held_key_and_a_clicked_button_answer_once(
    browser: Any, server: Running, tmp_path: Path
) -> None:
    with viewing(browser, origin(server), tmp_path) as view:
        page = view.page
        begin(page, server, "Bob")
        at(page, 1)
        page.keyboard.down("1")
        at(page, 2)
        page.keyboard.down("1")  # repeated by the keyboard
        page.keyboard.up("1")
        page.click("#labels button >> nth=1")
        at(page, 3)
        page.keyboard.press("Enter")  # the button has lost the focus
        page.keyboard.press("Space")
        page.wait_for_timeout(200)
        assert page.inner_text("#count") == "2 of 6"


def test_a_guess_is_shown_and_taken(browser: Any, guessing: Running, tmp_path: Path) -> None:
    with viewing(browser, origin(guessing), tmp_path) as view:
        page = view.page
        begin(page, guessing, "Anna")
        page.wait_for_selector("#key")
        page.fill("#key", "秘密")
        page.press("#key", "Enter")
        at(page, 1, 6)
        guess = re.fullmatch(
            r"The pipeline guesses (neg|pos) (\d+\.\d)%\.", page.inner_text("#guess")
        )
        assert guess and page.inner_text("#labels .likely .name") == guess[1]
        assert page.inner_text("#labels .likely .score") == f"{guess[2]}%"
        page.keyboard.press("Enter")
        at(page, 2, 6)
        page.click("#agreement summary")
        page.locator("#agreed", has_text="Anna: 1 text").wait_for()
        assert "once two people" in page.inner_text("#agreed")


def test_several_labels_of_many_by_touch_on_a_phone(
    browser: Any, several: Running, tmp_path: Path
) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    with viewing(browser, origin(several), tmp_path, **phone) as view:
        page = view.page
        begin(page, several, "Tom")
        at(page, 1)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.inner_text("#takeWhat") == "Store: no label"
        page.tap("#labels button >> nth=2")
        page.fill("#filter", "类x")
        assert page.is_visible("#noMatch")
        page.fill("#filter", "37")
        assert page.locator("#labels button:visible").all_inner_texts() == ["第37类"]
        page.press("#filter", "Enter")
        page.press("#filter", "Escape")
        pressed = page.locator("#labels [aria-pressed=true] .name").all_inner_texts()
        assert pressed == ["第2类", "第37类"]
        assert page.inner_text("#takeWhat") == "Store 第2类, 第37类"
        page.tap("#take")
        at(page, 2)
        assert page.locator("#labels [aria-pressed=true]").count() == 0
        page.tap("#undo")
        page.locator("#status", has_text="Taken back").wait_for()
        assert page.inner_text("#takeWhat") == "Store 第2类, 第37类"


def test_the_page_goes_on_after_a_kill(browser: Any, folder: Path, tmp_path: Path) -> None:
    pool, words = folder / "pool.jsonl", ("--labels", ",".join(LABELS))
    with labelling(pool, tmp_path / "out", *words) as first:
        port = first.client.base_url.port
        with viewing(browser, origin(first), tmp_path) as view:
            begin(view.page, first, "Anna")
            at(view.page, 1)
            view.page.keyboard.press("1")
            at(view.page, 2)
            first.process.kill()
            first.process.wait()
            view.page.keyboard.press("2")
            view.page.locator("#status", has_text="can't be reached").wait_for()
            with labelling(pool, tmp_path / "out", *words, "--port", port):
                at(view.page, 3)
                assert view.page.inner_text("#count") == "2 of 6"
