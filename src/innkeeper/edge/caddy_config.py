"""Caddy's configuration: written once from the settings, and never changed by what tenants do.

A reload drops nobody (`stream_close_delay`), but it happens only when the settings or this file have changed.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from innkeeper.core.errors import EdgeFault, Invalid, Problem
from innkeeper.core.hosting import CONSOLE
from innkeeper.core.policy import DEADLINE_MAX_S
from innkeeper.edge.answers import CARRIED
from innkeeper.edge.caddy_sites import ports, servers, sites
from innkeeper.edge.problems import GateAway, TenantUnreachable
from innkeeper.edge.quoted import quoted
from innkeeper.edge.tls import Tls
from innkeeper.problems import document

STAND_IN_CLIENT = "192.0.2.1"
"""Stands for clients on this very host. Agents behind a trusted proxy refuse a forwarded loopback address, or the
proxy's own (OpenClaw: 403 `proxy_attribution_required`); this one is kept for documentation and is nobody's."""

FORGED = (
    # whom a proxy in front says it is: nobody but us stands in front
    "Forwarded", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip",
    "Fastly-Client-Ip", "X-Original-Url", "X-Rewrite-Url", "X-Original-Host", "X-Http-Host-Override",
    # who the user is and what they may do
    "X-User*", "X-Tenant*", "X-Innkeeper-*", "X-Upstream", *(f"X-Upstream-{name}" for name in CARRIED),
    "X-Openclaw-Scopes", "Tailscale-*",
    "X-Remote-User", "X-Remote-Email", "X-Remote-Group", "X-Remote-Groups", "X-Remote-Name",
    "Remote-User", "Remote-Email", "Remote-Groups", "Remote-Name", "X-Webauth-User", "X-Webauth-Role",
    "X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-Access-Token", "X-Pomerium-Jwt-Assertion", "X-Pomerium-Claim-Email", "X-Goog-Iap-Jwt-Assertion",
    "X-Goog-Authenticated-User-Email", "X-Goog-Authenticated-User-Id", "X-Amzn-Oidc-Data", "X-Amzn-Oidc-Identity",
    "X-Amzn-Oidc-Accesstoken", "X-Ms-Client-Principal", "X-Ms-Client-Principal-Id", "X-Ms-Client-Principal-Name",
    "Cf-Access-Jwt-Assertion", "Cf-Access-Authenticated-User-Email", "X-Authentik-Username", "X-Authentik-Email",
    "X-Authentik-Groups", "X-Authentik-Name", "X-Authentik-Uid", "X-Authentik-Jwt",
    # the same under another spelling: some servers read `_` as `-` (Caddy drops these by itself since 2.11)
    "*_*",
)  # fmt: skip
"""Request headers that claim what only the edge can know; never passed on. A pattern costs a look at every header of
every request, a whole name next to nothing: so whole names, where they are known."""


_LOOK_EVERY_MS = 100
REDIRECT = "X-Innkeeper-Redirect"
"""What Caddy tells the API of a request that came over plain HTTP: its host and its URI."""
ATTEMPT, TO = "X-Innkeeper-Attempt", "X-Innkeeper-To"
"""What the courier tells Caddy of a message: the attempt, for the record, and where to. Neither is passed on."""


@dataclass(frozen=True, kw_only=True)
class EdgePlan:
    """What the configuration is made from."""

    host: str
    """The address to listen on."""
    port: int
    run: Path
    """The folder of the sockets and the log."""
    wake_deadline_s: float
    """How long the gate holds a request where the tenant doesn't say otherwise."""
    answer_s: float = 60.0
    """How long a tenant may take to answer a message that is delivered to it."""
    message_mb: int = 1
    """The largest body of such a message."""
    console_host: str = f"{CONSOLE}.localhost"
    """The host at which the console answers, and the API with it."""
    wildcard: str = "*.localhost"
    """All the tenants' own hosts."""
    tls: Tls | None = None
    """None: plain HTTP on `port`. Otherwise that only redirects, and answers the authority."""
    binary: Path | None = None
    """The Caddy to run; None: that of our own wheel."""

    @property
    def ports(self) -> tuple[int, ...]:
        """Where the public comes in."""
        return (self.port,) if self.tls is None else (self.port, self.tls.port)

    @property
    def console_socket(self) -> Path:
        """Where the API listens for those who come through the edge."""
        return self.run / "console.sock"

    @property
    def gate_socket(self) -> Path:
        """Where the gate listens."""
        return self.run / "gate.sock"

    @property
    def inbox_socket(self) -> Path:
        """Where the inbox listens."""
        return self.run / "inbox.sock"

    @property
    def courier_socket(self) -> Path:
        """Where Caddy takes messages for tenants from us."""
        return self.run / "courier.sock"

    @property
    def deliveries(self) -> Path:
        """Caddy's record of how each of those deliveries ended."""
        return self.run / "deliveries.log"

    @property
    def admin_socket(self) -> Path:
        """Where Caddy's own API listens."""
        return self.run / "caddy-admin.sock"

    @property
    def log(self) -> Path:
        """Caddy's log, rotated by itself."""
        return self.run / "caddy.log"

    @property
    def storage(self) -> Path:
        """Certificates, once there are any."""
        return self.run / "caddy"


