"""ONNX graphs that others may have written, looked through before ONNX Runtime sees them.

A graph can name other files to read, or make gigabytes of a few bytes. Ours do neither: only
the operations that they consist of are let in. `onnx` could read the graph, but who only
classifies doesn't need that package; the little that must be seen of Protocol Buffers' format
(https://protobuf.dev/programming-guides/encoding/) is here. Numbers of fields are those of
``onnx.proto3``.
"""

from collections.abc import Iterator

from spacy_bert_zh.errors import BertZhError

# None makes a large result of a small input by its attributes or constants alone.
OPERATIONS = frozenset(
    """
    Abs Add Cast Ceil Clip Concat Constant CumSum DequantizeLinear Div DynamicQuantizeLinear Equal
    Erf Floor Gather Gelu Gemm Greater Identity LayerNormalization Less MatMul MatMulInteger Max
    MeanVarianceNormalization Min Mul Neg NonZero Not Pow QuantizeLinear Reciprocal ReduceMax
    ReduceMean ReduceMin ReduceSum Relu Reshape Round Shape Sigmoid Sign Slice Softmax Sqrt Squeeze
    Sub Tanh Transpose Unsqueeze Where
    """.split()  # noqa: SIM905
)
_DOMAINS = (b"", b"ai.onnx")
# Of ModelProto: training_info, functions. Of GraphProto: sparse initializers.
_NOT_IN_MODEL, _NOT_IN_GRAPH = frozenset({20, 25}), frozenset({15})
# Of AttributeProto: graphs and sparse tensors inside a node.
_NOT_IN_ATTRIBUTE = frozenset({6, 11, 22, 23})
# Of TensorProto: the file where its values stand.
_NOT_IN_TENSOR = frozenset({13})


def check_graph(data: bytes) -> None:
    """Let a graph pass that consists of the operations of ours alone.

    Args:
        data: A serialised `onnx.ModelProto`.

    Raises:
        BertZhError: It doesn't, names other files, or is damaged.
    """
    try:
        _check_model(memoryview(data))
    except IndexError as error:
        raise BertZhError("The ONNX graph is cut off or damaged") from error


def _check_model(data: memoryview) -> None:
    graphs = 0
    for field, value in _fields(data, _NOT_IN_MODEL):
        if field == 7:
            graphs += 1
            _check_nodes(value)
    if graphs != 1:
        raise BertZhError("The ONNX graph is cut off or damaged")


def _check_nodes(data: memoryview) -> None:
    for field, value in _fields(data, _NOT_IN_GRAPH):
        if field == 1:
            _check_node(value)
        elif field == 5:
            _check_tensor(value)


def _check_node(data: memoryview) -> None:
    for field, value in _fields(data):
        if field == 4 and (kind := str(value, "utf-8", "replace")) not in OPERATIONS:
            raise BertZhError(
                f"The ONNX graph has the operation {kind[:50]!r}, which no export of this "
                "package has: it isn't run"
            )
        if field == 7 and bytes(value) not in _DOMAINS:
            raise BertZhError("The ONNX graph has operations that are not ONNX's own: it isn't run")
        if field == 5:
            for inner, part in _fields(value, _NOT_IN_ATTRIBUTE):
                if inner in (5, 10):
                    _check_tensor(part)


def _check_tensor(data: memoryview) -> None:
    for _ in _fields(data, _NOT_IN_TENSOR):
        pass


def _fields(
    data: memoryview, refused: frozenset[int] = frozenset()
) -> Iterator[tuple[int, memoryview]]:
    """Numbers and bytes of a message's fields; fields that are no bytes come empty."""
    place = 0
    while place < len(data):
        key, place = _number(data, place)
        field, kind = key >> 3, key & 7
        if field in refused:
            raise BertZhError(
                "The ONNX graph names other files, or holds graphs inside it, which no export of "
                "this package does: it isn't run"
            )
        size = {1: 8, 5: 4}.get(kind, 0)
        if kind == 0:
            _, place = _number(data, place)
        elif kind == 2:
            size, place = _number(data, place)
        elif kind not in (1, 5):
            raise IndexError(kind)
        if place + size > len(data):
            raise IndexError(place)
        yield field, data[place : place + size] if kind == 2 else data[:0]
        place += size


def _number(data: memoryview, place: int) -> tuple[int, int]:
    """A number of Protocol Buffers, seven bits a byte, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise IndexError(place)
