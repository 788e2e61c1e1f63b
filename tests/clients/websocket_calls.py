"""WebSockets through the gateway: `websocket_calls.py server PORT` and `websocket_calls.py client PORT`."""

import asyncio
import sys

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve as listen

LARGE = 5 * 1024 * 1024


async def serve(port):
    async def echo(socket):
        path = socket.request.path
        if path.startswith("/greet"):
            await socket.send("hello first")
        if path.startswith("/bye"):
            await socket.close(4001, "over")
            return
        async for message in socket:
            await socket.send(message)

    async with listen(echo, "127.0.0.1", port, max_size=None, subprotocols=["v2.chat", "chat"]):
        await asyncio.Future()


async def call(port):
    url = f"ws://127.0.0.1:{port}"
    async with connect(f"{url}/echo?a=1", max_size=None, subprotocols=["chat"]) as socket:
        assert socket.subprotocol == "chat", socket.subprotocol
        assert "permessage-deflate" in socket.response.headers.get("Sec-WebSocket-Extensions", "")
        for message in ("", "héllo", b"\x00\xff", "x" * 200_000, b"y" * LARGE):
            await socket.send(message)
            assert await socket.recv() == message
        await socket.send(["in ", "three ", "pieces"])
        assert await socket.recv() == "in three pieces"
        await asyncio.wait_for(await socket.ping(b"are you there"), 10)
        # Much is under way in both directions before anything is read.
        for n in range(300):
            await socket.send(f"{n}" * 100)
        for n in range(300):
            assert await socket.recv() == f"{n}" * 100

    async with connect(f"{url}/greet", compression=None, subprotocols=["v2.chat"]) as socket:
        assert await socket.recv() == "hello first"

    async with connect(f"{url}/bye", subprotocols=["chat"]) as socket:
        try:
            await socket.recv()
            raise AssertionError("it closes at once")
        except websockets.exceptions.ConnectionClosedError as closed:
            assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "over"), closed

    async def one(n):
        async with connect(f"{url}/echo", subprotocols=["chat", "v2.chat"]) as socket:
            for k in range(10):
                await socket.send(f"{n}-{k}")
                assert await socket.recv() == f"{n}-{k}"

    await asyncio.gather(*(one(n) for n in range(100)))
    print("all sockets went well")


if __name__ == "__main__":
    asyncio.run({"server": serve, "client": call}[sys.argv[1]](int(sys.argv[2])))
