"""What typed lines do, for every interface alike: messages are queued, commands carried out, mistakes explained.

The interface is a `Front`; what is meant by a line is in `typed`, which commands there are in `slash`. Whatever goes
to the front from others has passed through `harmless`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import trio

from bisik.chat import Chat
from bisik.directs import room_name
from bisik.errors import BisikError, NotOnDisk, WrongUsage
from bisik.events import ChatEvent, Event, Message, Notice
from bisik.i18n import _
from bisik.moderation_desk import MODERATOR_ACTIONS, ModeratorAction
from bisik.render import member_lines, room_lines
from bisik.slash import Where, help_lines
from bisik.typed import Command, Mistake, Say, read_typed
from bisik.visit import person_name
from bisik_protocol.chat.direct_names import is_direct
from bisik_protocol.chat.invite import Invite
from bisik_protocol.chat.text import harmless
from bisik_protocol.crypto.identity import fingerprint_groups

SEARCH_S: Final = 4.0  # the same for what a search has to fetch
ANSWER_S: Final = 8.0  # how long a command may wait for the server before typing goes on
HISTORY_LINES: Final = 20
MAX_HISTORY_LINES: Final = 1000
_OF_ROOMS: Final = {"/topic", "/kick", "/mute", "/unmute", "/room", "/allow"}
MAX_NUMBER: Final = (1 << 53) - 1  # of a message in its room


class Front(Protocol):
    """An interface that lines are typed in. None of its methods may wait."""

    where: Where

    @property
    def room(self) -> str:
        """The room that is spoken in."""

    def tell(self, sentence: str) -> None:
        """A sentence for the person."""

    def show_list(self, lines: Sequence[str]) -> None:
        """Lines that belong together, such as the answer to /who."""

    def show_past(self, events: Sequence[ChatEvent | Notice]) -> None:
        """Events of the room that were shown before, or could have been."""

    def speak_in(self, room: str) -> None:
        """From now on this is the room that is spoken in. It is followed."""

    def on_left(self, room: str) -> None:
        """The room is followed no more."""

    def give_back(self, room: str, line: str) -> None:
        """A line that was typed and not taken: it is put where it was typed, if nothing else stands there now."""

    def carry_out(self, command: Command) -> None:
        """A command that is the interface's own affair."""

    def quit(self) -> None:
        """The person leaves."""


