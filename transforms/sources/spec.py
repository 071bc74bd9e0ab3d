"""What a recipe says about one source: where its files are, what their columns mean, and what to do with bad ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from corpusmill.transforms.sources import formats

IDS = ("id", "url")
"""Columns that name documents where the recipe names none, in this order."""
Role = Literal["id", "text", "user", "label", "lang", "created", "priority"]
if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal["auto", *formats.known()]
Kind = Literal["docstrings", "metadata", "licences", "man", "doc"]


class SourceSpec(BaseModel):
    """One source of documents.

    >>> SourceSpec(name="manuals", path="raw/*.parquet", columns={"id": "url", "text": "content"}).column("id")
    'url'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=100,
        description="Name of the source: the value of each document's `source` column.",
    )
    path: str | list[str] | None = Field(
        None,
        description="File, folder, glob (`**` for any depth) or URI (gs:// s3:// hf://), or a list of them; relative to "
        "the recipe.",
    )
    format: FormatName = Field(
        "auto",
        description="Format of the files; `auto` goes by extension and content, and of a folder or glob takes the files that it "
        "knows.",
    )
    columns: dict[Role, str] = Field(
        default_factory=dict,
        description="Role to column: id, text, user, label, lang, created, priority. Without `id`, a document is named "
        "by its column `id`, else `url`, else a hash of (source name, text); without `text`, the column `text` is read.",
    )
    keep: list[str] | None = Field(
        None, description="Other columns to pass through; all of them if left out, none if empty."
    )
    private: bool = Field(False, description="The text is sensitive: later steps must account for privacy.")
    priority: int | None = Field(
        None, description="Priority of every document, for `keep: priority` when duplicates are dropped; higher wins."
    )
    split: Literal["file", "lines"] = Field(
        "file", description="Text files: one document a file, or one a line (blank lines are skipped)."
    )
    on_bad_file: Literal["error", "skip"] = Field(
        "error", description="A truncated or corrupt file stops the run, or is quarantined whole."
    )
    max_bad_fraction: float = Field(
        0.01, ge=0, le=1, description="The run stops if more than this share of the source's rows is quarantined."
    )
    max_document_bytes: int = Field(
        64 << 20, ge=1, le=1 << 30, description="A document whose text is longer is quarantined."
    )
    max_expansion: float = Field(
        1000.0,
        ge=1,
        description="A file that decodes to more than this times its size (and more than 256 MiB) is refused as a "
        "decompression bomb.",
    )
    kinds: list[Kind] = Field(
        default=["docstrings", "metadata", "licences", "man", "doc"],
        description="machine-docs: which documentation of this machine to read.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="Fields of the format, such as `{delimiter: ;}` of csv; they need `format`."
    )
    config: str | None = Field(None, description="hf: configuration (subset) of the data set.")
    hf_split: str | None = Field(None, description="hf: split to read; hf:// names need one, a saved folder gives all.")
    revision: str | None = Field(None, description="hf: branch, tag or commit of the data set.")
    limit: int | None = Field(
        None,
        ge=1,
        description="hf:// names: read at most this many rows; machine-docs: this many files, spread evenly.",
    )

    @field_validator("path")
    @classmethod
    def _not_empty(cls, value: str | list[str] | None) -> str | list[str] | None:
        for path in [value] if isinstance(value, str) else value or []:
            if not path or "\0" in path:
                raise ValueError("a path must not be empty")
            if path.startswith(("http://", "https://")):
                raise ValueError(
                    f"{path} is fetched only where that is asked for: write such addresses into a file, one a line, and name it "
                    "with `format: urls`"
                )
        if value == []:
            raise ValueError("the list of paths is empty")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> SourceSpec:
        alone = [f.name for f in formats.known().values() if not f.needs_path]
        if self.path is None and self.format not in alone:
            raise ValueError(f"`path` is missing (only `format: {' or '.join(alone)}` needs none)")
        if self.path is not None and self.format in alone:
            raise ValueError(f"`format: {self.format}` takes no `path`")
        if self.options:
            self._check_options()
        names = list(self.columns.values())
        if len(set(names)) < len(names):
            raise ValueError("`columns` gives one column two roles")
        if self.priority is not None and "priority" in self.columns:
            raise ValueError("`priority` is given both as a value and as a column")
        return self

    def _check_options(self) -> None:
        model = None if self.format == "auto" else formats.load(self.format).Options
        if model is None:
            raise ValueError(
                "`options` need the `format` that they are of"
                if self.format == "auto"
                else f"{self.format} has no `options`"
            )
        try:
            model.model_validate(self.options)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = ".".join(map(str, first["loc"]))
            if first["type"] == "extra_forbidden":
                fields = ", ".join(model.model_fields)
                raise ValueError(f"`options` of {self.format} has no field `{name}`; there are {fields}") from None
            raise ValueError(f"`options.{name}`: {first['msg'].removeprefix('Value error, ')}") from None

    @property
    def paths(self) -> list[str]:
        """The paths as a list."""
        return [self.path] if isinstance(self.path, str) else list(self.path or [])

    def column(self, role: Role) -> str | None:
        """The column that has this role, or None."""
        return self.columns.get(role, "text" if role == "text" else None)
