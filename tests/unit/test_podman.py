"""What the runtime says of containers, while others come and go."""

import pytest

from tools import podman


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """Makes a runtime whose first lists fail, as where a container goes meanwhile."""
    monkeypatch.setattr(podman, "LIST_PAUSE", 0)

    def make(failures):
        program = tmp_path / "runtime"
        program.write_text(
            "#!/bin/sh\n"
            f'echo . >> "{tmp_path}/asked"\n'
            f'if [ "$(wc -l < "{tmp_path}/asked")" -le {failures} ]; then\n'
            "    echo 'stat: no such file or directory' >&2; exit 1\n"
            "fi\n"
            """echo '[{"id": "a", "status": "running"}, {"id": "b", "status": "stopped"}]'\n""",
            encoding="ascii",
        )
        program.chmod(0o755)
        return podman.Podman(str(program))

    return make


def test_who_runs(runtime):
    assert runtime(0).alive() == {"a"}


def test_a_container_that_goes_meanwhile_is_no_failure(runtime):
    assert runtime(podman.LIST_TIMES - 1).alive() == {"a"}


def test_a_runtime_that_does_not_work_is_one(runtime):
    with pytest.raises(podman.PodmanError, match="no such file"):
        runtime(podman.LIST_TIMES).alive()
