"""The log against a plain list: whatever is done to it, in whatever order, it says what the list says."""

from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agl_core.errors import KeyReused, VersionConflict
from agl_core.events import NoteTaken, RolloutEnqueued
from agl_core.log import SqliteLog, rebuild, verify
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.testing import strategies

STREAMS = ["log", "run/run-1", "rollout/ro-1"]
streams = st.sampled_from(STREAMS)
keys = st.sampled_from(["k1", "k2", "k3"])
texts = st.sampled_from(["a", "b"])


class LogMachine(RuleBasedStateMachine):
    """A file, and the list of what was acknowledged."""

    def __init__(self):
        super().__init__()
        self.folder = TemporaryDirectory()
        self.log = self.opened()
        self.records = []
        self.rollouts = 0

    def opened(self):
        """A new handle on the same file."""
        return SqliteLog(f"{self.folder.name}/log.db", projections=CORE)

    def teardown(self):
        """Whatever happened, the log is whole."""
        assert list(verify(self.log)) == []
        self.log.close()
        self.folder.cleanup()

    def version(self, stream):
        """Where the stream is, by the list."""
        return sum(record.stream == stream for record in self.records)

    def landed(self, records, drafts):
        """The list grows by `records`, which are `drafts` in their places."""
        for record, draft in zip(records, drafts, strict=True):
            assert record.position == len(self.records) + 1
            assert record.version == self.version(draft.stream) + 1
            assert (record.stream, record.event, record.key) == (draft.stream, draft.event, draft.key)
            self.records.append(record)

    @rule(drafts=st.lists(strategies.drafts(streams=streams), max_size=4))
    def append(self, drafts):
        """A batch lands at the end."""
        self.landed(self.log.append(drafts), drafts)

    @rule(key=keys, stream=streams, text=texts, before=st.booleans())
    def append_keyed(self, key, stream, text, before):
        """The first fact of a key stays; the same again is that one; another is refused, and its batch with it."""
        draft = Draft(stream=stream, event=NoteTaken(text=text), key=key)
        batch = [Draft(stream="log", event=NoteTaken(text="beside")), draft] if before else [draft]
        known = next((record for record in self.records if record.key == key), None)
        if known is None:
            self.landed(self.log.append(batch), batch)
        elif (known.stream, known.event) == (stream, draft.event):
            records = self.log.append(batch)
            assert records[-1] == known
            self.landed(records[:-1], batch[:-1])
        else:
            with pytest.raises(KeyReused):
                self.log.append(batch)

    @rule(stream=streams, off=st.integers(-1, 1))
    def append_expecting(self, stream, off):
        """Who decided on an old version is refused; who is up to date is not."""
        draft = Draft(stream=stream, event=NoteTaken(text="x"))
        expected = {stream: self.version(stream) + off}
        if off:
            with pytest.raises(VersionConflict):
                self.log.append([draft], expected=expected)
        else:
            self.landed(self.log.append([draft], expected=expected), [draft])

    @rule(stream=streams, fails=st.booleans())
    def transact(self, stream, fails):
        """A decision sees the list as it is, and leaves nothing when it fails."""
        drafts = [Draft(stream=stream, event=NoteTaken(text="decided"))]

        def decide(view):
            assert view.version(stream) == self.version(stream)
            assert view.rows("select count(*) from events") == [(len(self.records),)]
            view.rows("delete from in_flight")
            if fails:
                raise LookupError
            return drafts

        if fails:
            with pytest.raises(LookupError):
                self.log.transact(decide)
        else:
            self.landed(self.log.transact(decide), drafts)

    @rule(event=strategies.event(RolloutEnqueued))
    def enqueue(self, event):
        """Facts that tables fold from are among them."""
        self.rollouts += 1
        rollout_id = f"ro-{self.rollouts}"
        fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
        event = RolloutEnqueued(**{**fields, "rollout_id": rollout_id})
        drafts = [Draft(stream=f"rollout/{rollout_id}", event=event)]
        self.landed(self.log.append(drafts), drafts)

    @rule()
    def reopen(self):
        """What was acknowledged is there for the next process."""
        self.log.close()
        self.log = self.opened()

    @rule()
    def rebuild(self):
        """Tables folded again are the tables that were."""
        tables = [table for projection in CORE for table in projection.tables]
        before = [self.log.rows(f"select * from {table}") for table in tables]  # noqa: S608

        rebuild(self.log.path, CORE)

        assert [self.log.rows(f"select * from {table}") for table in tables] == before  # noqa: S608

    @rule(
        after=st.integers(0, 12),
        until=st.none() | st.integers(0, 12),
        stream=st.none() | streams,
        types=st.sampled_from([(), ("note.taken",), ("rollout.enqueued", "note.taken"), ("never.happened",)]),
        limit=st.none() | st.integers(0, 5),
    )
    def read(self, after, until, stream, types, limit):
        """Any slice is the list's slice."""
        expected = [
            record
            for record in self.records
            if record.position > after
            and (until is None or record.position <= until)
            and (stream is None or record.stream == stream)
            and (not types or record.event.type in types)
        ]

        found = list(self.log.read(after=after, until=until, stream=stream, types=types, limit=limit))

        assert found == expected[:limit]

    @invariant()
    def head_is_the_length(self):
        """No position is missing, none is made up."""
        assert self.log.head() == len(self.records)


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(max_examples=25, stateful_step_count=25)
