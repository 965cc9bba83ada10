"""`innkeeper secret set|list|rotate|delete`: secrets of tenants and of the platform, which nobody reads out again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import wrong_usage
from innkeeper.cli.expiry import Expires, expires_at
from innkeeper.cli.options import Json, Yes
from innkeeper.cli.paths import path_part
from innkeeper.cli.secret_value import FromFile, value_from
from innkeeper.core.secrets import NAME

app = typer.Typer(no_args_is_help=True, help="Secrets of tenants and of the platform: values go in, none comes out.")

Names = Annotated[
    list[str],
    typer.Argument(metavar="TENANT KEY", help="The tenant and the secret's name; with --platform the name alone."),
]
Platform = Annotated[bool, typer.Option("--platform", help="One of the platform's own, for what stands in settings.")]


@app.command("set")
def put(
    ctx: typer.Context,
    names: Names,
    from_file: FromFile = None,
    expires: Expires = None,
    platform: Platform = False,
    as_json: Json = False,
) -> None:
    """Set a secret, there before or not. An agent whose config refers to it is made anew with it."""
    desk: Desk = ctx.obj
    path, key = _place(names, platform=platform)
    body = {"value": value_from(from_file, asking=f"Value of {key}"), "expires_at": expires_at(expires)}
    _told(desk.client.send("PUT", path, body=body), as_json=as_json)


@app.command()
def rotate(
    ctx: typer.Context,
    names: Names,
    from_file: FromFile = None,
    back_to: Annotated[
        int | None, typer.Option(metavar="VERSION", help="Instead of a new value: that of an earlier version.")
    ] = None,
    expires: Expires = None,
    platform: Platform = False,
    as_json: Json = False,
) -> None:
    """Give a secret that is there a new value, or an earlier one again."""
    desk: Desk = ctx.obj
    path, key = _place(names, platform=platform)
    body: dict[str, Any] = {"expires_at": expires_at(expires)}
    if back_to is None:
        body["value"] = value_from(from_file, asking=f"New value of {key}")
    elif from_file is None:
        body["back_to"] = back_to
    else:
        raise wrong_usage("--back-to brings its value with it, so there is nothing to read.")
    _told(desk.client.send("POST", f"{path}/rotate", body=body), as_json=as_json)


@app.command("list")
def index(
    ctx: typer.Context,
    tenant: Annotated[str | None, typer.Argument(metavar="TENANT", help="Whose; not with --platform.")] = None,
    platform: Platform = False,
    as_json: Json = False,
) -> None:
    """List secrets by name, with their versions; never values."""
    desk: Desk = ctx.obj
    if (tenant is None) is not platform:
        raise wrong_usage("Name a tenant, or say --platform.")
    found = list(desk.client.items(_secrets_of(tenant)))
    if as_json:
        show.document(found)
        return
    rows = [
        (each["name"], each["version"], each["created_at"], each["created_by"], _ends(each), len(each["versions"]))
        for each in found
    ]
    empty = f"{tenant or 'The platform'} has no secrets."
    show.table(("NAME", "VERSION", "SET", "BY", "EXPIRES", "KEPT"), rows, empty=empty)


@app.command()
def delete(
    ctx: typer.Context, names: Names, platform: Platform = False, yes: Yes = False, as_json: Json = False
) -> None:
    """Delete a secret, all versions of it; what refers to it fails from then on."""
    desk: Desk = ctx.obj
    path, key = _place(names, platform=platform)
    show.confirm(f"Delete {key}{'' if platform else f' of {names[0]}'}?", yes=yes)
    desk.client.send("DELETE", path)
    if as_json:
        show.document({"name": key, "deleted": True})
    else:
        show.line(f"{key} is deleted")


def _place(names: list[str], *, platform: bool) -> tuple[str, str]:
    """The secret's path in the API, and its name."""
    if len(names) != (1 if platform else 2):
        raise wrong_usage(
            "With --platform comes the secret's name alone."
            if platform
            else "It takes a tenant and the secret's name.",
            hint="The value is never an argument: others could see it there. It is read from --from-file or stdin.",
        )
    if not NAME.fullmatch(names[-1]):  # some are no part of any path
        raise wrong_usage(
            f"{names[-1][:60]!r} can't be a secret's name.",
            hint="1 to 128 of letters, digits, '_', '.' and '-', beginning with a letter or '_'.",
        )
    return f"{_secrets_of(None if platform else names[0])}/{path_part(names[-1])}", names[-1]


def _secrets_of(tenant: str | None) -> str:
    return "/v1/secrets" if tenant is None else f"/v1/tenants/{path_part(tenant)}/secrets"


def _told(secret: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show.document(secret)
    else:
        show.line(f"{secret['name']} is set (version {secret['version']})")


def _ends(secret: dict[str, Any]) -> str:
    return f"{secret['expires_at']} (over)" if secret["expired"] else secret["expires_at"] or "never"
