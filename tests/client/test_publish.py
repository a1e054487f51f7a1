"""What register and login do last must not spoil what they have done."""

from pathlib import Path

import pytest

from bisik.commands.publish import publish_key
from bisik.home import Home


async def test_a_server_that_has_gone_meanwhile_is_no_trouble(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name is registered and its login ID was shown; the next command publishes the key."""
    home = Home(tmp_path / "home")
    profile = home.save(name="sari", host="127.0.0.1", port=9, fingerprint=bytes(32))
    await publish_key(home, profile)
    assert capsys.readouterr() == ("", "")
    assert home.require_default() == profile
