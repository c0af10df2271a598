"""The grammar of host ids, held against any id that can be made and any text at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.inventory import SITE_HOSTS

NAMES = {
    "domain": "wpd.internal",
    "levels": ["production", "sandbox", "staging"],
    "roles": {
        "app": {"kind": "service"},
        "memcache": {"kind": "service"},
        "webat25": {"kind": "service"},
        "cache": {"kind": "duty"},
        "sessions": {"kind": "duty"},
    },
}
services = st.sampled_from(["app", "memcache", "webat25"])
duties = st.lists(st.sampled_from(["cache", "sessions"]), unique=True, max_size=2)
indices = st.one_of(st.none(), st.integers(1, 10**6))


@given(services, duties, indices, st.sampled_from(NAMES["levels"]), st.sampled_from(".-"))
def test_whatever_is_built_is_read_back(service, more, index, level, joint):
    host_id = "-".join([service, *more]) + str(index or "") + f"{joint}{level}.wpd.internal"
    host = SITE_HOSTS.parse_id(host_id, NAMES)
    assert (host["roles"], host["index"], host["level"]) == ([service, *more], index, level)
    assert host["id"] == host_id


@given(st.text(max_size=80))
def test_any_other_text_is_refused_in_words(text):
    with pytest.raises(SITE_HOSTS.HostIdError):
        SITE_HOSTS.parse_id(text, NAMES)


@given(st.text(alphabet="abpws0123-.é\n", max_size=30), st.sampled_from(NAMES["levels"]))
def test_an_id_is_read_or_refused_and_nothing_else_happens(name, level):
    try:
        host = SITE_HOSTS.parse_id(f"{name}.{level}.wpd.internal", NAMES)
    except SITE_HOSTS.HostIdError as error:
        assert "host id" in str(error)
    else:
        assert set(host["roles"]) <= set(NAMES["roles"])
