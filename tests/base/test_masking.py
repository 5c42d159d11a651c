"""What may be shown of a text that the peer chose: no secret, in none of its forms."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from urllib.parse import quote

import pytest

from heimdall_reactive.base.masking import LEAST, WINDOW, Mask, bare, told

SECRET = "s3cret?>~?>~?>~canary"  # its base64 has both signs that the URL-safe alphabet replaces


def test_a_secret_is_hidden_whole_and_in_pieces() -> None:
    mask = Mask([SECRET, "short"])
    assert mask(f"no {SECRET}!") == "no ***!"
    assert mask(f"{SECRET[:WINDOW]}, {SECRET[-WINDOW:]}") == "***, ***"
    assert mask(SECRET[: WINDOW - 1]) == SECRET[: WINDOW - 1]  # gives nothing away
    assert mask("too short, sho") == "too ***, sho"  # a short one counts as a whole
    assert mask("") == ""
    assert Mask()("as it is") == "as it is"
    assert SECRET not in repr(mask)


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", range(4))
def test_a_piece_is_hidden_wherever_it_stands(before: int, after: int) -> None:
    text = "#" * before + SECRET[-WINDOW:] + "#" * after
    assert Mask([SECRET])(text) == "#" * before + "***" + "#" * after


def test_what_is_too_short_to_be_a_secret_masks_no_words() -> None:
    word = "abcd"[:LEAST]
    assert Mask([word])(f"<{word}>") == "<***>"
    assert Mask([word[:-1]])(f"<{word}>") == f"<{word}>"


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_hides_no_secret_at_any_offset(
    before: int, encode: Callable[[bytes], bytes]
) -> None:
    text = encode(b"\xff" * before + SECRET.encode() + b"\xff").decode()
    # These characters are made of the secret's bits alone.
    first, last = math.ceil(before * 8 / 6), (before + len(SECRET)) * 8 // 6
    assert Mask([SECRET])(text) == f"{text[:first]}***{text[last:]}"


def test_percent_encoding_hides_no_secret() -> None:
    secret = "a.b-c_d~e f/g?"
    mask = Mask([secret])
    assert mask(quote(secret, safe="")) == "***"
    assert mask("".join(c if c.isalnum() else f"%{ord(c):02X}" for c in secret)) == "***"


def test_the_pieces_are_those_that_a_text_would_be_searched_for() -> None:
    mask = Mask([SECRET])
    pieces = set(mask.pieces(WINDOW))
    assert all((WINDOW, hash(SECRET[n:][:WINDOW])) in pieces for n in range(len(SECRET) - 7))
    assert not any((WINDOW, hash(SECRET[-n:])) in pieces for n in range(1, WINDOW))
    assert (5, hash("short")) in set(Mask(["short"]).pieces(WINDOW))
    assert (5, hash("hort")) in set(Mask(["short"]).pieces(4))


def raised(text: str) -> Exception:
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as cause:
            raise ValueError(text) from cause
    except ValueError as error:
        return error


def test_a_bare_error_has_nothing_of_what_it_came_through() -> None:
    error = bare(raised("no"))
    assert (error.args, error.__cause__, error.__context__) == (("no",), None, None)
    assert error.__traceback__ is None


def deeper(text: str) -> None:
    raise LookupError(text)


def test_the_place_of_an_error_is_the_innermost() -> None:
    with pytest.raises(LookupError) as caught:
        deeper(SECRET)
    line = deeper.__code__.co_firstlineno + 1
    assert told(caught.value) == f"LookupError at test_masking.py:{line} in deeper"


def test_a_mask_shows_nothing_of_what_it_masks() -> None:
    assert repr(Mask([SECRET])) == "<Mask>"


def test_an_error_is_named_with_its_place_and_without_its_text() -> None:
    text = told(raised(SECRET))
    assert text.startswith("ValueError at test_masking.py:")
    assert text.endswith(" in raised")
    assert told(ValueError(SECRET)) == "ValueError"


def test_a_mask_for_one_secret_more_is_another_mask() -> None:
    one = Mask([SECRET])
    two = one.plus("another-secret")
    assert two(f"{SECRET} and another-secret") == "*** and ***"
    assert one("another-secret") == "another-secret"
