"""What a wheel's part of an archive is, kept so that the next pack need not work it out again.

The store keeps one for every wheel and layout, `plans/KEY`: paths and places of its files, what was
seen in them, and the plan of writing them with the tar headers encoded. Reading it takes an eighth
of the time. It is taken for what it says only whole and from this version, as its hash proves.
"""

import hashlib
import json
import struct
from array import array
from collections.abc import Sequence
from typing import Final

from packager.facts import OBSERVATION_FORMAT, Observation, from_json, to_json
from packager.tarball import Content, Plan, Span, Stored, Symlink, TarMember
from packager.wheels import Layout

PLANS: Final = "plans"
FORMAT: Final = f"1.{OBSERVATION_FORMAT}"

_SPAN, _STORED, _CONTENT = range(3)
_LENGTHS: Final = struct.Struct("<4Q")
"""Of the text, and of the literal bytes of the plan; then how many members and steps there are."""

_DIGEST: Final = hashlib.sha256().digest_size

Known = tuple[tuple[TarMember, ...], tuple[Observation, ...], Plan]


def plan_key(sha256: str, filename: str, layout: Layout) -> str:
    made_of = "\0".join((FORMAT, sha256, filename, repr(layout)))
    return hashlib.sha256(made_of.encode()).hexdigest()


def plan_data(
    members: Sequence[TarMember], observations: Sequence[Observation], plan: Plan
) -> bytes:
    """The bytes that are kept."""
    kinds = bytearray()
    numbers = array("Q")
    contents = bytearray()
    for member in members:
        if isinstance(member, Span):  # nearly all, for which `match` takes twice as long
            kinds.append(_SPAN)
            numbers.extend(member[1:])
            continue
        match member:
            case Stored():
                kinds.append(_STORED)
                numbers.extend((member.mode, member.size, member.crc, member.offset, 0))
            case Content():
                kinds.append(_CONTENT)
                numbers.extend((member.mode, len(member.data), 0, len(contents), 0))
                contents += member.data
            case Symlink():
                raise ValueError("wheels have no links")
    text = json.dumps([[m.path for m in members], [to_json(o) for o in observations]]).encode()
    body = b"".join(
        (
            _LENGTHS.pack(len(text), len(plan.literals), len(kinds), len(plan.steps)),
            text,
            plan.literals,
            kinds,
            numbers.tobytes(),
            plan.steps.tobytes(),
            contents,
        )
    )
    return hashlib.sha256(body).digest() + body


def read_plan(data: bytes) -> Known:
    """What `plan_data` was given. Raise `ValueError` for any other bytes."""
    body = memoryview(data)[_DIGEST:]
    if hashlib.sha256(body).digest() != data[:_DIGEST]:
        raise ValueError("a damaged plan")
    text_length, literals_length, count, step_count = _LENGTHS.unpack_from(body)
    rest = body[_LENGTHS.size :]
    text, rest = rest[:text_length], rest[text_length:]
    literals, rest = rest[:literals_length], rest[literals_length:]
    kinds, rest = bytes(rest[:count]), rest[count:]
    numbers, steps = array("Q"), array("Q")
    numbers.frombytes(rest[: 40 * count])
    steps.frombytes(rest[40 * count : 40 * count + 8 * step_count])
    contents = rest[40 * count + 8 * step_count :]
    paths, observations = json.loads(bytes(text))
    members: list[TarMember] = list(map(Span, paths, *(numbers[n::5] for n in range(5))))
    for at, kind in enumerate(kinds):
        if kind:
            mode, size, crc, offset = numbers[5 * at : 5 * at + 4]
            members[at] = (
                Stored(path=paths[at], mode=mode, size=size, crc=crc, offset=offset)
                if kind == _STORED
                else Content(path=paths[at], mode=mode, data=contents[offset : offset + size])
            )
    plan = Plan(literals=bytearray(literals), steps=steps)
    return tuple(members), tuple(map(from_json, observations)), plan
