"""Serve the transit daemon over gRPC on a unix socket that its owner alone can open."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from grpc import aio

from ursa.base.errors import ApiError
from ursa.mizar.daemon.transit import Transit
from ursa.mizar.libbpf import BpfError
from ursa.proto.mizar_pb2_grpc import add_TransitServicer_to_server

MESSAGE_MAX_BYTES = 64 * 2**20  # a snapshot of a million endpoints
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
}


async def serve(transit: Transit, socket: Path) -> aio.Server:
    """Return a server that has started; gRPC itself removes a dead server's socket."""
    server = aio.server(
        interceptors=[_Errors()], options=[("grpc.max_receive_message_length", MESSAGE_MAX_BYTES)]
    )
    add_TransitServicer_to_server(transit, server)  # type: ignore[no-untyped-call]
    mask = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{socket}")
        await server.start()
    finally:
        os.umask(mask)
    return server


class _Errors(aio.ServerInterceptor):  # type: ignore[type-arg]
    """Answer what a method raises with a code and the message."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: Any
    ) -> Any:
        handler = await continuation(details)
        method = getattr(handler, "unary_unary", None)
        if method is None:  # a method that the service does not have
            return handler

        async def translated(request: Any, context: Any) -> Any:
            try:
                return await method(request, context)
            except ApiError as fault:
                code = _CODES.get(fault.code, grpc.StatusCode.INTERNAL)
                await context.abort(code, fault.message)
            except BpfError as fault:
                await context.abort(grpc.StatusCode.INTERNAL, str(fault))

        return grpc.unary_unary_rpc_method_handler(
            translated, handler.request_deserializer, handler.response_serializer
        )
