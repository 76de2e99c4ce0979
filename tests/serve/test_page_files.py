"""Files on the page: every row comes back, whatever is in it and wherever the service is."""

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.serve.browsing import MARKUP, ROWS, TEXTS, origin, scores, to_csv, viewing
from tests.serve.serving import Running


def from_csv(text: str) -> list[dict[str, str]]:
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


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
