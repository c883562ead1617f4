"""What the verbs work with: the API server's parts, constructed in cmd/apiserver.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from ursa.api.admission import Admission
from ursa.api.authentication import Authenticator
from ursa.api.authorization import Authorizer
from ursa.api.cache import Cache
from ursa.api.call import Call
from ursa.api.documents import wire
from ursa.api.forms import Form, Renderer, answer, include_of, negotiate
from ursa.api.incoming import Ids
from ursa.api.message import Response
from ursa.api.nodes import Agents
from ursa.api.request import ALL_TENANTS
from ursa.api.reviews import Reviews
from ursa.api.watch import Hub
from ursa.base import ids
from ursa.base.clock import Clock
from ursa.store.engine import Store


class RandomIds:
    def uid(self) -> str:
        return ids.uid()

    def random_suffix(self) -> str:
        return ids.random_suffix()


@dataclass(frozen=True, slots=True)
class App:
    store: Store
    cache: Cache
    hub: Hub
    authenticator: Authenticator
    authorizer: Authorizer
    admission: Admission
    reviews: Reviews
    agents: Agents
    clock: Clock
    ids: Ids = field(default_factory=RandomIds)

    def renderer(self, call: Call) -> Renderer:
        """Return what renders in the form that the request accepts. Raises NotAcceptable."""
        return Renderer(
            call.resource,
            negotiate(call.request.headers.get("accept", "")),
            self.clock.now_s,
            include_of(call.request.query),
            all_tenants=call.tenant == ALL_TENANTS,
        )

    def rendered(self, call: Call, status: int, value: bytes, revision: int) -> Response:
        """Return one object as a response."""
        if negotiate(call.request.headers.get("accept", "")) is Form.OBJECT:
            return Response(status, wire(value, revision))
        renderer = self.renderer(call)
        return answer(status, renderer.item(value, revision), renderer.form)
