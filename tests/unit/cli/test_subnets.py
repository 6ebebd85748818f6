import pytest

from kist.cli.words import subnets


def test_what_is_in_a_subnet_belongs_to_it() -> None:
    found = subnets.together(
        ["10.1.0.0/16", "fd00:1::/64"],
        ["fd00:1::1", "10.1.0.9"],
        ["10.1.7.0/24"],
        [("printer", "10.1.0.7"), ("plotter", "10.1.0.8")],
    )
    assert found == [
        {
            "Subnet": "10.1.0.0/16",
            "Gateway": "10.1.0.9",
            "IPRange": "10.1.7.0/24",
            "AuxiliaryAddresses": {"printer": "10.1.0.7", "plotter": "10.1.0.8"},
        },
        {"Subnet": "fd00:1::/64", "Gateway": "fd00:1::1"},
    ]


@pytest.mark.parametrize(
    ("gateways", "ranges", "words"),
    [
        (["10.2.0.1"], [], "no matching subnet for gateway 10.2.0.1"),
        ([], ["10.2.0.0/24"], "no matching subnet for range 10.2.0.0"),
        (["10.1.0.1", "10.1.0.2"], [], "multiple gateways on the subnet 10.1.0.0/16"),
        ([], ["10.1.1.0/24", "10.1.2.0/24"], "multiple ranges"),
    ],
)
def test_what_belongs_to_none_or_is_told_twice_is_refused(gateways: list[str], ranges: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        subnets.together(["10.1.0.0/16"], gateways, ranges, [])


@pytest.mark.parametrize("text", ["10.1.0.0", "10.1.0.1/16", "here/16", ""])
def test_what_is_no_subnet(text: str) -> None:
    with pytest.raises(ValueError, match=r"subnet|network|host bits"):
        subnets.subnet(text)


def test_an_auxiliary_address() -> None:
    assert subnets.reserved("printer=10.1.0.7") == ("printer", "10.1.0.7")
    for text in ("printer", "=10.1.0.7", "printer=there"):
        with pytest.raises(ValueError, match=r"auxiliary|address"):
            subnets.reserved(text)
