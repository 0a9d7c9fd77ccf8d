from __future__ import annotations

import logging
import os
import shutil
import stat
import subprocess
import traceback
from pathlib import Path

import pytest

from dojo.errors import ReleaseError
from dojo.release import keys
from dojo.release.keys import create_key, load_key, load_keys, public_path, read_public_key

SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")


def test_a_key_is_made_for_its_owner_alone_and_signs(tmp_path: Path) -> None:
    public = create_key(tmp_path / "keys" / "build")
    assert stat.S_IMODE((tmp_path / "keys" / "build").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    (signer,) = load_keys([str(tmp_path / "keys" / "build")])
    assert signer.public_key == public == read_public_key(public_path(tmp_path / "keys" / "build"))
    public.verify_signature(signer.sign(b"said"), b"said")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_a_key_that_others_could_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    create_key(tmp_path / "build")
    (tmp_path / "build").chmod(mode)
    with pytest.raises(ReleaseError, match=rf"key_readable_by_others: .* mode 0600, got mode {mode:04o}"):
        load_key(str(tmp_path / "build"))


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    create_key(tmp_path / "build")
    before = (tmp_path / "build").read_bytes()
    with pytest.raises(ReleaseError, match="key_exists"):
        create_key(tmp_path / "build")
    assert (tmp_path / "build").read_bytes() == before


def test_a_link_to_a_key_is_not_followed(tmp_path: Path) -> None:
    create_key(tmp_path / "build")
    (tmp_path / "link").symlink_to(tmp_path / "build")
    with pytest.raises(ReleaseError, match="key_unreadable"):
        load_key(str(tmp_path / "link"))


def test_what_is_no_private_key_is_refused_without_quoting_it(tmp_path: Path) -> None:
    path = tmp_path / "build"
    path.write_text("a secret that is no key")
    path.chmod(0o600)
    with pytest.raises(ReleaseError) as refused:
        load_key(str(path))
    assert refused.value.rule == "key_unreadable"
    assert refused.value.__cause__ is None
    assert "secret" not in str(refused.value)
    with pytest.raises(ReleaseError, match="expected a key file, got none"):
        load_key(str(tmp_path / "none"))


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"keyid": "x"}'])
def test_what_is_no_public_key_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.pub.json").write_text(content)
    with pytest.raises(ReleaseError, match="expected a public key"):
        read_public_key(tmp_path / "x.pub.json")


def test_a_private_key_is_never_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        create_key(tmp_path / "build")
        signer = load_key(str(tmp_path / "build"))
        shown = repr(signer) + str(signer) + str(vars(signer.public_key))
    out, err = capfd.readouterr()
    lines = (tmp_path / "build").read_text().splitlines()
    secret = next(line for line in lines if not line.startswith("-----"))
    assert secret not in shown + out + err + caplog.text + public_path(tmp_path / "build").read_text()


def test_a_token_that_is_not_there_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYKCS11LIB", raising=False)
    with pytest.raises(ReleaseError, match=r"token_missing: hsm:2\?label=none: .*PYKCS11LIB"):
        load_key("hsm:2?label=none")


@pytest.mark.skipif(not SOFTHSM.exists(), reason="needs SoftHSM: the Debian package softhsm2")
def test_a_key_in_a_token_signs_without_leaving_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pkcs11 = pytest.importorskip("pkcs11", reason="needs python-pkcs11")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    monkeypatch.setenv("PYKCS11LIB", str(SOFTHSM))
    tool = shutil.which("softhsm2-util")
    assert tool is not None
    made = [tool, "--init-token", "--free", "--label", "release", "--pin", "1234", "--so-pin", "5678"]
    subprocess.run(made, check=True, capture_output=True, env=os.environ)
    with pkcs11.lib(str(SOFTHSM)).get_token(token_label="release").open(rw=True, user_pin="1234") as session:
        curve = pkcs11.util.ec.encode_named_curve_parameters("secp256r1")
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: curve}, local=True
        )
        parameters.generate_keypair(id=bytes([2]), store=True, label="release")
    # Asked for at the terminal, and not shown.
    monkeypatch.setattr(keys, "getpass", lambda _prompt: "1234")
    (signer,) = load_keys(["hsm:2?label=release"])
    signer.public_key.verify_signature(signer.sign(b"said"), b"said")
    monkeypatch.setattr(keys, "getpass", lambda _prompt: "987654")
    with pytest.raises(pkcs11.exceptions.PinIncorrect) as refused:
        signer.sign(b"said")
    assert "987654" not in "".join(traceback.format_exception(refused.value))
