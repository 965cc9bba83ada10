"""Bridge netfilter: does the firewall see traffic between two tenants on one bridge?"""

from __future__ import annotations

from innkeeper.host.doctor.finding import Finding, Status
from innkeeper.host.doctor.host import Host

SWITCHES = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")


async def check(host: Host) -> Finding:
    """Both switches are on: else Docker's `icc=false` does nothing at all."""
    values = {name: host.read(host.proc / "sys/net/bridge" / name) for name in SWITCHES}
    off = [name for name, value in values.items() if value is not None and value.strip() != "1"]
    if off:
        return Finding(
            name="bridge_netfilter",
            status=Status.FAIL,
            says=f"{' and '.join(off)} is off: tenants on one bridge could reach each other",
            fix="Set it: "
            + " ".join(f"sysctl -w net.bridge.{name}=1;" for name in off)
            + " and keep it in /etc/sysctl.d/.",
        )
    if None in values.values():
        return Finding(
            name="bridge_netfilter",
            status=Status.WARN,
            says="the kernel module br_netfilter isn't loaded; Docker loads it with the first network",
            fix="Load it: modprobe br_netfilter",
        )
    return Finding(name="bridge_netfilter", status=Status.OK, says="the firewall sees bridged traffic")
