"""Splits a GGUF file as llama-gguf-split does: metadata in the first part, three entries of its own in each."""

from __future__ import annotations

from pathlib import Path

from gguf import GGUFReader, GGUFValueType, GGUFWriter, ReaderField

PREAMBLE = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count"}


def split_gguf(source: Path, folder: Path, count: int, *, stem: str = "", bare_first: bool = False) -> list[Path]:
    """Write the tensors of ``source`` into ``count`` files in ``folder``, called ``stem`` or as ``source`` is;
    ``bare_first``: the first file holds the metadata alone."""
    reader = GGUFReader(source)
    folder.mkdir(parents=True, exist_ok=True)
    filled = count - 1 if bare_first else count
    size = -(-len(reader.tensors) // filled)
    chunks = [reader.tensors[start : start + size] for start in range(0, len(reader.tensors), size)]
    if bare_first:
        chunks.insert(0, [])
    assert len(chunks) == count
    paths = []
    for number, tensors in enumerate(chunks):
        writer = GGUFWriter(None, arch="")
        if number == 0:
            # The entry that says so is in the first part alone.
            writer.data_alignment = int(reader.alignment)
            for key, kind, elements, value in metadata_of(reader):
                writer.add_key_value(key, value, kind, elements)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", count)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for tensor in tensors:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        path = folder / f"{stem or source.stem}-{number + 1:05}-of-{count:05}.gguf"
        writer.write_header_to_file(path)
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        paths.append(path)
    return paths


Entry = tuple[str, GGUFValueType, GGUFValueType | None, object]


def metadata_of(reader: GGUFReader) -> list[Entry]:
    """The entries in order: name, type, type of its elements if it is a list, value."""
    return [_entry(field) for field in reader.fields.values() if field.name not in PREAMBLE]


def _entry(field: ReaderField) -> Entry:
    kind = field.types[0]
    return field.name, kind, field.types[-1] if kind is GGUFValueType.ARRAY else None, field.contents()


def contents_of(path: Path) -> tuple[list[Entry], list[tuple[str, list[int], int, bytes]]]:
    """Everything that a GGUF file says: its metadata, and the name, shape, type and bytes of each tensor."""
    reader = GGUFReader(path)
    tensors = [(one.name, one.shape.tolist(), int(one.tensor_type), one.data.tobytes()) for one in reader.tensors]
    return metadata_of(reader), tensors
