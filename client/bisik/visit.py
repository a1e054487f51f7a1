"""Who one is on the server of an invite: known to this home, or somebody who comes for the first time."""

from dataclasses import dataclass, field

from bisik.errors import NotKnown, Refused, WrongUsage
from bisik.home import Home, Profile
from bisik.i18n import _
from bisik_protocol.chat.invite import Invite, parse_endpoint, parse_invite
from bisik_protocol.chat.messages import Code
from bisik_protocol.chat.names import InvalidName, canonical_name


def read_invite(text: str) -> Invite:
    """An invite link, or a bare HOST:PORT. Raises WrongUsage."""
    try:
        if text.strip().strip("<>\"'`").lower().startswith("bisik:"):
            return parse_invite(text)
        host, port = parse_endpoint(text)
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    return Invite(host=host, port=port)


def person_name(text: str) -> str:
    """A person's name in its one spelling. Raises WrongUsage."""
    try:
        return canonical_name(text)
    except InvalidName as error:
        raise WrongUsage(str(error)) from None


def known_profile(home: Home, invite: Invite) -> Profile | None:
    """Who this home is on the invite's server, if it was there before; the newer address is remembered."""
    if invite.fingerprint is None:
        return home.at_address(invite.host, invite.port)
    profile = home.profile(invite.fingerprint)
    if profile is None or (profile.host, profile.port) == (invite.host, invite.port):
        return profile
    return home.save(name=profile.name, host=invite.host, port=invite.port, fingerprint=invite.fingerprint)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstVisit:
    """Everything that it takes to register."""

    host: str
    port: int
    fingerprint: bytes
    join_password: str = field(repr=False)
    name: str


def who_visits(home: Home, invite_text: str | None, name_text: str | None) -> Profile | FirstVisit:
    """For a program: there is nobody to ask, so everything must be in the invite or known.

    Raises WrongUsage, NotKnown, Refused, HomeError.
    """
    if invite_text is None:
        return home.require_default()
    invite = read_invite(invite_text)
    name = None if name_text is None else person_name(name_text)
    profile = known_profile(home, invite)
    if profile is not None:
        check_same_name(home, profile, name)
        return profile
    if name is None:
        raise WrongUsage(_("Nobody from here was on that server yet: a name is needed to register."))
    if invite.fingerprint is None or invite.join_password is None:
        raise NotKnown(_("This home does not know that server yet: a whole invite link is needed, with fp and join."))
    return FirstVisit(
        host=invite.host,
        port=invite.port,
        fingerprint=invite.fingerprint,
        join_password=invite.join_password,
        name=name,
    )


def check_same_name(home: Home, profile: Profile, name: str | None) -> None:
    """One home is one person on a server. Raises Refused."""
    if name is not None and name != profile.name:
        raise Refused(
            Code.DEVICE_KNOWN,
            _("In {path} you are {name} on that server; to be {other} too, use another --home.").format(
                path=home.path, name=profile.name, other=name
            ),
        )
