"""A saved proof: it proves what it says, offline, and nothing in it can be changed unseen."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik.errors import NotProved
from bisik.proof import Proof, decode_proof
from bisik_protocol.chat.messages import Inclusion, JoinEntry, MessageEntry, encode
from bisik_protocol.chat.statements import STATEMENT_CONTEXT, Kind, Statement, encode_statement
from bisik_protocol.chat.tree import entry_leaf
from bisik_protocol.crypto.identity import SigningKey
from tests.client.processes import Daemon, bisik, json_lines
from tests.support.keys import device_key, server_identity
from tests.support.signed_tree import SignedTree

SALT = bytes(range(16))
AUTHOR = device_key(1)


def entry_of(*, room: str = "#lobby", signer: SigningKey = AUTHOR, said_in: str = "#lobby") -> MessageEntry:
    statement = encode_statement(Statement(said_in, AUTHOR.public.key_hash, 1, 7, Kind.SAY, "halo", bytes(32)))
    return MessageEntry(room, 3, 8, "tama", statement, signer.sign(STATEMENT_CONTEXT, statement))


def proof_of(encoded: bytes, *, server: int = 0) -> Proof:
    """What an honest log of nine entries says of one of them."""
    leaves = [bytes([n]) * 32 for n in range(9)]
    leaves[4] = entry_leaf(SALT, encoded)
    tree = SignedTree(leaves, server=server)
    reply = Inclusion(1, tree.note(), 4, SALT, encoded, tree.inclusion(4, 9))
    return Proof.of(reply, server=server_identity().public, author=AUTHOR.public)


GOOD = proof_of(encode(entry_of()))


def test_a_file_says_the_same_as_the_server_did() -> None:
    """It survives being written and read, and proves message, author, server and place."""
    proved = decode_proof(GOOD.encode()).verify()
    assert (proved.statement.text, proved.entry.author, proved.leaf, proved.checkpoint.size) == ("halo", "tama", 4, 9)
    assert proved.device == AUTHOR.public
    assert proved.server == server_identity().public


@pytest.mark.parametrize(
    ("proof", "says"),
    [
        (proof_of(encode(entry_of(signer=device_key(2)))), "does not carry its author's signature"),
        (proof_of(encode(entry_of(room="#dapur"))), "written for another room"),
        (proof_of(encode(JoinEntry("#lobby", 1, 2, "tama"))), "no message that anybody signed"),
        (proof_of(b"\xc1"), "cannot be read"),
        (proof_of(encode(entry_of()), server=1), "not signed with the server's key"),
    ],
)
def test_what_an_honest_looking_log_holds_is_not_believed_for_that(proof: Proof, says: str) -> None:
    """The server can put anything into its log; a signature it cannot make."""
    with pytest.raises(NotProved, match=says):
        proof.verify()


def test_no_field_of_a_file_can_be_exchanged_unseen() -> None:
    """Each is changed to another good value of its kind."""
    other = json.loads(proof_of(encode(entry_of(said_in="#x", room="#x"))).encode())
    content = json.loads(GOOD.encode())
    changes = {key: other[key] for key in ("checkpoint", "entry")}
    changes |= {"leaf": 5, "salt": other["salt"][:-4] + "AA==", "path": content["path"][::-1]}
    changes |= {"author": json.loads(GOOD.encode())["server"]["signing"]}
    changes |= {"server": {"signing": content["server"]["encryption"], "encryption": content["server"]["signing"]}}
    for key, value in changes.items():
        assert content[key] != value, key
        with pytest.raises(NotProved):
            decode_proof(json.dumps({**content, key: value}).encode()).verify()


@given(
    st.binary(max_size=200) | st.builds(lambda at, byte: _with_byte(GOOD.encode(), at, byte), *[st.integers(0)] * 2)
)
def test_any_file_is_proved_or_not_and_nothing_else(content: bytes) -> None:
    """No other exception; and where it is proved, it is the same message."""
    try:
        proved = decode_proof(content).verify()
    except NotProved:
        return
    assert proved.statement.text == "halo"
    assert proved.server == server_identity().public


def _with_byte(content: bytes, at: int, byte: int) -> bytes:
    at %= len(content)
    return content[:at] + bytes([byte % 256]) + content[at + 1 :]


def test_a_message_is_proved_now_and_later_without_the_server(daemon: Daemon, tmp_path: Path) -> None:
    """By its id from the JSON lines; the file is good on a machine that knows nothing of the server."""
    home, saved = daemon.home(tmp_path / "a", key=1), tmp_path / "proof.json"
    assert bisik("register", daemon.invite, "--name", "tama", "--home", home).returncode == 0
    sent = json_lines(bisik("send", "--home", home, "--json", "#lobby", "halo \x1b[31m").stdout)[0]
    assert bisik("send", "--home", home, "#lobby", "later").returncode == 0
    online = bisik("verify", "--home", home, "--save", saved, sent["id"][:12])
    assert online.returncode == 0
    assert "<tama> halo" in online.stdout
    assert "\x1b" not in online.stdout
    assert "which this home knows" in online.stderr
    unknown = bisik("verify", "--home", home, "f" * 32)
    assert unknown.returncode == 1
    assert "no message with that id" in unknown.stderr
    assert bisik("verify", "--home", home, "xyz").returncode == 2
    daemon.stop()
    offline = bisik("verify", "--home", tmp_path / "elsewhere", "--json", saved)
    assert offline.returncode == 0
    proved = json_lines(offline.stdout)[0]
    assert (proved["id"], proved["text"], proved["server_known"]) == (sent["id"], "halo \x1b[31m", False)
    saved.write_text(saved.read_text().replace('"leaf": ', '"leaf": 1'))
    forged = bisik("verify", "--home", home, saved)
    assert forged.returncode == 4
    assert "does not hold this message" in forged.stderr
