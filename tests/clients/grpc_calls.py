"""gRPC through the gateway: `grpc_calls.py server PORT` and `grpc_calls.py client PORT`.

The four kinds of call, errors with details, metadata both ways, large messages, deadlines and cancellation; messages
are bare bytes, so that no generated code is needed.
"""

import sys
import threading
import time
from concurrent import futures

import grpc

LARGE = 3 * 1024 * 1024


def serve(port):
    def unary(request, context):
        sent = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-initial", sent.get("x-asked", "")),))
        context.set_trailing_metadata((("x-trailing", "t"), ("x-data-bin", b"\x00\xff")))
        return request[::-1]

    def fails(request, context):
        context.set_trailing_metadata((("x-why", "told"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: ünïcode")

    def slow(request, context):
        time.sleep(20)
        return b""

    def counts(request, context):
        for n in range(int(request)):
            yield b"%d" % n

    def forever(request, context):
        # Nobody comes back to a generator whose message could not be sent: the call itself tells when it is over.
        context.add_callback(CANCELLED.set)
        while context.is_active():
            yield b"tick"
            time.sleep(0.01)

    def cancelled(request, context):
        return b"yes" if CANCELLED.wait(10) else b"no"

    def sums(requests, context):
        return b"%d" % sum(len(r) for r in requests)

    def echoes(requests, context):
        for request in requests:
            yield request

    CANCELLED = threading.Event()
    rpc = grpc
    handlers = {
        "Unary": rpc.unary_unary_rpc_method_handler(unary),
        "Fails": rpc.unary_unary_rpc_method_handler(fails),
        "Slow": rpc.unary_unary_rpc_method_handler(slow),
        "Counts": rpc.unary_stream_rpc_method_handler(counts),
        "Forever": rpc.unary_stream_rpc_method_handler(forever),
        "Cancelled": rpc.unary_unary_rpc_method_handler(cancelled),
        "Sums": rpc.stream_unary_rpc_method_handler(sums),
        "Echoes": rpc.stream_stream_rpc_method_handler(echoes),
    }
    server = grpc.server(futures.ThreadPoolExecutor(32), options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.Service", handlers),))
    assert server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def call(port):
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)])
    unary, stream = channel.unary_unary, channel.stream_stream
    method = "/t.Service/{}".format

    answer, made = unary(method("Unary")).with_call(b"abc", metadata=(("x-asked", "i"),), timeout=10)
    assert answer == b"cba", answer
    assert ("x-initial", "i") in made.initial_metadata(), made.initial_metadata()
    trailing = dict(made.trailing_metadata())
    assert trailing["x-trailing"] == "t" and trailing["x-data-bin"] == b"\x00\xff", trailing

    large = bytes(range(256)) * (LARGE // 256)
    assert unary(method("Unary"))(large, timeout=30) == large[::-1]

    try:
        unary(method("Fails"))(b"", timeout=10)
        raise AssertionError("it did not fail")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
        assert error.details() == "not now: ünïcode", error.details()
        assert dict(error.trailing_metadata())["x-why"] == "told"

    try:
        unary(method("Missing"))(b"", timeout=10)
        raise AssertionError("it is not there")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error

    began = time.monotonic()
    try:
        unary(method("Slow"))(b"", timeout=0.5)
        raise AssertionError("it has a deadline")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert time.monotonic() - began < 10

    counted = [int(n) for n in channel.unary_stream(method("Counts"))(b"500", timeout=30)]
    assert counted == list(range(500)), len(counted)

    pieces = [b"x" * n for n in (0, 1, 16384, 70000, 5)]
    assert channel.stream_unary(method("Sums"))(iter(pieces), timeout=30) == b"%d" % sum(map(len, pieces))

    # Both directions at once: each message is sent only after the one before has come back.
    came = threading.Semaphore(1)

    def ask():
        for n in range(50):
            came.acquire()
            yield b"%d" % n

    for n, message in enumerate(stream(method("Echoes"))(ask(), timeout=30)):
        assert message == b"%d" % n
        came.release()

    ticking = channel.unary_stream(method("Forever"))(b"")
    for _, message in zip(range(5), ticking):
        assert message == b"tick"
    ticking.cancel()
    assert unary(method("Cancelled"))(b"", timeout=20) == b"yes", "the server did not hear that the client left"

    with futures.ThreadPoolExecutor(16) as pool:
        made = pool.map(lambda n: unary(method("Unary"))(b"%d!" % n, timeout=30), range(200))
        assert list(made) == [(b"%d!" % n)[::-1] for n in range(200)]
    print("all calls went well")


if __name__ == "__main__":
    {"server": serve, "client": call}[sys.argv[1]](int(sys.argv[2]))
