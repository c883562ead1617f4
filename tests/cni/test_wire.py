"""The plugin's request, byte by byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ursa.cni.wire import CniError, Code, failed, parse, succeeded

RECORDS = b"CNI_COMMAND=ADD\0CNI_CONTAINERID=box\0CNI_NETNS=/run/netns/x\0CNI_IFNAME=eth0\0"


def test_a_request_is_taken_apart():
    arguments = b"CNI_ARGS=IgnoreUnknown=1;K8S_POD_UID=u;EMPTY=\0"
    call = parse(RECORDS + arguments + b"\0" + b'{"cniVersion":"1.0.0","type":"ursa-cni"}')
    assert (call.command, call.container_id, call.ifname) == ("ADD", "box", "eth0")
    assert call.args == {"IgnoreUnknown": "1", "K8S_POD_UID": "u", "EMPTY": ""}
    assert call.version == "1.0.0"


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"", Code.DECODING_FAILURE),
        (b"CNI_COMMAND=ADD", Code.DECODING_FAILURE),
        (b"\0{}", Code.INVALID_ENVIRONMENT),
        (RECORDS + b"\0[]", Code.DECODING_FAILURE),
        (RECORDS + b"\0{", Code.DECODING_FAILURE),
        (RECORDS.replace(b"/run/netns/x", b"") + b"\0{}", Code.INVALID_ENVIRONMENT),
        (RECORDS + b'\0{"cniVersion": "0.1.0"}', Code.INCOMPATIBLE_VERSION),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_code(request_, code):
    with pytest.raises(CniError) as fault:
        parse(request_)
    assert fault.value.code == code


@given(st.binary(max_size=200))
def test_no_request_breaks_the_parser(request_):
    try:
        parse(request_)
    except CniError as fault:
        assert json.loads(failed(fault)[1:])["code"] == int(fault.code)


def test_answers_begin_with_the_exit_code():
    assert succeeded(None) == b"0"
    assert succeeded({"a": 1}) == b'0{"a": 1}'
    answer = failed(CniError(Code.TRY_AGAIN, "later", "soon"))
    assert answer[:1] == b"1"
    assert json.loads(answer[1:]) == {
        "cniVersion": "0.4.0", "code": 11, "msg": "later", "details": "soon",
    }  # fmt: skip
