"""A record that is taken from memory is what the database would say, whatever happened."""

from dataclasses import dataclass, field

import bson
from hypothesis import given, settings
from hypothesis import strategies as st

from app.cache.cache import Cache
from app.cache.keys import Names
from app.cache.memory import Memory
from app.cache.records import Records
from app.cache.tier import Tier
from fhir.repository import State

INSTANCE = "1.2.3.4"
STUDIES = ("1.2", "1.3")


@dataclass
class World:
    """One instance, in one study or the other; each life of a study has versions of its own."""

    states: dict[str, State] = field(default_factory=dict)
    home: str | None = None
    content: int = 0
    lives: int = 0

    def document(self) -> bytes | None:
        said = {"_id": INSTANCE, "study": self.home, "content": self.content}
        return bson.encode(said) if self.home else None

    def appear(self, study: str) -> None:
        if self.home is None:
            self.lives += 1
            self.content += 1
            self.home = study
            self.states[study] = (f"life {self.lives}", 1)

    def change(self) -> None:
        if self.home is not None:
            life, version = self.states[self.home]
            self.content += 1
            self.states[self.home] = (life, version + 1)

    def vanish(self) -> None:
        if self.home is not None:
            del self.states[self.home]
            self.home = None


STEPS = st.lists(
    st.sampled_from(
        ["change", "saw", "begin", "read", "put", "look", "heard", "vanish", "appear", "elsewhere"]
    ),
    min_size=20,
    max_size=40,
)


@dataclass
class Race:
    """What is under way beside what happens to the instance."""

    world: World
    records: Records
    looked: list[tuple[str, State]] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)
    read: list[tuple[bytes, str, int]] = field(default_factory=list)

    def happen(self, step: str) -> None:
        match step:
            case "change":
                self.world.change()
            case "vanish":
                self.world.vanish()
            case "appear" | "elsewhere":
                self.world.appear(STUDIES[step == "elsewhere"])
            case "begin":
                self.begun.append(self.records.turn())

    async def go_on(self, step: str) -> None:
        """Let a reader take its next step, if there is one there."""
        home = self.world.home
        match step:
            case "saw" if home:
                self.records.saw(home, self.world.states[home])
            case "look" if home:
                self.looked.append((home, self.world.states[home]))
            case "heard" if self.looked:
                self.records.saw(*self.looked.pop())
            case "read" if self.begun and (document := self.world.document()):
                self.read.append((document, home or "", self.begun.pop()))
            case "put" if self.read:
                document, study, turn = self.read.pop()
                await self.records.put(INSTANCE, study, document, turn)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(STEPS)
async def test_a_record_in_memory_is_true_or_known_not_to_be(steps: list[str]) -> None:
    records = Records(Cache([Tier(Memory(2**20), 60, shared=False)], Names(b"secret")))
    race = Race(World(), records)
    race.world.appear(STUDIES[0])
    for step in steps:
        race.happen(step)
        await race.go_on(step)
        if found := await records.get(INSTANCE):
            document, state = found
            if race.world.states.get(bson.decode(document)["study"]) == state:
                assert document == race.world.document()


async def test_a_record_is_kept_once_its_study_is_known() -> None:
    records = Records(Cache([Tier(Memory(2**20), 60, shared=False)], Names(b"secret")))
    world = World()
    world.appear("1.2")
    document = world.document()
    assert document is not None
    await records.put(INSTANCE, "1.2", document, records.turn())
    assert await records.get(INSTANCE) is None
    before = records.turn()
    records.saw("1.2", world.states["1.2"])
    await records.put(INSTANCE, "1.2", document, before)
    assert await records.get(INSTANCE) is None
    await records.put(INSTANCE, "1.2", document, records.turn())
    assert await records.get(INSTANCE) == (document, world.states["1.2"])
