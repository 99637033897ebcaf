import hashlib
import os

import psutil
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from animelm.data.sources.parquet import column_names, file_hash, find_shards, read_rows
from animelm.errors import UserError


def write(path, columns, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), path, **how)
    return path


def values_of(shard):
    return [row.values for row in read_rows(shard, column_names(shard))]


def test_shards_are_found_in_folders_below_and_sorted(tmp_path):
    written = [write(tmp_path / name, {"a": [1]}) for name in ("b/1.parquet", "a/2.parquet")]
    (tmp_path / "card.md").touch()
    assert find_shards(tmp_path) == sorted(written)
    assert find_shards(written[0]) == [written[0]]
    assert find_shards(tmp_path / "card.md") == find_shards(tmp_path / "absent") == []


CELLS = st.lists(
    st.tuples(
        st.none() | st.text(st.characters(exclude_categories=["Cs"])),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.lists(st.sampled_from(["星", "海", ""]), max_size=3),
    ),
    max_size=12,
)


@given(CELLS, st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_rows_come_back_in_order_as_they_were_written(tmp_path_factory, rows, group):
    schema = pyarrow.schema(
        {"text": pyarrow.string(), "n": pyarrow.int64(), "l": pyarrow.list_(pyarrow.string())}
    )
    expected = [dict(zip(schema.names, row, strict=True)) for row in rows]
    path = tmp_path_factory.mktemp("rows") / "a.parquet"
    table = pyarrow.Table.from_pylist(expected, schema)
    pyarrow.parquet.write_table(table, path, row_group_size=group)
    read = list(read_rows(path, schema.names))
    assert [row.values for row in read] == expected
    assert [row.number for row in read] == list(range(1, len(rows) + 1))


def test_only_the_columns_asked_for_are_read(tmp_path):
    shard = write(tmp_path / "a.parquet", {"text": ["x"], "image": [b"\xff" * 100]})
    assert column_names(shard) == ["text", "image"]
    assert [row.values for row in read_rows(shard, ["text"])] == [{"text": "x"}]


def test_a_row_says_where_it_stands(tmp_path):
    shard = write(tmp_path / "a.parquet", {"text": ["x", "y"]})
    assert [row.where for row in read_rows(shard, ["text"])] == [
        f"{shard}: row 1",
        f"{shard}: row 2",
    ]


@pytest.mark.parametrize("folder", ["a b", "[1]", "a*?", "日本", "*"])
def test_any_name_of_a_folder_is_taken_as_it_is(tmp_path, folder):
    write(tmp_path / "1" / "a.parquet", {"text": ["wrong"]})
    shard = write(tmp_path / folder / "a.parquet", {"text": ["x"]})
    assert values_of(shard) == [{"text": "x"}]


def test_texts_of_a_few_kinds_are_read_alike(tmp_path):
    texts = pyarrow.array(["x", "y"])
    for kind in (texts.dictionary_encode(), texts.cast(pyarrow.large_string())):
        shard = write(tmp_path / "a.parquet", {"text": kind})
        assert values_of(shard) == [{"text": "x"}, {"text": "y"}]


def test_what_a_dataset_calls_an_image_is_not_opened(tmp_path):
    about = b'{"info": {"features": {"text": {"_type": "Image"}}}}'
    image = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    table = pyarrow.table({"text": pyarrow.array([{"bytes": b"GIF89a", "path": None}], image)})
    pyarrow.parquet.write_table(
        table.replace_schema_metadata({b"huggingface": about}), tmp_path / "a.parquet"
    )
    assert values_of(tmp_path / "a.parquet") == [{"text": {"bytes": b"GIF89a", "path": None}}]


def broken(tmp_path, content):
    path = tmp_path / "bad.parquet"
    path.write_bytes(content)
    return path


def test_a_file_that_is_not_parquet_is_reported_once(tmp_path):
    for content in (b"", b"PAR1", b"text,title\n" * 20):
        shard = broken(tmp_path, content)
        with pytest.raises(UserError, match="cannot be read as Parquet") as error:
            column_names(shard)
        assert str(error.value).startswith(f"{shard}: ") and "\n" not in str(error.value)


def test_bytes_that_are_not_utf8_are_reported(tmp_path):
    _, *buffers = pyarrow.array([b"a", b"b", b"\xff\xfe"]).buffers()
    texts = pyarrow.StringArray.from_buffers(3, *buffers)
    shard = write(tmp_path / "a.parquet", {"text": texts}, row_group_size=2)
    with pytest.raises(UserError, match=r"a\.parquet: cannot be .* after row 2: .*utf-8"):
        values_of(shard)


def test_an_absent_file_is_reported(tmp_path):
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        column_names(tmp_path / "absent.parquet")
    with pytest.raises(UserError, match="cannot be read"):
        file_hash(tmp_path / "absent.parquet")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_gives_rows_or_a_clear_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    whole = write(folder / "whole.parquet", {"text": ["星の海" * 9, None], "id": [1, 2]})
    content = bytearray(whole.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    shard = broken(folder, bytes(content))
    try:
        values_of(shard)
    except UserError as error:
        assert str(error).startswith(f"{shard}: ")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.parquet")
    for read in (column_names, lambda shard: list(read_rows(shard, ["text"]))):
        with pytest.raises(UserError, match=r"a\.parquet: is a pipe or device"):
            read(tmp_path / "a.parquet")


def test_the_hash_is_that_of_the_bytes(tmp_path):
    shard = write(tmp_path / "a.parquet", {"text": ["x"]})
    assert file_hash(shard) == hashlib.sha256(shard.read_bytes()).digest()


def test_memory_follows_a_row_group_not_the_file(tmp_path):
    path = tmp_path / "a.parquet"
    groups = [pyarrow.table({"text": [f"{i:08}" * 2**17] * 8}) for i in range(16)]
    with pyarrow.parquet.ParquetWriter(
        path, groups[0].schema, compression="none", use_dictionary=False
    ) as writer:
        for group in groups:
            writer.write_table(group)
    rows = read_rows(path, ["text"])
    next(rows)
    memory = psutil.Process().memory_info
    before = memory().rss
    held = [(len(row.values["text"]), memory().rss) for row in rows]
    assert sum(characters for characters, _ in held) == 127 * 2**20
    assert max(rss for _, rss in held) - before < 64 * 2**20


@pytest.mark.parametrize(
    ("rows", "value", "how"),
    [
        (1, "a" * (40 << 20), {"compression": "zstd", "use_dictionary": False}),
        (2_000, "a" * 50_000, {"compression": "zstd", "use_dictionary": False}),
        (1000, "a" * (20 << 20), {"compression": "zstd", "dictionary_pagesize_limit": 1 << 30}),
        (1000, "a" * (40 << 20), {"compression": "none", "dictionary_pagesize_limit": 1 << 30}),
        (300_000, "a" * 100_000, {"compression": "zstd"}),
    ],
    ids=["long", "dense", "dictionary", "large-dictionary", "repeated"],
)
def test_a_file_that_unpacks_to_more_than_text_does_is_refused(tmp_path, rows, value, how):
    indices = pyarrow.array([0] * rows, pyarrow.int32())
    texts = pyarrow.DictionaryArray.from_arrays(indices, pyarrow.array([value]))
    if not how.get("use_dictionary", True):
        texts = texts.cast(pyarrow.string())
    shard = write(tmp_path / "bomb.parquet", {"text": texts}, **how)
    with pytest.raises(UserError, match=r"bomb\.parquet: .*unpacks to far more than text does"):
        for _ in read_rows(shard, ["text"]):
            pass


def varint(number):
    """A number as Thrift's compact protocol writes it."""
    rest, written = 2 * number, bytearray()
    while rest >= 128:
        written.append(rest % 128 + 128)
        rest //= 128
    return bytes([*written, rest])


@pytest.mark.parametrize(
    ("rows", "value", "where"),
    [(60, "a" * (20 << 20), "after row 0"), (300_000, "a" * 100_000, r"row \d+")],
    ids=["large", "many"],
)
def test_a_file_that_lies_about_its_sizes_stays_within_bounds(tmp_path, rows, value, where):
    indices = pyarrow.array([0] * rows, pyarrow.int32())
    texts = pyarrow.DictionaryArray.from_arrays(indices, pyarrow.array([value]))
    how = {"compression": "zstd", "dictionary_pagesize_limit": 1 << 30}
    # Without Arrow's own schema every row is read as a text of its own.
    shard = write(tmp_path / "bomb.parquet", {"text": texts}, store_schema=False, **how)
    chunk = pyarrow.parquet.read_metadata(shard).row_group(0).column(0)
    true, said = chunk.total_uncompressed_size, chunk.total_compressed_size
    lie = varint(said)[:-1] + bytes([varint(said)[-1] | 128])
    lie += b"\x80" * (len(varint(true)) - len(lie) - 1) + b"\x00"
    content = shard.read_bytes()
    assert len(lie) == len(varint(true)) and varint(true) in content[-1000:]
    shard.write_bytes(content[:-1000] + content[-1000:].replace(varint(true), lie))
    chunk = pyarrow.parquet.read_metadata(shard).row_group(0).column(0)
    assert chunk.total_uncompressed_size == said
    with pytest.raises(UserError, match=rf"bomb\.parquet: {where}: unpacks to far more than text"):
        for _ in read_rows(shard, ["text"]):
            pass
