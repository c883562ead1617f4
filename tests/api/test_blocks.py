from ursa.api.blocks import BLOCK_BYTES_MAX, HeaderBlocks
from ursa.api.message import Headers

HEAD = b"Host: a\r\nAccept: */*\r\n\r\n"
HEADERS = Headers(host="a", accept="*/*")


def remembered(data: bytes = b"GET /x HTTP/1.1\r\n" + HEAD, headers: Headers = HEADERS):
    blocks = HeaderBlocks()
    blocks.remember(data, headers)
    return blocks


def test_the_same_block_after_another_line_is_a_request():
    request = remembered().request(b"GET /y?a=b HTTP/1.1\r\n" + HEAD, b"der")
    assert request is not None
    assert (request.method, request.target, request.certificate) == ("GET", b"/y?a=b", b"der")
    assert request.headers == HEADERS
    assert request.query == {"a": "b"}
    assert request.body == b""


def test_what_differs_in_a_byte_is_the_parsers():
    blocks = remembered()
    for data in (
        b"GET /y HTTP/1.1\r\nHost: b\r\nAccept: */*\r\n\r\n",
        b"GET /y HTTP/1.0\r\n" + HEAD,
        b"GET  /y HTTP/1.1\r\n" + HEAD,
        b"GET /y z HTTP/1.1\r\n" + HEAD,
        b"GET y HTTP/1.1\r\n" + HEAD,
        b"GET /\xff HTTP/1.1\r\n" + HEAD,
        b"POST /y HTTP/1.1\r\n" + HEAD,
        b"GET /y HTTP/1.1\r\n" + HEAD + b"GET /z HTTP/1.1\r\n" + HEAD,
        b"GET /y HTTP/1.1\r\n" + HEAD[:-1],
    ):
        assert blocks.request(data, None) is None, data


def test_a_block_that_frames_a_body_or_is_large_or_unfinished_is_not_kept():
    for name in ("content-length", "transfer-encoding", "upgrade", "connection", "expect"):
        blocks = remembered(headers=Headers({"host": "a", name: "0"}))
        assert blocks.request(b"GET /x HTTP/1.1\r\n" + HEAD, None) is None
    large = b"GET /x HTTP/1.1\r\nA: " + b"x" * BLOCK_BYTES_MAX + b"\r\n\r\n"
    for data in (large, b"GET /x HTTP/1.1\r\n" + HEAD + b"rest"):
        assert remembered(data).request(data, None) is None
