"""Envelopes open with both halves, in their place, as they were sealed, and in no other way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.envelope import KEY_BYTES, NONCE_BYTES, CannotOpenError, Halves, Place, open_, seal

keys = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)
nonces = st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)
places = st.builds(Place, st.text(max_size=5), st.text(max_size=5), st.integers(1, 99))


@given(st.binary(max_size=200), keys, keys, nonces, places)
def test_what_was_sealed_opens_again(value: bytes, own: bytes, of_bot: bytes, nonce: bytes, place: Place) -> None:
    sealed = seal(value, Halves(own, of_bot), nonce, place)
    assert open_(sealed, Halves(own, of_bot), nonce, place) == value
    assert len(value) < 8 or value not in sealed


@given(st.binary(max_size=50), st.sets(keys, min_size=3, max_size=3), nonces, places, places, st.integers(0, 10_000))
def test_any_other_half_place_or_byte_opens_nothing(
    value: bytes, three: set[bytes], nonce: bytes, place: Place, elsewhere: Place, at: int
) -> None:
    own, of_bot, other = three
    sealed = seal(value, Halves(own, of_bot), nonce, place)
    changed = bytearray(sealed)
    changed[at % len(sealed)] ^= 1
    wrong = [
        (sealed, Halves(other, of_bot), place),
        (sealed, Halves(own, other), place),
        (sealed, Halves(of_bot, own), place),
        (bytes(changed), Halves(own, of_bot), place),
    ]
    if elsewhere != place:
        wrong.append((sealed, Halves(own, of_bot), elsewhere))
    for one, halves, where in wrong:
        with pytest.raises(CannotOpenError):
            open_(one, halves, nonce, where)


def test_halves_show_no_key() -> None:
    assert "aaaa" not in repr(Halves(b"a" * KEY_BYTES, b"a" * KEY_BYTES))
