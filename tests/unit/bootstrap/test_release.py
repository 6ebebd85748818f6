import pysequoia
import pytest

from kist.bootstrap.distribution import Archive
from kist.bootstrap.release import ReleaseFile, check_release, file_url, packages_file, parse_release
from kist.bootstrap.signature import debian_certificates, parse_certificates, verified_text
from kist.errors import Corrupt, InvalidInput, NotFound, Unavailable

URL = "http://m/debian/dists/bookworm/InRelease"
ARCHIVE = Archive("http://m/debian", "bookworm")
NOON = 1_768_046_400.0  # 2026-01-10 12:00 UTC
TEXT = """\
Suite: oldstable
Codename: bookworm
Date: Sat, 10 Jan 2026 10:00:00 UTC
Valid-Until: Sat, 17 Jan 2026 10:00:00 UTC
SHA256:
 aaaa 10 main/binary-amd64/Packages
 bbbb 5 main/binary-amd64/Packages.xz
 cccc 6 main/binary-amd64/Packages.gz
 dddd 7 main/binary-all/Packages.gz
"""


def release(text: str = TEXT) -> ReleaseFile:
    return parse_release(text, url=URL)


def signed(key: pysequoia.Tsk, text: bytes = TEXT.encode()) -> bytes:
    return pysequoia.sign(key.signer(), text, mode=pysequoia.SignatureMode.CLEAR)


def test_the_smallest_list_of_packages_is_chosen() -> None:
    assert packages_file(release(), "main", "amd64").path == "main/binary-amd64/Packages.xz"
    assert packages_file(release(), "main", "all").sha256 == "dddd"


def test_a_list_is_fetched_by_its_hash_where_the_archive_offers_that() -> None:
    file = packages_file(release(), "main", "amd64")
    assert file_url(ARCHIVE, release(), file) == "http://m/debian/dists/bookworm/main/binary-amd64/Packages.xz"
    by_hash = release("Acquire-By-Hash: yes\n" + TEXT)
    assert file_url(ARCHIVE, by_hash, file) == "http://m/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/bbbb"


def test_an_architecture_that_the_archive_lacks_is_named_with_those_that_it_has() -> None:
    with pytest.raises(NotFound, match="no packages of 'main' for the architecture 'mips'") as caught:
        packages_file(release(), "main", "mips")
    assert "main/binary-amd64" in caught.value.hint


def test_a_release_of_today_is_accepted() -> None:
    check_release(release(), ARCHIVE, now=NOON)
    check_release(release(), Archive("http://m/debian", "oldstable"), now=NOON)


def test_another_suite_is_refused() -> None:
    with pytest.raises(Corrupt, match="is of the suite 'bookworm', not of 'trixie'"):
        check_release(release(), Archive("http://m/debian", "trixie"), now=NOON)


def test_an_expired_release_is_refused_unless_expiry_is_not_checked() -> None:
    later = NOON + 8 * 86400
    with pytest.raises(Unavailable, match=f"{URL} expired on 2026-01-17 10:00 UTC, and it is 2026-01-18") as caught:
        check_release(release(), ARCHIVE, now=later)
    assert "--snapshot" in caught.value.hint
    check_release(release(), Archive("http://m/debian", "bookworm", check_valid_until=False), now=later)


def test_a_release_of_the_future_is_refused_unless_dates_are_not_checked() -> None:
    with pytest.raises(Unavailable, match="from the future") as caught:
        check_release(release(), ARCHIVE, now=NOON - 86400)
    assert "clock" in caught.value.hint
    check_release(release(), Archive("http://m/debian", "bookworm", check_date=False), now=NOON - 86400)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("SHA256:", "MD5Sum:", "no SHA256 section"),
        ("Date: Sat, 10 Jan 2026", "Date: once", "no valid Date"),
        ("Date:", "D:", "no valid Date"),
    ],
)
def test_a_release_that_lacks_something_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(Corrupt, match=message):
        release(TEXT.replace(old, new, 1))


def test_only_the_signed_text_is_returned(key: pysequoia.Tsk) -> None:
    certificates = [key.extract_certificate()]
    data = b"Codename: evil\n\n" + signed(key) + b"\nSHA256:\n evil\n"
    assert verified_text(data, certificates, url=URL).strip() == TEXT.strip()


def test_a_changed_text_is_refused(key: pysequoia.Tsk) -> None:
    data = signed(key).replace(b"bbbb", b"eeee")
    with pytest.raises(Corrupt, match=f"the signature of {URL} is bad") as caught:
        verified_text(data, [key.extract_certificate()], url=URL)
    assert "--mirror" in caught.value.hint
    assert "\n" not in caught.value.message


def test_the_signature_of_an_unknown_key_is_refused_and_the_key_named(key: pysequoia.Tsk) -> None:
    stranger = pysequoia.Tsk.generate("stranger@example.org")
    with pytest.raises(Corrupt, match=r"signed by [0-9A-F]{16}; 1 trusted keys"):
        verified_text(signed(stranger), [key.extract_certificate()], url=URL)


def test_a_file_that_is_not_signed_is_refused(key: pysequoia.Tsk) -> None:
    with pytest.raises(Corrupt, match="is not a signed Release file") as caught:
        verified_text(b"<html>please log in</html>", [key.extract_certificate()], url=URL)
    assert "login page" in caught.value.hint


def test_debians_keys_come_along() -> None:
    owners = {str(user) for certificate in debian_certificates() for user in certificate.user_ids}
    assert any("(12/bookworm)" in owner for owner in owners)
    assert any("(13/trixie)" in owner for owner in owners)


def test_what_holds_no_certificate_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"k\.gpg holds no OpenPGP certificate"):
        parse_certificates(b"nothing", source="k.gpg")
