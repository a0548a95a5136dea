"""The declaration of files."""

import codecs
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from extract_load.declarations.common import Declaration, Names, Strict, Words
from extract_load.declarations.file_patterns import FORM_WORDS, form_of, read_pattern
from extract_load.declarations.mistakes import Wrong


class Ready(Strict, frozen=True):
    """When a file may be read; with nothing said, at once."""

    flag: str | None = Field(
        default=None, pattern=r"^[^/\s][^/]*$", description="the name of a file that says that its folder is written"
    )
    minutes: float | None = Field(
        default=None, gt=0, le=525_600, description="for how long nobody has changed the file, such as 30"
    )


class Csv(Strict, frozen=True):
    """How a CSV is written; with nothing said, as RFC 4180 says, in UTF-8."""

    delimiter: str = Field(default=",", min_length=1, max_length=1, description='one character, such as ";" or "\\t"')
    quote: str = Field(default='"', max_length=1, description='one character, or "" where values are not quoted')
    escape: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description='one character, such as "\\\\"; a quote may also stand twice',
    )
    encoding: Words = Field(default="utf-8", description="as Python names it, such as latin-1, cp1252 or utf-16")
    header: bool = Field(
        default=True, description="false where the first line is a row: the names are those of columns"
    )
    null_text: str | None = Field(default=None, description='the text that stands for no value, such as ""')
    line_breaks: bool = Field(default=False, description="true where a quoted value may hold line breaks")


class Files(Declaration, frozen=True):
    """Files below a folder, a bucket or a web address."""

    files: str = Field(description="the pattern of the files below the connection, such as sales/{date}/*.csv")
    format: Literal["parquet", "csv", "json"] | None = Field(
        default=None, description="how the files are written, where their ending does not say it"
    )
    compression: Literal["gzip", "zstd", "none"] | None = Field(
        default=None, description="how the files are packed, where their ending does not say it"
    )
    csv: Csv = Field(
        default_factory=Csv, description='how a CSV is written, such as {delimiter: ";", encoding: latin-1}'
    )
    ready: Ready = Field(
        default_factory=Ready, description="when a file may be read: {flag: complete.flag} or {minutes: 30}"
    )
    read: Literal["interval"]
    version: Words | None = Field(
        default=None, description="the column that grows with every change, such as updated_at"
    )
    deleted: Words | None = Field(
        default=None, description="the column that is true of a row that was taken back, such as is_void"
    )
    columns: Names = Field(description="the columns of a file, such as [store_id, updated_at]")

    @property
    def place(self) -> str:
        """The pattern."""
        return self.files

    @property
    def lands_in(self) -> dict[str, str]:
        """A record, and where it stood."""
        return {"payload": "jsonb", "_file": "text", "_line": "bigint"}

    def wrong(self) -> Iterator[Wrong]:
        """The pattern, and what of a CSV contradicts itself."""
        yield from super().wrong()
        try:
            pattern = read_pattern(self.files)
        except ValueError as error:
            yield Wrong("files", str(error))
            return
        for name in sorted(pattern.named - set(self.columns)):
            yield Wrong("files", f"the value {name} is not among its columns; add it there, or write * in its place")
        csv = self.csv
        has_form = form_of(self.files, self.format, self.compression)
        if not has_form and not self.files.endswith(("*", "?", "}")):
            yield Wrong("files", f"it must end in {FORM_WORDS}; or say format and compression")
        if self.format == "parquet" and self.compression not in (None, "none"):
            yield Wrong("compression", "leave it out: a Parquet file is packed within itself")
        if self.format not in (None, "csv") and "csv" in self.model_fields_set:
            yield Wrong("csv", f"leave it out: the files are {self.format}")
        if self.ready.flag and self.ready.minutes:
            yield Wrong("ready", "it must have one of flag and minutes")
        try:
            is_text = codecs.lookup(csv.encoding)._is_text_encoding
        except (LookupError, ValueError):
            is_text = False
        if not is_text:
            yield Wrong("csv.encoding", f"there is no such encoding; it is {Csv.model_fields['encoding'].description}")
        signs = [sign for sign in (csv.delimiter, csv.quote, csv.escape) if sign]
        for field in ("delimiter", "quote", "escape"):
            sign = getattr(csv, field)
            if sign and (sign in "\r\n\0" or signs.count(sign) > 1):
                yield Wrong(f"csv.{field}", "it must be a character of its own, and no line break")
        if csv.null_text and csv.escape and csv.escape in csv.null_text:
            yield Wrong("csv.null_text", "write it without the escape, which is gone when values are compared with it")
