"""Tables in Markdown: as many rows and cells as were given, whatever stands in them."""

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from spacy_bert_zh.markdown import render_table

READER = MarkdownIt("commonmark").enable("table")
cells = st.text(st.sampled_from("好a|\\`\n\r\u2028 -*")) | st.text(max_size=5)


@given(rows=st.lists(st.tuples(cells, cells, cells), max_size=3))
def test_every_cell_stays_one(rows: list[tuple[str, str, str]]) -> None:
    kinds = [token.type for token in READER.parse(render_table(["", "a", "b"], rows))]
    assert kinds.count("table_open") == 1 and kinds[-1] == "table_close"
    assert kinds.count("tr_open") == 1 + len(rows)
    assert kinds.count("td_open") == 3 * len(rows)


def test_numbers_are_easy_to_read() -> None:
    made = render_table(["label", "rows", "f1"], [["a\\|b\nc", 1200, 0.98765], ["", None, 0]])
    assert made.splitlines() == [
        "| label | rows | f1 |",
        "| --- | ---: | ---: |",
        "| a\\\\\\|b c | 1,200 | 0.988 |",
        "|  | None | 0 |",
    ]