class Desk:
    """Takes what is typed in one chat."""

    def __init__(self, chat: Chat, front: Front) -> None:
        self._chat = chat
        self._front = front
        self._ignored = chat.ignored_names()

    async def take(self, line: str) -> None:
        """Do what a line says. What goes wrong is said to the person, not raised."""
        typed = read_typed(line, self._front.where)
        try:
            if isinstance(typed, Say):
                await self._say(self._front.room, typed.text, line, act=typed.act)
            elif isinstance(typed, Mistake):
                self._tell(typed.text)
            elif isinstance(typed, Command):
                await self._carry_out(typed)
        except BisikError as error:
            self._tell(str(error))

    async def _say(self, room: str, text: str, line: str, *, act: bool = False) -> None:
        """What cannot be put into the outbox is given back to the person."""
        try:
            await self._chat.queue(room, text, kind="act" if act else "say")
        except NotOnDisk:
            raise
        except BisikError:
            self._front.give_back(room, line)
            raise

    def hides(self, event: Event) -> bool:
        """Whether the person does not want to see this."""
        return isinstance(event, Message) and event.author in self._ignored

    async def _carry_out(self, command: Command) -> None:
        if command.name in MODERATOR_ACTIONS:
            self._refuse_in_direct(command.name)
            await self._patiently(self._moderate(MODERATOR_ACTIONS[command.name], command.argument))
        elif command.name in _ACTIONS:
            await _ACTIONS[command.name](self, command.argument)
        else:
            self._front.carry_out(command)

    async def _moderate(self, action: ModeratorAction, argument: str) -> None:
        self._tell(await action(self._chat, self._front.room, argument))

    def _refuse_in_direct(self, command: str) -> None:
        """Raises WrongUsage where a conversation between two cannot be moderated."""
        if is_direct(self._front.room) and command in _OF_ROOMS:
            raise WrongUsage(_("That is for rooms; you speak to {name} alone.").format(name=self._front.room[1:]))

    def _tell(self, sentence: str) -> None:
        self._front.tell(harmless(sentence))

    # Rooms ------------------------------------------------------------------------------------------------------

    async def _join(self, argument: str) -> None:
        room = room_name(argument)
        if is_direct(room):
            await self._msg(room[1:])
            return
        if room not in self._chat.rooms:
            await self._patiently(self._chat.join(room))
        self._speak_in(room)

    async def _msg(self, argument: str) -> None:
        name, _space, text = argument.partition(" ")
        person = person_name(name.removeprefix("@"))
        rooms: list[str] = []

        async def opened() -> None:
            room = await self._chat.open_direct(person)
            self._chat.ask_recipients(room)
            if room not in self._chat.rooms:
                self._chat.follow(room)
            rooms.append(room)

        await self._patiently(opened())
        for room in rooms:
            if room != self._front.room:
                self._speak_in(room)
            if text.strip():
                await self._say(room, text.strip(), text.strip())

    async def _leave(self, argument: str) -> None:
        room = room_name(argument) if argument else self._front.room
        if room not in self._chat.rooms:
            self._tell(_("You are not in {room}.").format(room=room))
            return
        if len(self._chat.rooms) == 1:
            self._tell(_("That is the last room you are in; /quit leaves altogether."))
            return
        await self._patiently(self._chat.leave(room))
        self._front.on_left(room)
        self._tell(_("You have left {room}.").format(room=room))
        if room == self._front.room:
            self._speak_in(self._chat.rooms[0])

    def _speak_in(self, room: str) -> None:
        self._front.speak_in(room)
        if is_direct(room):
            self._tell(_("You speak to {name} alone now.").format(name=room[1:]))
        else:
            self._tell(_("You speak in {room} now.").format(room=room))

    async def _rooms(self, argument: str) -> None:
        async def answer() -> None:
            self._front.show_list(room_lines(await self._chat.list_rooms(), self._chat.rooms))

        await self._patiently(answer())

    async def _who(self, argument: str) -> None:
        room = room_name(argument) if argument else self._front.room

        async def answer() -> None:
            lines = member_lines(await self._chat.who(room))
            self._front.show_list(lines or [_("Nobody is in {room}.").format(room=harmless(room))])

        await self._patiently(answer())

    async def _history(self, argument: str) -> None:
        count = _count(argument, MAX_HISTORY_LINES) if argument else HISTORY_LINES
        room = self._front.room
        past: Sequence[ChatEvent | Notice] | None = None
        if not self._chat.offline:
            with trio.move_on_after(ANSWER_S):
                past = await self._chat.history(room).last(count, messages_only=True)
        if past is None:
            past = await self._chat.searching.last(room, count)
            self._tell(_("The server does not answer now: this is what was read on this device."))
        self._front.show_past(past)

    async def _search(self, argument: str) -> None:
        everywhere = argument.startswith("* ")
        room = None if everywhere else self._front.room
        whole = await self._chat.searching.catch_up(self._chat.rooms if room is None else [room], SEARCH_S)
        found = await self._chat.searching.search(argument.removeprefix("* "), room=room, count=HISTORY_LINES)
        self._front.show_past(found)
        if not found:
            self._tell(_("Nothing was found."))
        if not whole:
            self._tell(_("Not everything could be fetched: this is what is on this device."))

    # People -----------------------------------------------------------------------------------------------------

    async def _whois(self, argument: str) -> None:
        name = person_name(argument)

        async def answer() -> None:
            here = [member for member in await self._chat.who(self._front.room) if member.name == name]
            devices = self._chat.known_devices(name)
            lines = member_lines(here) or [_("{name} is not in {room}.").format(name=name, room=self._front.room)]
            lines += [_("a device seen here: {device}").format(device=fingerprint_groups(key)) for key in devices]
            if name in self._ignored:
                lines.append(_("You hide what {name} says.").format(name=name))
            self._front.show_list([harmless(line) for line in lines])

        await self._patiently(answer())

    async def _nick(self, argument: str) -> None:
        self._tell(
            _(
                "You are {name}. A name is bound to its keys and to what they signed: only whoever runs the server"
                " can change it. Another name is another account: bisik --home DIR join INVITE --name NAME"
            ).format(name=self._chat.name)
        )

    async def _ignore(self, argument: str) -> None:
        if not argument:
            self._front.show_list([harmless(name) for name in sorted(self._ignored)])
            if not self._ignored:
                self._tell(_("You ignore nobody."))
            return
        name = person_name(argument.removeprefix("-"))
        if name == self._chat.name:
            self._tell(_("That is you."))
            return
        ignored = not argument.startswith("-")
        self._ignored = self._chat.ignore(name, ignored=ignored)
        told = _("What {name} says is hidden here from now on.") if ignored else _("You see again what {name} says.")
        self._tell(told.format(name=name))

    async def _away(self, argument: str) -> None:
        await self._patiently(self._chat.set_away(argument or None))
        self._tell(_("Who asks sees that you are away.") if argument else _("You are back."))

    async def _ack(self, argument: str) -> None:
        room = self._front.room
        if argument:
            await self._patiently(self._tell_who_has(room, self._asked_for(room, argument)))
            return
        newest = self._chat.newest(room)
        self._chat.confirm(room, newest)
        self._tell(
            _("You have confirmed what was said in {room}, up to number {number}.").format(room=room, number=newest)
        )

    def _asked_for(self, room: str, argument: str) -> int:
        """The message that /ack asks about: a number, or one's own last, or the last. Raises WrongUsage."""
        if argument == "?":
            return self._chat.newest(room, own=True) or self._chat.newest(room)
        return _count(argument, MAX_NUMBER)

    async def _tell_who_has(self, room: str, seq: int) -> None:
        answer = await self._chat.who_confirmed(room, seq)
        told = _("Message {number} is with {count} of {members}").format(
            number=seq, count=len(answer.delivered), members=answer.members
        )
        names = f": {', '.join(answer.delivered)}" if answer.delivered else ""
        by_hand = _(" Confirmed by hand: {names}.").format(names=", ".join(answer.by_hand)) if answer.by_hand else ""
        self._tell(f"{told}{names}.{by_hand}")

    async def _invite(self, argument: str) -> None:
        profile = self._chat.profile
        link = Invite(host=profile.host, port=profile.port, fingerprint=profile.fingerprint, join_password=None)
        self._front.show_list([harmless(link.url())])
        self._tell(_("Whoever comes with it needs the join password too: whoever runs the server has it."))

    # The rest ---------------------------------------------------------------------------------------------------

    async def _help(self, argument: str) -> None:
        self._front.show_list(help_lines(self._front.where))

    async def _quit(self, argument: str) -> None:
        self._front.quit()

    async def _patiently(self, waiting: Awaitable[None]) -> None:
        """A question to the server must not hold up typing for ever."""
        with trio.move_on_after(ANSWER_S) as scope:
            await waiting
        if scope.cancelled_caught:
            self._tell(_("The server does not answer now. Try again later."))


def _count(text: str, most: int) -> int:
    """Raises WrongUsage."""
    if not (text.isascii() and text.isdigit() and len(text) < 16) or not 0 < int(text) <= most:
        raise WrongUsage(_("Which number? One from 1 to {most}.").format(most=most))
    return int(text)


_ACTIONS: Final[dict[str, Callable[[Desk, str], Awaitable[None]]]] = {
    "/join": Desk._join,
    "/msg": Desk._msg,
    "/leave": Desk._leave,
    "/rooms": Desk._rooms,
    "/who": Desk._who,
    "/history": Desk._history,
    "/away": Desk._away,
    "/ack": Desk._ack,
    "/search": Desk._search,
    "/whois": Desk._whois,
    "/nick": Desk._nick,
    "/ignore": Desk._ignore,
    "/invite": Desk._invite,
    "/help": Desk._help,
    "/quit": Desk._quit,
}
