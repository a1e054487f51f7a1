"""Host and port of the invite: what a client somewhere else can reach."""

import pytest

from bisikd import invitation
from bisikd.commands.invite import shown_link
from bisikd.invitation import public_endpoint


@pytest.mark.parametrize(
    ("public_host", "bound", "expected"),
    [
        (None, ("127.0.0.1", 4000), ("127.0.0.1", 4000)),
        (None, ("::1", 4000, 0, 0), ("::1", 4000)),
        (None, ("0.0.0.0", 4000), ("primary", 4000)),  # noqa: S104
        (None, ("::", 4000, 0, 0), ("primary", 4000)),
        ("chat.example.org", ("::", 4000, 0, 0), ("chat.example.org", 4000)),
        ("chat.example.org:5000", ("::", 4000, 0, 0), ("chat.example.org", 5000)),
        ("chat.example.org:9999", ("::", 4000, 0, 0), ("chat.example.org", 9999)),
        ("2001:db8::7", ("::", 4000, 0, 0), ("2001:db8::7", 4000)),
        ("[2001:db8::7]:5000", ("::", 4000, 0, 0), ("2001:db8::7", 5000)),
        ("2001:db8::9999", ("::", 4000, 0, 0), ("2001:db8::9999", 4000)),
    ],
)
def test_what_an_invite_names(
    monkeypatch: pytest.MonkeyPatch,
    public_host: str | None,
    bound: tuple[object, ...],
    expected: tuple[str, int],
) -> None:
    """The operator's word; else the address listened on; else, for all addresses, this machine's own."""
    monkeypatch.setattr(invitation, "primary_address", lambda: "primary")
    assert public_endpoint(public_host, bound) == expected


def test_a_link_is_shown_as_a_picture_too() -> None:
    """In half blocks, with the link itself below it; without the wish only the link."""
    link = "bisik://chat.example.org:9999/?fp=" + "a" * 52 + "&join=k7mq-2hfd-x9wt-3bnr"
    *picture, below = shown_link(link, qr=True).splitlines()
    assert below == link
    assert len(picture) > 15
    assert set("█▀▄") & set("".join(picture))
    assert max(map(len, picture)) <= 80
    assert shown_link(link, qr=False) == link
