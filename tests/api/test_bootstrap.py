"""What is there before anybody asks."""

from access import World
from ursa.api.bootstrap import documents
from ursa.kinds import validation
from ursa.kinds.defaults import default
from ursa.kinds.registry import find_kind


async def test_every_document_is_of_a_served_kind_and_valid():
    world = World()
    for doc in documents():
        group, _, version = doc["apiVersion"].rpartition("/")
        resource = find_kind(group, version, doc["kind"])
        assert resource is not None
        default(resource, doc)
        assert list(validation.validate(resource, doc, None)) == []
        await world.put(doc)


def test_every_binding_refers_to_a_role_that_is_made_before_it():
    made = set()
    for doc in documents():
        if doc["kind"] == "ClusterRoleBinding":
            assert doc["roleRef"]["name"] in made
        made.add(doc["metadata"]["name"])
