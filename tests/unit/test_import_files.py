"""Rows of files: what is seen from the first bytes, what is wrong with one row, and going on behind any row."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import Refused
from hub.imports import local
from hub.imports.csv_file import CsvFile, CsvOptions
from hub.imports.excel import Excel
from hub.imports.json_lines import JsonLines
from hub.imports.parquet import Parquet
from hub.imports.rows import LONGEST_ROW, Row, Source, paged
from hub.imports.sources import Reach, default_id, source_of
from hub.imports.spec import ImportSpec

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def file(folder: Path, data: bytes, name: str = "rows.csv") -> Any:
    path = folder / name
    if not path.exists() or path.read_bytes() != data:
        path.write_bytes(data)
    return local.blob(path, name)


def table(folder: Path, data: bytes | str, **options: Any) -> CsvFile:
    return CsvFile(file(folder, data.encode() if isinstance(data, str) else data), CsvOptions(**options))


def rows_of(source: Source, position: Any = None) -> list[Row]:
    with source:
        return [row for page in source.pages(position) for row in page.rows]


def values(source: Source) -> list[Any]:
    return [row.value for row in rows_of(source)]


def errors(source: Source) -> dict[str, str]:
    return {row.name: row.error for row in rows_of(source) if row.error}


def facts(source: Source) -> dict[str, Any]:
    with source:
        shape = source.shape
    return {**shape.facts, **{column.name: column.type for column in shape.columns}}


# what is seen


def test_delimiter_and_types_are_seen_from_the_first_rows(tmp_path: Path) -> None:
    text = 'id;paid;vip;at;zip;name\n1;2.5;true;2026-11-01T10:00:00Z;01234;"a;b"\n2;3;false;2026-11-02;99999;\n'
    found = facts(table(tmp_path, text))
    assert found["delimiter"] == ";"
    assert {name: found[name] for name in ("id", "paid", "vip", "at", "zip", "name")} == {
        "id": "integer",
        "paid": "number",
        "vip": "boolean",
        "at": "time",
        "zip": "text",
        "name": "text",
    }
    first, second = values(table(tmp_path, text))
    assert first == {
        "id": 1,
        "paid": 2.5,
        "vip": True,
        "at": "2026-11-01T10:00:00Z",
        "zip": "01234",
        "name": "a;b",
    }
    assert (second["paid"], second["zip"], second["name"]) == (3.0, "99999", "")


@pytest.mark.parametrize(
    ("encoding", "seen"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("cp1252", "cp1252"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
    ],
)
def test_the_encoding_is_seen_and_rows_are_found_again_in_any(tmp_path: Path, encoding: str, seen: str) -> None:
    data = "name,city\nJürgen,Köln\nZoë,Łódź\n".replace("Łódź", "Łódź" if encoding != "cp1252" else "Malmö").encode(
        encoding
    )
    source = table(tmp_path, data)
    assert facts(source)["encoding"].startswith(seen)
    assert [row.value["name"] for row in rows_of(source)] == ["Jürgen", "Zoë"]
    assert "name" in rows_of(source)[0].value  # the mark at the beginning is none of the first column's name
    goes_on_behind_each_row(lambda: table(tmp_path, data))


def test_what_is_seen_can_be_told(tmp_path: Path) -> None:
    data = "1|2|é\n3|4|è\n".encode("cp1250", "replace")
    source = table(
        tmp_path, data, delimiter="|", encoding="latin-1", columns=["a", "b", "c"], types={"a": "text", "b": "number"}
    )
    assert [(row["a"], row["b"]) for row in values(source)] == [("1", 2.0), ("3", 4.0)]
    assert values(table(tmp_path, "a,b\n1,2\n", all_text=True)) == [{"a": "1", "b": "2"}]
    with pytest.raises(Refused, match="there is no column q; there are a, b"):
        values(table(tmp_path, "a,b\n1,2\n", types={"q": "text"}))
    with pytest.raises(Refused, match="there is no encoding 'klingon'"):
        values(table(tmp_path, "a,b\n1,2\n", encoding="klingon"))


@pytest.mark.parametrize("cell", ["007", "+4420", "1_000", " 7", "12345678901234567890", "1e999", "nan", "-0", "1,5"])
def test_a_cell_that_would_not_stay_the_same_as_a_number_is_a_text(tmp_path: Path, cell: str) -> None:
    assert values(table(tmp_path, f"n;m\n{cell};x\n"))[0]["n"] == cell


def test_a_later_cell_that_does_not_fit_a_guess_stays_a_text_and_is_counted(tmp_path: Path) -> None:
    text = "age\n" + "30\n" * 500 + "unknown\n"
    source = table(tmp_path, text)
    assert values(source)[-1] == {"age": "unknown"}
    assert source.misfits == {"age": 1}
    told = table(tmp_path, text, types={"age": "integer"})
    assert errors(told) == {"row 501": "age: expected integer, not 'unknown'"}


# what is wrong with one row


def test_a_bad_row_costs_only_itself_and_is_named(tmp_path: Path) -> None:
    source = table(tmp_path, b'a,b\n1,2\n3\n4,5,6\n\n7,"8"x\n9,\xff\n10,11')
    assert errors(source) == {
        "row 2": "the row has 1 cells, but the header has 2",
        "row 3": "the row has 3 cells, but the header has 2",
        "row 4": "no row of CSV: ',' expected after '\"'",
        "row 5": "the line is not utf-8: say which encoding it is (--encoding), or mend it",
    } or facts(source)["encoding"].startswith("cp1252")
    told = table(tmp_path, b'a,b\n1,2\n3\n4,5,6\n\n7,"8"x\n9,\xff\n10,11', encoding="utf-8")
    assert list(errors(told)) == ["row 2", "row 3", "row 4", "row 5"]
    found = rows_of(told)
    assert [row.value for row in found if row.value] == [{"a": 1, "b": 2}, {"a": 10, "b": 11}]
    assert [row.raw for row in found if row.error] == [b"3\n", b"4,5,6\n", b'7,"8"x\n', b"9,\xff\n"]
    assert [row.meta["line"] for row in found] == [2, 3, 4, 6, 7, 8]


def test_a_quote_that_nobody_closes_costs_one_row(tmp_path: Path) -> None:
    lines = [f"{n},x{n}\n" for n in range(100_000)]
    lines[50] = '50,"x\n'
    found = rows_of(table(tmp_path, "n,x\n" + "".join(lines)))
    assert len(found) == 100_000
    assert [row.name for row in found if row.error] == ["row 51"]
    assert "a quote is opened here and not closed" in found[50].error
    assert found[-1].value == {"n": 99_999, "x": "x99999"}


def test_a_row_that_is_too_long_costs_only_itself(tmp_path: Path) -> None:
    long = b"1," + b"x" * (2 * LONGEST_ROW) + b"\n"
    found = rows_of(table(tmp_path, b"a,b\n0,a\n" + long + b"2,c\n"))
    assert [bool(row.error) for row in found] == [False, True, False]
    assert "its first 65,536 are kept" in found[1].error
    assert len(found[1].raw or b"") == 65_536
    assert found[2].value == {"a": 2, "b": "c"}
    lines = rows_of(JsonLines(file(tmp_path, b'{"a":1}\n"' + long + b'{"a":2}\n', "rows.jsonl")))
    assert [bool(row.error) for row in lines] == [False, True, False]
    assert lines[2].raw == b'{"a":2}'


# what is no table at all


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"PK\x03\x04rest", "say --format excel"),
        (b"\x89PNG\r\n\x1a\n", "a picture, no text"),
        (b"%PDF-1.7", "a PDF, no text"),
        (b"a,b\n1,\x00\x01\x02\x00\x03\n", "there are zero bytes in it"),
        (b",".join(b"c%d" % n for n in range(100_000)) + b"\n", "has 100,000 columns, more than the 10,000"),
        (b"column," * 1_000_000 + b"\n", "its first line has more than"),
        (b"a,,c\n1,2,3\n", "column 2 has no name"),
        (b"a,b\r1,2\r3,4\r", "end as on an old Macintosh"),
        (b"a,b,a\n1,2,3\n", "two columns are called 'a'"),
        (b"x" * 3_000_000, "its first line has more than"),
    ],
)
def test_what_is_no_table_is_refused_in_words(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words):
        rows_of(table(tmp_path, data))


def test_a_gzip_file_that_is_cut_off_gives_its_rows_and_then_says_so(tmp_path: Path) -> None:
    text = "n,x\n" + "".join(f"{n},{n * 7919 % 10007}\n" for n in range(40_000))
    whole = gzip.compress(text.encode())
    goes = table(tmp_path, whole)
    assert len(rows_of(goes)) == 40_000
    found: list[Row] = []
    with table(tmp_path, whole[: len(whole) * 2 // 3]) as cut:
        pages = cut.pages(None)
        with pytest.raises(Refused, match=r"it is cut off.*get a whole copy"):
            found.extend(row for page in pages for row in page.rows)
    assert 10_000 < len(found) < 40_000
    assert [row.number for row in found] == list(range(1, len(found) + 1))


def test_a_parquet_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    data = parquet_of([{"n": n} for n in range(1_000)])
    with pytest.raises(Refused, match="no whole Parquet file"):
        rows_of(Parquet(file(tmp_path, data[:-100], "rows.parquet")))
    with pytest.raises(Refused, match="no whole Excel file"):
        rows_of(Excel(file(tmp_path, excel_of([["a"], [1]])[:-100], "rows.xlsx")))


# going on


def goes_on_behind_each_row(make: Callable[[], Any]) -> list[Row]:
    """From every position, what comes is what came behind it the first time."""
    all_rows = rows_of(make())
    with make() as source:
        pages = list(paged(source._rows(None), int, 1))
    assert rows_of(make(), None) == all_rows
    for done, page in enumerate(pages, 1):
        assert rows_of(make(), json.loads(json.dumps(page.position))) == all_rows[done:]
    return all_rows


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_table_is_read_as_it_was_written_and_from_any_row_on(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]], end: str, packed: bool
) -> None:
    folder = tmp_path_factory.mktemp("table")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["a", "b"])
    writer.writerows(cells)
    data = out.getvalue().encode()
    options = {"all_text": True, "encoding": "utf-8", "delimiter": ","}

    def make() -> CsvFile:
        # without the time in its head, which would make another file of it, changed a second later
        return table(folder, gzip.compress(data, mtime=0) if packed else data, **options)

    found = goes_on_behind_each_row(make)
    assert [(row.value["a"], row.value["b"]) for row in found] == cells


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail_in_another_way(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for make in (table, lambda at, what: JsonLines(file(at, what, "rows.jsonl"))):
        try:
            found = rows_of(make(folder, data))
        except Refused:
            continue
        assert [row.number for row in found] == list(range(1, len(found) + 1))


def test_json_lines_from_any_row_on(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbf{"a": 1}\n\n{"a": 2}\nrubbish\r\n{"a": 3}'
    found = goes_on_behind_each_row(lambda: JsonLines(file(tmp_path, data, "rows.jsonl")))
    assert [row.raw for row in found] == [b'{"a": 1}', b'{"a": 2}', b"rubbish", b'{"a": 3}']
    assert [row.meta["line"] for row in found if row.meta] == [1, 3, 4, 5]
    with pytest.raises(Refused, match="begins with a list"):
        rows_of(JsonLines(file(tmp_path, b'[{"a": 1}]', "rows.jsonl")))


def parquet_of(rows: list[dict[str, Any]], group: int = 1_500) -> bytes:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out, row_group_size=group)
    return out.getvalue()


def excel_of(rows: list[list[Any]]) -> bytes:
    import openpyxl  # noqa: PLC0415

    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.create_sheet("Other").append(["z"])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_parquet_from_any_page_on_with_values_that_json_has(tmp_path: Path) -> None:
    rows = [
        {
            "n": n,
            "at": NOW,
            "day": date(2026, 1, 2),
            "paid": Decimal("11.77"),
            "raw": b"\1",
            "list": [1, 2],
            "x": float("nan"),
        }
        for n in range(4_000)
    ]
    data = parquet_of(rows)
    make = lambda: Parquet(file(tmp_path, data, "rows.parquet"))  # noqa: E731
    all_rows = rows_of(make())
    assert [row.value["n"] for row in all_rows] == list(range(4_000))
    assert all_rows[0].value == {
        "n": 0,
        "at": "2026-11-25T12:00:00Z",
        "day": "2026-01-02",
        "paid": 11.77,
        "raw": "AQ==",
        "list": [1, 2],
        "x": None,
    }
    with make() as source:
        pages = list(source.pages(None))
    assert len(pages) >= 5  # row groups of 1,500, pages of 1,000
    done = 0
    for page in pages:
        done += len(page.rows)
        assert rows_of(make(), json.loads(json.dumps(page.position))) == all_rows[done:]


def test_excel_from_any_row_on(tmp_path: Path) -> None:
    at = datetime.fromisoformat("2026-01-02T03:04:00")  # Excel knows no zones
    data = excel_of([["id", "at", "paid"], [1, at, 2.5], [None, None, None], [2, None, "x"]])
    found = goes_on_behind_each_row(lambda: Excel(file(tmp_path, data, "rows.xlsx")))
    assert [row.value for row in found] == [
        {"id": 1, "at": "2026-01-02T03:04:00", "paid": 2.5},
        {"id": 2, "at": None, "paid": "x"},
    ]
    assert facts(Excel(file(tmp_path, data, "rows.xlsx"), "Other"))["sheet"] == "Other"
    with pytest.raises(Refused, match="there is no sheet 'Nope'; there are Sheet, Other"):
        rows_of(Excel(file(tmp_path, data, "rows.xlsx"), "Nope"))


# which files


def spec(location: str, **more: Any) -> ImportSpec:
    return ImportSpec(id="i", source="shop", location=location, **more)


def test_several_files_are_one_import_each_row_with_its_file(tmp_path: Path) -> None:
    for name in ("a/1.csv", "a/2.csv", "b/1.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"n\n{name}\n{name}\n")
    reach = Reach(local.anywhere, {})
    source = source_of(spec(f"{tmp_path}/*/*.csv"), reach)
    found = rows_of(source)
    assert [row.name for row in found[:3]] == ["a/1.csv, row 1", "a/1.csv, row 2", "a/2.csv, row 1"]
    assert len({row.name for row in found}) == 6
    with source:
        pages = list(source.pages(None))
    assert rows_of(source, pages[1].position) == found[4:]
    assert rows_of(source_of(spec(str(tmp_path / "a/1.csv")), reach))[0].name == "row 1"
    (tmp_path / "b/2.csv").write_text("m\n1\n")
    with pytest.raises(Refused, match=r"b/2\.csv: there is no column n; there are m"):
        rows_of(source_of(spec(f"{tmp_path}/*/*.csv", event_type="x", profile="n"), reach))


def test_a_hub_reads_only_files_of_its_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "rows.csv").write_text("a\n1\n")
    (inside / "link.csv").symlink_to(outside / "rows.csv")
    reach = Reach(local.within(inside), {})
    assert len(rows_of(source_of(spec("rows.csv"), reach))) == 1
    for location in ("../out/rows.csv", str(outside / "rows.csv"), "link.csv", "../*/rows.csv"):
        with pytest.raises(Refused, match="is not in the folder"):
            source_of(spec(location), reach)
    with pytest.raises(Refused, match=r"there is no file nope\.csv"):
        source_of(spec("nope.csv"), reach)
    with pytest.raises(Refused, match="this hub reads no files of its machine"):
        source_of(spec("rows.csv"), Reach(local.within(None), {}))


def test_no_password_stands_in_an_import() -> None:
    for wrong in ({"password": "secret"}, {"options": {"sasl.password": "secret"}}, {"secret_access_key": "x"}):
        with pytest.raises(ValueError, match="a secret"):
            spec("postgresql://h/d", **wrong)
    reach = Reach(local.anywhere, {"PW": "x"})
    with pytest.raises(Refused, match="leave user and password out of the URL"):
        source_of(spec("postgresql://me:pw@h/d", table="t"), reach)
    with pytest.raises(Refused, match="the variable NOPE, which this process does not have"):
        source_of(spec("postgresql://h/d", table="t", password="env:NOPE"), reach)
    with pytest.raises(Refused, match="nothing is known of gopher://"):
        source_of(spec("gopher://h/d"), reach)


def test_an_import_that_nobody_names_is_called_by_what_it_reads() -> None:
    assert default_id("/data/My orders.csv") == "My-orders.csv"
    assert default_id("postgresql://db:5432/shop") == "db-shop"
    assert default_id("s3://bucket/a/*.csv") == "bucket-a--.csv"
    assert default_id("postgresql://db/shop", table="public.orders") == "db-shop-public.orders"
    one, other = (default_id("postgresql://db/shop", query=f"SELECT {n}") for n in (1, 2))
    assert one != other
    assert default_id("a.xlsx", sheet="Q 1") == "a.xlsx-Q-1"


MEASURE = """
import sys
from pathlib import Path
from hub.imports import local
from hub.imports.csv_file import CsvFile, CsvOptions
from hub.imports.json_lines import JsonLines
path = Path(sys.argv[1])
blob = local.blob(path, path.name)
with JsonLines(blob) if path.suffix == ".jsonl" else CsvFile(blob, CsvOptions()) as source:
    rows = sum(len(page.rows) for page in source.pages(None))
# not ru_maxrss, which knows of whoever started us, too
print(rows, next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "jsonl"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str) -> None:
    """Sixteen times as many rows, of 50 MB, take hardly more memory: 8 MB."""
    used = {}
    for rows in (10_000, 160_000):
        path = tmp_path / f"{rows}.{suffix}"
        pad = "x" * 300
        line = '{"n": %d, "pad": "' + pad + '"}\n' if suffix == "jsonl" else "%d," + pad + "\n"
        text = ("" if suffix == "jsonl" else "n,pad\n") + "".join(line % n for n in range(rows))
        path.write_bytes(gzip.compress(text.encode(), 1) if suffix == "csv.gz" else text.encode())
        done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
        read, used[rows] = map(int, done.stdout.split())
        assert read == rows
    assert used[160_000] - used[10_000] < 8 * 1024
