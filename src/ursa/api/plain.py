"""The paths that address no resource: health, metrics, discovery and OpenAPI.

Source: Kubernetes, "Kubernetes API health endpoints".
"""

from __future__ import annotations

from dataclasses import dataclass

from ursa.api import discovery
from ursa.api.app import App
from ursa.api.message import Request, Response
from ursa.api.metrics import CONTENT_TYPE, Metrics
from ursa.api.paths import Plain
from ursa.api.request import SYSTEM_TENANT, User

HEALTH = ("/healthz", "/livez", "/readyz")
LAG_MAX_S = 10.0  # an event loop that is later than this is not alive


@dataclass(slots=True)
class Health:
    is_ready: bool = False
    lag_s: float = 0.0


class PlainPaths:
    def __init__(self, app: App, health: Health, metrics: Metrics) -> None:
        self._app = app
        self._health = health
        self._metrics = metrics

    def answer(self, request: Request, path: Plain, user: User) -> Response | None:
        if path.path in HEALTH:
            return self._health_of(path.path)
        if path.path == "/metrics" and path.tenant is None:
            return Response(200, self._metrics.text(), CONTENT_TYPE)
        tenant = path.tenant or user.tenant
        return discovery.answer(request, path.path, for_tenant=tenant != SYSTEM_TENANT)

    def _health_of(self, path: str) -> Response:
        if self._health.lag_s > LAG_MAX_S or (path == "/readyz" and not self._health.is_ready):
            return Response(500, path.encode() + b" check failed", "text/plain; charset=utf-8")
        return Response(200, b"ok", "text/plain; charset=utf-8")
