"""One cloud for all end-to-end tests; the last of test_onebox.py takes it down."""

import pytest

from cloud import cloud, shim_sockets


@pytest.fixture(scope="session")
def sockets_before():
    return shim_sockets()


@pytest.fixture(scope="session")
def onebox(sockets_before):
    with cloud() as made:
        yield made
