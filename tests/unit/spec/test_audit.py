import pytest

from kist.errors import InvalidInput
from kist.spec.audit import AuditQuery, AuditRecord, check_filters, container_in, shown_query, write_moment


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("", ""),
        ("force=1&v=true", "force=1&v=true"),
        ("t=app%3A1&buildargs=%7B%22TOKEN%22%3A%22s3cret%22%7D", "t=app:1&buildargs=…"),
        ("remote=https%3A%2F%2Fme%3As3cret%40host%2Fx.git", "remote=…"),
        ("fromSrc=https%3A%2F%2Fme%3As3cret%40host", "fromSrc=…"),
        ("filters=%7B%22name%22%3A%5B%22x%22%5D%7D", "filters=…"),
        ("s3cret", "…=…"),
        ("changes=ENV+TOKEN%3Ds3cret&repo=a&repo=b", "changes=…&repo=a&repo=b"),
        ("a%0A%22=1", "…=…"),
        ("&".join(f"all={n}" for n in range(200)), "…"),
    ],
)
def test_of_a_query_only_what_can_hold_no_secret_is_shown(written: str, shown: str):
    assert shown_query(written) == shown


@pytest.mark.parametrize(
    ("path", "query", "container"),
    [
        ("/containers/web/json", "", "web"),
        ("/v1.43/containers/web/start", "t=1", "web"),
        ("/containers/json", "all=1", ""),
        ("/v1.50/containers/create", "name=web&platform=x", "web"),
        ("/containers/prune", "", ""),
        ("/v1.50/commit", "repo=a&container=web", "web"),
        ("/images/containers/json", "", ""),
        ("/networks/containers", "", ""),
        ("/", "", ""),
        ("", "", ""),
    ],
)
def test_the_container_that_a_call_names(path: str, query: str, container: str):
    assert container_in(path, query) == container


RECORD = AuditRecord(write_moment(1_700_000_000_000_000_001), 1, "POST", "/v1.50/containers/web/stop", 404, 1.5, uid=0,
                     role="operator of ci=1")  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, True),
        ({"uid": ["0"]}, True),
        ({"uid": ["1", "2"]}, False),
        ({"status": ["4xx"]}, True),
        ({"status": ["403", "404"]}, True),
        ({"status": ["5XX"]}, False),
        ({"path": ["/stop"], "method": ["post"]}, True),
        ({"path": ["/stop"], "method": ["GET"]}, False),
        ({"role": ["operator"]}, True),
        ({"role": ["operator of ci=1"]}, True),
        ({"role": ["read-only"]}, False),
    ],
)
def test_a_record_fits_one_value_of_each_filter(filters: dict[str, list[str]], wanted: bool):
    assert AuditQuery(check_filters(filters)).wants(RECORD) is wanted


def test_moments_bound_what_is_wanted():
    before, after = (write_moment(1_700_000_000_000_000_001 + step) for step in (-1, 1))
    assert RECORD.time == "2023-11-14T22:13:20.000000001Z"
    assert AuditQuery(since=before, until=after).wants(RECORD)
    assert not AuditQuery(since=after).wants(RECORD)
    assert not AuditQuery(until=before).wants(RECORD)


@pytest.mark.parametrize("filters", [{"uid": ["root"]}, {"status": ["bad"]}, {"status": ["4x"]}, {"colour": ["red"]}])
def test_a_filter_that_cannot_be_right_is_named(filters: dict[str, list[str]]):
    with pytest.raises(InvalidInput, match="invalid filter"):
        check_filters(filters)
