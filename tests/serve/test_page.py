"""The page as people use it: a real server, a real browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serve.browsing import ROWS, TEXTS, View, origin, scores, to_csv, viewing
from tests.serve.serving import Running, serving


@pytest.fixture(scope="module")
def narrow(moody: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """No room for two requests at a time, an API key, and little patience."""
    limits = {"max_queue": 4, "max_texts": 4, "max_batch": 1, "max_length": 10, "deadline": 1.0}
    with serving(tmp_path_factory.mktemp("narrow"), str(moody), key="秘密", **limits) as running:
        running.wait_for("ready")
        yield running


def percent(score: float) -> str:
    return f"{100 * score:.1f}%"


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
