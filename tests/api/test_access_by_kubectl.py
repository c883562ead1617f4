"""An unmodified kubectl asks who it is and what it may, and uses a token that it made."""

import asyncio
from contextlib import asynccontextmanager

from apiserver import admin, identity, serving, tenant_admin
from ursa.base.config import TlsFiles
from ursa.kinds.roles import tenant_roles
from ursa.onebox.tools import kubectl

PLURALS = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"}


class Kubectl:
    def __init__(self, url: str, tls: TlsFiles, home: str) -> None:
        self._url, self._tls, self._home = url, tls, home

    async def __call__(self, *args: str, token: str = "") -> tuple[int, str]:
        """Return the exit code, and what was said on either channel."""
        who = (
            ("--token", token)
            if token
            else ("--client-certificate", self._tls.cert, "--client-key", self._tls.key)
        )
        process = await asyncio.create_subprocess_exec(
            str(kubectl()),
            *("--server", self._url, "--certificate-authority", self._tls.ca, *who, *args),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"HOME": self._home},
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()


@asynccontextmanager
async def acme(home):
    """Run a server with a tenant, and give a kubectl for each identity."""
    async with serving() as api:
        operator = api.admin
        await operator("POST", "/api/v1/tenants", {"metadata": {"name": "acme"}})
        await operator("POST", "/api/v1/tenants/acme/namespaces", {"metadata": {"name": "dev"}})
        for doc in tenant_roles("acme"):
            path = f"/apis/rbac.authorization.k8s.io/v1/tenants/acme/{PLURALS[doc['kind']]}"
            assert (await operator("POST", path, doc)).status == 201
        yield lambda tls: Kubectl(api.url, tls, str(home))


async def test_can_i_and_who_am_i(tmp_path):
    async with acme(tmp_path) as client_of:
        bob = identity("bob", "devs", tenant="acme")
        for tls, nodes, pods in (
            (admin(), "yes", "yes"),
            (tenant_admin("acme"), "no", "yes"),
            (bob, "no", "no"),
        ):
            run = client_of(tls)
            for resource, expected in (("nodes", nodes), ("pods", pods)):
                code, said = await run("auth", "can-i", "list", resource, "-n", "dev")
                assert said.splitlines()[-1] == expected
                assert code == (expected == "no")
        code, said = await client_of(bob)("auth", "whoami")
        assert code == 0 and "[devs system:authenticated]" in said


async def test_a_token_made_by_kubectl_has_the_rights_of_its_account_and_no_more(tmp_path):
    async with acme(tmp_path) as client_of:
        run = client_of(tenant_admin("acme"))
        dev = ("-n", "dev")
        assert (await run("create", "serviceaccount", "ci", *dev))[0] == 0
        role = ("create", "role", "reader", "--verb=list", "--resource=pods")
        assert (await run(*role, *dev))[0] == 0
        binding = ("create", "rolebinding", "r", "--role=reader", "--serviceaccount=dev:ci")
        assert (await run(*binding, *dev))[0] == 0
        code, token = await run("create", "token", "ci", *dev)
        assert code == 0
        with_token = {"token": token.strip()}
        code, said = await run("auth", "whoami", **with_token)
        assert "system:serviceaccount:dev:ci" in said
        assert (await run("get", "pods", *dev, **with_token))[0] == 0
        code, said = await run("get", "secrets", *dev, **with_token)
        assert code == 1 and 'cannot list resource "secrets"' in said
        code, said = await run("get", "pods", "--as=system:serviceaccount:dev:ci", *dev)
        assert code == 0
