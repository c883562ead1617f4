"""What a namespace is furnished with, and in which order it is emptied."""

from controllers_objects import meta
from ursa.arktos.controllers.discovery import Served
from ursa.arktos.controllers.namespace import furnish, stages
from ursa.kinds.namespace import Namespace
from ursa.kinds.part import Scope, View

SPACE = Namespace(metadata=meta("dev", namespace=""))


def served(kind, group="", scope=Scope.NAMESPACE):
    return Served(View(group, "v1", kind, kind.lower() + "s", scope), frozenset({"delete"}))


def test_a_bare_namespace_gets_an_account_and_the_authority():
    account, root_ca = furnish(SPACE, None, None, "PEM").create
    assert (account.metadata.tenant, account.metadata.namespace) == ("acme", "dev")
    assert account.metadata.name == "default"
    assert (root_ca.metadata.name, root_ca.data) == ("kube-root-ca.crt", {"ca.crt": "PEM"})


def test_a_furnished_namespace_needs_nothing():
    made = furnish(SPACE, None, None, "PEM").create
    again = furnish(SPACE, *made, "PEM")
    assert (again.create, again.mend) == ((), ())


def test_a_changed_authority_is_mended():
    account, root_ca = furnish(SPACE, None, None, "old").create
    assert furnish(SPACE, account, root_ca, "new").mend == (root_ca,)


def test_pods_go_before_everything_else_of_the_namespace():
    pod, foreign, config = served("Pod"), served("Pod", "metrics"), served("ConfigMap")
    role = served("ClusterRole", scope=Scope.TENANT)
    assert stages([config, role, pod, foreign]) == ([pod], [config, foreign])
