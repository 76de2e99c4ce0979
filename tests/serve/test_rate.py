"""How often a client may ask, and what is counted of texts that had to be repaired."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_bert_zh.serve import rate
from spacy_bert_zh.serve.rate import Rate
from tests.serve.serving import Running, serving


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 50), st.lists(st.floats(0, 5), max_size=200))
def test_no_minute_has_more_than_two_buckets_of_requests(
    per_minute: int, gaps: list[float]
) -> None:
    clock, allowed = Clock(), []
    limit = Rate(per_minute, clock)
    for gap in gaps:
        clock.now += gap
        wait = limit.wait("10.0.0.1")
        assert 0 <= wait <= 60 / per_minute
        if not wait:
            allowed.append(clock.now)
    for start in allowed:
        # A full bucket, and what flows in meanwhile.
        assert sum(start <= at < start + 60 for at in allowed) <= 2 * per_minute


def test_who_waits_as_told_is_answered() -> None:
    clock = Clock()
    limit = Rate(2, clock)
    assert [limit.wait("a"), limit.wait("a")] == [0.0, 0.0]
    assert limit.wait("a") == pytest.approx(30)
    assert limit.wait("b") == 0.0
    clock.now += 30.001
    assert limit.wait("a") == 0.0 and limit.wait("a") > 0


def test_one_client_has_many_addresses_of_ipv6_but_one_half() -> None:
    limit = Rate(1, Clock())
    assert limit.wait("2001:db8::1") == 0.0
    assert limit.wait("2001:db8::2") > 0
    assert limit.wait("2001:db8:0:1::1") == 0.0
    # A socket for both kinds of addresses: each of IPv4 is a client of its own.
    assert limit.wait("::ffff:10.0.0.1") == limit.wait("::ffff:10.0.0.2") == 0.0
    assert limit.wait("10.0.0.1") > 0


def test_clients_are_forgotten_before_memory_ends(monkeypatch) -> None:
    monkeypatch.setattr(rate, "CLIENTS", 3)
    limit = Rate(1, Clock())
    assert [limit.wait(str(number)) for number in range(9)] == [0.0] * 9
    assert limit.wait("8") > 0 and limit.wait("0") == 0.0


def test_without_a_limit_nothing_is_counted() -> None:
    assert not any(Rate(0, Clock()).wait("a") for _ in range(1000))


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("rated")
    nlp = spacy.load(trained)
    nlp.add_pipe("zh_repair", first=True)
    nlp.to_disk(folder / "repairing")
    with serving(folder, str(folder / "repairing"), key="k", max_per_minute=4) as running:
        running.wait_for("ready")
        yield running


def test_a_client_that_asks_too_often_is_told_when_to_come_back(server: Running) -> None:
    assert server.classify(texts=["好吃", "好\u200b吃", "难\ufe0f吃"]).status_code == 200
    assert server.metric('bert_zh_repaired_texts_total{pipeline="repairing"}') == 2
    # Whoever tries keys out is slowed down as well.
    url = f"{server.client.base_url}/classify"
    assert httpx.post(url, json={"text": "好"}).status_code == 401
    found = [server.classify(text="好") for _ in range(4)]
    assert [reply.status_code for reply in found] == [200, 200, 429, 429]
    assert 1 <= int(found[-1].headers["Retry-After"]) <= 15
    assert "more than 4 requests in a minute" in found[-1].json()["detail"]
    assert server.client.get("/health").status_code == 200
    assert server.metric('bert_zh_requests_total{status="429"}') == 2
