"""What is secret is refused in settings, and masked in what is printed or kept."""

from __future__ import annotations

import pytest

from corpusmill.transforms.secrets import KEY_REMEDY, REMEDY, has_secret, mask, secrets_in, sendable, shown

SECRET = [
    "api:http://me:hunter2pass@127.0.0.1:5111/v1#m?retries=0",
    "s3://me:hunter2pass@bucket/a",
    "s3://hunter2pass@bucket/a",
    "https://hunter2pass@host/a",
    "https://:hunter2pass@host",
    "http://me:p@ss/hunter2pass@host/x",
    "sftp://me%3Ahunter2pass@host/x",
    "postgres://me:hunter2pass@db:5432/x",
    "https://acct.blob.core.windows.net/c/x.jsonl?sv=1&sig=hunter2pass",
    "https://h/a?X-Amz-Signature=hunter2pass",
    "https://h/a?X-Goog-Credential=hunter2pass&b=1",
    "https://h/a?AWSAccessKeyId=hunter2pass",
    "gs://b/a?access_token=hunter2pass",
    "hf://org/name?token=hunter2pass",
    "https://h/#password=hunter2pass",
    "api:http://h/v1#m?key=hunter2pass",
    "api+chat:http://h/v1#m?rate=3&key=hunter2pass",
]
PLAIN = [
    "https://host:443/@scope/x",
    "hdfs://namenode:9000/a@b",
    "sftp://bob@host/x",
    "gs://b/a@b.txt",
    "hf://datasets/org/name@refs/x",
    "https://h/a?keyword=x&author=y&tokenizer=z&page=2&sv=1",
    "api:http://h/v1#m?key=OPENAI_API_KEY&rate=3",
    "raw/*.jsonl",
    "me:word@host",
]


@pytest.mark.parametrize("text", SECRET)
def test_addresses_with_a_password_or_key_are_secret_and_masked(text: str) -> None:
    assert has_secret(text)
    assert has_secret(f"see {text} there")
    for hidden in (mask(text), mask(f'an error at "{text}": no'), shown(text)):
        assert "hunter2pass" not in hidden
    assert len(mask(text)) == len(text)


@pytest.mark.parametrize("text", PLAIN)
def test_other_addresses_are_not(text: str) -> None:
    assert not has_secret(text)


@pytest.mark.parametrize(
    "key",
    ["sk-live-1234567890", "ghp_abcdefghijklmnopqrst", "hf_abcdefghijklmnopqrstu", "AKIAIOSFODNN7EXAMPLE",
     "xoxb-1234567890-abc", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.abc_def", "glpat-abcdefghijklmnopqrst"],
)  # fmt: skip
def test_keys_of_well_known_forms_are_masked_in_any_text(key: str) -> None:
    assert mask(f"wrong key {key}.") == f"wrong key {'*' * len(key)}."
    assert not sendable(key)


@pytest.mark.parametrize(
    ("variable", "may"),
    [
        ("OPENAI_API_KEY", True), ("MY_TOKEN", True), ("API_KEY", True), ("HF_TOKEN", True), ("AZURE_OPENAI_API_KEY", True),
        ("DB_PASSWORD", False), ("AWS_SECRET_ACCESS_KEY", False), ("AWS_SESSION_TOKEN", False), ("GITHUB_TOKEN", False),
        ("PATH", False), ("", False), ("openai_api_key", False), ("OPENAI_API_KEY\n", False), ("A B_API_KEY", False),
    ],
)  # fmt: skip
def test_only_variables_named_like_keys_of_models_are_sent(variable: str, may: bool) -> None:
    assert sendable(variable) == may


def test_secrets_are_found_wherever_they_are_nested() -> None:
    value = {"a": [{"b": "s3://me:x@h"}, "plain"], "c": {"d": "https://h?sig=1"}, "e": 3, "f": None}
    assert list(secrets_in(value)) == [(("a", 0, "b"), "s3://me:x@h"), (("c", "d"), "https://h?sig=1")]


@pytest.mark.parametrize(
    "text", [KEY_REMEDY, REMEDY, "--set steps.pack.end_token=5", "h?key=MY_API_KEY`; and", "a skirt sk-x"]
)
def test_text_without_a_secret_is_left_as_it_is(text: str) -> None:
    assert mask(text) == text
