"""Commands about resources: immutable versions, and their keys, which never reach the file."""

from __future__ import annotations

from agl_core import resources as kinds
from agl_core.clock import Clock
from agl_core.errors import KeyReused, UnknownId
from agl_core.events import ResourcesPromoted, ResourcesPublished
from agl_core.ids import new_id
from agl_core.log import SqliteLog, View
from agl_core.record import Draft
from agl_core.resources import LLM, NamedResources, ResourcesUpdate
from agl_core.store._base import Base
from agl_core.store._pages import Page, PaginatedResult, SortOrder
from agl_core.store._rows import BUNDLES

__all__ = ["Publishing"]

_PUBLISHER = "select run_id from resources where resources_id = ? and version = ?"
_LAST_PROMOTED = """
select json_extract(data, '$.resources_id'), json_extract(data, '$.version'), json_extract(data, '$.run_id')
from events where type = 'resources.promoted' order by position desc limit 1
"""


class Publishing(Base):
    """What agents are given."""

    def __init__(self, log: SqliteLog, *, clock: Clock | None = None, lease_seconds: float = 30.0) -> None:
        super().__init__(log, clock=clock, lease_seconds=lease_seconds)
        self._keys: dict[tuple[str, str], str] = {}

    async def add_resources(self, resources: NamedResources) -> ResourcesUpdate:
        """A new bundle, at version 1."""
        return await self.publish(resources)

    async def update_resources(self, resources_id: str, resources: NamedResources) -> ResourcesUpdate:
        """The next version of a bundle that exists; earlier ones stay as they were."""
        self.ask.resources(resources_id)
        return await self.publish(resources, resources_id=resources_id)

    async def publish(
        self,
        resources: NamedResources,
        *,
        resources_id: str | None = None,
        parent: ResourcesUpdate | None = None,
        why: str = "",
        run_id: str | None = None,
        key: str | None = None,
    ) -> ResourcesUpdate:
        """A new immutable version: the parent's resources with these in their places; once, when it has a key."""
        dumped = {
            name: kinds.dump(resource)
            for name, resource in {**(parent.resources if parent else {}), **resources}.items()
        }
        name = resources_id or (parent.resources_id if parent else new_id("rs"))

        def published(view: View) -> list[Draft]:
            if key is not None and view.rows("select 1 from events where key = ?", (key,)):
                return []
            known = view.rows(
                "select resources_id, version from resources where resources_id = ? order by version", (name,)
            )
            event = ResourcesPublished(
                resources_id=name,
                version=len(known) + 1,
                resources=dumped,
                parent=f"{parent.resources_id}@{parent.version}" if parent else None,
                why=why,
                run_id=run_id,
            )
            return [Draft(stream=f"resources/{name}", event=event, key=key, correlation_id=run_id or name)]

        records = await self._decided(published)
        record = records[0] if records else self.log.get(str(key))
        event = record.event if record else None
        if not isinstance(event, ResourcesPublished) or event.resources != dumped:
            raise KeyReused(str(key), position=record.position if record else 0, differs="content")
        for inner, resource in resources.items():
            if isinstance(resource, LLM) and resource.api_key:
                self._keys[event.resources_id, inner] = resource.api_key
        return self.ask.resources(event.resources_id, event.version)

    async def promote(
        self,
        bundle: ResourcesUpdate,
        *,
        why: str = "",
        run_id: str | None = None,
        by: str = "",
        actor: str = "agl-core",
    ) -> bool:
        """Declare a version the best; False when the last that was declared so is this one. Nothing is deleted.

        It counts for its bundle and for `run_id`; when none is named, for the run that published it.
        """
        found = self.log.rows(_PUBLISHER, (bundle.resources_id, bundle.version))
        if not found:
            raise UnknownId("resource", f"{bundle.resources_id}@{bundle.version}")
        event = ResourcesPromoted(
            resources_id=bundle.resources_id, version=bundle.version, why=why, run_id=run_id or found[0][0], by=by
        )

        def promoted(view: View) -> list[Draft]:
            if view.rows(_LAST_PROMOTED) == [(event.resources_id, event.version, event.run_id)]:
                return []
            story = event.run_id or event.resources_id
            return [Draft(stream=f"resources/{event.resources_id}", event=event, correlation_id=story, actor=actor)]

        return bool(await self._decided(promoted))

    async def query_resources(
        self,
        *,
        resources_id: str | None = None,
        resources_id_contains: str | None = None,
        sort_by: str | None = None,
        sort_order: SortOrder = "asc",
        limit: int = -1,
        offset: int = 0,
        at: int | None = None,
    ) -> PaginatedResult[ResourcesUpdate]:
        """Each bundle at its newest version; the one that was changed last comes last."""
        page = Page(columns=BUNDLES, sort_by=sort_by, sort_order=sort_order, limit=limit, offset=offset)
        streams = [f"resources/{resources_id}"] if resources_id else []
        return (await self._then(at, *streams)).bundles(resources_id, resources_id_contains, page)

    async def get_latest_resources(self, *, at: int | None = None) -> ResourcesUpdate | None:
        """The bundle that came out last."""
        return (await self._then(at)).latest_resources()

    async def get_resources_by_id(
        self, resources_id: str, version: int | None = None, *, at: int | None = None
    ) -> ResourcesUpdate:
        """A bundle; its newest version when none is named."""
        return (await self._then(at, f"resources/{resources_id}")).resources(resources_id, version)

    def api_key(self, resources_id: str, name: str) -> str | None:
        """The provider's key that came with a resource: held by this process, written nowhere."""
        return self._keys.get((resources_id, name))
