import pytest

from ursa.base.errors import (
    ApiError,
    Conflict,
    FieldError,
    Invalid,
    NotFound,
    from_status,
    not_found,
)


def test_a_status_and_its_error_are_each_other():
    fault = from_status(not_found("pods", "web").status())
    assert isinstance(fault, NotFound)
    assert fault.message == 'pods "web" not found'
    assert fault.details["kind"] == "pods"


def test_invalid_lists_every_fault_as_a_cause():
    fault = Invalid("Vpc.network.ursa.dev", "blue", [FieldError("spec.cidr", "is immutable")])
    status = fault.status()
    assert status["code"] == 422
    assert status["message"] == ('Vpc.network.ursa.dev "blue" is invalid: spec.cidr: is immutable')
    assert [cause["field"] for cause in status["details"]["causes"]] == ["spec.cidr"]
    assert isinstance(from_status(status), Invalid)


@pytest.mark.parametrize("cls", ApiError.__subclasses__())
def test_every_error_has_a_code_and_a_reason_of_its_own(cls):
    assert 400 <= cls.code < 600 and cls.reason


def test_an_unknown_reason_falls_back_to_the_code():
    assert isinstance(from_status({"code": 409, "message": "m", "reason": "Odd"}), ApiError)
    assert isinstance(from_status({"code": 409, "reason": "Conflict"}), Conflict)
