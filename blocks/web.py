"""Going out to addresses that people gave us: looked up by us, judged, and connected to at the very address judged.

A name is resolved once, and nothing is sent unless each of its addresses is one that everybody can reach; otherwise an
address of the house, or of this machine, could be reached through us. TLS still asks for the name.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import httpcore

TLS_PORT = 443
# IPv6 addresses that stand for IPv4 ones: NAT64 (RFC 6052) and 6to4 are global by themselves, whatever they lead to.
NAT64 = ipaddress.ip_network("64:ff9b::/96")
SIX_TO_FOUR = ipaddress.ip_network("2002::/16")


class NotPublicError(Exception):
    """An address that only we can reach, or a port that is not the web's, and nobody has allowed it."""


@dataclass(frozen=True)
class Reach:
    """Who may be reached: everybody on `ports`, and `allowed`, each `host` or `host:port`, wherever it is."""

    ports: Collection[int]
    allowed: Collection[str] = ()

    def allows(self, host: str, port: int) -> bool:
        """Whether a setting names this host."""
        name = host.lower().rstrip(".")
        return bool({name, f"{name}:{port}"}.intersection(self.allowed))

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host, all of which may be reached; raises NotPublicError, and OSError for no address."""
        allowed = self.allows(host, port)
        if not allowed and port not in self.ports:
            raise NotPublicError(f"port {port} is none of {', '.join(map(str, sorted(self.ports)))}")
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[4][0]) for address in found))
        if not allowed and not all(is_public(address) for address in addresses):
            raise NotPublicError(f"{host} is not on the public internet")
        return addresses


def is_public(address: str) -> bool:
    """Whether everybody can reach it; an IPv4 address inside an IPv6 one counts as itself."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped
        if inner is None and found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is None and found in SIX_TO_FOUR:
            inner = found.sixtofour
        if inner is not None:
            return is_public(str(inner))
        if found.teredo is not None:
            return False
    return found.is_global and not found.is_multicast


class Network(httpcore.AsyncNetworkBackend):
    """httpcore's way out: a name becomes the address that was judged, so that a second look-up cannot differ."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers."""
        problem: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in await self._reach.addresses(host, port):
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem
