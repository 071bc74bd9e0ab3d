import stat

import pytest

from corpusmill.privacy.secure.certificates import make, make_authority, request, sign, sign_first
from corpusmill.transforms.errors import DatasetError, PrivacyError

x509 = pytest.importorskip("cryptography.x509", reason="certificates need cryptography")


def test_certificates_name_their_party_and_keys_are_the_owners_alone(tmp_path):
    files = make(tmp_path, ["north", "hub"])
    assert {f.name for f in files} >= {"authority.pem", "authority.key.pem", "north.pem", "hub.pem"}
    found = x509.load_pem_x509_certificate((tmp_path / "north.pem").read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["north"]
    authority = x509.load_pem_x509_certificate((tmp_path / "authority.pem").read_bytes())
    found.verify_directly_issued_by(authority)
    for key in tmp_path.glob("*.key.pem"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with pytest.raises(DatasetError, match="left as it is"):
        make(tmp_path, ["north"])


def test_an_owner_keeps_its_key_and_sends_a_request(tmp_path):
    make_authority(tmp_path / "authority")
    asked = request(tmp_path / "north", "north")
    sent = tmp_path / "authority" / asked.name
    sent.write_bytes(asked.read_bytes())
    signed = sign(tmp_path / "authority", sent)
    own = x509.load_pem_x509_csr(asked.read_bytes()).public_key()
    assert x509.load_pem_x509_certificate(signed.read_bytes()).public_key() == own
    assert not (tmp_path / "authority" / "north.key.pem").exists()


def test_names_and_requests_that_are_none_are_refused(tmp_path):
    for name in ("North", "a b", "", "authority", "../x"):
        with pytest.raises(PrivacyError, match="cannot name a party"):
            request(tmp_path, name)
    make_authority(tmp_path)
    (tmp_path / "x.csr.pem").write_text("no request")
    with pytest.raises(DatasetError, match=r"is not a request of a party .*corpusmill party request"):
        sign(tmp_path, tmp_path / "x.csr.pem")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["north", "north"], "`north` is named twice"),
        (["north", "../x"], "`../x` cannot name a party"),
        (["authority"], "cannot name a party"),
    ],
)
def test_nothing_is_written_where_a_name_cannot_be_used(tmp_path, names, said):
    with pytest.raises(PrivacyError, match=said):
        make(tmp_path / "certs", names)
    assert not (tmp_path / "certs").exists()
    assert make(tmp_path / "certs", ["north"])


def test_nothing_is_written_where_a_file_is_in_the_way(tmp_path):
    request(tmp_path, "south")
    before = set(tmp_path.iterdir())
    with pytest.raises(DatasetError, match=r"south\.key\.pem: exists and is left as it is"):
        make(tmp_path, ["north", "south"])
    assert set(tmp_path.iterdir()) == before


def test_no_authority_is_made_for_a_request_that_is_none(tmp_path):
    with pytest.raises(DatasetError, match=r"none\.pem: cannot be read: No such file.*corpusmill party request"):
        sign_first(tmp_path / "a", tmp_path / "none.pem")
    assert not (tmp_path / "a").exists()
    asked = request(tmp_path / "north", "north")
    with pytest.raises(DatasetError, match=r"cannot be signed by the authority in .*; name the folder"):
        sign(tmp_path / "a", asked)
    assert sign_first(tmp_path / "a", asked).name == "north.pem"
    # half an authority is not replaced by another one
    (tmp_path / "a" / "authority.pem").unlink()
    with pytest.raises(DatasetError, match="cannot be signed by the authority"):
        sign_first(tmp_path / "a", request(tmp_path / "south", "south"))
