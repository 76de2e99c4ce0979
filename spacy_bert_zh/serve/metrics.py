"""What a server counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The numbers of one server.

    Attributes:
        registry: Holds them all.
        requests: Requests for a classification, by status.
        texts: Texts of requests that were well formed.
        batch_texts: Sizes of batches, by pipeline.
        batch_seconds: Computing times of batches, by pipeline.
        queue_texts: Texts that wait, by pipeline.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "bert_zh_requests", "Requests for a classification", ["status"], registry=registry
        )
        self.texts = Counter("bert_zh_texts", "Texts of well-formed requests", registry=registry)
        self.batch_texts = Histogram(
            "bert_zh_batch_texts",
            "Texts of a batch",
            ["pipeline"],
            registry=registry,
            buckets=_SIZES,
        )
        self.batch_seconds = Histogram(
            "bert_zh_batch_seconds", "Seconds of a batch", ["pipeline"], registry=registry
        )
        self.queue_texts = Gauge(
            "bert_zh_queue_texts", "Texts that wait", ["pipeline"], registry=registry
        )
