"""One cloud for all end-to-end tests; the last of test_onebox.py takes it down."""

import pytest

from cloud import cloud


@pytest.fixture(scope="session")
def onebox():
    with cloud() as made:
        yield made
