# SPDX-License-Identifier: MIT
"""JSON web tokens, as far as the stand-ins need them: RS256 and PS256, no leniency, no defaults."""
import base64, hashlib, json, re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ALGORITHMS = ("RS256", "PS256")


class Malformed(Exception):
    pass


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    """base64url without padding, and nothing else (RFC 7515)."""
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_-]*", text) or len(text) % 4 == 1:
        raise Malformed("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def load_object(text):
    """A JSON object in which no name stands twice."""
    def pairs(members):
        if len({name for name, _ in members}) != len(members):
            raise Malformed("a name stands twice")
        return dict(members)
    try:
        obj = json.loads(text, object_pairs_hook=pairs)
    except (ValueError, RecursionError) as e:
        raise Malformed("not JSON") from e
    if not isinstance(obj, dict):
        raise Malformed("not an object")
    return obj


class Jwt:
    def __init__(self, text):
        parts = text.split(".")
        if len(parts) != 3:
            raise Malformed("not three parts with dots between them")
        self.head = load_object(unb64(parts[0]))
        self.claims = load_object(unb64(parts[1]))
        self.signature = unb64(parts[2])
        self.signed = ".".join(parts[:2]).encode()

    def is_signed_by(self, key):
        scheme = _padding(self.head.get("alg"))
        if scheme is None:
            return False
        try:
            key.verify(self.signature, self.signed, scheme, hashes.SHA256())
        except InvalidSignature:
            return False
        return True


def _padding(alg):
    if alg == "RS256":
        return padding.PKCS1v15()
    if alg == "PS256":  # RFC 7518: the salt is as long as the digest
        return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    return None


def sign(key, head, claims):
    part = lambda obj: b64(json.dumps(obj, separators=(",", ":")).encode())
    text = f"{part(head)}.{part(claims)}"
    return f"{text}.{b64(key.sign(text.encode(), _padding(head['alg']), hashes.SHA256()))}"


def new_key(bits=2048):
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _number(text):
    return int.from_bytes(unb64(text), "big")


def jwk(public, kid):
    n = public.public_numbers()
    size = lambda v: b64(v.to_bytes((v.bit_length() + 7) // 8, "big"))
    return {"kty": "RSA", "use": "sig", "kid": kid, "alg": "RS256", "n": size(n.n), "e": size(n.e)}


def jwk_key(obj):
    if obj.get("kty") != "RSA":
        raise Malformed("not an RSA key")
    return rsa.RSAPublicNumbers(_number(obj.get("e")), _number(obj.get("n"))).public_key()


def kid_of(public):
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return b64(hashlib.sha256(der).digest())


def thumbprints(cert):
    """x5t and x5t#S256 of a certificate."""
    return {"x5t": b64(cert.fingerprint(hashes.SHA1())), "x5t#S256": b64(cert.fingerprint(hashes.SHA256()))}
