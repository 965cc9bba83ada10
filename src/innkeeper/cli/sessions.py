"""`innkeeper session list|end` and `innkeeper whoami`: who is signed in, and as whom this command line comes."""

from __future__ import annotations

from typing import Annotated

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.options import Json, Yes
from innkeeper.cli.paths import path_part

app = typer.Typer(no_args_is_help=True, help="Sessions: browsers that are signed in.")


@app.command("list")
def index(
    ctx: typer.Context,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Only this user's: their mail address or id.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List who is signed in, and where: everybody, for those who manage users."""
    desk: Desk = ctx.obj
    found = list(desk.client.items("/v1/sessions"))
    if user is not None:
        whose = desk.client.document(f"/v1/users/{path_part(user)}")["id"]
        found = [session for session in found if session["user"] == whose]
    if as_json:
        show.document(found)
        return
    rows = [
        (
            session["id"],
            session["user"],
            session["method"],
            session["address"],
            show.ago(session["created_at"]),
            session["expires_at"],
            session["browser"],
        )
        for session in found
    ]
    show.table(("ID", "USER", "BY", "FROM", "AGE", "EXPIRES", "BROWSER"), rows, empty="Nobody is signed in.")


@app.command()
def end(
    ctx: typer.Context,
    session_id: Annotated[
        str, typer.Argument(metavar="SESSION", help="The session's id; see `innkeeper session list`.")
    ],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Sign a browser out; what it has open at tenants ends within seconds."""
    desk: Desk = ctx.obj
    show.confirm(f"End {session_id}?", yes=yes)
    desk.client.send("DELETE", f"/v1/sessions/{path_part(session_id)}")
    if as_json:
        show.document({"id": session_id, "ended": True})
    else:
        show.line(f"{session_id} is ended")


def whoami(ctx: typer.Context, as_json: Json = False) -> None:
    """Say as whom this command line comes, and what they may."""
    desk: Desk = ctx.obj
    me = desk.client.document("/v1/me")
    if as_json:
        show.document(me)
        return
    show.facts(
        [
            ("name", me["name"] or me["id"]),
            ("kind", me["kind"]),
            ("id", me["id"]),
            ("role", me["role"]),
            ("tenants", ", ".join(f"{name} ({role})" for name, role in sorted(me["tenants"].items())) or None),
            ("only", me["tenant"]),
            ("scopes", ", ".join(me["scopes"])),
        ]
    )
