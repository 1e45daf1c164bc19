"""Out to the public internet and nowhere else, however an address is written."""

import asyncio
from ipaddress import IPv4Address, IPv6Address

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.web import Network, NotPublicError, Reach, is_public

PRIVATE = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2001:0:0:0:0:0:0:1",
    "not an address",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_the_house_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_an_address_of_everybody_is(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_counts_as_itself(address: IPv4Address) -> None:
    mapped = IPv6Address(int(IPv6Address("::ffff:0:0")) | int(address))
    nat64 = IPv6Address(int(IPv6Address("64:ff9b::")) | int(address))
    assert is_public(str(mapped)) == is_public(str(nat64)) == is_public(str(address))


# Every way of writing this machine that the resolver understands.
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "::1"])
async def test_this_machine_is_refused_before_anything_is_connected(host: str) -> None:
    connected = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NotPublicError):
            await Network(Reach((port,))).connect_tcp(host, port, 1)
    assert not connected.is_set()


async def test_a_named_host_is_spoken_to_wherever_it_is_and_another_port_of_it_only_where_that_is_named() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for allowed in ({"localhost"}, {f"localhost:{port}"}):
            stream = await Network(Reach((443,), allowed)).connect_tcp("LocalHost", port, 5)
            await stream.aclose()
        with pytest.raises(NotPublicError):
            await Network(Reach((443,), {"localhost:1"})).connect_tcp("localhost", port, 5)


async def test_a_port_that_is_not_the_webs_is_refused_before_a_name_is_looked_up() -> None:
    with pytest.raises(NotPublicError, match="port 22 is none of 443"):
        await Network(Reach((443,))).connect_tcp("no-such-host.invalid", 22, 1)


async def test_an_address_that_does_not_answer_is_a_network_error() -> None:
    with pytest.raises(httpcore.ConnectError):
        await Network(Reach((443,), {"127.0.0.1"})).connect_tcp("127.0.0.1", 1, 1)
