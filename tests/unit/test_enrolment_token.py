"""The text of an enrolment token: read back whole, or refused without being repeated."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import ScriptedEntropy

from coordinator.fleet.authority import Authority
from models.errors import UsageError
from models.governance import token
from models.governance.token import EnrolmentToken

SECRET = "Ab-_" * 10 + "xyz"
PEM = "-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n"


def encoded(content: object) -> str:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return "dlb1." + base64.urlsafe_b64encode(text).decode().rstrip("=")


def test_a_token_is_read_back(tmp_path: Path) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    pem = Authority.create(tmp_path, now=now, entropy=ScriptedEntropy()).pem
    made = EnrolmentToken(secret=SECRET, authority_pem=pem)
    text = token.make(made)
    assert text.startswith("dlb1.")
    assert not set(text) & set(" \n=+/")
    assert token.parse(text) == made


def test_line_breaks_from_a_mail_program_do_no_harm() -> None:
    made = EnrolmentToken(secret=SECRET, authority_pem=PEM)
    text = token.make(made)
    assert token.parse(f"  {text[:30]}\r\n{text[30:]}\n") == made


def test_the_secret_is_not_printed() -> None:
    assert SECRET not in repr(EnrolmentToken(secret=SECRET, authority_pem=PEM))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dlb1.",
        "dlb2." + encoded({"secret": SECRET, "authority": PEM})[5:],
        encoded({"secret": SECRET, "authority": PEM})[5:],
        encoded({"secret": SECRET, "authority": PEM})[:-4],
        encoded({"secret": SECRET[:-1], "authority": PEM}),
        encoded({"secret": SECRET + "\n", "authority": PEM}),
        encoded({"secret": SECRET, "authority": "no PEM"}),
        encoded({"secret": SECRET, "authority": PEM * 2}),
        encoded({"secret": SECRET}),
        encoded({"secret": SECRET, "authority": PEM, "more": 1}),
        encoded({"secret": 7, "authority": PEM}),
        encoded([SECRET, PEM]),
        encoded(b"\xff\xfe"),
        encoded(b"[" * 100_000),
        "dlb1.åäö",
        "dlb1.ABC+/",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a whole enrolment token") as caught:
        token.parse(text)
    assert SECRET not in str(caught.value)


@given(st.text() | st.binary().map(encoded) | st.text().map(lambda t: "dlb1." + t))
def test_garbage_raises_nothing_but_our_error(text: str) -> None:
    with pytest.raises(UsageError):
        token.parse(text)