def render(plan: EdgePlan) -> str:
    """The Caddyfile."""
    return _SITE.substitute(
        admin=quoted(f"unix/{plan.admin_socket}|0600"),
        log=quoted(plan.log),
        storage=quoted(plan.storage),
        gate=quoted(f"unix/{plan.gate_socket}"),
        host=_address(plan.host),
        ports="\n\t".join(ports(plan)),
        servers=servers(plan),
        sites=sites(plan),
        console=quoted(f"unix/{plan.console_socket}"),
        console_host=plan.console_host,
        redirect=REDIRECT,
        # Any tenant may have the longest deadline there is, and this configuration knows no tenant. A gate that is
        # there may be silent for so long; one that is away is looked for as often as fits into the usual deadline and
        # ten seconds more, also by a request that was held until then.
        patience_s=round(DEADLINE_MAX_S) + 10,
        silence_s=round(DEADLINE_MAX_S) + 15,
        look_every_ms=_LOOK_EVERY_MS,
        looks=(round(plan.wake_deadline_s) + 10) * 1000 // _LOOK_EVERY_MS,
        stand_in=STAND_IN_CLIENT,
        forged=_lines(6, (f"header_up -{name}" for name in FORGED)),
        forged_at_console=_lines(3, (f"request_header -{name}" for name in FORGED)),
        carried=_lines(5, (line for name in CARRIED for line in _carry(name))),
        courier=quoted(f"unix/{plan.courier_socket}|0600"),
        deliveries=quoted(plan.deliveries),
        attempt=ATTEMPT,
        to=TO,
        answer_s=round(plan.answer_s),
        # More than a body has: one that ends short of its length is then never sent on.
        buffer_mb=plan.message_mb + 1,
        malformed=_body(Invalid("The request isn't proper HTTP."), 400),
        gate_away=_body(GateAway("The control plane doesn't answer."), 503),
        unreachable=_body(TenantUnreachable("The tenant broke off, or could not be reached."), 502),
    )


