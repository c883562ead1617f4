from hypothesis import given
from hypothesis import strategies as st

from ursa.base import ids


def test_uids_are_uuids_and_differ():
    first, second = ids.uid(), ids.uid()
    assert first != second and len(first) == 36 and first[14] == "4"


@given(st.text("abc-", min_size=1, max_size=80), st.uuids(), st.integers(0, 1000))
def test_a_childs_name_depends_on_owner_and_slot_alone_and_fits_a_label(name, uid, slot):
    child = ids.child_name(name, str(uid), slot)
    assert child == ids.child_name(name, str(uid), slot)
    assert child != ids.child_name(name, str(uid), slot + 1)
    assert len(child) <= ids.NAME_MAX


def test_random_suffixes_have_no_vowels():
    assert not set("".join(ids.random_suffix(8) for _ in range(50))) & set("aeiou013")
