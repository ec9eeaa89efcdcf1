"""How archives are judged: by what is in them, and by how they do in the clean room. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packager.checks import check_archives
from packager.errors import ConfigError, PackagerError, ToolError
from packager.facts import ArchiveFacts
from packager.findings import Report, joined, waive
from packager.ports import CleanRoom, RoomArchive
from packager.record import RecordedRoom
from packager.settings import Settings
from packager.target import Target

if TYPE_CHECKING:
    from packager.cleanroom import RoomFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    report: Report
    room: RecordedRoom | None
    """None where the archives were not tried out."""


def judge(
    bundle: tuple[ArchiveFacts, ...],
    archives: Sequence[RoomArchive],
    target: Target,
    settings: Settings,
    *,
    room: CleanRoom | None,
    say: Callable[[str], None],
) -> Judgement:
    """The report on archives that are used together, with the waivers of `settings`.

    Only what passes on paper is tried out. Where that cannot be done, it is said, or raised if the
    settings require it.
    """
    read = check_archives(bundle, target)
    report = waive(read, settings.waivers)
    if settings.clean_room == "off" or room is None:
        return Judgement(report=report, room=None)
    if not report.passed:
        say("Clean room not run: other checks have failed already")
        return Judgement(report=report, room=None)
    facts = _tried_out(archives, target, settings, room, say)
    if facts is None:
        return Judgement(report=report, room=None)
    from packager.checks.room import check_room  # with all that is known of clean rooms

    return Judgement(
        report=waive(joined(read, check_room(facts)), settings.waivers),
        room=RecordedRoom(
            image=facts.image,
            digest=facts.digest,
            platform=facts.platform,
            emulated=facts.emulated,
            modules=facts.modules,
            scripts=facts.scripts,
            spark_job=facts.job is not None,
        ),
    )


def _tried_out(
    archives: Sequence[RoomArchive],
    target: Target,
    settings: Settings,
    room: CleanRoom,
    say: Callable[[str], None],
) -> "RoomFacts | None":
    required = settings.clean_room == "require"
    pull = required and not settings.offline
    try:
        if sorted({a.kind for a in archives} | {"environment"}) != sorted(a.kind for a in archives):
            raise ConfigError(
                "these archives are not one environment and its app",
                why=f"they are: {', '.join(a.kind for a in archives)}",
                fix="name the ones that a job uses together",
            )
        return room.try_out(archives, target, image=settings.image_for(target), pull=pull)
    except PackagerError as error:
        if required:
            raise
        # What a machine lacks is said at every pack, so in few words.
        why = f": {error.why}" if error.why and not isinstance(error, ToolError) else ""
        say(f"Clean room not run: {error.what}{why} (to have it: {error.fix})")
        return None