def _address(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        raise EdgeFault(f"{host!r} is no IP address to listen on.", hint="Set INNKEEPER_EDGE_HOST to one.") from None


def _carry(name: str) -> tuple[str, str, str]:
    given = f"{{rp.header.X-Upstream-{name}}}"
    return (
        f"request_header -{name}",
        f"@gives_{name.lower()} not vars {given} ``",
        f"request_header @gives_{name.lower()} {name} {given}",
    )


def _body(problem: Problem, status: int) -> str:
    return json.dumps(document(problem, status=status)).replace("`", "\\u0060")  # it stands between backticks


def _lines(depth: int, lines: Iterable[str]) -> str:
    return ("\n" + "\t" * depth).join(lines)


_SITE = Template("""\
{
	admin $admin
	persist_config off
	$ports
	storage file_system $storage
	log {
		level WARN
		output file $log {
			mode 0600
			roll_size 10MiB
			roll_keep 3
		}
		format filter {
			wrap json
			request delete
			resp_headers delete
		}
	}
	$servers
}

(tenants) {
	bind $host

	route {
		header {
			-Server
			-Via
			-X-Powered-By
			-X-Upstream*
		}
		request_header -X-Forwarded-*
		vars client {remote_host}
		@loopback remote_ip 127.0.0.0/8 ::1
		vars @loopback client $stand_in
		@this_host vars {http.request.local.host} {remote_host}
		vars @this_host client $stand_in

		reverse_proxy $gate {
			method GET
			rewrite /gate
			header_up -*
			header_up X-Forwarded-Host {http.request.hostport}
			header_up X-Forwarded-Method {http.request.orig_method}
			header_up X-Forwarded-Uri {http.request.orig_uri}
			header_up X-Forwarded-Destination {header.Sec-Fetch-Dest}{header.Upgrade}
			header_up Authorization {header.Authorization}
			header_up Accept {header.Accept}
			header_up Cookie {header.Cookie}
			header_up Origin {header.Origin}
			header_up X-Forwarded-Site {header.Sec-Fetch-Site}
			header_up X-Forwarded-Client "{remote_host}:{remote_port} {http.request.proto}"
			lb_try_duration ${patience_s}s
			lb_try_interval ${look_every_ms}ms
			lb_retries $looks
			transport http {
				response_header_timeout ${silence_s}s
				compression off
				keepalive 1h
				keepalive_idle_conns_per_host 128
			}

			@pass status 204
			handle_response @pass {
				route {
					vars passed yes
					# Only a WebSocket leaves HTTP: by any other upgrade (h2c) a client would talk to the agent
					# with nobody looking at its requests. And `Connection` names no header of ours to be dropped.
					@websocket header_regexp Upgrade (?i)^websocket$$
					@other not header_regexp Upgrade (?i)^websocket$$
					request_header @websocket Upgrade websocket
					request_header @websocket Connection Upgrade
					request_header @other -Upgrade
					request_header @other -Connection
					$carried
					reverse_proxy {rp.header.X-Upstream} {
						header_up X-Forwarded-For {vars.client}
						header_up -Via
						$forged
						header_down Set-Cookie "(?i);\\s*Domain\\s*=[^;]*" ""
						header_down Set-Cookie "(?i)^\\s*__Host-innkeeper.*" ""
						header_down -Clear-Site-Data
						stream_close_delay 24h
						transport http {
							dial_timeout 5s
							compression off
							keepalive 2s
						}
					}
				}
			}
		}
	}

	handle_errors 4xx {
		route {
			header -Server
			header Content-Type application/problem+json
			respond `$malformed` {err.status_code}
		}
	}
	handle_errors 5xx {
		route {
			header -Server
			header Content-Type application/problem+json
			header Cache-Control no-store
			header Retry-After 5
			@passed vars passed yes
			respond @passed `$unreachable` 502
			respond `$gate_away` 503
		}
	}
}

# The console's host leads to the API itself. What only the edge can know of a visitor comes from here and nowhere else.
(console) {
	@console host $console_host
	handle @console {
		route {
			header {
				-Server
				-Via
			}
			request_header -X-Forwarded-*
			$forged_at_console
			reverse_proxy $console {
				header_up X-Innkeeper-Client {remote_host}
				header_up -Via
				lb_try_duration ${patience_s}s
				lb_try_interval ${look_every_ms}ms
				lb_retries $looks
				stream_close_delay 24h
				transport http {
					response_header_timeout ${silence_s}s
					compression off
					keepalive 1m
				}
			}
		}
	}
}

# With TLS, plain HTTP leads on to it: for hosts that we know, which the API tells. An authority's challenges never come
# as far as this, for Caddy answers them by itself.
(redirects) {
	bind $host
	reverse_proxy $console {
		method GET
		rewrite /edge/redirect
		header_up -*
		header_up $redirect "{http.request.hostport} {http.request.orig_uri}"
		lb_try_duration ${patience_s}s
		lb_try_interval ${look_every_ms}ms
		lb_retries $looks
		transport http {
			response_header_timeout ${silence_s}s
			compression off
			keepalive 1m
		}
	}
	handle_errors {
		header -Server
		header Content-Type application/problem+json
		header Cache-Control no-store
		header Retry-After 5
		respond `$gate_away` 503
	}
}

$sites
# Messages from the inbox to tenants: whoever can open this socket says where to. Caddy holds the whole of a message
# before it sends any of it on, and then finishes on its own; its log says how that ended, whoever lives to read it
# (`<`: the attempt is noted at the beginning, for an answer that nobody is there to take ends in a panic).
http:// {
	bind $courier
	log deliveries {
		output file $deliveries {
			mode 0600
			roll_size 8MiB
			roll_keep 4
			roll_uncompressed
		}
		format filter {
			wrap json
			request delete
			resp_headers delete
			user_id delete
		}
	}
	log_append <attempt {header.$attempt}

	reverse_proxy {header.$to} {
		header_up X-Forwarded-For {header.X-Forwarded-For}
		header_up X-Forwarded-Host {header.X-Forwarded-Host}
		header_up X-Forwarded-Proto {header.X-Forwarded-Proto}
		header_up -Via
		header_up -$attempt
		header_up -$to
		request_buffers ${buffer_mb}MiB
		transport http {
			dial_timeout 5s
			response_header_timeout ${answer_s}s
			compression off
			keepalive off
		}
	}
}
""")
