import pytest

from apiserver import serving


@pytest.fixture
async def server():
    async with serving() as running:
        yield running


@pytest.fixture
async def api(server):
    """The operator's client."""
    return server.admin
