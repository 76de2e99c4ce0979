"""What a server counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


class Metrics:
    """The numbers of one server.

    Attributes:
        registry: Holds them all.
        requests: Requests for a classification, an explanation or a search, by status.
        request_seconds: From their headers to the end of their answers, by status.
        texts: Texts of requests that were well formed.
        repaired_texts: Texts that a `zh_repair` had to change, by pipeline.
        batch_texts: Sizes of batches, by pipeline.
        batch_seconds: Computing times of batches, by pipeline.
        explain_seconds: Computing times of explanations, by pipeline.
        queue_texts: Texts that wait, by pipeline; for an explanation, too.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "bert_zh_requests", "Requests for a classification", ["status"], registry=registry
        )
        self.request_seconds = Histogram(
            "bert_zh_request_seconds",
            "Seconds of a request for a classification",
            ["status"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.texts = Counter("bert_zh_texts", "Texts of well-formed requests", registry=registry)
        self.repaired_texts = Counter(
            "bert_zh_repaired_texts",
            "Texts that zh_repair had to change",
            ["pipeline"],
            registry=registry,
        )
        self.batch_texts = Histogram(
            "bert_zh_batch_texts",
            "Texts of a batch",
            ["pipeline"],
            registry=registry,
            buckets=_SIZES,
        )
        self.batch_seconds = Histogram(
            "bert_zh_batch_seconds",
            "Seconds of a batch",
            ["pipeline"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.explain_seconds = Histogram(
            "bert_zh_explain_seconds",
            "Seconds of an explanation",
            ["pipeline"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.queue_texts = Gauge(
            "bert_zh_queue_texts", "Texts that wait", ["pipeline"], registry=registry
        )
