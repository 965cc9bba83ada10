"""`innkeeper user create|list|show|update|delete`: those who have an account."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from innkeeper.cli import show
from innkeeper.cli.desk import Desk
from innkeeper.cli.exits import wrong_usage
from innkeeper.cli.new_password import PasswordFile, asked_for, read_from
from innkeeper.cli.options import Json, UserArgument, Yes
from innkeeper.cli.paths import path_part

app = typer.Typer(no_args_is_help=True, help="Users: those who sign in.")
RoleOption = Annotated[str | None, typer.Option(help="On the whole platform: admin, operator or auditor.")]
NameOption = Annotated[str | None, typer.Option(help="What people call them.")]


@app.command()
def create(
    ctx: typer.Context,
    mail: Annotated[str, typer.Argument(metavar="MAIL", help="The mail address that they sign in with.")],
    name: NameOption = None,
    role: RoleOption = None,
    password_file: PasswordFile = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="They sign in at the identity provider only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create a user; the password is asked for unless it comes from a file."""
    desk: Desk = ctx.obj
    if no_password and password_file is not None:
        raise wrong_usage("Say either --password-file or --no-password.")
    body: dict[str, Any] = {"mail": mail, "name": name or "", "role": role}
    if not no_password:
        body["password"] = asked_for() if password_file is None else read_from(password_file)
    user = desk.client.send("POST", "/v1/users", body=body)
    _tell(user, f"{user['mail']} is a user now", as_json=as_json)
    if not as_json and user["role"] is None:
        show.aside("They may do nothing yet: `innkeeper member add NAME MAIL` lets them in to a tenant.")


@app.command("list")
def index(ctx: typer.Context, as_json: Json = False) -> None:
    """List the users, the oldest first."""
    desk: Desk = ctx.obj
    found = list(desk.client.items("/v1/users"))
    if as_json:
        show.document(found)
        return
    rows = [(user["mail"], user["name"], user["role"], _way_in(user), user["created_at"], user["id"]) for user in found]
    columns = ("MAIL", "NAME", "ROLE", "SIGNS IN", "CREATED", "ID")
    show.table(columns, rows, empty="There are no users; the admin token needs none.")


@app.command("show")
def look(ctx: typer.Context, who: UserArgument, as_json: Json = False) -> None:
    """Show a user."""
    desk: Desk = ctx.obj
    user = desk.client.document(_path(who))
    if as_json:
        show.document(user)
        return
    show.facts(
        [
            ("mail", user["mail"]),
            ("name", user["name"] or None),
            ("role", user["role"]),
            ("signs in", _way_in(user)),
            ("created", user["created_at"]),
            ("id", user["id"]),
        ]
    )


@app.command()
def update(
    ctx: typer.Context,
    who: UserArgument,
    name: NameOption = None,
    role: RoleOption = None,
    no_role: Annotated[bool, typer.Option("--no-role", help="Take their role on the platform away.")] = False,
    disabled: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Shut them out with all that they have open, or not.")
    ] = None,
    password_file: PasswordFile = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Take their password away: they sign in at the provider only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Change a user; a new password ends their sessions. The last admin stays one."""
    desk: Desk = ctx.obj
    if role is not None and no_role:
        raise wrong_usage("Say either --role or --no-role.")
    if password_file is not None and no_password:
        raise wrong_usage("Say either --password-file or --no-password.")
    patch: dict[str, Any] = {"name": name, "role": role, "disabled": disabled}
    patch = {field: value for field, value in patch.items() if value is not None}
    if no_role:
        patch["role"] = None
    if password_file is not None or no_password:
        patch["password"] = None if password_file is None else read_from(password_file)
    if not patch:
        raise wrong_usage("Say what is to change.", hint="See `innkeeper user update --help`.")
    user = desk.client.send("PATCH", _path(who), body=patch)
    _tell(user, f"{user['mail']} is changed", as_json=as_json)


@app.command()
def delete(ctx: typer.Context, who: UserArgument, yes: Yes = False, as_json: Json = False) -> None:
    """Delete a user with their memberships, tokens and sessions; what they have open ends."""
    desk: Desk = ctx.obj
    show.confirm(f"Delete the user {who}?", yes=yes)
    desk.client.send("DELETE", _path(who))
    _tell({"user": who, "deleted": True}, f"{who} is deleted", as_json=as_json)


def _path(who: str) -> str:
    return f"/v1/users/{path_part(who)}"


def _way_in(user: dict[str, Any]) -> str:
    if user["disabled"]:
        return "never: disabled"
    ways = ["with a password"] if user["has_password"] else []
    ways += [f"at {user['provider']}"] if user["provider"] else []
    return " or ".join(ways) or "at the provider, not yet"


def _tell(document: dict[str, Any], says: str, *, as_json: bool) -> None:
    if as_json:
        show.document(document)
    else:
        show.line(says)
