"""docs/reference/access.md: who may do what, as the one function that decides decides it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from innkeeper.api.app import needed
from innkeeper.cli.reference.markdown import table
from innkeeper.core.access import Action, Actor, ActorKind, Role, Scope, TenantRole, allow

_TENANT = "alice"
_HEAD = """# Access

Each route of the API and each request at a tenant's door asks for one action. Whoever has a role on the platform may do
with every tenant, and with the house, what stands under it; whoever is something to a tenant may do with that one what
stands there. A tenant's API key may what a member may, with its tenant alone. What isn't said here is denied.
[Access explained](../explanation/access.md) says how that fits together.
"""
_ONESELF = """Everybody may do these with themselves, whatever their roles. Whoever has `house.manage` may do them with
anybody's tokens and sessions:
"""
_SCOPES = """A token is narrowed to scopes, each of which stands for some actions. It never gives more than the roles of
whose it is.
"""
_ROUTES = "What each route asks for. `/health`, `/ready` and `/metrics` ask for nothing.\n"


def render() -> str:
    """The page."""
    on_oneself = [action for action in Action if action.startswith("self.")]
    return "\n".join(
        [
            _HEAD,
            "## Roles\n",
            table(("on the platform", "who has it"), ((f"`{role}`", role.says) for role in Role)),
            table(("in a tenant", "who has it"), ((f"`{role}`", role.says) for role in TenantRole)),
            "## With a tenant\n",
            _matrix(Action, "tenant."),
            "## With the house\n",
            _matrix(Action, "house."),
            "## With oneself\n",
            _ONESELF,
            table(("action", "what it is"), ((f"`{action}`", action.says) for action in on_oneself)),
            "## Scopes\n",
            _SCOPES,
            table(("scope", "actions"), ((f"`{scope}`", ", ".join(_of(scope))) for scope in Scope)),
            "## Routes\n",
            _ROUTES,
            table(("route", "action"), ((f"`{route}`", f"`{action}`") for route, action in needed().items())),
        ]
    )


def _matrix(actions: Iterable[Action], begins: str) -> str:
    holders = [*_on_platform(), *(_in_tenant() if begins == "tenant." else ())]
    return table(
        ("action", "what it is", *(name for name, _ in holders)),
        (
            (f"`{action}`", action.says, *(_may(actor, action, begins) for _, actor in holders))
            for action in actions
            if action.startswith(begins)
        ),
    )


def _on_platform() -> Iterator[tuple[str, Actor]]:
    for role in Role:
        yield role, Actor(kind=ActorKind.USER, id="usr_x", role=role)


def _in_tenant() -> Iterator[tuple[str, Actor]]:
    for role in TenantRole:
        yield role, Actor(kind=ActorKind.USER, id="usr_x", tenants={_TENANT: role})


def _may(actor: Actor, action: Action, begins: str) -> str:
    return "yes" if allow(actor, action, _TENANT if begins == "tenant." else None) else "no"


def _of(scope: Scope) -> list[str]:
    return [f"`{action}`" for action in Action if action.scope is scope]
