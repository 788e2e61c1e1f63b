"""HTTP through the gateway: `http_calls.py server PORT` and `http_calls.py client PORT`.

A server that streams, waits, counts and breaks off, and two client libraries that have nothing in common.
"""

import asyncio
import hashlib
import sys
import time

import aiohttp
import httpx
from aiohttp import web

MIB = 1024 * 1024
BULK = 100


def piece(n):
    return hashlib.sha256(b"%d" % n).digest() * (MIB // 32)


async def serve(port):
    async def download(request):
        response = web.StreamResponse()
        if request.query.get("framing") == "length":
            response.content_length = BULK * MIB
        await response.prepare(request)
        for n in range(BULK):
            await response.write(piece(n))
        return response

    async def upload(request):
        digest, size = hashlib.sha256(), 0
        async for data in request.content.iter_any():
            digest.update(data)
            size += len(data)
        return web.json_response({"size": size, "digest": digest.hexdigest(), "framing": request.headers.get("Transfer-Encoding", "length")})

    async def events(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for n in range(10):
            await response.write(b"id: %d\ndata: %d\n\n" % (n, n))
            await asyncio.sleep(0.05)
        return response

    async def trickle(request):
        response = web.StreamResponse()
        response.content_length = 40
        await response.prepare(request)
        for n in range(40):
            await response.write(b"%d" % (n % 10))
            await asyncio.sleep(0.05)
        return response

    async def broken(request):
        response = web.StreamResponse()
        if request.query.get("framing") == "length":
            response.content_length = 1000
        await response.prepare(request)
        await response.write(b"half")
        await asyncio.sleep(0.1)
        request.transport.abort()
        return response

    async def echo(request):
        body = await request.read()
        fields = [[name, value] for name, value in request.headers.items()]
        return web.json_response({"method": request.method, "target": request.raw_path, "fields": fields, "size": len(body)})

    app = web.Application(client_max_size=1 << 34)
    app.router.add_get("/download", download)
    app.router.add_post("/upload", upload)
    app.router.add_get("/events", events)
    app.router.add_get("/trickle", trickle)
    app.router.add_get("/broken", broken)
    app.router.add_route("*", "/echo", echo)
    app.router.add_get("/", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
    await asyncio.Future()


async def bulk():
    for n in range(BULK):
        yield piece(n)


def whole_digest():
    digest = hashlib.sha256()
    for n in range(BULK):
        digest.update(piece(n))
    return digest.hexdigest()


async def with_aiohttp(url, expected):
    async with aiohttp.ClientSession() as session:
        for framing in ("length", "chunked"):
            digest = hashlib.sha256()
            async with session.get(f"{url}/download", params={"framing": framing}) as response:
                async for data in response.content.iter_any():
                    digest.update(data)
            assert digest.hexdigest() == expected, framing
        async with session.post(f"{url}/upload", data=bulk()) as response:
            answer = await response.json()
            assert answer == {"size": BULK * MIB, "digest": expected, "framing": "chunked"}, answer
        headers = {"Content-Length": str(BULK * MIB)}
        async with session.post(f"{url}/upload", data=bulk(), headers=headers, expect100=True) as response:
            answer = await response.json()
            assert answer == {"size": BULK * MIB, "digest": expected, "framing": "length"}, answer
        seen = []
        async with session.get(f"{url}/events") as response:
            async for line in response.content:
                if line.startswith(b"data:"):
                    seen.append(time.monotonic())
        assert len(seen) == 10 and seen[-1] - seen[0] > 0.3, "events came all at once"
        async with session.get(f"{url}/trickle") as response:
            assert await response.read() == b"0123456789" * 4
        for framing in ("length", "chunked"):
            try:
                async with session.get(f"{url}/broken", params={"framing": framing}) as response:
                    assert response.status == 200
                    await response.read()
                raise AssertionError(f"half an answer looks whole: {framing}")
            except aiohttp.ClientPayloadError:
                pass
        for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS"):
            async with session.request(method, f"{url}/echo?q=%20a+b&q=c", data=b"x" * 17) as response:
                answer = await response.json()
                assert (answer["method"], answer["target"], answer["size"]) == (method, "/echo?q=%20a+b&q=c", 17), answer

        async def one(n):
            async with session.get(f"{url}/echo?n={n}") as response:
                answer = await response.json()
                assert response.status == 200 and answer["target"] == f"/echo?n={n}", answer

        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as many:
            session = many
            for _ in range(3):
                await asyncio.gather(*(one(n) for n in range(1000)))


async def with_httpx(url, expected):
    async with httpx.AsyncClient(timeout=60) as client:
        digest = hashlib.sha256()
        async with client.stream("GET", f"{url}/download") as response:
            async for data in response.aiter_bytes():
                digest.update(data)
        assert digest.hexdigest() == expected
        answer = (await client.post(f"{url}/upload", content=bulk(), headers={"Content-Type": "application/octet-stream"})).json()
        assert answer["digest"] == expected, answer
        head = await client.head(f"{url}/echo")
        assert head.status_code == 200 and not head.content and int(head.headers["content-length"]) > 10
        answers = await asyncio.gather(*(client.get(f"{url}/echo?n={n}") for n in range(300)))
        assert [a.json()["target"] for a in answers] == [f"/echo?n={n}" for n in range(300)]


async def call(port):
    url, expected = f"http://127.0.0.1:{port}", whole_digest()
    await with_aiohttp(url, expected)
    await with_httpx(url, expected)
    print("all calls went well")


if __name__ == "__main__":
    asyncio.run({"server": serve, "client": call}[sys.argv[1]](int(sys.argv[2])))
