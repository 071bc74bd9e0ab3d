"""What a recipe says about fetching."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpusmill.transforms.sources import formats


class Fetch(BaseModel):
    """How addresses are fetched, and what the files are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = Field("auto", description="Format of the files; `auto` goes by content type, name and content.")
    options: dict[str, Any] = Field(default_factory=dict, description="Options of that format.")
    cache: str = Field(
        "fetched", min_length=1, description="Folder on a disk where files are kept, beside the list; workers read it."
    )
    recheck_hours: float = Field(
        24, ge=0, description="A host is asked again for an address after this many hours, by ETag and Last-Modified."
    )
    user_agent: str = Field(
        "corpusmill/1.0",
        pattern=r"^[\x21-\x7e][\x20-\x7e]*$",
        description="User-Agent; its first word is the name in robots.txt.",
    )
    delay: float = Field(
        1, ge=0, description="Seconds between two requests to a host; longer if robots.txt asks for it."
    )
    connections: int = Field(
        8, ge=1, le=64, description="Hosts that are asked at once; each gets one request at a time."
    )
    timeout: float = Field(30, gt=0, description="Seconds without a byte after which a request ends.")
    max_seconds: float = Field(600, gt=0, description="Seconds that one request may take.")
    max_bytes: int = Field(256 << 20, ge=1, description="A larger file is quarantined.")
    max_total_bytes: int = Field(10 << 30, ge=1, description="No more is fetched in one run.")
    max_redirects: int = Field(5, ge=0, le=20, description="Redirects that are followed.")
    retries: int = Field(3, ge=0, le=10, description="More tries where a fault may pass: timeouts, status 429 and 5xx.")
    unreachable: Literal["stop", "leave-out"] = Field(
        "stop", description="What a run does about addresses that it cannot reach now; what it fetched is kept."
    )
    private: bool = Field(False, description="Allow addresses in private networks and on this machine.")

    @field_validator("format")
    @classmethod
    def _known(cls, value: str) -> str:
        return formats.of_files_within(value, "fetched file", lambda known: not (known.schemes or known.lists))

    @property
    def robot(self) -> str:
        """The name that robots.txt knows: the first word of the User-Agent, without its version."""
        return self.user_agent.split()[0].partition("/")[0]
