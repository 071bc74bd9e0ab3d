import stat

import pytest

from privacy.secure.certificates import make, make_authority, request, sign
from transforms.errors import DatasetError, PrivacyError

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
    with pytest.raises(DatasetError, match="cannot be signed"):
        sign(tmp_path, tmp_path / "x.csr.pem")
