"""The vectors that other implementations test against are in the protocol's documents, with the bytes tested here."""

from pathlib import Path

import pytest

from tests.protocol.crypto import test_cookie, test_protection, test_schedule, test_sealed

DOCUMENTS = Path(__file__).parents[3] / "docs"
VECTORS = {
    "cookie": test_cookie.VECTOR,
    "client traffic": test_schedule.CLIENT_TRAFFIC,
    "server traffic": test_schedule.SERVER_TRAFFIC,
    "client connection id": test_schedule.CLIENT_CONNECTION_ID,
    "server connection id": test_schedule.SERVER_CONNECTION_ID,
    "sealed commitment": test_sealed.COMMITMENT,
    "sealed place": test_sealed.PLACE,
    "sealed wrap key": test_sealed.WRAP_KEY,
    "sealed wrap nonce": test_sealed.WRAP_NONCE,
    "sealed ciphertext": test_sealed.CIPHERTEXT,
    "sealed signature": test_schedule.SEALED_HALO,
    **{f"packet {number}": sealed for _, number, _, sealed in test_protection.VECTORS},
}


@pytest.mark.parametrize("name", VECTORS)
def test_vector_is_in_the_protocols_document(name: str) -> None:
    """docs/protocol*.md carries it, to the byte."""
    text = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS.glob("protocol*.md"))
    assert VECTORS[name] in text
