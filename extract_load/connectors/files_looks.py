"""What files look like: `discover` and `check`. Values are looked at and counted; none is told."""

import codecs
import csv
import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from io import BufferedReader
from typing import Any, NamedTuple, cast

from extract_load import parquet, personal
from extract_load.connectors import Found
from extract_load.connectors.files_formats import reading, records, unpacked
from extract_load.connectors.files_places import Entry, File, Place, stamp
from extract_load.declarations import OWN_COLUMNS, UNREADABLE, Files
from extract_load.file_patterns import OF_DAY, Compression, Form, form_of, read_pattern
from extract_load.ledger import Interval, Load
from extract_load.tables import Table
from storehouse.core.errors import StorehouseError, without_values
from storehouse.core.shown import first_line, printable

SAMPLE_ROWS, SAMPLE_BYTES = 10_000, 1_000_000
# More names than these in one folder are those of parts of one table, such as shops.
TABLES_IN_A_FOLDER = 4
ALWAYS = Interval(None, None)
DELIMITERS = ",;\t|"
# Names that writers of files give to their parts.
NO_NAMES = ("part", "data", "file", "export", "dump")
# What was said of the files is kept as it is.
KEPT = ("format", "compression", "csv", "ready")

_DATE = re.compile(r"(?<![0-9])(20[0-9]{2}-[01][0-9]-[0-3][0-9]|20[0-9]{2}[01][0-9][0-3][0-9])(?![0-9])")
_NUMBER = re.compile(r"[-+]?[0-9][0-9., ]*")
_FLAG = re.compile(r"_?success|.*(flag|done|ready|complete|finished|ok)", re.IGNORECASE)
_ID = re.compile(r"(.*[_ -])?(id|uuid|guid|key|no|nr|num|number|code|line|.*nummer)|.*(Id|ID|Key)", re.IGNORECASE)
_CHANGED = re.compile(r"(.*_)?(last_?)?(updat|modif|chang|mtime|version|geaendert|aktualisiert).*", re.IGNORECASE)
_DELETED = re.compile(r"(is_?)?(delet|remov|void|cancel|revers)\w*", re.IGNORECASE)
_YES_OR_NO = {"", "true", "false", "0", "1", "t", "f", "y", "n", "yes", "no"}
_NULLS = ("\\N", "NULL", "null", "NA", "None")


class Sample(NamedTuple):
    """The beginning of a file: the fields that say how it is written, its columns, and the values by path."""

    fields: dict[str, Any]
    columns: list[str]
    values: dict[str, list[object]]
    rows: int
    unsure: dict[str, str]


def discover(connection: str, meta: Mapping[str, Any]) -> list[Found]:
    """The tables that the files of a place look like, or those of the pattern that `meta` has as `files`.

    Raises:
        StorehouseError: it can't be read, or there is no file of rows.
    """
    place = Place("the source", connection)
    entries = place.entries()
    if "files" in meta:
        try:
            read_pattern(str(meta["files"]))
        except ValueError as error:
            raise StorehouseError(f"files: {error}.") from None
    patterns = {str(meta["files"]): {}} if "files" in meta else patterns_of(entries)
    looks = (_table(place, entries, files, meta, unsure) for files, unsure in patterns.items())
    found = _named_apart([table for table in looks if table])
    if not found:
        raise StorehouseError(
            f"There is no file of rows below {place.root}: none that looks like Parquet, CSV or JSON lines. "
            f"Check {connection}, or say which files: docs/sources/files.md."
        )
    return found


def _named_apart(found: list[Found]) -> list[Found]:
    """The tables, with a number behind each name that stands twice."""
    seen = Counter()
    for at, table in enumerate(found):
        seen[table.name] += 1
        if seen[table.name] > 1:
            found[at] = table._replace(name=f"{table.name}_{seen[table.name]}")
    return found


