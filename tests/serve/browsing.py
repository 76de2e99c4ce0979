"""A real browser that looks at the page of a server."""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import make_rows
from tests.serve.serving import Running

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)

TEXTS = [text for text, _ in make_rows(40, seed=11)]
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>好吃"
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


@contextmanager
def chromium() -> Iterator[Any]:
    """Run a browser without a window; skip where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"needs {' or '.join(BROWSERS)}")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET.split())
        yield browser
        browser.close()


@dataclass
class View:
    """The page in a tab, and the folder for what is downloaded."""

    page: Any
    folder: Path

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.page.wait_for_selector("#go[aria-disabled=false]")

    def choose(self, name: str, content: bytes) -> None:
        """Choose a file."""
        file = {"name": name, "mimeType": "", "buffer": content}
        self.page.set_input_files("#input", file)
        self.page.locator("#filename", has_text=name).wait_for()

    def write(self, text: str, mode: str = "text") -> None:
        """Have what is written classified."""
        self.page.check(f"[value={mode}]", force=True)
        self.page.fill("#text", text)
        self.page.press("#text", "Control+Enter")

    def run(self) -> None:
        """Have the file classified, to the end."""
        self.page.click("#go")
        self.page.wait_for_selector(".downloads")

    def download(self, kind: str) -> str:
        with self.page.expect_download() as download:
            self.page.click(f".downloads [data-say={kind}]")
        path = self.folder / download.value.suggested_filename
        download.value.save_as(path)
        return path.read_bytes().decode("utf-8")

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the JSONL download."""
        return [json.loads(line) for line in self.download("jsonl").splitlines()]

    def status(self) -> str:
        text: str = self.page.inner_text("#status")
        return text

    def bars(self) -> list[tuple[str, str]]:
        """Names and values of all bars that are shown."""
        found = self.page.locator(".bars li")
        return [tuple(item.inner_text().split("\n")) for item in found.all()]


@contextmanager
def viewing(browser: Any, origin: str, folder: Path, **settings: Any) -> Iterator[View]:
    """Open a tab in which nothing may go wrong and nothing may leave the origin."""
    context = browser.new_context(**{"locale": "en-US", **settings})
    context.set_default_timeout(20_000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    # Chromium reports each status that is none of 2xx.
    page.on(
        "console",
        lambda line: "Failed to load resource" in line.text or wrong.append(line.text),
    )
    local = (f"{origin}/", "data:", f"blob:{origin}/")
    page.on("request", lambda request: request.url.startswith(local) or wrong.append(request.url))
    try:
        yield View(page, folder)
        assert wrong == []
    finally:
        context.close()


def origin(running: Running) -> str:
    return str(running.client.base_url).rstrip("/")


def scores(server: Running, texts: list[str]) -> list[dict[str, float]]:
    found = [server.classify(text=text).json()["results"][0]["labels"] for text in texts]
    return [{item["label"]: item["score"] for item in labels} for labels in found]


def to_csv(rows: list[list[str]]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    return file.getvalue()
