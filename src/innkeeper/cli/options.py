"""Options that many commands share."""

from __future__ import annotations

from typing import Annotated

import typer

TenantArgument = Annotated[str, typer.Argument(metavar="NAME", help="The tenant's name.")]
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The user's mail address or id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is done, or only ask for it.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask whether this is meant.")]