def patterns_of(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The patterns that the files of these names have in common, each with what is not sure of it."""
    groups: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name in names:
        *folders, base = name.split("/")
        if set(name) & set("*?{}"):
            continue  # no pattern can name it
        if form_of(base, None, None) and not any(part.startswith((".", "_")) for part in (*folders, base)):
            folder = "/".join(_folders(folders))
            stem, dot, ending = base.partition(".")
            stem = _DATE.sub("{date}", stem, count="{date}" not in folder and "{day}" not in folder)
            groups[folder, f"{dot}{ending}"].add(re.sub(r"(?<!{)[0-9]+", "*", stem))
    tables: dict[tuple[str, str], set[str]] = defaultdict(set)
    for (folder, ending), stems in groups.items():
        for stem in ["*"] if len(stems) > TABLES_IN_A_FOLDER else stems:
            tables[folder, stem].add(ending)
    by_rest: dict[tuple, set[str]] = defaultdict(set)
    for (folder, stem), endings in tables.items():
        only, *more = sorted(endings)
        words = ",".join(ending.removeprefix(".") for ending in (only, *more))
        by_rest[f"{stem}{'.{' + words + '}' if more else only}", folder.count("/")].add(folder)
    return {
        f"{folder}/{base}".lstrip("/"): {"files": unsure} if unsure else {}
        for (base, _), folders in by_rest.items()
        for folder, unsure in _merged(folders)
    }


def _folders(parts: list[str]) -> list[str]:
    """The folders, with the parts of a day and what stands behind a = left open."""
    found = [_DATE.sub("{date}", part, count=1) for part in parts]
    for at in range(len(parts) - 2):
        if re.fullmatch(r"20[0-9]{2}", parts[at]) and all(re.fullmatch(r"[0-9]{2}", p) for p in parts[at + 1 : at + 3]):
            found[at : at + 3] = ["{year}", "{month}", "{day}"]
    return [part if "{" in part else re.sub(r"^([a-z][a-z0-9_]*)=.*", r"\1=*", part) for part in found]


def _merged(folders: set[str]) -> Iterator[tuple[str, str]]:
    """Folders that differ in one name, as one with * there."""
    left = sorted(folders)
    while left:
        first = left.pop(0).split("/")
        alike = [other for other in left if sum(a != b for a, b in zip(first, other.split("/"), strict=True)) == 1]
        at = {next(i for i, (a, b) in enumerate(zip(first, o.split("/"), strict=True)) if a != b) for o in alike}
        if len(at) == 1:
            (position,) = at
            left = [other for other in left if other not in alike]
            first[position] = "*"
            yield (
                "/".join(first),
                f"{len(alike) + 1} folders look alike; where their name says something, write {{name}}",
            )
        else:
            yield "/".join(first), ""


def _table(
    place: Place, entries: Mapping[str, Entry], files: str, given: Mapping[str, Any], unsure: dict[str, str]
) -> Found | None:
    """What the files of one pattern look like, by the last of them that can be read; None: there is none."""
    pattern = read_pattern(files)
    days = {
        name: pattern.day_of(values) or datetime.min.replace(tzinfo=UTC)
        for name, entry in entries.items()
        if entry.kind == "file" and (values := pattern.values_of(name)) is not None
    }
    if not days:
        return None
    sample, name, failed = None, "", None
    for name in sorted(days, key=lambda name: (days[name], name), reverse=True)[:3]:
        try:
            sample = _sample(place, name, entries[name], given)
            break
        except StorehouseError as error:
            failed = failed or error
    if sample is None:
        raise failed or StorehouseError(f"{place.root}/{printable(name)} has no rows to look at.")
    unsure = unsure | sample.unsure
    columns = [name for name in sample.columns if name not in OWN_COLUMNS]
    if not columns:
        return None
    from_path = sorted(pattern.values - OF_DAY.keys() - set(columns))
    meta: dict[str, Any] = {"files": files, **sample.fields, **_ready(entries, days, given, unsure), "read": "interval"}
    meta["key"] = _key(sample, columns, unsure)
    meta |= _version_and_delete(sample, columns, unsure)
    meta["columns"] = [*from_path, *columns]
    table = _name(files)
    tags, doubts = personal.in_records(sample.values, table)
    if doubts:
        unsure["pii"] = doubts
    return Found(table, {**meta, **{field: given[field] for field in KEPT if field in given}}, tags, unsure)


def _sample(place: Place, name: str, entry: Entry, given: Mapping[str, Any]) -> Sample:
    """The beginning of a file.

    Raises:
        StorehouseError: it can't be read.
    """
    form = form_of(name, given.get("format"), given.get("compression"))
    file = File(place.path_of(name), name, form or Form("csv", None), None, {}, entry.size, entry.etag, True)
    with place.open(file) as stream:
        fields: dict[str, Any] = {}
        try:
            if form is None:
                form = _form_by_content(stream)
                fields = {"format": form.format} | ({"compression": form.compression} if form.compression else {})
            if form.format == "parquet":
                return _of_rows(fields, next(parquet.read(stream).iter_batches(SAMPLE_ROWS)).to_pylist())
            raw = (unpacked(stream, form.compression) if form.compression else stream).read(SAMPLE_BYTES)
        except (OSError, ValueError, StopIteration) as error:
            raise place.unread(file, without_values(first_line(error))) from None
    raw = raw if len(raw) < SAMPLE_BYTES else raw[: raw.rfind(b"\n") + 1] or raw
    return _of_json(fields, raw) if form.format == "json" else _of_csv(fields, raw, given.get("csv") or {})


def _form_by_content(stream: BufferedReader) -> Form:
    """How a file is written whose name does not say it."""
    start = stream.read(4)
    stream.seek(0)
    packed: Compression | None = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}.get(start[:2])  # type: ignore[assignment]
    if start == b"PAR1":
        return Form("parquet", None)
    first = unpacked(stream, packed).read(1) if packed else start[:1]
    stream.seek(0)
    return Form("json" if first == b"{" else "csv", packed)


def _of_rows(fields: dict[str, Any], rows: list[dict[str, object]], unsure: dict[str, str] | None = None) -> Sample:
    values: dict[str, list[object]] = defaultdict(list)
    for row in rows:
        for name, value in _flat(row):
            values[name].append(value)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return Sample(fields, columns, dict(values), len(rows), unsure or {})


def _flat(record: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """The members of a record and of what is in it, each by its path."""
    for name, value in record.items():
        yield f"{above}{name}", value
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")


def _of_json(fields: dict[str, Any], raw: bytes) -> Sample:
    rows, bad = [], 0
    for line in itertools.islice(filter(bytes.strip, raw.splitlines()), SAMPLE_ROWS):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            rows.append(record)
        else:
            bad += 1
    unsure = {"format": f"{bad} of the first {bad + len(rows)} lines are no JSON objects"} if bad else {}
    return _of_rows(fields, rows, unsure)


def _of_csv(fields: dict[str, Any], raw: bytes, given: Mapping[str, Any]) -> Sample:
    unsure: dict[str, str] = {}
    said: dict[str, Any] = {}
    encoding = given.get("encoding") or _encoding(raw)
    if encoding != "utf-8":
        said["encoding"] = encoding
        unsure["csv"] = "the encoding is a guess: look whether its letters are right once it has landed"
    text = raw.decode(encoding, errors="replace").removeprefix("\ufeff")
    lines = text.splitlines(keepends=True) if "\n" not in text else [f"{line}\n" for line in text.split("\n")]
    delimiter = given.get("delimiter") or max(DELIMITERS, key=lambda sign: _agreement(lines[:200], sign))
    if delimiter != ",":
        said["delimiter"] = delimiter
    if '\\"' in text:
        said["escape"] = "\\"
    rows = list(itertools.islice(csv.reader(lines, delimiter=delimiter, escapechar=said.get("escape")), SAMPLE_ROWS))
    rows = [row for row in rows if row]
    if any("\n" in value for row in rows for value in row):
        said["line_breaks"] = True
    if not rows:
        return Sample(fields, [], {}, 0, {})
    names = rows[0]
    if len(set(names)) < len(names) or not all(names) or any(_NUMBER.fullmatch(n) or _DATE.search(n) for n in names):
        said["header"] = False
        names = [f"column_{number}" for number in range(1, len(rows[0]) + 1)]
        unsure["columns"] = "the first line is no header: give the columns their names, in order"
    else:
        rows = rows[1:]
    whole = [row for row in rows if len(row) == len(names)]
    if len(whole) < len(rows):
        unsure["files"] = f"{len(rows) - len(whole)} of the first {len(rows)} rows have another number of values"
    if nulls := Counter(value for row in whole for value in row if value in _NULLS):
        said["null_text"] = nulls.most_common(1)[0][0]
    said = said | dict(given)
    sample = _of_rows(
        fields | ({"csv": said} if said else {}), [dict(zip(names, row, strict=True)) for row in whole], unsure
    )
    return sample if whole else sample._replace(columns=names, values={name: [] for name in names})


def _encoding(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(raw)
        return "utf-8"
    except UnicodeDecodeError:
        # Between these bytes latin-1 has no letters, and Windows has some.
        return "cp1252" if re.search(rb"[\x80\x82-\x8c\x8e\x91-\x9c\x9e\x9f]", raw) else "latin-1"


def _agreement(lines: list[str], delimiter: str) -> tuple[float, int]:
    """The share of the rows that have the same number of values, if that is more than one; and that number."""
    widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
    if not widths:
        return 0, 0
    width, count = widths.most_common(1)[0]
    return (count / widths.total() if width > 1 else 0), width


def _ready(
    entries: Mapping[str, Entry], names: Iterable[str], given: Mapping[str, Any], unsure: dict[str, str]
) -> dict[str, Any]:
    """`ready`, if a flag lies beside the files."""
    if "ready" in given:
        return {}
    folders = {name.rpartition("/")[0] for name in names}
    beside = Counter(
        base
        for folder, _, base in (name.rpartition("/") for name in entries)
        if folder in folders and _FLAG.fullmatch(base.partition(".")[0] if "." not in base else base)
    )
    if not beside:
        unsure["ready"] = "no flag was found: files are read at once, half-written ones too; or say {minutes: 30}"
        return {}
    flag, count = beside.most_common(1)[0]
    if count < len(folders):
        unsure["ready"] = f"{len(folders) - count} of {len(folders)} folders do not have it"
    return {"ready": {"flag": flag}}


def _key(sample: Sample, columns: list[str], unsure: dict[str, str]) -> list[str]:
    """The fewest columns that tell the rows of the sample apart, those that are named like ids before others."""
    ids = [name for name in columns if _ID.fullmatch(name)]
    texts = {name: [repr(value) for value in sample.values[name]] for name in columns}
    filled = [
        name
        for name in [*ids, *(name for name in columns if name not in ids)]
        if len(texts[name]) == sample.rows and not any(value in (None, "") for value in sample.values[name])
    ]
    plain = [name for name in filled if name in ids]
    for names in itertools.chain(
        ((name,) for name in plain), *(itertools.combinations(plain[:8], size) for size in (2, 3))
    ):
        if sample.rows and len(set(zip(*(texts[name] for name in names), strict=True))) == sample.rows:
            unsure["key"] = f"it tells the {sample.rows:,} rows of one file apart; does it in all files?"
            return list(names)
    unsure["key"] = f"no columns that are named like ids tell the {sample.rows:,} rows of one file apart"
    return (plain or filled or columns)[:1]


def _version_and_delete(sample: Sample, columns: list[str], unsure: dict[str, str]) -> dict[str, str]:
    found = {}
    changed = [name for name in columns if _CHANGED.fullmatch(name) and _is_growing(sample.values[name])]
    if changed:
        found["version"] = changed[0]
        unsure["version"] = "by its name; it must grow with every change of a row"
    else:
        unsure["version"] = "none was found: of two rows of one key the one that landed later counts"
    gone = [
        name
        for name in columns
        if _DELETED.fullmatch(name) and {str(v).lower() for v in sample.values[name] if v is not None} <= _YES_OR_NO
    ]
    if gone:
        found["deleted"] = gone[0]
        unsure["deleted"] = "by its name; true must mean that the row was taken back"
    return found


def _is_growing(values: list[object]) -> bool:
    """True if these may be times or counters."""
    try:
        for value in values:
            if isinstance(value, str) and value and not value.isdigit():
                datetime.fromisoformat(value)
    except ValueError:
        return False
    return any(value not in (None, "") for value in values)


def _name(files: str) -> str:
    """What a table of these files may be called."""
    parts = re.sub(r"\{[a-z_]+\}|[a-z0-9_]+=\*|\*", " ", files).split("/")
    words = [re.sub(r"[^a-z0-9]+", "_", part.partition(".")[0].lower()).strip("_") for part in reversed(parts)]
    return next((word for word in words if len(word) > 1 and word[0].isalpha() and word not in NO_NAMES), "rows")


def check(table: Table) -> list[str]:
    """Read one file of a declared table as a load would; what differs from its declaration, in words.

    Raises:
        StorehouseError: it can't be read at all.
    """
    said = cast(Files, table.declaration)
    place = Place(table.label, table.connection, read_pattern(said.files).start)
    found = place.of(said, ALWAYS)
    if not found.seen:
        raise place.is_empty()
    if not found.files:
        return [
            f"no file of {found.seen:,} below {place.where} can be read: {len(found.waiting)} folders or files wait"
        ]
    file = max(found.files, key=lambda file: (file.day or datetime.min.replace(tzinfo=UTC), file.name))
    load = Load(table, file.name)
    rows, bad, keys = 0, 0, Counter()
    empty: Counter[str] = Counter()
    with place.open(file) as stream:
        as_opened = stamp(stream)
        with reading(place, file, stream, as_opened):
            for _, text in records(stream, load, said, file.form, file.values):
                record = json.loads(text)
                rows += 1
                if UNREADABLE in record:
                    bad += 1
                    continue
                empty.update(name for name in (*table.key, table.version) if name and record.get(name) in (None, ""))
                keys[hash(json.dumps([record.get(name) for name in (*table.key, table.version)]))] += 1
    of = f"of the {rows:,} records of {printable(file.name)}"
    differs = [f"{name} is not there" for name in said.columns if name not in load.members]
    differs += [f"{printable(name)} is not declared; it lands too" for name in sorted(load.members - table.members)]
    if bad:
        differs.append(f"{bad:,} {of} can't be read")
    differs += [f"{name} is empty in {count:,} {of}" for name, count in empty.items()]
    if twice := sum(count - 1 for count in keys.values()):
        names = ", ".join((*table.key, *([table.version] if table.version else [])))
        differs.append(f"the key ({names}) is that of another record in {twice:,} {of}")
    return differs
