"""Workflows run what they name, and may do no more than they need."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / ".github" / "workflows"
WORKFLOWS = sorted(path.stem for path in FOLDER.glob("*.yml"))  # none if installed
#: Rights beyond reading, by workflow.
WRITES = {
    "docs": {"pages", "id-token"},
    "release": {"id-token", "attestations"},
}


@pytest.mark.skipif(not WORKFLOWS, reason="the checkout is not here")
def test_there_are_workflows_for_pull_requests_and_releases():
    assert {"dependencies", "docs", "release", "test", "wheels"} <= set(WORKFLOWS)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_actions_are_named_by_commit_and_version(workflow):
    used = re.findall(r"uses: (.*)", text_of(workflow))
    assert used
    for one in used:
        pinned = re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)
        assert pinned or one.startswith("./"), one


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_workflows_read_and_only_what_must_write_does(workflow):
    text = text_of(workflow)
    assert re.search(r"\npermissions:\n  contents: read\n(?! )", text)
    granted = re.findall(r"([\w-]+): write", text)
    assert set(granted) == WRITES.get(workflow, set())
    assert "pull_request_target" not in text
    assert "secrets." not in text


def text_of(workflow):
    return (FOLDER / f"{workflow}.yml").read_text(encoding="utf-8")
