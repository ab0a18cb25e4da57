"""The secure sum a second time: slow, in Python's own integers, from the page that describes it.

Uses nothing of ours. Primitives: SHA-256 and HMAC of Python, and of `cryptography` only the
X25519 and Ed25519 operations and the AES block (counter mode is built here from single blocks).
"""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Document = dict[str, object]


def canonical(document: Document) -> bytes:
    """RFC 8785, for documents of ASCII texts and small whole numbers."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def digest(document: Document, domain: str) -> str:
    tag = f"datalabbet/{domain}/v1".encode()
    octets = len(tag).to_bytes(2, "big") + tag + canonical(document)
    return hashlib.sha256(octets).hexdigest()


def signature(secret: bytes, document: Document, domain: str) -> str:
    octets = f"datalabbet/{domain}/v1".encode() + b"\0" + canonical(document)
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(secret).sign(octets)).decode()


def identity_public(secret: bytes) -> str:
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw().hex()


def x25519_public(secret: bytes) -> str:
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw().hex()


def x25519(secret: bytes, public: str) -> bytes:
    other = X25519PublicKey.from_public_bytes(bytes.fromhex(public))
    return X25519PrivateKey.from_private_bytes(secret).exchange(other)


def hkdf(ikm: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256, no salt and 32 bytes: one block."""
    extracted = hmac.new(bytes(32), ikm, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def keystream(key: bytes, size: int) -> bytes:
    block = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()  # noqa: S305 - the bare block
    found = b""
    for counter in range((size + 15) // 16):
        found += block.update(counter.to_bytes(16, "big"))
    return found[:size]


def info(low: str, high: str, context: str) -> bytes:
    parts = [b"datalabbet/secure-sum-mask/v1", low.encode(), high.encode()]
    prefixed = [len(part).to_bytes(2, "big") + part for part in parts]
    return b"".join(prefixed) + bytes.fromhex(context)


def mask(secret: bytes, one: str, other: str, context: str, *, bits: int, length: int) -> list[int]:
    low, high = sorted((one, other))
    octets = keystream(hkdf(secret, info(low, high, context)), length * bits // 8)
    return read(octets, bits)


def encode(value: int, bits: int) -> int:
    return value % 2**bits


def decode(element: int, bits: int) -> int:
    return element - 2**bits if element >= 2 ** (bits - 1) else element


def write(elements: list[int], bits: int) -> bytes:
    return b"".join(element.to_bytes(bits // 8, "little") for element in elements)


def read(octets: bytes, bits: int) -> list[int]:
    size = bits // 8
    parts = range(0, len(octets), size)
    return [int.from_bytes(octets[start : start + size], "little") for start in parts]


def message(
    me: str,
    values: list[int],
    secrets: dict[str, bytes],
    *,
    witness: str | None,
    context: str,
    bits: int,
) -> list[int]:
    """`values` with their noise, under the masks with each name in `secrets`."""
    found = [encode(value, bits) for value in values]
    for other, secret in secrets.items():
        pad = mask(secret, me, other, context, bits=bits, length=len(values))
        sign = 1 if other == witness or me < other else -1
        found = [(a + sign * b) % 2**bits for a, b in zip(found, pad, strict=True)]
    return found


def add(rows: list[list[int]], bits: int) -> list[int]:
    return [sum(column) % 2**bits for column in zip(*rows, strict=True)]
