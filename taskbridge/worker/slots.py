"""A page of shared memory: what each child runs, readable however busy the child is.

A child writes the claim before ``begin`` is sent and clears it after ``finish`` was answered; the supervisor renews
what it reads there, and settles it when the child is dead. A cell is written between an odd and an even number, so
that a torn one is recognised: its claim was not sent yet. Instants are monotonic seconds, one clock per machine.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass

#: A cell: version, when begun, length of the text, text ("claim id"; both are bounded, see message.MAX_ID_BYTES).
_CELL = struct.Struct("=QdH")
_TEXT = 400
_CELL_SIZE = 424
#: Two cells: finish of one message and begin of the next travel together. Then: last life, hands emptied, settled.
_TAIL = struct.Struct("=dQQ")
SLOT_SIZE = 2 * _CELL_SIZE + 32


@dataclass(frozen=True, slots=True)
class Running:
    """What a cell says."""

    id: str
    claim: str
    since_s: float

    @property
    def tag(self) -> str:
        """Which delivery of its worker it is."""
        return self.claim.rpartition(":")[2]

    @property
    def backend(self) -> str:
        """Which backend it came from."""
        return self.claim.split(":")[1]


class Slot:
    """One child's part of the page."""

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        self._memory = memory
        self._at = number * SLOT_SIZE
        self._tail = self._at + 2 * _CELL_SIZE

    def write(self, cell: int, id: str, claim: str, now_s: float) -> None:
        """Say what is about to be begun."""
        text = f"{claim} {id}".encode()[:_TEXT]
        at = self._at + cell * _CELL_SIZE
        version = _CELL.unpack_from(self._memory, at)[0]
        _CELL.pack_into(self._memory, at, version + 1, now_s, len(text))
        self._memory[at + _CELL.size : at + _CELL.size + len(text)] = text
        struct.pack_into("=Q", self._memory, at, version + 2)

    def clear(self, cell: int, now_s: float) -> None:
        """Say that it is settled. Life comes first: who sees the cell empty must not take the child for deaf."""
        self.fetched(now_s)
        struct.pack_into("=Q", self._memory, self._tail + 16, self.settled + 1)
        at = self._at + cell * _CELL_SIZE
        version = _CELL.unpack_from(self._memory, at)[0]
        _CELL.pack_into(self._memory, at, version + 2, 0.0, 0)

    def running(self) -> list[Running]:
        """Return the claims that stand here."""
        return [found for cell in (0, 1) if (found := self._read(cell))]

    def fetched(self, now_s: float) -> None:
        """Say that the broker was asked and answered."""
        struct.pack_into("=d", self._memory, self._tail, now_s)

    @property
    def last_life_s(self) -> float:
        """When the broker last answered the child, or the child last settled something."""
        return float(_TAIL.unpack_from(self._memory, self._tail)[0])

    @property
    def settled(self) -> int:
        """How much the child has settled."""
        return int(_TAIL.unpack_from(self._memory, self._tail)[2])

    def empty_hand(self) -> None:
        """Tell the child that what it has not begun was given back for it."""
        struct.pack_into("=Q", self._memory, self._tail + 8, self.emptied + 1)

    @property
    def emptied(self) -> int:
        """How often that was told."""
        return int(_TAIL.unpack_from(self._memory, self._tail)[1])

    def reset(self, now_s: float) -> None:
        """Make the slot fit for a new child."""
        self._memory[self._at : self._at + SLOT_SIZE] = bytes(SLOT_SIZE)
        self.fetched(now_s)

    def _read(self, cell: int) -> Running | None:
        at = self._at + cell * _CELL_SIZE
        version, since_s, length = _CELL.unpack_from(self._memory, at)
        text = bytes(self._memory[at + _CELL.size : at + _CELL.size + length])
        if version % 2 or not length or struct.unpack_from("=Q", self._memory, at)[0] != version:
            return None
        claim, _, id = text.decode(errors="replace").partition(" ")
        return Running(id, claim, since_s)


def shared_memory(fd: int, slots: int) -> mmap.mmap:
    """Map the page of an open file for so many slots."""
    return mmap.mmap(fd, slots * SLOT_SIZE)
