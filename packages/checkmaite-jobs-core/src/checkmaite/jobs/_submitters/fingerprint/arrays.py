"""Arrays, tensors and tables: by type, shape and content, without copying more than pickle would.

Their libraries are looked at only when this process has imported them.
"""

from __future__ import annotations

import sys
from typing import Any

from checkmaite.jobs._submitters.fingerprint.hashing import content, node
from checkmaite.jobs._submitters.fingerprint.referred import tell_of_values
from checkmaite.jobs._submitters.fingerprint.remembered import array_content
from checkmaite.jobs._submitters.fingerprint.walk import Steps, Walk, loaded


def array_case(value: Any, walk: Walk) -> Steps | None:
    """The steps of an array, a tensor or a table; None for everything else."""
    if isinstance(value, loaded("numpy", "ndarray")):
        return _numpy_steps(value, walk)
    if isinstance(value, loaded("numpy", "generic")):
        return _numpy_steps(sys.modules["numpy"].asarray(value), walk, kind=type(value))
    if isinstance(value, loaded("torch", "Tensor")):
        return _torch_steps(value, walk)
    if isinstance(value, (loaded("pandas", "DataFrame"), loaded("pandas", "Series"))):
        return _pandas_steps(value)
    if any(isinstance(value, loaded("pyarrow", name)) for name in ("Table", "RecordBatch", "Array", "ChunkedArray")):
        return _arrow_steps(value, walk)
    if "pyarrow" in sys.modules and any(isinstance(value, loaded("polars", name)) for name in ("DataFrame", "Series")):
        return _arrow_steps(value, walk)
    return None


def _numpy_steps(value: Any, walk: Walk, kind: type | None = None) -> Steps:
    numpy = sys.modules["numpy"]
    named = yield ".__class__", kind or type(value)
    plain = value.view(numpy.ndarray) if type(value) is not numpy.ndarray else value
    parts = [named, ascii(plain.shape).encode()]
    if plain.dtype.names is not None:  # field by field: what lies between them is garbage
        for name in plain.dtype.names:
            parts += name.encode(), (yield f"[{name!r}]", plain[name])
    elif plain.dtype.kind in "OT":  # objects, and text of any length: the buffer holds addresses
        tell_of_values(plain.ravel()[:1].tolist(), walk)
        parts += plain.dtype.str.encode(), (yield "", plain.ravel().tolist())
    else:
        if plain.dtype.kind == "U":
            tell_of_values(plain.ravel()[:1].tolist(), walk)
        flat = numpy.ascontiguousarray(plain).reshape(-1).view(numpy.uint8)
        place = plain.__array_interface__["data"][0], plain.strides
        parts += plain.dtype.str.encode(), array_content("array", flat, place, walk.pace)
    if isinstance(value, numpy.ma.MaskedArray):
        parts += (yield ".mask", numpy.ma.getmaskarray(value)), (yield ".fill_value", value.fill_value)
    elif getattr(value, "__dict__", None):  # what a subclass adds
        parts.append((yield ".__dict__", dict(vars(value))))
    return node("array", parts)


def _torch_steps(value: Any, walk: Walk) -> Steps:
    """A tensor: its own elements, not the storage that it is a view of. Where it lies makes no difference."""
    torch = sys.modules["torch"]
    kind = yield ".__class__", type(value)
    parts = [kind, str(value.dtype).encode(), ascii(tuple(value.shape)).encode(), b"%d" % value.requires_grad]
    value = value.detach()
    if value.layout is not torch.strided:
        value = value.to_dense()
    if value.is_quantized:
        parts.append((yield ".dequantize()", value.dequantize()))
    elif value.device.type != "meta":
        flat = value.resolve_conj().resolve_neg().cpu().contiguous().reshape(-1).view(torch.uint8)
        place = str(value.device), value.data_ptr(), value.stride()
        parts.append(array_content("tensor", flat.numpy(), place, walk.pace))
    return node("tensor", parts)


def _pandas_steps(value: Any) -> Steps:
    """A frame column by column: how pandas lays columns out in blocks makes no difference."""
    kind = yield ".__class__", type(value)
    parts = [kind, (yield ".index", value.index), (yield ".attrs", value.attrs)]
    if value.ndim == 1:
        parts += (yield ".name", value.name), (yield ".array", value.array)
    else:
        parts.append((yield ".columns", value.columns))
        for place in range(value.shape[1]):
            parts.append((yield f".iloc[:, {place}]", value.iloc[:, place].array))
    return node("frame", parts)


def _arrow_steps(value: Any, walk: Walk) -> Steps:
    """Arrow's tables and arrays, and polars' frames: how they are divided into chunks makes no difference."""
    kind = yield ".__class__", type(value)
    table = _as_arrow_table(value)
    tell_of_values(table.slice(0, 1).to_pylist(), walk)
    arrow = sys.modules["pyarrow"]
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return node("table", [kind, content("stream", memoryview(sink.getvalue()), walk.pace)])


def _as_arrow_table(value: Any) -> Any:
    arrow = sys.modules["pyarrow"]
    if isinstance(value, arrow.Table):
        return value
    if isinstance(value, arrow.RecordBatch):
        return arrow.Table.from_batches([value])
    if isinstance(value, (arrow.Array, arrow.ChunkedArray)):
        return arrow.table({"": value})
    frame = value.to_frame() if isinstance(value, loaded("polars", "Series")) else value
    return frame.rechunk().to_arrow(compat_level=sys.modules["polars"].CompatLevel.oldest())
