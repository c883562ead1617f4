"""Records come back after a crash; unfinished ones do not."""

from ursa.arktos.vmruntime.records import FILE, Records, SandboxRecord, SandboxState


def sandbox(name: str) -> SandboxRecord:
    return SandboxRecord(
        id=name,
        name=name,
        namespace="default",
        uid=f"uid-{name}",
        attempt=0,
        state=SandboxState.READY,
        created_ns=1,
    )


def loaded(folder) -> Records[SandboxRecord]:
    records = Records(folder, SandboxRecord)
    records.load()
    return records


def test_a_record_comes_back(tmp_path):
    loaded(tmp_path).put(sandbox("a"))
    assert list(loaded(tmp_path)) == [sandbox("a")]


def test_what_a_crash_left_half_made_is_removed(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / FILE).write_bytes(b'{"id": "torn", "na')
    assert list(loaded(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_removal_takes_the_folder_and_is_idempotent(tmp_path):
    records = loaded(tmp_path)
    records.put(sandbox("a"))
    (records.folder("a") / "disk").write_bytes(b"x")
    for _ in range(2):
        records.remove("a")
    assert records.get("a") is None and list(tmp_path.iterdir()) == []
